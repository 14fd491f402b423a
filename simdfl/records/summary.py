"""The readable end of a run: accuracy beside the twins, who was removed for what, and what assurance costs."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simdfl.protocols import GOSSIP_PROTOCOLS
from simdfl.scenario import Scenario
from simdfl.units import format_bytes, format_wei
from simdfl.world.result import RunResult

Cell = Callable[[RunResult], str]


OCCASIONAL = {
    "stale_blocks": "stale blocks, all steps",
    "reorganisations": "reorganised, all steps",
    "raised_bids": "bids raised, all steps",
}
"""Rows of the cost table that only runs with forks or full blocks have."""


def print_summary(console: Console, scenario: Scenario, results: dict[str, RunResult]) -> None:
    """Print the whole summary."""
    main = results["main"]
    n, b = scenario.peers.count, scenario.byzantine_count
    console.print()
    console.print(
        f"[bold]{scenario.name}[/bold]: {scenario.protocol.steps} steps, {n} peers, {b} of them Byzantine, "
        f"seed {scenario.seed}; {escape(main.outcome)}"
    )
    console.print(_setting_sentence(scenario, main), soft_wrap=True)
    console.print(_accuracy_table(results))
    if any(result.attack_success is not None for result in results.values()):
        console.print(success_sentence(results), soft_wrap=True)
    if any(has_own_models(result) for result in results.values()):
        console.print(gossip_sentence(results), soft_wrap=True)
    if main.removals:
        console.print(_removals_table(main))
    if main.blocks:
        honest = [row for row in main.removals if not row["byzantine"]]
        banned = {row["peer"] for row in main.removals if row["byzantine"] and row["kind"] == "banned"}
        slashed = sum(row["kind"] == "banned" for row in honest)
        ejected = len({row["peer"] for row in honest if row["kind"] == "ejected"})
        console.print(
            f"Byzantine peers banned: {len(banned)} of {b}. Honest peers banned: {slashed}; "
            f"ejected, not slashed: {ejected}.",
            soft_wrap=True,
        )
    console.print(_overhead_table(results))
    console.print(overhead_sentence(results), soft_wrap=True)
    if "blobs" in main.summary:
        console.print(blob_sentence(main), soft_wrap=True)
    if any("bad_slots" in result.summary for result in results.values()):
        console.print(sequencer_sentence(results), soft_wrap=True)
    if any(row["where"] == "chain" for row in main.accounts):
        console.print(accounts_sentence(main), soft_wrap=True)
    for sentence in assurance_sentences(main):
        console.print(sentence, soft_wrap=True)
    for notice in main.summary["notices"]:
        console.print(f"Note: {escape(notice)}", soft_wrap=True)
    console.print(f"Trace digest {main.trace_digest}")


def blob_sentence(main: RunResult) -> str:
    """Return what the dealings would cost on chain."""
    s = main.summary
    return (
        f"All dealings would fill {s['blobs']} blobs, an epoch's in {s['blob_blocks']} blocks, for "
        f"{format_wei(int(s['blob_fees_wei']))}; as calldata they would cost "
        f"{format_wei(int(s['calldata_fees_wei']))} at the first base fee."
    )


def sequencer_sentence(results: dict[str, RunResult]) -> str:
    """Return how long runs of malicious leaders made honest calls wait, run by run, and what the order earned."""
    led = {name: result.summary for name, result in results.items() if "bad_slots" in result.summary}
    waits = [
        f"{name} {s['bad_slots']} of {s['slots']} and at most {s['longest_bad_run']}, "
        f"{s['call_wait_mean_s']:.2f} s and {s['call_wait_max_s']:.1f} s"
        for name, s in led.items()
    ]
    sentence = (
        "Slots of malicious leaders, most in a row, and mean and longest wait of honest peers' calls: "
        f"{'; '.join(waits)}."
    )
    s = next(iter(led.values()))
    if int(s["bids_taken_wei"]) + int(s["bids_forgone_wei"]):
        taken, forgone = (format_wei(int(s[f"bids_{key}_wei"])) for key in ("taken", "forgone"))
        sentence += f" Builders paid leaders {taken}; malicious ones gave up {forgone}."
    return sentence


def _setting_sentence(scenario: Scenario, main: RunResult) -> str:
    """Return what the run took place on."""
    overlay = main.summary["overlay"]
    sentence = (
        f"Overlay {scenario.topology.name}: {overlay['links']} links, diameter {overlay['diameter']}, "
        f"spectral gap {overlay['spectral_gap']:.3f}"
    )
    if not main.blocks:
        return sentence
    return f"{sentence}; chain {scenario.chain.profile}; {scenario.beacon.scheme} over {scenario.beacon.group}"


def summary_text(scenario: Scenario, results: dict[str, RunResult]) -> str:
    """Return the summary as plain text."""
    buffer = io.StringIO()
    print_summary(Console(file=buffer, width=110, no_color=True), scenario, results)
    return buffer.getvalue()


def _accuracy_table(results: dict[str, RunResult]) -> Table:
    headings = ("run", "protocol", "attacked", "final", "lowest, later")
    table = _table("Accuracy on the test records", *headings)
    for name, result in results.items():
        values = [row["accuracy"] for row in result.steps if row["accuracy"] is not None]
        late = values[len(values) // 5 :]
        lowest = f"{100 * min(late):.1f} %" if late else "–"
        attacked = any(row["byzantine"] for row in result.peers)
        final = f"{100 * result.accuracy:.1f} %"
        table.add_row(name, result.protocol, "yes" if attacked else "no", final, lowest)
    return table


def success_sentence(results: dict[str, RunResult]) -> str:
    """Return how often the final models do what the adversaries with a goal wanted."""
    shares = [
        f"{name} {100 * result.attack_success:.1f} %"
        for name, result in results.items()
        if result.attack_success is not None
    ]
    return f"Attack success, of the test records aimed at: {', '.join(shares)}."


def has_own_models(result: RunResult) -> bool:
    """Return whether every peer of the run has a model of its own."""
    return result.protocol in GOSSIP_PROTOCOLS


def gossip_sentence(results: dict[str, RunResult]) -> str:
    """Return how fast models mix, and how well the honest peers of gossip runs agree in the end."""
    runs = {name: result for name, result in results.items() if has_own_models(result)}
    gap = next(iter(runs.values())).summary["overlay"]["spectral_gap"]
    ends = []
    for name, result in runs.items():
        rows = [row for row in result.steps if row["accuracy_worst"] is not None]
        if rows:
            row = rows[-1]
            ends.append(f"{name} {100 * row['accuracy_worst']:.1f} % and {row['consensus_distance']:.2g}")
    return (
        f"Metropolis mixing matrix: spectral gap {gap:.3f}, a round of plain mixing leaves at most "
        f"{(1 - gap) ** 2:.0%} of the variance between peers. Worst honest peer and consensus distance at the "
        f"last evaluation: {'; '.join(ends) or 'none'}."
    )


def _removals_table(main: RunResult) -> Table:
    table = _table("Removed peers", "step", "time", "peer", "", "for what", "by")
    for row in main.removals:
        slashed_wei = int(row["slashed_wei"])
        table.add_row(
            str(row["step"]),
            f"{row['time_s']:.0f} s",
            str(row["peer"]),
            "Byzantine" if row["byzantine"] else "honest",
            f"{row['reason']}, {'lost ' + format_wei(slashed_wei) if slashed_wei else 'not slashed'}",
            "–" if row["reporter"] < 0 else str(row["reporter"]),
        )
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        numeric = heading in ("step", "time", "peer", "by", "final", "lowest, later")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    return table


def _overhead_table(results: dict[str, RunResult]) -> Table:
    table = _table("Cost, per step", "")
    table.columns[0].no_wrap = True
    for name in results:
        table.add_column(name, justify="right", overflow="fold")
    cells: list[tuple[str, Cell]] = [
        ("simulated time", lambda r: f"{r.summary['step_s']:.3f} s"),
        ("gradient bytes/peer", _bytes("gradient")),
        ("control bytes/peer", _bytes("control")),
        ("beacon bytes/peer", _bytes("beacon")),
        ("chain bytes/peer", _bytes("chain")),
        ("gradients computed", lambda r: f"{r.summary['gradients_per_step']:.2f}"),
        ("of these to validate", lambda r: f"{validation_share(r):.1%}"),
        ("transactions", lambda r: f"{r.summary['transactions']:.1f}"),
        ("gas", lambda r: f"{r.summary['gas']:,.0f}"),
        ("fees, all steps", lambda r: format_wei(int(r.summary["fees_wei"]))),
    ]
    for key, label in OCCASIONAL.items():
        if any(result.summary[key] for result in results.values()):
            cells.append((label, _count(key)))
    for label, cell in cells:
        table.add_row(label, *[cell(result) for result in results.values()])
    return table


def _count(key: str) -> Cell:
    return lambda result: f"{result.summary[key]:,}"


def _bytes(name: str) -> Cell:
    def cell(result: RunResult) -> str:
        return format_bytes(result.summary[f"{name}_bytes"])

    return cell


def validation_share(result: RunResult) -> float:
    """Return the share of all computed gradients that were recomputations."""
    total = result.summary["gradients_per_step"]
    return float(result.summary["validations_per_step"] / total) if total else 0.0


def overhead_sentence(results: dict[str, RunResult]) -> str:
    """Return what verification costs against the unverified twin without attack, if both were run."""
    twins = [
        r for r in results.values() if r.protocol == "all_reduce" and not any(p["byzantine"] for p in r.peers)
    ]
    verified = [r for r in results.values() if r.protocol == "verified"]
    calm = [r for r in verified if not any(p["byzantine"] for p in r.peers)] or verified
    if not twins or not calm:
        return ""
    ours, twin = calm[0].summary, twins[0].summary
    added = sum(ours[f"{name}_bytes"] for name in ("control", "beacon", "chain"))
    return (
        f"Assurance, against the unverified twin: {ours['step_s'] - twin['step_s']:+.2f} s of waiting a step, "
        f"{added / twin['gradient_bytes']:.1f} times the gradient bytes in control, beacon and chain traffic, "
        f"{validation_share(calm[0]):.0%} of the gradient computations, {ours['gas']:,.0f} gas a step."
    )


def accounts_sentence(main: RunResult) -> str:
    """Return what honest and Byzantine peers earned and lost, fees included."""
    rows = [row for row in main.accounts if row["where"] == "chain"]
    parts = []
    for name, side in (("honest", False), ("Byzantine", True)):
        nets = [int(row["net_wei"]) for row in rows if row["byzantine"] == side]
        if nets:
            least, mean, most = (format_wei(wei) for wei in (min(nets), sum(nets) // len(nets), max(nets)))
            parts.append(f"{name} peers {mean} each ({least} to {most})")
    burned, shares = (format_wei(sum(int(row[f"{key}_wei"]) for row in rows)) for key in ("burned", "reporter"))
    return f"Earned, after fees: {'; '.join(parts)}. Burned {burned}, paid to reporters {shares}."


def assurance_sentences(main: RunResult) -> list[str]:
    """Return what the checks are worth: detection, deposit, tolerance, privacy."""
    if not main.assurance:
        return []
    [row] = main.assurance
    p, b = row["detection_probability"], row["assumed_byzantine"]
    sentences = [f"Against {b} liars a wrong gradient is caught in its step with probability {p:.1%}."]
    if row["breakeven_gain_wei"] is not None and int(row["deposit_wei"]):
        deposit, gain = format_wei(int(row["deposit_wei"])), format_wei(int(row["breakeven_gain_wei"]))
        sentences.append(f"The deposit of {deposit} makes cheating a loss up to a gain of {gain} each time.")
    if row["jury_capture_probability"]:
        sentences.append(f"A jury is theirs with probability {row['jury_capture_probability']:.1%}.")
    if row["tolerance"] is not None:
        sentences.append(
            f"Honest gradients may differ by {row['tolerance']:.2g} of their norm: {row['false_alarms']} of "
            f"{row['honest_checks']} honest checks disagreed, and the liars can bend the mean by "
            f"{row['free_budget']:.2g} of its norm a step for free."
        )
    if row["records_opened"]:
        sentences.append(f"Private records shown to validators and judges: {row['records_opened']}.")
    return [" ".join(sentences)]
