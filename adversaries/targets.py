"""Which honest peers an attack is aimed at: drawn by the coalition anew in every step, shared out among it."""

from __future__ import annotations

from collections.abc import Sequence

from simdfl.peers.behaviour import Coalition, Turn


def draw_victims(coalition: Coalition, turn: Turn, among: Sequence[int], count: int = 1) -> list[int]:
    """Return the honest peers that ``turn.peer`` attacks in this step.

    One order of the honest peers is drawn for the whole coalition, and each accomplice takes the next `count`
    of it, so that two of them share a victim only where there are too few.

    Parameters
    ----------
    among : sequence of int
        Whom to choose from, ascending.
    count : int
        How many; fewer if there are not so many.
    """
    honest = [peer for peer in among if peer not in coalition.members]
    if not honest:
        return []
    stream = coalition.rng.stream("victims", turn.step)
    order = coalition.once(
        ("victims", turn.step, tuple(honest)), lambda: [honest[i] for i in stream.permutation(len(honest))]
    )
    count = min(count, len(honest))
    start = sorted(coalition.members).index(turn.peer) * count
    return [order[(start + offset) % len(order)] for offset in range(count)]
