"""What a dealer can do when it deals: the right thing, and what a cheating one would rather do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simdfl.crypto.beacon import BeaconScheme
from simdfl.crypto.sharing import Dealing, Setting

if TYPE_CHECKING:
    from simdfl.protocols.job import VerifiedJob


@dataclass(frozen=True)
class DealingView:
    """A dealer's view of one dealing.

    Parameters
    ----------
    job : VerifiedJob
        Where the scheme and everybody's published dealings are.
    output : int
        The first output that this dealing serves.
    context : bytes
        What it is bound to.
    receivers : list of bytes
        Encoded keys of the receivers.
    threshold : int
        How many shares recover the secret.
    seed : bytes
        32 secret bytes of the dealer.
    honest : Dealing
        The right dealing, whose secrets the dealer knows.
    """

    job: VerifiedJob
    output: int
    context: bytes
    receivers: list[bytes]
    threshold: int
    seed: bytes
    honest: Dealing

    @property
    def transcript(self) -> bytes:
        """The right transcript."""
        return self.honest.transcript

    def of_degree(self, degree: int) -> bytes:
        """Return a transcript whose polynomial has this degree; the threshold allows t - 1.

        Its proof is as good as a cheat can make it: responses are computed from all coefficients and cut to the
        length that a transcript has.
        """
        scheme = self.job.scheme
        if not isinstance(scheme, BeaconScheme):
            return self.transcript
        group = scheme.group
        points = [group.decode(key) for key in self.receivers]
        setting = Setting(group, self.context, tuple(points), self.threshold)
        coefficients = [
            group.hash_to_scalar("simdfl/cheat/coefficient", self.seed, k.to_bytes(4, "little"))
            for k in range(degree + 1)
        ]
        made = scheme.sharing.deal_polynomial(setting, coefficients, self.seed).transcript
        return made[: len(self.transcript)]

    def in_other_context(self) -> bytes:
        """Return a valid sharing made for another output: a replay."""
        scheme = self.job.scheme
        other = self.context + b"earlier"
        return scheme.deal(other, self.receivers, self.threshold, self.seed).transcript

    def copied(self, dealer: int) -> bytes | None:
        """Return what `dealer` published for this output, if it has been heard of; else None."""
        return self.job.published.get((self.output, dealer))
