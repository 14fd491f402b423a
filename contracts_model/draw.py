"""Public draws from beacon randomness: who validates whom, who sits in a jury, who was a canary.

A pure function of the beacon output and the two member lists, so that contract, peers and auditors agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


def random_numbers(randomness: bytes, label: bytes) -> Iterator[int]:
    """Yield an endless stream of 256-bit numbers from a beacon output.

    Reducing them modulo a population of up to 2^32 members is uniform to within 2^-224.
    """
    counter = 0
    while True:
        word = hashlib.sha256(randomness + label + counter.to_bytes(8, "little")).digest()
        yield int.from_bytes(word, "little")
        counter += 1


def _sample(population: Sequence[int], count: int, numbers: Iterator[int]) -> list[int]:
    """Draw without replacement (partial Fisher–Yates)."""
    pool = list(population)
    for position in range(count):
        other = position + next(numbers) % (len(pool) - position)
        pool[position], pool[other] = pool[other], pool[position]
    return pool[:count]


def seats_among(n_active: int, count: int) -> int:
    """Return how many validators are drawn: at most `count`, and fewer than half of the active.

    >>> seats_among(8, 2), seats_among(4, 2)
    (2, 1)
    """
    return max(0, min(count, (n_active - 1) // 2))


@dataclass(frozen=True)
class Draw:
    """A draw of validators: those seated, whom they could have been given, and who got whom."""

    seats: list[int]
    candidates: list[int]
    pairs: list[tuple[int, int]]


def draw_validators(
    randomness: bytes, active: Sequence[int], checkable: Sequence[int], count: int
) -> list[tuple[int, int]]:
    """Return the (validator, target) pairs of :func:`draw`.

    >>> pairs = draw_validators(bytes(32), range(8), range(8), 2)
    >>> len({member for pair in pairs for member in pair})
    4
    """
    return draw(randomness, active, checkable, count).pairs


def draw(randomness: bytes, active: Sequence[int], checkable: Sequence[int], count: int) -> Draw:
    """Draw (validator, target) pairs: at most `count`, all members distinct.

    Parameters
    ----------
    randomness : bytes
        The beacon output of the checked step.
    active : sequence of int
        Peers of the step to come, ascending; validators come from here.
    checkable : sequence of int
        Contributors of the checked step that are still active, ascending; targets come from here.
    count : int
        Validators per step (m).

    Returns
    -------
    Draw
        With fewer than `count` pairs when the step is too small: at least one active peer is left to contribute.
    """
    numbers = random_numbers(randomness, b"validators")
    seats = _sample(active, seats_among(len(active), count), numbers)
    candidates = [peer for peer in checkable if peer not in seats]
    targets = _sample(candidates, min(len(seats), len(candidates)), numbers)
    return Draw(seats, candidates, list(zip(seats, targets)))


def draw_jury(randomness: bytes, case: int, population: Sequence[int], size: int) -> list[int]:
    """Draw the jurors of a case, ascending; all of `population` if it has no more than `size`.

    >>> draw_jury(bytes(32), 1, range(16), 5) == draw_jury(bytes(32), 1, range(16), 5)
    True
    """
    numbers = random_numbers(randomness, b"jury" + case.to_bytes(8, "little"))
    return sorted(_sample(population, min(size, len(population)), numbers))


def is_canary(job_digest: bytes, output: int, secret: int, permille: int) -> bool:
    """Return whether the dealer of this secret had to plant a canary two steps before.

    The dealer has known its secret since it dealt; everybody else learns it when output `output` opens, after the
    commitment of step ``output - 2`` has been validated. So nobody but the canary knows in time.

    >>> sum(is_canary(bytes(32), output, 5, 100) for output in range(1000)) in range(60, 140)
    True
    """
    place = output.to_bytes(8, "little")
    word = hashlib.sha256(b"canary" + job_digest + place + secret.to_bytes(32, "little")).digest()
    return int.from_bytes(word, "little") % 1000 < permille
