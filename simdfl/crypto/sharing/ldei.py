"""Sharing with one low-degree proof (LDEI), the default: the fewest bytes and operations.

Published are ``C_0 = p(0) g`` and ``C_i = p(i) pk_i``. The witness of the proof is the list of p's
coefficients, hence the response is itself a polynomial z of degree t - 1, and no other test of the degree
is needed. The bases (g, pk_1 .. pk_n) belong to the points 0 .. n: that zeroth coordinate is our addition
to the published protocol.

References
----------
.. [1] Cascudo and David, *ALBATROSS: publicly AttestabLe BATched Randomness based On Secret Sharing*,
   ASIACRYPT 2020 (low-degree exponent interpolation).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from simdfl.crypto import sigma
from simdfl.crypto.groups.base import Point
from simdfl.crypto.sharing.base import Setting, SharingScheme
from simdfl.crypto.sharing.polynomial import evaluate_many
from simdfl.crypto.sharing.transcript import Layout


class Ldei(SharingScheme):
    """Low-degree exponent interpolation: n + 1 points, t scalars."""

    name: ClassVar[str] = "ldei"

    def layout(self, n: int, threshold: int) -> Layout:
        """Return the places: the commitments, C_1 .. C_n, the challenge, z's coefficients."""
        secrets = self.packing(n, threshold)
        return Layout(n + secrets, secrets, n, threshold, secrets)

    def publish(self, setting: Setting, coefficients: Sequence[int]) -> list[Point]:
        """Return the commitments and C_1 .. C_n."""
        return self.homomorphism(setting)(coefficients)

    def witness(self, setting: Setting, coefficients: Sequence[int]) -> list[int]:
        """Return the coefficients."""
        return list(coefficients)

    def homomorphism(self, setting: Setting) -> sigma.Homomorphism:
        """Return the map from a polynomial to its values at all places, each times its base."""
        group, secrets = setting.group, self.packing(setting.n, setting.threshold)
        bases = [group.fixed_base(base) for base in ((group.g,) * secrets + setting.keys)]
        places = [*range(0, -secrets, -1), *range(1, setting.n + 1)]

        def phi(coefficients: Sequence[int]) -> list[Point]:
            values = evaluate_many(coefficients, places, group.order)
            return [base(value) for base, value in zip(bases, values, strict=True)]

        return phi

    def image(self, setting: Setting, points: Sequence[Point]) -> list[Point]:
        """Return all points."""
        return list(points)

    def deal_exponentiations(self, n: int, threshold: int) -> float:
        """Return two for every coordinate: the point and its announcement."""
        return 2 * (n + self.packing(n, threshold))

    def verify_exponentiations(self, n: int, threshold: int) -> float:
        """Return two for every coordinate (the challenge's, of half the length, counted whole)."""
        return 2 * (n + self.packing(n, threshold))
