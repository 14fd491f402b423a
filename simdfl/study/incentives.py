"""Whether the deposits of scenarios make lying a loss, by the formulas of :mod:`contracts_model.incentives`.

A row a scenario; nothing is run. The price of a gradient is the user's to name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from contracts_model.incentives import Stakes, looking_pays_from
from simdfl.scenario import Scenario, load
from simdfl.units import ETHER, format_wei
from simdfl.world.assurance import assumed_liars
from simdfl.world.manifest import deposit_of

MINUTE_WEI = 6 * ETHER // 1000
"""Price of a gradient unless told otherwise: a minute on a machine for 0.36 ETH an hour, which is dear."""
HEADINGS = (
    "scenario",
    "n",
    "b",
    "m",
    "caught",
    "deposit",
    "safe from",
    "a lie earns",
    "exposed",
    "not looking earns",
)


def stakes_of(scenario: Scenario, compute_wei: int = MINUTE_WEI) -> Stakes:
    """Return the stakes of a scenario's main run, with as many liars as it assumes.

    Parameters
    ----------
    scenario : Scenario
        Whose protocol is ``verified``.
    compute_wei : int
        What a gradient costs its maker.
    """
    c = scenario.contracts
    return Stakes(
        scenario.peers.count,
        assumed_liars(scenario),
        scenario.protocol.validators,
        scenario.protocol.canary_permille,
        deposit_of(scenario),
        c.reward_wei,
        c.reporter_percent,
        compute_wei,
    )


def verified_stakes(paths: Iterable[Path], compute_wei: int = MINUTE_WEI) -> Iterator[tuple[str, Stakes]]:
    """Yield name and stakes of every scenario whose main run is verified."""
    for path in paths:
        scenario = load(path).scenario
        if scenario.protocol.name == "verified":
            yield scenario.name, stakes_of(scenario, compute_wei)


def row(name: str, stakes: Stakes) -> tuple[str, ...]:
    """Return one line of the table."""
    safe_wei = stakes.safe_deposit_wei
    exposed = f"{float(stakes.exposed):.2%}" if stakes.exposed else "–"
    return (
        name,
        *(str(value) for value in (stakes.n, stakes.b, stakes.validators)),
        f"{float(stakes.caught):.2%}",
        format_wei(stakes.deposit_wei),
        "–" if safe_wei is None else format_wei(safe_wei),
        format_wei(int(stakes.cheating_wei)),
        exposed,
        format_wei(int(stakes.looking_away_wei)),
    )


def table(rows: Sequence[tuple[str, Stakes]]) -> str:
    """Return the table in Markdown, and from how many lies on looking pays for itself."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *[row(name, stakes) for name, stakes in rows]]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    shares = [looking_pays_from(s.compute_wei, s.deposit_wei, s.reporter_percent) for _, s in rows]
    if not shares:
        return text
    return f"{text}\n\nThe reporter's share pays for looking from {float(max(shares)):.2%} of wrong gradients on."
