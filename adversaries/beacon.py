"""Attacks on the shared randomness."""

from __future__ import annotations

from simdfl.peers.behaviour import Byzantine, Dealer, Turn


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
