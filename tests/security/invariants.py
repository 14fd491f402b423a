"""What must hold in every run of a verified job, whoever lies, fails, comes or goes.

1. No honest peer is *banned* (slashed), but for one reason, which is outside the model: a case whose judges are
to
   at least one half Byzantine, by the luck of a small jury or because honest peers are gone.
2. Money is conserved on every deployment, the job's and the base chain's.
3. A beacon by recovery gives its output while at least t honest peers are left that can open shares.
4. All honest peers in the roster have one model, and it is the one the contract agreed on.
5. The run ends by itself: completed, or given up for a reason that the contracts state and that is true.
"""

from __future__ import annotations

from contracts_model.storage import members
from simdfl.scenario import Scenario
from simdfl.world import RunResult, World, build

STATED = {
    "fewer active peers than the job's minimum",
    "the liars that are assumed to be left could be a majority",
    "nobody committed a gradient",
    "no contributor is left in this step",
    "nobody is left to toss the coin",
    "nobody opened a secret of the beacon",
    "the beacon cannot be recovered: fewer than t shares arrived",
}


def examine(scenario: Scenario) -> tuple[list[str], str]:
    """Run a scenario; return what is violated, in words, and the outcome."""
    world = build(scenario)
    result = world.run()
    checks = (wrong_slashes, wrong_books, wrong_end, wrong_models, wrong_roster)
    return [line for check in checks for line in check(world, result)], result.outcome


def captured_cases(world: World) -> set[int]:
    """Return the cases of whose judges half or more are Byzantine."""
    assert world.chain is not None
    captured = set()
    for block in world.chain.blocks:
        for event in block.events:
            if event.name == "CaseOpened":
                judges = set(members(int.from_bytes(event.fields["jury"], "little")))
                if 2 * len(judges & world.honest) <= len(judges):
                    captured.add(event.fields["case"])
    return captured


def wrong_slashes(world: World, result: RunResult) -> list[str]:
    """Honest peers that were slashed, where no case had fallen to the liars."""
    slashed = [row for row in result.removals if row["kind"] == "banned" and not row["byzantine"]]
    if not slashed or captured_cases(world):
        return []
    return [f"honest peer {row['peer']} banned: {row['reason']} (step {row['step']})" for row in slashed]


def wrong_books(world: World, result: RunResult) -> list[str]:
    """Deployments whose money does not add up."""
    assert world.chains is not None
    wrong = []
    for chain in world.chains.all:
        try:
            chain.job.check_conservation()
        except AssertionError as error:
            wrong.append(f"{chain.chain_id}: {error}")
    return wrong


def active_honest(world: World, result: RunResult) -> set[int]:
    """Return the honest peers that are members and on the network at the end."""
    return {
        row["peer"]
        for row in result.peers
        if row["standing"] == "active" and not row["byzantine"] and not world.network.is_down(row["peer"])
    }


def wrong_end(world: World, result: RunResult) -> list[str]:
    """An end that no contract states, or whose stated reason is not true."""
    if result.completed:
        return []
    reason = result.outcome.removeprefix("aborted: ").split(" (step")[0]
    if reason not in STATED:
        return [f"ended with: {result.outcome}"]
    assert world.chain is not None
    active = [row["peer"] for row in result.peers if row["standing"] == "active"]
    if reason.startswith("fewer") and len(active) >= world.scenario.contracts.minimum_peers:
        return [f"{len(active)} active peers are enough, but the job was given up"]
    if reason.startswith("the beacon"):
        output = max(world.chain.history.awaited)
        receivers, threshold = world.chain.job.beacon.receivers_of(output)
        able = active_honest(world, result)
        if len(able) >= threshold:
            return [
                f"{len(able)} honest peers are left of {len(receivers)}, {threshold} shares suffice: no output"
            ]
    return []


def wrong_models(world: World, result: RunResult) -> list[str]:
    """Steps after which honest peers differ, among themselves or from the contract."""
    wrong = [
        f"step {row['step']}: {row['distinct_models']} models"
        for row in result.steps
        if row["distinct_models"] != 1
    ]
    assert world.chain is not None
    agreed = world.chain.history.states
    return wrong + [
        f"step {row['step']}: the contract has another state"
        for row in result.steps
        if row["step"] + 1 in agreed and agreed[row["step"] + 1].hex() != row["state"] and not wrong
    ]


def wrong_roster(world: World, result: RunResult) -> list[str]:
    """Honest peers that the last roster names and that did not make the step before it; and the reverse."""
    assert world.chain is not None
    banned = {row["peer"] for row in result.removals if row["kind"] == "banned"}
    rosters = world.chain.history.rosters
    return [
        f"step {step}: banned peer {peer} is in the roster"
        for step, roster in rosters.items()
        for peer in roster
        if any(r["peer"] == peer and r["step"] < step and r["kind"] == "banned" for r in result.removals)
    ] + [
        f"peer {row['peer']} is {row['standing']}, the record says banned"
        for row in result.peers
        if (row["peer"] in banned) != (row["standing"] == "banned")
    ]
