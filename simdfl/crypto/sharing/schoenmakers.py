"""Schoenmakers' sharing: the polynomial is committed by its coefficients.

Published are ``C_k = a_k g`` for the coefficients a_0 .. a_{t-1} and ``Y_i = p(i) pk_i``. Everybody
computes ``X_i = sum_k i^k C_k``, which has degree t - 1 by construction; the proof shows that X_i and Y_i
hold the same p(i). All n equalities are proved under one challenge.

References
----------
.. [1] Schoenmakers, *A simple publicly verifiable secret sharing scheme and its application to electronic
   voting*, CRYPTO 1999, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from simdfl.crypto import sigma
from simdfl.crypto.groups.base import Point
from simdfl.crypto.sharing.base import Setting, SharingScheme, encrypt_shares, share_homomorphism
from simdfl.crypto.sharing.polynomial import evaluate_many
from simdfl.crypto.sharing.transcript import Layout

_SCALAR_BITS = 255


class Schoenmakers(SharingScheme):
    """Schoenmakers 1999: t + n points, n scalars."""

    name: ClassVar[str] = "schoenmakers"

    def layout(self, n: int, threshold: int) -> Layout:
        """Return the places: C_0 .. C_{t-1}, Y_1 .. Y_n, the challenge, n responses."""
        return Layout(points=threshold + n, first_share=threshold, shares=n, scalars=n)

    def publish(self, setting: Setting, coefficients: Sequence[int]) -> list[Point]:
        """Return C_0 .. C_{t-1} (coefficients beyond find no place) and Y_1 .. Y_n."""
        base = setting.group.fixed_base(setting.group.g)
        commitments = [base(a) for a in coefficients[: setting.threshold]]
        return commitments + encrypt_shares(setting, self.witness(setting, coefficients))

    def witness(self, setting: Setting, coefficients: Sequence[int]) -> list[int]:
        """Return p(1) .. p(n)."""
        return evaluate_many(coefficients, range(1, setting.n + 1), setting.group.order)

    def homomorphism(self, setting: Setting) -> sigma.Homomorphism:
        """Return the map from shares to commitments and encryptions."""
        return share_homomorphism(setting)

    def image(self, setting: Setting, points: Sequence[Point]) -> list[Point]:
        """Return X_1 .. X_n, by Horner's rule, and Y_1 .. Y_n."""
        commitments, shares = points[: setting.threshold], points[setting.threshold :]
        return [_horner(setting, commitments, i) for i in range(1, setting.n + 1)] + list(shares)

    def deal_exponentiations(self, n: int, threshold: int) -> float:
        """Return t commitments, n encryptions and 2 n announcements (X_i is not needed by the dealer)."""
        return 3 * n + threshold

    def verify_exponentiations(self, n: int, threshold: int) -> float:
        """Return four for every receiver and n (t - 1) of the length of a receiver's number."""
        return 4 * n + n * (threshold - 1) * n.bit_length() / _SCALAR_BITS


def _horner(setting: Setting, commitments: Sequence[Point], i: int) -> Point:
    group = setting.group
    total = commitments[-1]
    for commitment in reversed(commitments[:-1]):
        total = group.add(group.mul(i, total), commitment)
    return total
