"""A peer's duty to the base chain: its stake at the start, an anchor every epoch, the settlement at the end.

An anchor is the hash of the channel's block that opened the epoch, with the peers banned so far. All peers sign
and gossip it. Under ``epoch`` the first in rank posts it with the signatures of more than half; under
``dispute`` it posts it alone, and whoever knows better shows the signatures within the challenge window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts_model.anchor import Anchor, anchor_body
from contracts_model.beacon import mask_bytes
from simdfl.chain.blockchain import Blockchain
from simdfl.chain.channel import make_client
from simdfl.crypto.hashing import sha256
from simdfl.kernel.actor import Life
from simdfl.network import Message, Traffic
from simdfl.protocols.duty import Duty

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer

ANCHOR_GAS_LIMIT = 8_000_000
Content = tuple[bytes, bytes, tuple[int, ...]]


class AnchorDuty(Duty):
    """The base chain's side of one peer's life.

    Parameters
    ----------
    peer : VerifiedPeer
        Whose duty it is.
    base : Blockchain
        The base chain, on which the anchor contract is deployed.
    """

    def __init__(self, peer: VerifiedPeer, base: Blockchain) -> None:
        super().__init__(peer)
        contract = base.job.contracts["anchor"]
        assert isinstance(contract, Anchor)
        self.base = make_client(peer.index, peer.keypair, base, peer.network, peer.inbox)
        self._is_optimistic = contract.is_optimistic
        self._window_s = contract.window_s

    def run(self) -> Life:
        """Stake, anchor every epoch, settle, withdraw."""
        peer, terms = self.peer, self.peer.job.terms
        self.base.submit("anchor", "register", value_wei=terms.deposit_wei)
        for epoch, step in enumerate(range(terms.epoch_outputs, terms.steps + 1, terms.epoch_outputs)):
            opened = peer.inbox.collect("chain:StepOpened", step, 1)
            ended = peer.inbox.collect("chain:Aborted", 0, 1)
            yield opened | ended
            if not opened.triggered:
                break
            peer.also(self._anchor(epoch, (peer.chain.step_hashes[step], self._bans(), ())))
        yield peer.settled
        last = terms.steps // terms.epoch_outputs
        yield from self._anchor(last, (self._final_hash(), self._bans(), self._amounts()))
        yield peer.env.sleep(self._window_s * self._is_optimistic + 3.0 * self.base.inclusion_s)
        self.base.submit("anchor", "withdraw")

    def _bans(self) -> bytes:
        return mask_bytes(sum(1 << peer for peer in self.peer.chain.history.banned))

    def _final_hash(self) -> bytes:
        """Return the hash of the last step's block; zeros if the job was given up before its first."""
        return max(self.peer.chain.step_hashes.items(), default=(0, bytes(32)))[1]

    def _amounts(self) -> tuple[int, ...]:
        """Return what the channel's contracts owe every member at the end, in wei."""
        return self.peer.job.settlement()

    def _anchor(self, epoch: int, content: Content) -> Life:
        """Sign the anchor and gossip it; post it in turn; challenge what somebody else posted wrongly."""
        peer = self.peer
        published = peer.behaviour.anchors(epoch, content)
        body = anchor_body(sha256, published[0], published[1], list(published[2]))
        message = peer.job.messenger.make(peer, "ANCHOR", epoch, published, 96, body, Traffic.CHAIN)
        peer.network.broadcast(message)
        yield peer.env.sleep(peer.rank * self.base.inclusion_s)
        if epoch not in self._anchored():
            yield from self._post(epoch, published, body)
        if self._is_optimistic:
            yield from self._watch(epoch, content)

    def _anchored(self) -> dict[int, bytes]:
        return self.base.history.anchors

    def _post(self, epoch: int, content: Content, body: bytes) -> Life:
        root, bans, amounts = content
        if self._is_optimistic:
            self.base.submit("anchor", "post", epoch, root, bans, list(amounts), gas_limit=ANCHOR_GAS_LIMIT)
            return
        signers, proofs = yield from self._signatures(epoch, body)
        if signers and epoch not in self._anchored():
            call = (epoch, root, bans, list(amounts), signers, proofs)
            self.base.submit("anchor", "anchor", *call, gas_limit=ANCHOR_GAS_LIMIT)

    def _signatures(self, epoch: int, body: bytes) -> Life:
        """Collect the signatures of more than half of the founders on one anchor.

        Empty lists if they do not come.
        """
        peer = self.peer
        need = peer.job.terms.n_founders // 2 + 1
        deadline_s = peer.env.now + peer.job.terms.commit_s
        alike: dict[int, Message] = {}
        count = need
        while len(alike) < need:
            got = yield peer.inbox.collect("ANCHOR", epoch, count, deadline_s)
            alike = {
                who: m
                for who, m in got.messages.items()
                if m.digest == body and peer.job.messenger.is_authentic(m)
            }
            count = len(got.messages) + 1
            if not got.complete:
                break
        if len(alike) < need:
            return [], []
        signers = sorted(alike)[:need]
        return signers, [alike[who].signature for who in signers]

    def _watch(self, epoch: int, content: Content) -> Life:
        """Challenge an anchor that is not what the channel says."""
        peer = self.peer
        got = yield peer.inbox.collect("base:Anchored", epoch, 1, peer.env.now + self._window_s / 2)
        if not got.complete:
            return
        fields = got.messages[0].fields
        if (fields["root"], fields["bans"]) == content[:2]:
            return
        body = anchor_body(sha256, content[0], content[1], list(content[2]))
        signers, proofs = yield from self._signatures(epoch, body)
        yield peer.wait_turn()
        if signers and epoch not in self.base.history.challenged:
            call = (epoch, *content[:2], list(content[2]), signers, proofs)
            self.base.submit("anchor", "challenge", *call, gas_limit=ANCHOR_GAS_LIMIT)
