"""Level 0 of the learning: aggregates, checkpoints and final weights against what the chain has agreed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from simdfl.auditing.facts import Facts
from simdfl.auditing.findings import Findings, Unusable
from simdfl.auditing.parts import as_parts, commitment_root, part_hash, state_digest
from simdfl.auditing.published import Published, as_bytes
from simdfl.auditing.reading import as_vector, open_file, read_bytes, read_weights

OPTIMISER_BYTES_LIMIT = 4096
"""An optimiser's state is at most three times the weights, and so many bytes of framing."""
Tick = Callable[[int], None]


def aggregates(published: Published, first: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (step, aggregate (d,)) of all finished steps from `first` on.

    Raises
    ------
    Unusable
        If the file is shorter or longer than the index says, or holds NaN.
    """
    size = 4 * published.n_parameters
    with open_file(published.folder, "aggregates.f32") as file:
        file.seek(first * size)
        for step in range(first, published.steps):
            yield step, as_vector(f"aggregates.f32, step {step}", file.read(size), published.n_parameters)
        if file.read(1):
            raise Unusable(f"aggregates.f32: longer than {published.steps} steps of {size} bytes")


def opened(published: Published) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (step, peer, gradient (d,)) of banned peers, ascending."""
    size, last = 4 * published.n_parameters, (-1, -1)
    with open_file(published.folder, "opened.bin") as file:
        while header := file.read(12):
            slot = int.from_bytes(header[:8], "little"), int.from_bytes(header[8:], "little")
            if len(header) < 12 or slot <= last:
                raise Unusable("opened.bin: truncated or out of order")
            last = slot
            yield *slot, as_vector(f"opened.bin, step {slot[0]}, peer {slot[1]}", file.read(size), size // 4)


def read_state(published: Published, params: str, optimiser: str) -> tuple[np.ndarray, bytes]:
    """Return weights (d,) and optimiser state from a checkpoint's two files."""
    d = published.n_parameters
    if params.endswith(".npy"):
        vector = read_weights(published.folder, params, d)
    else:
        vector = as_vector(params, read_bytes(published.folder, params, 4 * d), d)
    return vector, read_bytes(published.folder, optimiser, 12 * d + OPTIMISER_BYTES_LIMIT)


def checkpoint_names(published: Published) -> dict[int, tuple[str, str]]:
    """Return the files of every checkpoint by the step that it opens."""
    found = {}
    for name in published.index["files"]:
        path = Path(name)
        if path.parent.name == "checkpoints" and path.suffix == ".params" and path.stem.isdigit():
            found[int(path.stem)] = (name, f"checkpoints/{path.stem}.optimiser")
    return found


def check_weights(published: Published, facts: Facts, findings: Findings, tick: Tick) -> None:
    """Check aggregates, checkpoints, final weights and the chain of state digests."""
    for step, aggregate in aggregates(published):
        _check_aggregate(step, aggregate, facts, findings)
        tick(step)
    _check_opened(published, facts, findings)
    for step, names in sorted(checkpoint_names(published).items()):
        _check_state(findings, facts, step, names[0], *read_state(published, *names))
    final = read_state(published, "model.npy", "optimiser.bin")
    last = published.steps
    if last in facts.steps and facts.steps[last].state is not None:
        _check_state(findings, facts, last, "model.npy", *final)
    else:
        findings.notes.append(
            f"No majority agreed on the state after the last finished step ({last - 1}): the run ended before. "
            "The final weights are checked by level 2 only."
        )
    for step, step_facts in facts.steps.items():
        if step + 1 in facts.steps or facts.is_done:
            agreed = step_facts.state is not None
            findings.require("state digests", agreed, step, f"step {step}", "no majority for any state")
    claimed = published.index["outcome"] == "completed"
    what = "the index tells another end of the job than the contracts"
    findings.require("contract state", claimed == facts.is_done, None, "published.json", what)
    genesis = as_bytes("manifest.json genesis", published.manifest["genesis"], 32)
    if facts.steps and facts.steps[min(facts.steps)].state is not None:
        same = facts.steps[min(facts.steps)].state == genesis
        findings.require("state digests", same, 0, "manifest.json", "training began from other weights")


def _check_opened(published: Published, facts: Facts, findings: Findings) -> None:
    """Check that what banned peers opened is what they had committed to."""
    for step, peer, gradient in opened(published):
        found = facts.steps.get(step)
        root = found.roots.get(peer) if found is not None else None
        right = found is not None and commitment_root(gradient, len(found.roster)) == root
        what = f"the opened gradient of peer {peer} is not the committed one"
        findings.require("commitments", right, step, "opened.bin", what)


def _check_aggregate(step: int, aggregate: np.ndarray, facts: Facts, findings: Findings) -> None:
    found = facts.steps.get(step)
    place = f"aggregates.f32, step {step}"
    if not findings.require("aggregates", found, step, place, "the chain has no such step") or found is None:
        return
    for owner, part in zip(found.roster, as_parts(aggregate, len(found.roster))):
        if owner in found.void:
            right = not part.any()
        else:
            right = part_hash(part) == found.aggregated.get(owner)
        findings.require("aggregates", right, step, place, f"not what aggregator {owner} committed to")


def _check_state(
    findings: Findings, facts: Facts, step: int, name: str, params: np.ndarray, optimiser: bytes
) -> None:
    agreed = facts.steps[step].state if step in facts.steps else None
    same = state_digest(params, optimiser) == agreed
    findings.require("state digests", same, step, name, "not the state that a majority agreed on")
