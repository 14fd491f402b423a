"""The Shapley value of players in a game, exactly for few and sampled for many.

A player's value is what it adds on average when players come one after another in a random order. Orders are
drawn from a seed, in pairs of an order and its reverse (antithetic), so that everybody who has the seed gets
the same values to the last bit; a walk along an order may stop early where nothing is left to add (truncated).
What it leaves out: stratified and weighted estimators.

References
----------
Shapley, "A value for n-person games", 1953. Castro, Gomez and Tejada, "Polynomial calculation of the Shapley
value based on sampling", Computers & Operations Research 36(5), 2009. Ghorbani and Zou, "Data Shapley", ICML
2019, algorithm 1 (truncation). Mitchell et al., "Sampling permutations for Shapley value estimation", JMLR 23,
2022, section 4.1 (antithetic pairs).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

from simdfl.crypto.hashing import xof

Coalition = frozenset[int]
Utility = Callable[[Coalition], float]
KEY_BYTES = 16


def draw_orders(seed: bytes, players: int, permutations: int) -> list[list[int]]:
    """Return so many orders of the players 0, 1, …, every second one the reverse of the one before.

    Parameters
    ----------
    seed : bytes
        Public randomness.
    players, permutations : int
        How many of each.
    """
    orders: list[list[int]] = []
    for pair in range(-(-permutations // 2)):
        keys = xof("simdfl/shapley", seed, pair.to_bytes(4, "little"), size=KEY_BYTES * players)
        order = sorted(range(players), key=lambda player: keys[KEY_BYTES * player : KEY_BYTES * (player + 1)])
        orders += [order, order[::-1]]
    return orders[:permutations]


def sampled_values(orders: list[list[int]], utility: Utility, truncation: float = 0.0) -> list[float]:
    """Return the mean marginal contribution of every player over the orders.

    Parameters
    ----------
    orders : list of list of int
        See :func:`draw_orders`; all of the same players.
    utility : callable
        Utility of a set of players; of no player it must be 0.
    truncation : float
        A walk ends where the utility of all differs from that of those who came by at most this part of it.
        With 0 the values sum to the utility of all, exactly but for rounding.
    """
    players = len(orders[0]) if orders else 0
    everybody = utility(frozenset(range(players)))
    gains: list[list[float]] = [[] for _ in range(players)]
    for order in orders:
        came: Coalition = frozenset()
        before = 0.0
        for player in order:
            if truncation and abs(everybody - before) <= truncation * abs(everybody):
                break
            came |= {player}
            after = everybody if len(came) == players else utility(came)
            gains[player].append(after - before)
            before = after
    return [math.fsum(gain) / len(orders) for gain in gains]


def exact_values(players: int, utility: Utility) -> list[float]:
    """Return the Shapley values by the formula over all subsets; for about ten players at most.

    >>> exact_values(2, lambda came: float(len(came) == 2))
    [0.5, 0.5]
    """
    values = []
    for player in range(players):
        others = [other for other in range(players) if other != player]
        terms = []
        for size in range(players):
            weight = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            rest = map(frozenset, combinations(others, size))
            terms += [weight * (utility(came | {player}) - utility(came)) for came in rest]
        values.append(math.fsum(terms))
    return values
