"""Conditions that change at stated times: splits that begin and heal, slower links, narrower lines, losses.

Spells that overlap multiply. One split at a time: who is in no group is on a side of its own together with all
others in no group; the infrastructure host is on every side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import inf, prod

from simdfl.errors import UserError
from simdfl.kernel import Environment
from simdfl.network.clock import first_ns
from simdfl.network.links import EVERYWHERE, Links
from simdfl.network.network import Network


@dataclass(frozen=True)
class Spell:
    """What the network is like from `at_s` on, for `for_s`.

    Parameters
    ----------
    at_s, for_s : float
        Begin and duration, seconds; an infinite duration never ends.
    split : sequence of sequence of int
        Groups of peers that do not reach each other; none by default.
    scale_latency, scale_bandwidth : float
        Factors on all links and lines.
    loss : float
        Probability that a packet is lost, beside what is lost anyway.
    """

    at_s: float
    for_s: float = inf
    split: tuple[tuple[int, ...], ...] = ()
    scale_latency: float = 1.0
    scale_bandwidth: float = 1.0
    loss: float = 0.0

    @property
    def until_s(self) -> float:
        """When it ends."""
        return self.at_s + self.for_s


class Schedule:
    """Lets spells begin and end.

    Parameters
    ----------
    env : Environment
        The clock.
    network : Network
        Whose links change.
    spells : sequence of Spell
        In any order.

    Raises
    ------
    UserError
        If two splits overlap.
    """

    def __init__(self, env: Environment, network: Network, spells: Sequence[Spell]) -> None:
        check_splits(spells)
        self._env, self._network = env, network
        self._active: list[Spell] = []
        for spell in spells:
            env.at(spell.at_s, partial(self._begin, spell))
            if spell.until_s < inf:
                env.at(spell.until_s, partial(self._end, spell))

    def _begin(self, spell: Spell) -> None:
        self._active.append(spell)
        self._network.transport.change_links(self._apply)

    def _end(self, spell: Spell) -> None:
        self._active.remove(spell)
        self._network.transport.change_links(self._apply)

    def _apply(self, links: Links) -> None:
        links.latency_factor = prod(spell.scale_latency for spell in self._active)
        links.bandwidth_factor = prod(spell.scale_bandwidth for spell in self._active)
        links.loss = 1.0 - (1.0 - links.conditions.loss) * prod(1.0 - spell.loss for spell in self._active)
        links.heal()
        for spell in self._active:
            if spell.split:
                links.split(self._sides(spell), first_ns(spell.until_s))

    def _sides(self, spell: Spell) -> list[int]:
        sides = [0] * self._network.n_peers + [EVERYWHERE]
        for number, group in enumerate(spell.split, 1):
            for peer in group:
                sides[peer] = number
        return sides


def check_splits(spells: Sequence[Spell]) -> None:
    """Refuse two splits at one time."""
    splits = sorted((spell for spell in spells if spell.split), key=lambda spell: spell.at_s)
    for first, second in pairwise(splits):
        if second.at_s < first.until_s:
            raise UserError(
                f"network.schedule: the split at {second.at_s:g} s begins before the one at {first.at_s:g} s has "
                f"healed; let one split hold at a time, with more groups in it"
            )
