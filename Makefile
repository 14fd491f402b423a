PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test slow lint bench clean

# The stamps make both targets idempotent: nothing is installed twice unless pyproject.toml changes.
$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	$(BIN)/python -m pip install --quiet -e ".[evm]" || echo "no EVMs for this platform: tests/evm will be skipped"
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python -m simdfl.run scenarios/byzantine_30pct.yaml

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	for script in tests/benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) runs build *.egg-info
