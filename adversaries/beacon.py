"""Attacks on the shared randomness."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from adversaries.gradient import SignFlip
from simdfl.peers.behaviour import Byzantine, Dealer, ForesightSource, Turn

MOST_ENUMERATED = 10
"""Of so many members all 2^k subsets are tried; with more, the first so many decide."""


class WithholdReveal(Byzantine):
    """Do not open the own secret of a step's beacon.

    With verifiable secret sharing t other peers recover it: the output stays what it would have been, and the
    withholder loses its deposit (section 5 of the protocol). With commit-reveal it aborts the toss, which lets
    an attacker who has seen the other secrets choose between two outputs.

    References
    ----------
    Cascudo and David, "SCRAPE: scalable randomness attested by public entities", ACNS 2017.
    """

    def reveals(self, turn: Turn) -> bool:
        """Keep the secret."""
        return not self.is_attacking(turn.step)


class InvalidDealing(Byzantine):
    """Publish a sharing whose proof is wrong, for the outputs in the schedule.

    Nobody could recover such a secret, so a dealer that then withheld it could stop or steer the beacon. Every
    peer checks every dealing before its output is locked; one dispute shows it to the contract, which bans.

    References
    ----------
    Cascudo and David, "SCRAPE: scalable randomness attested by public entities", ACNS 2017 (verification).
    """

    def transcript(self, dealer: Dealer) -> bytes:
        """Change the last byte, which belongs to the proof's last response."""
        right = dealer.transcript
        return right[:-1] + bytes([right[-1] ^ 1]) if self.is_attacking(dealer.output) else right


class HighDegreeDealing(Byzantine):
    """Share a polynomial whose degree is too high: different sets of t receivers would recover different secrets.

    Caught by every verifier: the low-degree proof, the dual-code test, or the committed coefficients do not fit.

    References
    ----------
    Cascudo and David, ACNS 2017 (SCRAPE's test); Cascudo and David, ASIACRYPT 2020 (LDEI).
    """

    def transcript(self, dealer: Dealer) -> bytes:
        """Deal with one coefficient too many."""
        return dealer.of_degree(dealer.threshold) if self.is_attacking(dealer.output) else dealer.transcript


class ReplayedDealing(Byzantine):
    """Publish a valid sharing that was made for another output.

    Its proof is bound to the other context, so it verifies nowhere else: a dispute bans the dealer. Without the
    binding old, perhaps open, secrets could be dealt again.
    """

    def transcript(self, dealer: Dealer) -> bytes:
        """Deal what was dealt elsewhere."""
        return dealer.in_other_context() if self.is_attacking(dealer.output) else dealer.transcript


class CopiedDealing(Byzantine):
    """Publish an honest dealer's transcript as one's own, to make two "random" secrets the same.

    It deals only when the others have. The proof names its dealer, so the copy verifies for nobody else.
    """

    def deals_late(self, epoch: int) -> bool:
        """Wait for something to copy."""
        return True

    def transcript(self, dealer: Dealer) -> bytes:
        """Copy the first honest dealer's."""
        if not self.is_attacking(dealer.output):
            return dealer.transcript
        honest = [peer for peer in range(self.coalition.n_peers) if peer not in self.coalition.members]
        copies = [copy for peer in honest if (copy := dealer.copied(peer)) is not None]
        return copies[0] if copies else dealer.transcript


class BadShare(Byzantine):
    """Publish wrong decrypted shares when a secret is recovered; the first accomplice withholds one for that.

    Every share carries a proof, so that the recovery goes on with t right ones, and the signed wrong one is shown
    to the contract, which bans.

    References
    ----------
    Schoenmakers, CRYPTO 1999, section 3.2 (proof of correct decryption).
    """

    def reveals(self, turn: Turn) -> bool:
        """Make a recovery necessary."""
        return not (self.is_attacking(turn.step) and turn.peer == min(self.coalition.members))

    def opened_share(self, output: int, dealer: int, share: bytes) -> bytes | None:
        """Change the last byte, which belongs to the proof's response."""
        return share[:-1] + bytes([share[-1] ^ 1]) if self.is_attacking(output - 1) else share


class BiasBeacon(SignFlip):
    """Flip the gradient's sign and choose the beacon output so that no honest validator looks.

    The members hold their secrets back until all others are open, then work out who would validate whom. Where
    withheld secrets are left out (``randao``) they open the subset that suits them best, at no cost. Where a toss
    starts again (``commit_reveal``) one of them sacrifices itself for every outcome that would expose somebody.
    With verifiable sharings nothing they withhold changes anything, and they open.

    Parameters
    ----------
    scale : float
        As for ``sign_flip``.

    References
    ----------
    Gorbunov et al., ICML 2022, appendix (the coin toss and its abort); section 5 of the protocol.
    """

    def holds_back(self, turn: Turn) -> bool:
        """Open last."""
        return self.is_attacking(turn.step)

    def opens(self, turn: Turn, foresight: ForesightSource) -> bool:
        """Open unless the coalition decided that this secret is better withheld."""
        withheld: frozenset[int] = self.coalition.once(
            ("bias_beacon", turn.step), lambda: self._choose(turn, foresight)
        )
        return turn.peer not in withheld

    def _choose(self, turn: Turn, foresight: ForesightSource) -> frozenset[int]:
        """Return the smallest set of members to withhold that exposes the fewest."""
        members = sorted(self.coalition.members & set(turn.roster))[:MOST_ENUMERATED]
        best, exposed = frozenset[int](), self._exposed(turn, foresight, ())
        if exposed == 0:
            return best
        for size in range(1, len(members) + 1):
            for subset in combinations(members, size):
                count = self._exposed(turn, foresight, subset)
                if count is None:  # nobody knows what comes: better than what is known to be bad
                    return frozenset(subset)
                if exposed is None or count < exposed:
                    best, exposed = frozenset(subset), count
                if exposed == 0:
                    return best
        return best

    def _exposed(self, turn: Turn, foresight: ForesightSource, withholding: tuple[int, ...]) -> int | None:
        """Return how many members honest validators would look at."""
        pairs = foresight.pairs(turn.roster, turn.contributors, withholding)
        if pairs is None:
            return None
        members = self.coalition.members
        return sum(target in members and validator not in members for validator, target in pairs)


class EarlyDecryption(SignFlip):
    """Decrypt the beacon before it opens, and flip the gradient's sign only where no honest validator will look.

    It takes t accomplices: their decrypted shares give every dealer's secret. The protocol's model excludes
    that (b < t), so with the default threshold the attack never knows anything and stays honest. With a lower
    ``beacon.threshold_percent``, or beyond what packed sharings tolerate, it succeeds and is never caught: this
    is outside the model, and shown so that everybody sees where the model ends.

    Parameters
    ----------
    scale : float
        As for ``sign_flip``.

    References
    ----------
    Schoenmakers, CRYPTO 1999 (secrecy against fewer than t receivers); section 5 of the protocol.
    """

    def craft(self, turn: Turn) -> Any:
        """Return the flipped gradient (d,) where it is safe, the right one elsewhere."""
        pairs = turn.foresight.pairs(turn.roster, turn.contributors) if turn.foresight is not None else None
        if pairs is None:
            return turn.own_gradient()
        members = self.coalition.members
        is_watched = any(target == turn.peer and validator not in members for validator, target in pairs)
        return turn.own_gradient() if is_watched else super().craft(turn)
