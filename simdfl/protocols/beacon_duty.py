"""A peer's duty to the beacon: register a key, deal an epoch ahead, reveal, recover what is withheld.

Dealings are made and checked off the critical path, one epoch before their outputs are opened; in a step an
honest peer only reveals 32 bytes. A withheld secret is recovered from t decrypted shares: the output stays what
it would have been, so withholding buys nothing and costs the deposit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts_model import threshold_for
from contracts_model.beacon import dealing_context
from contracts_model.court import Absence
from simdfl.chain.history import mask_members
from simdfl.crypto.hashing import digest, sha256
from simdfl.crypto.merkle import merkle_path, merkle_root
from simdfl.kernel.actor import Life
from simdfl.network import Message, Traffic
from simdfl.protocols.duty import Duty
from simdfl.protocols.job import StepRecord

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer


PROOF_GAS_LIMIT = 16_000_000
"""Covers the verification of one dealing or recovery for up to 256 receivers."""

Setting = tuple[bytes, list[bytes], int, bytes]


@dataclass(frozen=True)
class DealtEpoch:
    """One dealer's dealings of an epoch as gossiped: transcripts, commitments, and the root over both."""

    transcripts: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    leaves: tuple[bytes, ...]
    root: bytes


def make_epoch(transcripts: list[bytes], commitments: list[bytes]) -> DealtEpoch:
    """Return the published form of a batch of dealings."""
    leaves = tuple(sha256(sha256(t) + c) for t, c in zip(transcripts, commitments))
    return DealtEpoch(tuple(transcripts), tuple(commitments), leaves, merkle_root(leaves))


class BeaconDuty(Duty):
    """The beacon side of one peer's life."""

    def __init__(self, peer: VerifiedPeer) -> None:
        super().__init__(peer)
        seed = peer.job.rng.key("beacon-key", peer.index)
        self.secret_key, self.public_key = peer.job.scheme.make_key(seed)
        peer.job.beacon_keys[peer.index] = self.public_key
        self._secrets: dict[int, int] = {}
        self._epochs: dict[int, DealtEpoch] = {}

    # ---- setup

    def register(self) -> Life:
        """Register with deposit, key and proof of possession; help to open dealing and beacon."""
        peer, terms = self.peer, self.peer.job.terms
        proof = peer.job.scheme.prove_possession(
            terms.job_digest + peer.keypair.address,
            self.secret_key,
            peer.job.rng.key("possession", peer.index),
        )
        yield peer.spend("beacon", 2 * peer.device.group_exp_s)
        peer.chain.submit("registry", "register", self.public_key, proof, value_wei=terms.deposit_wei)

    # ---- dealing

    def deal_epochs(self) -> Life:
        """Deal for every epoch when it opens, and check the dealings of the others."""
        epoch = 0
        while True:
            opened = yield self.peer.inbox.collect("chain:EpochOpened", epoch, 1)
            receivers = mask_members(opened.messages[0].fields["receivers"])
            if self.peer.index not in receivers:
                return
            opened_s = self.peer.env.now
            yield from self._deal(epoch, receivers)
            self.peer.also(self._check_dealings(epoch, receivers, opened_s))
            epoch += 1

    def _keys(self, receivers: list[int]) -> list[bytes]:
        return [self.peer.job.beacon_keys[receiver] for receiver in receivers]

    def _deal(self, epoch: int, receivers: list[int]) -> Life:
        peer, job = self.peer, self.peer.job
        threshold = threshold_for(len(receivers))
        per_output = job.scheme.sharing.deal_exponentiations(len(receivers), threshold)
        duration_s = per_output * len(self._outputs(epoch)) * peer.device.group_exp_s
        yield peer.spend("beacon", duration_s)
        transcripts, commitments = [], []
        for output in self._outputs(epoch):
            context = dealing_context(job.terms.job_digest, output, peer.index)
            seed = job.rng.key("dealing", peer.index, output)
            dealing = job.scheme.deal(context, self._keys(receivers), threshold, seed)
            self._secrets[output] = dealing.secret
            transcripts.append(peer.behaviour.transcript(output, dealing.transcript))
            commitments.append(job.scheme.commitment(len(receivers), threshold, dealing.transcript))
        dealt = make_epoch(transcripts, commitments)
        self._epochs[epoch] = dealt
        size = sum(len(t) for t in dealt.transcripts)
        message = job.messenger.make(peer, "DEALING", epoch, dealt, size, dealt.root, Traffic.BEACON)
        peer.network.broadcast(message)
        peer.chain.submit("beacon", "deal", epoch, dealt.root)

    def _outputs(self, epoch: int) -> range:
        count = self.peer.job.terms.epoch_outputs
        return range(epoch * count, min((epoch + 1) * count, self.peer.job.terms.steps + 1))

    def _check_dealings(self, epoch: int, receivers: list[int], opened_s: float) -> Life:
        """Check every other dealer's batch; dispute what is wrong, vote absent what never came.

        Transcripts come by gossip before their roots are on chain. Checking begins when they are here; judgement
        waits until no root can be posted any more.
        """
        peer, job = self.peer, self.peer.job
        closed_s = opened_s + job.terms.deal_s // 2 + peer.chain.inclusion_s
        yield peer.inbox.collect("DEALING", epoch, receivers, closed_s)
        threshold = threshold_for(len(receivers))
        per_output = job.scheme.sharing.verify_exponentiations(len(receivers), threshold)
        yield peer.spend(
            "beacon", per_output * len(self._outputs(epoch)) * len(receivers) * peer.device.group_exp_s
        )
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
            output = self._outputs(epoch)[wrong]
            evidence = (dealt.transcripts[wrong], dealt.commitments[wrong], path)
            peer.also(self._dispute(output, dealer, *evidence))

    def _first_wrong(
        self, epoch: int, receivers: list[int], threshold: int, dealer: int, dealt: DealtEpoch
    ) -> int | None:
        """Return the position of the first invalid dealing of a batch, or None."""
        job, keys = self.peer.job, self._keys(receivers)
        for position, output in enumerate(self._outputs(epoch)):
            context = dealing_context(job.terms.job_digest, output, dealer)
            proof = (dealt.transcripts[position], dealt.commitments[position])
            if not job.scheme.verify_dealing(context, keys, threshold, *proof):
                return position
        return None

    def _dispute(self, output: int, dealer: int, transcript: bytes, commitment: bytes, path: list[bytes]) -> Life:
        """Prove a dealing wrong."""
        peer = self.peer
        yield peer.wait_turn()
        if dealer not in peer.chain.history.removed:
            proof = (output, dealer, transcript, commitment, path)
            peer.chain.submit("beacon", "dispute_dealing", *proof, gas_limit=PROOF_GAS_LIMIT)

    # ---- opening

    def reveal(self, record: StepRecord) -> None:
        """REVEAL one's secret of the output that ends this step, now that the aggregates are locked."""
        output = record.step + 1
        if output in self._secrets and self.peer.behaviour.reveals(self.peer.turn(record)):
            self._submit_reveal(output)

    def reveal_first(self) -> None:
        """Open output 0, from which step 0 takes its batches."""
        if 0 in self._secrets:
            self._submit_reveal(0)

    def _submit_reveal(self, output: int) -> None:
        epoch, position = divmod(output, self.peer.job.terms.epoch_outputs)
        dealt = self._epochs[epoch]
        self.peer.chain.submit(
            "beacon",
            "reveal",
            output,
            self._secrets[output],
            sha256(dealt.transcripts[position]),
            dealt.commitments[position],
            list(merkle_path(dealt.leaves, position)),
        )

    # ---- recovery

    def recover_withheld(self) -> Life:
        """Decrypt and gossip one's shares of whatever is withheld; whoever has t of them calls the contract."""
        peer = self.peer
        yield peer.inbox.collect("chain:Locked", 0, 1)
        self.reveal_first()
        for output in range(peer.job.terms.steps + 1):
            withheld = peer.inbox.collect("chain:Withheld", output, 1)
            opened = peer.inbox.collect("chain:StepOpened", output, 1)
            yield withheld | opened
            if withheld.triggered and withheld.value is not None:
                for dealer in mask_members(withheld.value.messages[0].fields["dealers"]):
                    peer.also(self._recover(output, dealer))

    def _recover(self, output: int, dealer: int) -> Life:
        peer, job = self.peer, self.peer.job
        epoch, position = divmod(output, job.terms.epoch_outputs)
        receivers = peer.chain.history.receivers[epoch]
        message = peer.inbox.peek("DEALING", epoch).get(dealer)
        if peer.index not in receivers or message is None or peer.index == dealer:
            return
        dealt: DealtEpoch = message.content
        threshold = threshold_for(len(receivers))
        context = dealing_context(job.terms.job_digest, output, dealer)
        setting = (context, self._keys(receivers), threshold, dealt.transcripts[position])
        number = receivers.index(peer.index) + 1
        yield peer.spend("beacon", 5 * peer.device.group_exp_s)
        seed = job.rng.key("share", peer.index, output, dealer)
        share = job.scheme.decrypt_share(*setting, number, self.secret_key, seed)
        topic = f"SHARE{dealer}"
        body = digest("simdfl/share", share)
        peer.network.broadcast(job.messenger.make(peer, topic, output, share, len(share), body, Traffic.BEACON))
        need = threshold
        shares: list[tuple[int, bytes]] = []
        while len(shares) < threshold:
            got = yield peer.inbox.collect(topic, output, need)
            yield peer.spend("beacon", 5 * threshold * peer.device.group_exp_s)
            shares = self._valid_shares(setting, receivers, got.messages)[:threshold]
            need = len(got.messages) + 1
        yield peer.wait_turn()
        if output not in peer.chain.history.randomness:
            peer.chain.submit(
                "beacon",
                "recover",
                output,
                dealer,
                dealt.transcripts[position],
                dealt.commitments[position],
                list(merkle_path(dealt.leaves, position)),
                [number for number, _ in shares],
                [share for _, share in shares],
                gas_limit=PROOF_GAS_LIMIT,
            )

    def _valid_shares(
        self, setting: Setting, receivers: list[int], messages: dict[int, Message]
    ) -> list[tuple[int, bytes]]:
        """Return the proven shares among what arrived, with their receivers' numbers."""
        verify = self.peer.job.scheme.verify_share
        numbered = [
            (receivers.index(sender) + 1, message.content)
            for sender, message in messages.items()
            if sender in receivers
        ]
        return [(number, share) for number, share in numbered if verify(*setting, number, share)]
