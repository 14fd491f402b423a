"""Attacks on the shared randomness."""

from __future__ import annotations

from simdfl.peers.behaviour import Byzantine, Turn


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
