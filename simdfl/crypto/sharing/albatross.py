"""ALBATROSS: one sharing packs many secrets, and a resilient map makes many outputs of them.

The polynomial has degree t - 1 and hides l secrets at once, at 0, -1, …, -(l - 1). With t' colluding receivers
tolerated, n - t' = t shares recover it, hence l = n - 2 t' = 2 t - n: the numbers n and t determine the packing.
The proof is LDEI's over n + l coordinates. Published are ``p(-k) g`` for every secret, so that a dealer can
open them one by one: with t' shares known and all other secrets open, the last one is still uniform.

If m dealers share l secrets each, the k-th secrets of all of them give l outputs (:func:`extract`), independent
and uniform as long as at most t' dealers collude: l^2 outputs for n sharings of n + l points.

References
----------
.. [1] Cascudo and David, *ALBATROSS: publicly AttestabLe BATched Randomness based On Secret Sharing*,
   ASIACRYPT 2020, sections 3 (packed sharing) and 5 (resilient functions from Reed-Solomon codes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from simdfl.crypto.groups.base import Group, Point
from simdfl.crypto.sharing.ldei import Ldei


class Albatross(Ldei):
    """Packed sharing with a low-degree proof: n + l points, t scalars, l = 2 t - n secrets."""

    name: ClassVar[str] = "albatross"

    def packing(self, n: int, threshold: int) -> int:
        """Return l = 2 t - n, and one where the threshold leaves no room for more: then it is LDEI.

        >>> [Albatross().packing(16, threshold) for threshold in (8, 9, 11)]
        [1, 2, 6]
        """
        return max(1, 2 * threshold - n)


def extract(group: Group, secrets: Sequence[Point], count: int) -> list[Point]:
    """Return `count` outputs of one secret of every dealer.

    Output i is ``sum_d (d + 1)^i S_d``: a Vandermonde matrix, whose rows generate a Reed-Solomon code. With m
    dealers of whom at most m - `count` collude, the outputs are independent and uniform.

    Parameters
    ----------
    group : Group
        Where the points live.
    secrets : sequence of Point
        ``S_d = p_d(-k) h`` for dealers d = 0, 1, ….
    count : int
        How many outputs, at most as many as dealers.

    Raises
    ------
    ValueError
        More outputs are asked for than there are dealers.
    """
    if count > len(secrets):
        raise ValueError(f"{count} outputs of {len(secrets)} secrets cannot be independent")
    return [group.msm([pow(d + 1, i, group.order) for d in range(len(secrets))], secrets) for i in range(count)]
