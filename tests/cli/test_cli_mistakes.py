"""Every mistake ends with status 2 and one sentence; nothing is written, nothing is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import QUICK, run_cli

from simdfl import run
from simdfl.world import build, together

FILES = [
    (None, "no scenario given; try: python -m simdfl.run scenarios/byzantine_30pct.yaml"),
    ("missing.yaml", "missing.yaml: there is no such file; give the path of a scenario"),
    (".", ".: this is a folder; give a scenario file in it"),
    (b"", "x.yaml: the file is empty; write at least a line 'name: …'"),
    (b"name: x\npeers:\n\tcount: 6\n", "x.yaml:3: a tab indents this line; use spaces"),
    (
        b"name: x\npeers: {count: 6\n",
        "x.yaml:3: this is not YAML (expected ',' or '}', but got '<stream end>'); "
        "check the indentation, colons and quotes",
    ),
    (
        b"name: x\nseed: '3'\n",
        "x.yaml:2 seed: got '3'; allowed is a whole number of at least 0; write it without",
    ),
    (b"name: x\npeers: 6\n", "x.yaml:2 peers: got 6; allowed is a mapping"),
    (b"name: x\nprotocl: {}\n", "x.yaml:2 protocl: unknown key (did you mean 'protocol'?); known keys: name, "),
    (
        b"name: x\npeers: {cont: 6}\n",
        "x.yaml:2 peers.cont: unknown key (did you mean 'count'?); known keys: count",
    ),
]

NAMES = [
    (
        "protocol.name=verifed",
        "protocol.name: unknown name 'verifed' (did you mean 'verified'?); known names: all_r",
    ),
    (
        "peers.device=laptop",
        "peers.device: unknown name 'laptop' (did you mean 'laptop_cpu'?); known names: gpu_h",
    ),
    ("topology.name=rnd", "topology: unknown topology 'rnd'; known: barabasi_albert, complete"),
    ("network.latency=moon", "network: unknown latency table 'moon'; known: aws_2025"),
    ("network.shares=moon", "network: unknown share table 'moon'; known: bitcoin_2015"),
    ("network.bandwidth=moon", "network: unknown bandwidth table 'moon'; known: gervais2016"),
    ("learning.dataset.name=digit", "learning.dataset.name: unknown name 'digit' (did you mean 'digits'?)"),
    (
        "learning.model.name=mlpp",
        "learning.model.name: unknown name 'mlpp' (did you mean 'mlp'?); known names: cnn",
    ),
    (
        "learning.optimiser.name=adm",
        "optimiser.name: unknown name 'adm' (did you mean 'adam'?); known names: adam",
    ),
    (
        "adversaries=[{name: sign_flp, count: 1}]",
        "adversary: unknown name 'sign_flp' (did you mean 'sign_flip'?)",
    ),
    (
        "adversaries=[{name: 'no_such_module:Mine', count: 1}]",
        "adversary no_such_module:Mine: module 'no_such_module'",
    ),
    (
        "adversaries=[{name: 'json:Mine', count: 1}]",
        "adversary json:Mine: unknown name 'Mine'; known names: JSON",
    ),
    ("chain.profile=app", "chain.profile: unknown name 'app'"),
    (
        "protocol={name: all_reduce, rule: {name: mdian}}",
        "aggregation.name: unknown name 'mdian' (did you mean 'med",
    ),
]

PARAMS = [
    ("topology.params.degre=3", "topology: unknown parameter of complete: 'degre'; known: none"),
    (
        "learning.model.params.hiden=[3]",
        "learning.model.params: unknown parameter 'hiden' (did you mean 'hidden'?)",
    ),
    ("learning.dataset.params.size=3", "learning.dataset.params: unknown parameter 'size'"),
    ("learning.optimiser.params.bta=0.5", "optimiser: unknown parameter 'bta' (did you mean 'beta'?)"),
    ("learning.optimiser.params.beta=2", "optimiser.beta: must be at least 0 and below 1, got 2"),
    (
        "adversaries=[{name: sign_flip, count: 1, params: {scal: 1}}]",
        "adversary sign_flip: unknown parameter 'scal' (did you mean 'scale'?); known parameters: scale",
    ),
    (
        "adversaries=[{name: sign_flip, count: 1, params: {scale: big}}]",
        "adversary sign_flip.scale: must be a number, got 'big'",
    ),
    (
        "protocol={name: all_reduce, rule: {name: trimmed_mean, params: {k: 1}}}",
        "aggregation: 'trimmed_mean' has no parameter 'k'",
    ),
    ("learning.model.params.hidden=[0]", "model.hidden: every number must be at least 1, got [0]"),
]

WRONG_TYPES_OF_PARAMS = [
    "learning.model.params.hidden=3",
    "learning.model.params.hidden=[a]",
    "learning.model.params.lanes=x",
    "learning.optimiser.params.beta=x",
    "chain.base_fee_wei=100000000000000000000000",
]

SIZES = [
    ("adversaries=[{name: sign_flip, count: 3}]", "3 leaves no honest majority (b=3 of n=6); use at most 2"),
    (
        "adversaries=[{name: sign_flip, fraction: 0.6}]",
        "0.6 leaves no honest majority (b=4 of n=6); use less than",
    ),
    (
        "topology={name: random_regular, params: {degree: 6}}",
        "6 peers cannot have 6 neighbours each; use a degree",
    ),
    ("topology={name: watts_strogatz, params: {degree: 9}}", "topology: "),
    ("network.uplink_mbps=0", "--set network.uplink_mbps: got 0; allowed is a number of at least 0.001"),
    ("network.downlink_mbps=-3", "--set network.downlink_mbps: got -3; allowed is a number of at least 0.001"),
    (
        "protocol.validators=3",
        "3 validators and as many targets need more than 6 peers, got 6; lower validators to 2",
    ),
    (
        "contracts.minimum_peers=7",
        "6 peers are fewer than the minimum of 7; lower minimum_peers or use more peers",
    ),
    (
        "chain.block_time_s=100",
        "contracts.register_s: 90 s is shorter than inclusion and finality take on this chain",
    ),
    ("beacon.epoch_outputs=2", "beacon.epoch_outputs: 2 outputs last 12 s, but dealings are judged only after"),
    ("peers.count=3", "peers.count: got 3; allowed is a whole number of at least 4"),
    ("protocol.steps=0", "--set protocol.steps: got 0; allowed is a whole number of at least 1"),
]

OPTIONS = [
    (
        ["--set", "protocol.steps"],
        "--set protocol.steps: allowed is key.path=value, for instance protocol.steps=50",
    ),
    (["--set", "=3"], "--set =3: allowed is key.path=value"),
    (["--set", "seed=[1"], "--set seed: this is not YAML"),
    (["--set", "protocol.stepps=3"], "--set protocol.stepps: unknown key (did you mean 'steps'?)"),
    (["--set"], "argument --set: expected one argument; try: python -m simdfl.run --help"),
    (["--seed", "-1"], "--seed: got -1; allowed is a whole number of at least 0"),
    (["--seed", "x"], "argument --seed: invalid int value: 'x'; try: python -m simdfl.run --help"),
    (["--steps", "3"], "unrecognized arguments: --steps 3; try: python -m simdfl.run --help"),
    (["--protocol", "verifed"], "protocol.name: unknown name 'verifed'"),
    (["--out", ""], "--out: got ''; allowed is the path of a folder, without control characters"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder; runs are assembled in this process and never started."""

    def only_build(scenarios: dict[str, Any], console: object, resumed: object) -> dict[str, Any]:
        for scenario in scenarios.values():
            build(scenario)
        raise AssertionError("no mistake was found")

    monkeypatch.setattr(together, "run_together", only_build)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_refused(capsys: pytest.CaptureFixture[str], here: Path, arguments: list[str], sentence: str) -> None:
    before = sorted(here.rglob("*"))
    assert run.main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("simdfl: ")
    assert output.err.count("\n") == 1
    assert sentence in output.err
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("content, sentence", FILES)
def test_files(capsys: Any, here: Path, content: bytes | str | None, sentence: str) -> None:
    (here / "x.yaml").write_bytes(content if isinstance(content, bytes) else b"name: x\n")
    path = "x.yaml" if isinstance(content, bytes) else content
    check_refused(capsys, here, [] if path is None else [path], f"simdfl: {sentence}")


@pytest.mark.parametrize("override, sentence", [*NAMES, *PARAMS])
def test_shelves(capsys: Any, here: Path, override: str, sentence: str) -> None:
    check_refused(capsys, here, [QUICK, "--set", override], f"simdfl: {sentence}")


@pytest.mark.parametrize("override", WRONG_TYPES_OF_PARAMS)
def test_wrong_types_of_shelves_parameters(capsys: Any, here: Path, override: str) -> None:
    check_refused(capsys, here, [QUICK, "--set", override], override.split("=")[0].split(".")[-1])


@pytest.mark.parametrize("override, sentence", SIZES)
def test_impossible_sizes(capsys: Any, here: Path, override: str, sentence: str) -> None:
    check_refused(capsys, here, [QUICK, "--set", override], sentence)


def test_half_a_link(capsys: Any, here: Path) -> None:
    odd = ["--set", "peers.count=7", "--set", "topology={name: random_regular, params: {degree: 3}}"]
    check_refused(
        capsys, here, [QUICK, *odd], "7 peers with 3 neighbours each make half a link; make one of them even"
    )


@pytest.mark.parametrize("options, sentence", OPTIONS)
def test_options(capsys: Any, here: Path, options: list[str], sentence: str) -> None:
    check_refused(capsys, here, [QUICK, *options], f"simdfl: {sentence}")


def test_a_mistake_in_a_baseline_names_its_line(capsys: Any, here: Path) -> None:
    (here / "x.yaml").write_text("name: x\nbaselines:\n  calm:\n    protocol.stepps: 3\n")
    check_refused(capsys, here, ["x.yaml"], "simdfl: x.yaml:4 baselines.calm.protocol.stepps: unknown key")


def test_no_baselines_forgives_a_shelf_mistake_in_a_baseline(here: Path) -> None:
    (here / "x.yaml").write_text("name: x\nbaselines:\n  calm: {peers.device: abacus}\n")
    assert run.main(["x.yaml"]) == 2
    with pytest.raises(AssertionError, match="no mistake was found"):
        run.main(["x.yaml", "--no-baselines"])


@pytest.mark.parametrize(
    "out, words",
    [
        ("file", "is a file; choose another folder with --out"),
        ("foreign", "is not empty and holds no run; choose another folder with --out"),
        ("file/below", "cannot be written"),
        ("file/far/below", "cannot be written"),
        ("/proc/simdfl", "/proc/simdfl: cannot be written, /proc is not writable"),
        ("/proc/far/below", "cannot be written"),
        (".", "is not empty and holds no run"),
        ("empty/..", "is not empty and holds no run"),
        ("/", "is not empty and holds no run"),
    ],
)
def test_unwritable_output(capsys: Any, here: Path, out: str, words: str) -> None:
    (here / "file").write_text("in the way")
    (here / "foreign").mkdir()
    (here / "foreign" / "thesis.tex").write_text("precious")
    (here / "empty").mkdir()
    check_refused(capsys, here, [QUICK, "--out", out], words)


def test_the_working_folder_is_not_replaced(capsys: Any, here: Path) -> None:
    check_refused(capsys, here, [QUICK, "--out", "."], "is where you are and would be replaced")


def test_mistakes_cross_the_process_boundary(tmp_path: Path) -> None:
    """The same in earnest: a shelf refuses inside a worker process, whose traceback stays hidden."""
    done = run_cli(QUICK, "--set", "peers.device=abacus", "--out", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("simdfl: peers.device: unknown name 'abacus'; known names: gpu_h100")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
