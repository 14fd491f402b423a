"""Conditions that whole runs feel: address translation, clocks that differ, bursts; alike in both fidelities."""

from __future__ import annotations

import pytest
from small_runs import attack, run_small

from simdfl.errors import UserError

SHORT = ("protocol.steps=3",)


@pytest.mark.parametrize(
    "change",
    [
        ("network.nat={share: 0.5}",),
        ("network.bursts={every_s: 5, for_s: 1, loss: 0.3}", "network.flows=shared", "network.contention=0.3"),
        (
            "network.gossip={name: gossipsub, params: {d: 2, d_lo: 1, d_hi: 3, score: {}}}",
            "network.slow_start=true",
        ),
    ],
    ids=["nat", "bursts", "scores"],
)
def test_conditions_change_a_run_and_both_fidelities_agree(change) -> None:
    plain = run_small(*SHORT)[1]
    event, kernel = (run_small(*SHORT, *change, f"network.fidelity={name}")[1] for name in ("event", "kernel"))
    assert event.completed
    assert [row["step"] for row in event.steps] == [row["step"] for row in kernel.steps]
    assert event.traffic == kernel.traffic
    assert event.traffic != plain.traffic


def test_late_clocks_call_late_who_withholds() -> None:
    """An overdue phase is called by peers' clocks; that they differ by minutes is seen in its time."""
    silent = attack("withhold_aggregate", 1)
    times = {
        skew: run_small(silent, "protocol.steps=4", f"network.clock_skew_ms={skew}")[1].simulated_s
        for skew in (0, 60_000)
    }
    assert times[0] != times[60_000]


def test_clocks_are_refused_where_nobody_reads_one() -> None:
    with pytest.raises(UserError, match=r"network\.clock_skew_ms: 'all_reduce'"):
        run_small("protocol.name=all_reduce", "network.clock_skew_ms=100")
