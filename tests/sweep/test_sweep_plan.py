"""What a sweep file asks for: its points, their order, the draws, and mistakes in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeping import BASE, ROOT

from simdfl.errors import UserError
from simdfl.scenario.points import Plan, draw_value, load_plan
from simdfl.scenario.sweep import Draw, sweep_schema_text
from simdfl.sweep.cluster import visible_gpus, worker_environment
from simdfl.sweep.command import main
from simdfl.sweep.forecast import estimate_s

SWEEPS = sorted((ROOT / "scenarios" / "sweeps").glob("*.yaml"))
FULL = f"""name: full
{BASE}set: {{protocol.steps: 3}}
grid:
  peers.count: [8, 16]
zip:
  - protocol.validators: [1, 2]
    protocol.projections: [3, 4]
random:
  network.loss: {{uniform: [0, 0.1]}}
samples: 2
seeds: {{first: 3, count: 2}}
"""


def plan_of(folder: Path, text: str) -> Plan:
    (folder / "s.yaml").write_text(text)
    return load_plan(folder / "s.yaml")


def test_points_are_all_combinations_and_the_last_axis_is_fastest(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, FULL)
    seen = [
        (
            run.varied["peers.count"],
            run.varied["protocol.validators"],
            run.varied["protocol.projections"],
            run.seed,
        )
        for run in plan.runs[::2]
    ]
    assert plan.n_points == 8
    assert len(plan.runs) == 16
    assert seen[:4] == [(8, 1, 3, 3), (8, 1, 3, 3), (8, 2, 4, 3), (8, 2, 4, 3)]
    assert {run.scenario.protocol.steps for run in plan.runs} == {3}
    assert [run.scenario.network.loss for run in plan.runs] == [run.varied["network.loss"] for run in plan.runs]


def test_draws_come_back_and_a_new_value_elsewhere_disturbs_none(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, FULL)
    more = plan_of(tmp_path, FULL.replace("[8, 16]", "[8, 16, 32]"))
    other = plan_of(tmp_path, FULL + "draw_seed: 2\n")
    drawn = [run.varied["network.loss"] for run in plan.runs]
    assert drawn == [run.varied["network.loss"] for run in more.runs[: len(drawn)]]
    assert len({*drawn, *(run.varied["network.loss"] for run in other.runs)}) == 4
    assert plan.digest != more.digest


def test_twins_inherit_the_point_and_follow_their_run(tmp_path: Path) -> None:
    text = FULL.replace("quick.yaml", "byzantine_30pct.yaml") + "twins: [unverified]\n"
    plan = plan_of(tmp_path, text.replace("[8, 16]", "[10, 16]"))
    assert [run.run for run in plan.runs[:4]] == ["main", "unverified", "main", "unverified"]
    main_run, twin = plan.runs[:2]
    assert twin.scenario.protocol.name == "all_reduce"
    assert (twin.scenario.peers.count, twin.scenario.seed) == (10, main_run.scenario.seed)


@given(share=st.floats(0, 1, exclude_max=True), low=st.integers(-50, 50), width=st.integers(1, 90))
def test_draws_stay_within_their_bounds(share: float, low: int, width: int) -> None:
    high = low + width
    assert low <= draw_value(Draw(int_uniform=(low, high)), share) <= high
    assert low <= draw_value(Draw(uniform=(float(low), float(high))), share) <= high
    positive = (abs(low) + 1.0, abs(low) + 1.0 + width)
    assert positive[0] <= draw_value(Draw(log_uniform=positive), share) <= positive[1]
    assert draw_value(Draw(choice=tuple(range(width))), share) in range(width)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("peers.count", "peers.cout", "s.yaml:5 grid.peers.cout: unknown key (did you mean 'count'?)"),
        ("[8, 16]", "[8, no]", "s.yaml:5 grid.peers.count: got 'no'; allowed is a whole number of at least 4"),
        ("[8, 16]", "8", "s.yaml:5 grid.peers.count: got 8; allowed is a list"),
        ("uniform:", "unifrm:", "s.yaml:10 random.network.loss.unifrm: unknown key (did you mean 'uniform'?)"),
        ("[3, 4]", "[3]", "s.yaml:7 zip.0: the lists must be equally long, but protocol.validators has 2, "),
        ("count: 2}", "cont: 2}", "s.yaml:12 seeds: allowed is a list of whole numbers, or a mapping with first"),
        ("{first: 3, count: 2}", "[1, 1]", "s.yaml:12 seeds.1: seed 1 stands twice; keep one"),
        ("samples: 2\n", "", "s.yaml:9 random: needs samples beside it; add samples or remove random"),
        ("zip:", "zpi:", "s.yaml:6 zpi: unknown key (did you mean 'zip'?); known keys: name, description, base"),
        ("  peers.count", "  seed", "s.yaml:5 grid.seed: seed cannot vary here; list seeds under seeds"),
        ("network.loss", "peers.count", "peers.count varies twice; keep one"),
        ("[0, 0.1]", "[0.1, 0]", "s.yaml:10 random.network.loss.uniform: the lowest value must be below"),
        ("samples", "twins: [unverfied]\nsamples", "s.yaml:11 twins.0: the scenario has no baseline 'unverfied'"),
        ("quick.yaml", "quik.yaml", "s.yaml:2 base: "),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        plan_of(tmp_path, FULL.replace(old, new, 1))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_of_the_scenario_names_the_values_that_made_it(tmp_path: Path) -> None:
    text = f"name: x\n{BASE.replace('quick', 'byzantine_30pct')}grid: {{peers.count: [10, 5]}}\n"
    with pytest.raises(UserError, match=r"byzantine_30pct.yaml:\d+ .*s.yaml sets peers.count=5\)$"):
        plan_of(tmp_path, text)


def test_a_mistake_writes_nothing_and_ends_with_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(FULL.replace("peers.count", "peers.cout"))
    assert main(["s.yaml"]) == 2
    assert capsys.readouterr().err.startswith("simdfl: s.yaml:5 grid.peers.cout: unknown key")
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda path: path.stem)
def test_the_shipped_sweeps_have_plans(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep), "--dry-run"]) == 0
    assert f"{sweep.stem}: " in capsys.readouterr().out


def test_the_plan_is_estimated_by_what_is_done(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, FULL)
    half = {run.key: {"wall_s": 100.0} for run in plan.runs[:8]}
    assert estimate_s(plan, {}, 1) < 60 < estimate_s(plan, half, 1)
    assert estimate_s(plan, half, 4) < estimate_s(plan, half, 1)


def test_the_schema_file_for_editors_is_up_to_date() -> None:
    written = (ROOT / "scenarios" / "sweep.schema.json").read_text(encoding="utf-8")
    assert written == sweep_schema_text(), (
        "write python -m simdfl.sweep --json-schema to scenarios/sweep.schema.json"
    )


def test_every_worker_has_a_gpu_of_its_own_where_there_are_enough(tmp_path: Path) -> None:
    gpus = visible_gpus({"CUDA_VISIBLE_DEVICES": "2, 5"})
    assert gpus == ["2", "5"]
    assert [worker_environment(i, 2, gpus)["CUDA_VISIBLE_DEVICES"] for i in range(2)] == ["2", "5"]
    shared = [worker_environment(i, 4, gpus) for i in range(4)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in shared] == ["2", "5", "2", "5"]
    assert {one["XLA_PYTHON_CLIENT_MEM_FRACTION"] for one in shared} == {"0.45"}
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == visible_gpus({}, tmp_path / "none") == []
    (tmp_path / "0000:01:00.0").mkdir()
    assert visible_gpus({}, tmp_path) == ["0"]
