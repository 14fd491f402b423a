"""The figures' numbers on small inputs against what theory says, and their door."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from simdfl.figures import NAMES, ban_times, beacon_bias, defences, defences_cifar10, sum_check
from simdfl.figures.__main__ import main
from simdfl.figures.style import paper_style, png_bytes
from simdfl.scenario import load
from simdfl.testing import assert_rate


def test_ban_times_follow_the_chain(tmp_path: Path) -> None:
    table = ban_times.compute(300, 1, tmp_path)
    for m, rows in table.groupby("validators"):
        jobs, steps = rows["jobs"].to_numpy(), rows["steps"].to_numpy()
        mean = float(steps @ jobs) / 300
        spread = math.sqrt(float((steps - mean) ** 2 @ jobs) / 300)
        assert jobs.sum() == 300
        assert abs(mean - rows["expected"].iloc[0]) < 4.0 * spread / math.sqrt(300), m


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_chain_knows_all_that_can_happen(m: int) -> None:
    assert sum(ban_times.caught_probabilities(m, 9, 7)) == pytest.approx(1.0)
    assert ban_times.caught_probabilities(1, 9, 7)[1] == pytest.approx(beacon_bias.FAIR)


def test_v2_finds_shifts_as_often_as_the_normal_curve_says(tmp_path: Path) -> None:
    table = sum_check.compute(60, 1, tmp_path)
    for row in table.to_dict("records"):
        assert_rate(round(row["flagged"] * 60), 60, row["expected"], alpha=1e-6)
    assert table.groupby("projections")["flagged"].mean().is_monotonic_increasing
    assert not table[table["shift"] < 1e-5]["flagged"].any()


def test_draws_of_a_bent_beacon_follow_the_formula() -> None:
    for choices, n in ((0, 1500), (1, 1500), (7, 30)):
        hits = sum(beacon_bias._drawn_best(trial, choices, 1) for trial in range(n))
        assert_rate(hits, n, beacon_bias.FAIR ** (2**choices))


def test_a_toss_counts_while_the_whole_coalition_is_seated() -> None:
    [run] = [run for run in beacon_bias._runs(1, 1) if run.beacon.scheme == "randao"]
    found = beacon_bias.measure(run)
    assert found["trials"] == beacon_bias.STEPS
    assert found["hits"] == 0


def test_the_door_writes_a_picture_and_a_table(tmp_path: Path, capsys) -> None:
    assert main(["ban_times", "--trials", "20", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "ban_times.png").read_bytes().startswith(b"\x89PNG")
    assert pd.read_csv(tmp_path / "ban_times.csv")["jobs"].sum() == 40
    assert "trials 20" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"defences_cifar10"}))
def test_every_figure_is_drawn_from_the_table_that_is_kept(name: str) -> None:
    import importlib

    kept = Path(__file__).parents[2] / "docs" / "figures" / f"{name}.csv"
    with paper_style():
        picture = png_bytes(
            importlib.import_module(f"simdfl.figures.{name}").draw(pd.read_csv(kept, keep_default_na=True))
        )
    assert len(picture) > 5_000


@pytest.mark.parametrize("figure", [defences, defences_cifar10])
def test_an_attack_table_has_every_defence(figure) -> None:
    loaded = load(Path(__file__).parents[2] / figure.SCENARIO)
    assert ["main", *loaded.baselines] == list(defences.LABELS)
    assert loaded.scenario.adversaries[0].name == "sign_flip"
    assert loaded.scenario.learning.dataset.name == {defences: "digits"}.get(figure, "cifar10")


@pytest.mark.parametrize(
    ("arguments", "says"), [(["ban_time"], "ban_times"), (["ban_times", "--trials", "0"], "at least 1")]
)
def test_mistakes_are_one_sentence(arguments: list[str], says: str, capsys) -> None:
    assert main(arguments) == 2
    assert says in capsys.readouterr().err
