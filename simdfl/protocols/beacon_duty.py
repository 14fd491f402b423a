"""A peer's duty to the beacon before outputs are opened: register a key, deal an epoch ahead, check the others.

Dealings are made and checked off the critical path, one epoch before their outputs are opened; in a step an
honest peer only reveals 32 bytes (see :mod:`simdfl.protocols.reveal_duty`). Sharings are gossiped and checked by
everybody, or proven on chain by their dealers; of a hash commitment only the root on chain matters, as nobody
else could open it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts_model.beacon import dealing_context, first_of_pack
from contracts_model.court import Absence
from contracts_model.merkle import merkle_path, merkle_root
from simdfl.chain.history import mask_members
from simdfl.chain.prices import ProofPrices
from simdfl.crypto.beacon import BeaconScheme
from simdfl.crypto.hashing import sha256
from simdfl.kernel.actor import Life
from simdfl.network import Traffic
from simdfl.protocols.dealing import DealingView
from simdfl.protocols.duty import Duty

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer


PROOF_GAS_LIMIT = 16_000_000
"""Covers the verification of one dealing or recovery for up to 256 receivers."""


@dataclass(frozen=True)
class DealtEpoch:
    """One dealer's dealings of an epoch as gossiped, one entry an output: transcripts, commitments, their root.

    Outputs that a packed sharing serves share its transcript.
    """

    transcripts: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    leaves: tuple[bytes, ...]
    root: bytes

    @property
    def size_bytes(self) -> int:
        """Size on the wire: every distinct transcript once."""
        return sum(len(transcript) for transcript in dict.fromkeys(self.transcripts))


def make_epoch(transcripts: list[bytes], commitments: list[bytes]) -> DealtEpoch:
    """Return the published form of a batch of dealings."""
    leaves = tuple(sha256(sha256(t) + c) for t, c in zip(transcripts, commitments))
    return DealtEpoch(tuple(transcripts), tuple(commitments), leaves, merkle_root(leaves))


class BeaconDuty(Duty):
    """The dealing side of one peer's life."""

    def __init__(self, peer: VerifiedPeer) -> None:
        super().__init__(peer)
        seed = peer.job.rng.key("beacon-key", peer.index)
        self.secret_key, self.public_key = peer.job.scheme.make_key(seed)
        peer.job.beacon_keys[peer.index] = self.public_key
        self.secrets: dict[int, int] = {}
        self.epochs: dict[int, DealtEpoch] = {}

    # ---- setup

    def register(self) -> Life:
        """Register with deposit, key and proof of possession."""
        peer, terms = self.peer, self.peer.job.terms
        proof = peer.job.scheme.prove_possession(
            terms.job_digest + peer.keypair.address,
            self.secret_key,
            peer.job.rng.key("possession", peer.index),
        )
        yield peer.spend("beacon", 2 * peer.device.group_exp_s)
        peer.chain.submit("registry", "register", self.public_key, proof, value_wei=terms.deposit_wei)
        if peer.job.training.shards is not None:
            peer.chain.submit("registry", "commit_data", peer.job.training.shards.roots[peer.index])

    # ---- where an output is dealt

    def outputs(self, epoch: int) -> range:
        """Return the outputs of an epoch."""
        count = self.peer.job.terms.epoch_outputs
        return range(epoch * count, min((epoch + 1) * count, self.peer.job.terms.steps + 1))

    def keys(self, receivers: list[int]) -> list[bytes]:
        """Return the encoded keys of these peers."""
        return [self.peer.job.beacon_keys[receiver] for receiver in receivers]

    def place(self, output: int, dealer: int, receivers: list[int]) -> tuple[bytes, int]:
        """Return the context of the sharing that serves an output, and which of its secrets does."""
        terms = self.peer.job.terms
        position = output % terms.epoch_outputs
        coordinate = position - first_of_pack(position, terms.packing(len(receivers)))
        return dealing_context(terms.job_digest, output - coordinate, dealer), coordinate

    def dealings_per_epoch(self, epoch: int, receivers: list[int]) -> int:
        """Return how many sharings each dealer makes for an epoch."""
        return -(-len(self.outputs(epoch)) // self.peer.job.terms.packing(len(receivers)))

    @property
    def _gossips_dealings(self) -> bool:
        """Whether sharings travel by gossip and peers check them."""
        return isinstance(self.peer.job.scheme, BeaconScheme) and not self.peer.job.terms.proves_dealings

    # ---- dealing

    def deal_epochs(self) -> Life:
        """Deal for every epoch when it opens, and check the dealings of the others; until one is not invited."""
        epoch = self.peer.next_epoch
        while True:
            opened = yield self.peer.inbox.collect("chain:EpochOpened", epoch, 1)
            receivers = mask_members(opened.messages[0].fields["receivers"])
            if self.peer.index not in receivers:
                if not self.peer.membership_duty.is_candidate:
                    return
                epoch += 1
                continue
            opened_s = self.peer.env.now
            yield from self._deal(epoch, receivers)
            if self._gossips_dealings:
                self.peer.also(self._check_dealings(epoch, receivers, opened_s))
            epoch += 1

    def _deal(self, epoch: int, receivers: list[int]) -> Life:
        peer, job = self.peer, self.peer.job
        threshold = job.terms.threshold(len(receivers))
        each = job.scheme.deal_exponentiations(len(receivers), threshold)
        if peer.behaviour.deals_late(epoch):
            yield peer.env.sleep(2.0 * peer.chain.block_time_s)
        yield peer.spend("beacon", each * self.dealings_per_epoch(epoch, receivers) * peer.device.group_exp_s)
        dealt = self.epochs[epoch] = make_epoch(*self._make_dealings(epoch, receivers, threshold))
        if isinstance(job.scheme, BeaconScheme):
            job.dealt_bytes.setdefault(epoch, []).append(dealt.size_bytes)
        if self._gossips_dealings:
            peer.network.broadcast(
                job.messenger.make(peer, "DEALING", epoch, dealt, dealt.size_bytes, dealt.root, Traffic.BEACON)
            )
        peer.chain.submit("beacon", "deal", epoch, dealt.root)
        if job.terms.proves_dealings:
            yield from self._prove_all(epoch, receivers, dealt)

    def _prove_all(self, epoch: int, receivers: list[int], dealt: DealtEpoch) -> Life:
        """Have one's sharings verified on chain, in their order.

        Once steps run, one at a time: the calls of a step must not wait behind all proofs of an epoch.
        """
        peer, job = self.peer, self.peer.job
        job.proven[epoch, peer.index] = dealt
        prices, threshold = ProofPrices(job.scheme), job.terms.threshold(len(receivers))
        for position, output in enumerate(self.outputs(epoch)):
            transcript, commitment = dealt.transcripts[position], dealt.commitments[position]
            gas_limit = prices.proof_gas_limit(len(receivers), threshold, len(transcript))
            path = list(merkle_path(dealt.leaves, position))
            peer.chain.submit("beacon", "prove", output, transcript, commitment, path, gas_limit=gas_limit)
            if epoch and not (yield from self._await_proof(epoch, output)):
                return

    def _await_proof(self, epoch: int, output: int) -> Life:
        """Wait until one's proof of a sharing has been accepted; return whether it was before the epoch began."""
        peer = self.peer
        while True:
            until_s = peer.env.now + peer.chain.inclusion_s
            got = yield peer.inbox.collect("chain:Proven", output, {peer.index}, until_s)
            has_begun = self.outputs(epoch)[0] in peer.chain.history.awaited
            if got.complete or has_begun or peer.index in peer.chain.history.removed:
                return got.complete

    def dealt_by(self, dealer: int, epoch: int) -> DealtEpoch | None:
        """Return what a dealer has dealt for an epoch, as far as this peer knows: by gossip, or from proofs."""
        if self.peer.job.terms.proves_dealings:
            proven = self.peer.chain.history.proven
            is_known = all((output, dealer) in proven for output in self.outputs(epoch))
            return self.peer.job.proven.get((epoch, dealer)) if is_known else None
        message = self.peer.inbox.peek("DEALING", epoch).get(dealer)
        return message.content if message is not None else None

    def _make_dealings(self, epoch: int, receivers: list[int], threshold: int) -> tuple[list[bytes], list[bytes]]:
        """Return transcripts and commitments by output.

        What a behaviour publishes may differ from what it knows.
        """
        peer, job = self.peer, self.peer.job
        transcripts: list[bytes] = []
        commitments: list[bytes] = []
        for output in self.outputs(epoch):
            context, coordinate = self.place(output, peer.index, receivers)
            if not coordinate:
                seed = job.rng.key("dealing", peer.index, output)
                dealing = job.scheme.deal(context, self.keys(receivers), threshold, seed)
                view = DealingView(job, output, context, self.keys(receivers), threshold, seed, dealing)
                published = job.published[output, peer.index] = peer.behaviour.transcript(view)
            self.secrets[output] = dealing.secrets[coordinate]
            transcripts.append(published)
            inside = (len(receivers), threshold, dealing.transcript, coordinate)
            commitments.append(job.scheme.commitment(*inside))
        peer.behaviour.learns_secrets(
            peer.index, {output: self.secrets[output] for output in self.outputs(epoch)}
        )
        peer.behaviour.learns_key(peer.index, self.secret_key)
        return transcripts, commitments

    # ---- checking

    def _check_dealings(self, epoch: int, receivers: list[int], opened_s: float) -> Life:
        """Check every other dealer's batch; dispute what is wrong, vote absent what never came.

        Transcripts come by gossip before their roots are on chain. Checking begins when they are here; judgement
        waits until no root can be posted any more.
        """
        peer, job = self.peer, self.peer.job
        closed_s = opened_s + job.terms.deal_s // 2 + peer.chain.inclusion_s
        yield peer.inbox.collect("DEALING", epoch, receivers, closed_s)
        threshold = job.terms.threshold(len(receivers))
        each = job.scheme.verify_exponentiations(len(receivers), threshold) * len(receivers)
        yield peer.spend("beacon", each * self.dealings_per_epoch(epoch, receivers) * peer.device.group_exp_s)
        yield peer.env.sleep(max(0.0, closed_s - peer.env.now))
        for dealer, posted in peer.chain.history.dealing_roots[epoch].items():
            message = peer.inbox.peek("DEALING", epoch).get(dealer)
            usable = message is not None and message.digest == posted and job.messenger.is_authentic(message)
            if usable and message is not None:
                self._check_batch(epoch, receivers, threshold, dealer, message.content)
            elif dealer != peer.index:
                peer.chain.submit("court", "report_absence", int(Absence.DEALING), epoch, dealer)

    def _check_batch(
        self, epoch: int, receivers: list[int], threshold: int, dealer: int, dealt: DealtEpoch
    ) -> None:
        """Check the dealings of one epoch; the first wrong one is enough for a proof."""
        peer, job = self.peer, self.peer.job
        wrong = job.batch_verdicts.get(
            (epoch, dealer, dealt.root), lambda: self._first_wrong(epoch, receivers, threshold, dealer, dealt)
        )
        if wrong is not None and dealer != peer.index and peer.behaviour.disputes(dealer):
            path = list(merkle_path(dealt.leaves, wrong))
            output = self.outputs(epoch)[wrong]
            evidence = (dealt.transcripts[wrong], dealt.commitments[wrong], path)
            peer.also(self._dispute(output, dealer, *evidence))

    def _first_wrong(
        self, epoch: int, receivers: list[int], threshold: int, dealer: int, dealt: DealtEpoch
    ) -> int | None:
        """Return the position of the first invalid dealing of a batch, or None."""
        keys = self.keys(receivers)
        for position, output in enumerate(self.outputs(epoch)):
            context, coordinate = self.place(output, dealer, receivers)
            proof = (dealt.transcripts[position], dealt.commitments[position], coordinate)
            if not self.peer.job.scheme.verify_dealing(context, keys, threshold, *proof):
                return position
        return None

    def _dispute(self, output: int, dealer: int, transcript: bytes, commitment: bytes, path: list[bytes]) -> Life:
        """Prove a dealing wrong."""
        peer = self.peer
        yield peer.wait_turn()
        if dealer not in peer.chain.history.removed:
            proof = (output, dealer, transcript, commitment, path)
            peer.chain.submit("beacon", "dispute_dealing", *proof, gas_limit=PROOF_GAS_LIMIT)
