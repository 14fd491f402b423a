"""Attacks by accusation: against honest contributors, honest aggregators, and in the jury."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adversaries.targets import draw_victims
from simdfl.peers.behaviour import Byzantine, Turn

Verdict = tuple[bytes, bytes, bytes]


def guilty(peer: int) -> Verdict:
    """Return the verdict that `peer` alone is guilty: a bit mask in little-endian bytes.

    >>> guilty(9)[0].hex()
    '0002'
    """
    return (1 << peer).to_bytes(peer // 8 + 1, "little"), b"", b""


class FalseAccusation(Byzantine):
    """Accuse an honest contributor of a false report on one's own part, and vote for it together.

    Everybody recomputes the disputed numbers; an honest majority votes the accused innocent, and the refuted
    accuser is banned and slashed instead (section 8 of the protocol). The victim is drawn anew in every step.

    References
    ----------
    Gorbunov et al., ICML 2022, section 3 (ACCUSE: an accuser who is wrong is banned).
    """

    def accuses(self, turn: Turn, liars: Sequence[int]) -> Sequence[int]:
        """Accuse one more than those who lied."""
        accused = list(super().accuses(turn, liars))
        innocent = [peer for peer in turn.contributors if peer not in liars]
        return accused + draw_victims(self.coalition, turn, innocent) * self.is_attacking(turn.step)

    def votes(self, case: dict[str, Any], verdict: Verdict) -> Verdict | None:
        """Back an accomplice's accusation."""
        is_ours = case["accuser"] in self.coalition.members and case["target"] not in self.coalition.members
        return (
            guilty(case["target"])
            if is_ours and self.is_attacking(case["step"])
            else super().votes(case, verdict)
        )


class FalseElimination(Byzantine):
    """Pretend that an honest peer's part did not arrive, and leave together with that peer.

    Nobody can disprove it, so it works, but each attacker takes at most one honest peer with it (ELIMINATE,
    section 8 of the protocol): an honest majority stays one. Accomplices choose different victims.

    References
    ----------
    Gorbunov et al., ICML 2022, section 3 (ELIMINATE).
    """

    def eliminates(self, turn: Turn, missing: Sequence[int]) -> Sequence[int]:
        """Name the victim before those whose parts really did not arrive."""
        if not self.is_attacking(turn.step):
            return missing
        victims = draw_victims(self.coalition, turn, turn.roster)
        return victims + [peer for peer in missing if peer not in victims]


class BribedJuror(Byzantine):
    """Vote every honest target guilty and every accomplice innocent, whatever the evidence.

    A verdict takes more than half of the eligible, so b < n/2 jurors of this kind decide nothing.
    """

    def votes(self, case: dict[str, Any], verdict: Verdict) -> Verdict | None:
        """Vote against the honest."""
        is_honest = case["target"] not in self.coalition.members
        if is_honest and self.is_attacking(case["step"]):
            return guilty(case["target"])
        return super().votes(case, verdict)


class WithholdVote(Byzantine):
    """Never vote in court.

    More than half of the eligible decide, so b < n/2 silent ones stop nothing; they cost time where honest votes
    are late.
    """

    def votes(self, case: dict[str, Any], verdict: Verdict) -> Verdict | None:
        """Abstain."""
        return None if self.is_attacking(case["step"]) else super().votes(case, verdict)


class StakeGriefing(Byzantine):
    """Make others work in court at no risk: claim as a validator that the target showed nothing.

    Where gradients must be shown to be judged, nobody can tell who of the two is at fault, so the claim accuses
    nobody: the target opens everything to everybody, all recompute, and the claimant loses nothing. The
    report's court time and opened records are the damage. In jobs with public data and exact arithmetic nothing
    needs to be shown, and the claim is an accusation like any other, which bans the claimant.
    """

    def claims_unshown(self, turn: Turn, target: int) -> bool:
        """Claim it of honest targets."""
        return target not in self.coalition.members and self.is_attacking(turn.step)
