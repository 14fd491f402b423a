"""What a coalition can know of an output before it is official: the reason why a beacon must not be biasable.

Everything is computed, never told: from secrets that are open on chain, from the secrets of the coalition's own
members, and from shares that the members can decrypt. Where these do not determine the output, the answer is
None.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from contracts_model import Withheld
from contracts_model.draw import draw_validators
from simdfl.crypto.beacon import BeaconScheme
from simdfl.crypto.sharing import opening

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer

Pairs = list[tuple[int, int]]


class Foresight:
    """A Byzantine peer's view of one output, while it is not official yet.

    Parameters
    ----------
    peer : VerifiedPeer
        Who looks.
    output : int
        Which output.
    """

    def __init__(self, peer: VerifiedPeer, output: int) -> None:
        self._peer = peer
        self._output = output
        self._notes = peer.behaviour.shared_notes()

    @property
    def members(self) -> frozenset[int]:
        """The coalition."""
        return self._peer.behaviour.accomplices()

    def _awaited(self) -> list[int]:
        """Return the dealers of this output: as locked, or before that who dealt for its epoch."""
        history, terms = self._peer.chain.history, self._peer.job.terms
        if self._output in history.awaited:
            return history.awaited[self._output]
        roster = history.rosters[max(history.rosters)] if history.rosters else []
        return [peer for peer in roster if peer in history.dealing_roots[self._output // terms.epoch_outputs]]

    def others_have_opened(self) -> bool:
        """Return whether every dealer outside the coalition has opened its secret."""
        opened = self._peer.chain.history.secrets[self._output]
        return all(dealer in opened for dealer in self._awaited() if dealer not in self.members)

    def value(self, withholding: Collection[int] = ()) -> bytes | None:
        """Return the output if these members withhold their secrets and all others open theirs; None if unknown.

        With verifiable sharings withholding changes nothing. With commit-reveal it starts the toss again, and
        nobody knows what comes.
        """
        policy, scheme = self._peer.job.terms.withheld, self._peer.job.scheme
        if policy == Withheld.TRUSTED or (policy == Withheld.RESTART and withholding):
            return None
        skipped = set(withholding) if policy == Withheld.SKIP else set()
        known: dict[int, int] = dict(self._peer.chain.history.secrets[self._output])
        known |= self._notes.get(("secrets", self._output), {})
        total: int = 0
        points: list[bytes] = []
        for dealer in self._awaited():
            if dealer in skipped:
                continue
            if dealer in known:
                total = scheme.add_secrets(total, known[dealer])
                continue
            point = self._decrypt(dealer)
            if point is None:
                return None
            points.append(point)
        return scheme.output(self._peer.job.terms.job_digest, self._output, total, points)

    def pairs(
        self, roster: Sequence[int], contributors: Sequence[int], withholding: Collection[int] = ()
    ) -> Pairs | None:
        """Return who would validate whom after this output, or None if it cannot be known."""
        value = self.value(withholding)
        if value is None:
            return None
        return draw_validators(value, roster, contributors, self._peer.job.terms.validators)

    def _decrypt(self, dealer: int) -> bytes | None:
        """Return a dealer's secret point from the shares that the coalition can decrypt, if they are enough."""
        peer, job, duty = self._peer, self._peer.job, self._peer.beacon_duty
        scheme, keys = job.scheme, self._notes.get("beacon_keys", {})
        epoch, position = divmod(self._output, job.terms.epoch_outputs)
        dealt = duty.dealt_by(dealer, epoch)
        receivers = peer.chain.history.receivers[epoch]
        threshold = job.terms.threshold(len(receivers))
        mine = [member for member in receivers if member in keys][:threshold]
        if not isinstance(scheme, BeaconScheme) or dealt is None or len(mine) < threshold:
            return None
        group, transcript = scheme.group, dealt.transcripts[position]
        parsed = scheme.sharing.parse(group, len(receivers), threshold, transcript)
        _, coordinate = duty.place(self._output, dealer, receivers)
        shares = {}
        for member in mine:
            number = receivers.index(member) + 1
            inverse = pow(keys[member], -1, group.order)
            shares[number] = group.mul(inverse, parsed.encrypted_share(number))
        return group.encode(opening.reconstruct(group, shares, coordinate))
