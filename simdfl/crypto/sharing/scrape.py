"""SCRAPE: shares committed one by one, their degree tested with a random word of the dual code.

Published are ``v_i = p(i) g`` for i = 0 .. n and ``C_i = p(i) pk_i`` for i = 1 .. n. The proof shows that
v_i and C_i hold the same p(i). That p has degree at most t - 1 follows from ``sum_i w_i f(i) v_i = 0`` for
a random polynomial f. There are n + 1 evaluation points, so f has degree n - t: the dual of a code of
length n + 1 and dimension t has dimension n + 1 - t. f is drawn by hashing the setting and the *whole*
transcript; a dealer who knew f beforehand could fit a polynomial of high degree to it.

References
----------
.. [1] Cascudo and David, *SCRAPE: scalable randomness attested by public entities*, ACNS 2017
   (the protocol under DDH).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from simdfl.crypto import sigma
from simdfl.crypto.groups.base import Point
from simdfl.crypto.hashing import digest
from simdfl.crypto.sharing.base import Setting, SharingScheme, encrypt_shares, share_homomorphism
from simdfl.crypto.sharing.polynomial import dual_weights, evaluate, evaluate_many
from simdfl.crypto.sharing.transcript import Layout


class Scrape(SharingScheme):
    """SCRAPE over a group with hard DDH: 2 n + 1 points, n scalars."""

    name: ClassVar[str] = "scrape"

    def layout(self, n: int, threshold: int) -> Layout:
        """Return the places: v_0 .. v_n, C_1 .. C_n, the challenge, n responses."""
        return Layout(points=2 * n + 1, first_share=n + 1, shares=n, scalars=n)

    def publish(self, setting: Setting, coefficients: Sequence[int]) -> list[Point]:
        """Return v_0 .. v_n and C_1 .. C_n."""
        group = setting.group
        values = evaluate_many(coefficients, range(setting.n + 1), group.order)
        base = group.fixed_base(group.g)
        return [base(value) for value in values] + encrypt_shares(setting, values[1:])

    def witness(self, setting: Setting, coefficients: Sequence[int]) -> list[int]:
        """Return p(1) .. p(n)."""
        return evaluate_many(coefficients, range(1, setting.n + 1), setting.group.order)

    def homomorphism(self, setting: Setting) -> sigma.Homomorphism:
        """Return the map from shares to commitments and encryptions."""
        return share_homomorphism(setting)

    def image(self, setting: Setting, points: Sequence[Point]) -> list[Point]:
        """Return v_1 .. v_n and C_1 .. C_n."""
        return list(points[1:])

    def is_low_degree(self, setting: Setting, points: Sequence[Point], transcript: bytes) -> bool:
        """Return whether v_0 .. v_n pass the test with a random word of the dual code."""
        group, n = setting.group, setting.n
        word = self._dual_word(setting, transcript)
        return group.is_identity(group.msm(word, points[: n + 1]))

    def _dual_word(self, setting: Setting, transcript: bytes) -> list[int]:
        """Return w_i f(i) for i = 0 .. n, f of degree n - t drawn from everything said so far."""
        group, n = setting.group, setting.n
        bound = digest("simdfl/sharing/scrape/dual", setting.digest(self.name), transcript)
        f = [
            group.hash_to_scalar("simdfl/sharing/scrape/f", bound, k.to_bytes(4, "little"))
            for k in range(n - setting.threshold + 1)
        ]
        weights = dual_weights(n, group.order)
        return [w * evaluate(f, i, group.order) % group.order for i, w in enumerate(weights)]

    def deal_exponentiations(self, n: int, threshold: int) -> float:
        """Return four for every receiver and one for the secret."""
        return 4 * n + 1

    def verify_exponentiations(self, n: int, threshold: int) -> float:
        """Return four for every receiver and n + 1 for the degree."""
        return 5 * n + 1
