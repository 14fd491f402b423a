"""A peer's duty to the beacon when an output is opened: reveal, recover what is withheld, toss again.

With verifiable sharings a withheld secret is recovered from t decrypted shares: the output stays what it would
have been, so withholding buys nothing and costs the deposit. With hash commitments the toss starts again without
the withholder (BTARD), or leaves it out (RANDAO): both let those who open last choose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts_model import Phase, Withheld
from contracts_model.beacon import dealing_context
from contracts_model.court import share_topic
from contracts_model.merkle import merkle_path
from simdfl.chain.history import mask_members
from simdfl.crypto.beacon import BeaconScheme
from simdfl.crypto.hashing import sha256
from simdfl.kernel.actor import Life
from simdfl.network import Message, Traffic
from simdfl.protocols.beacon_duty import PROOF_GAS_LIMIT, DealtEpoch, make_epoch
from simdfl.protocols.duty import Duty
from simdfl.protocols.foresight import Foresight
from simdfl.protocols.job import StepRecord

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer

Setting = tuple[bytes, list[bytes], int, bytes]
HOLD_BLOCKS = 2.5
"""Who holds its secret back must still be included: it opens so many blocks before the deadline at the latest."""


class RevealDuty(Duty):
    """The opening side of one peer's life."""

    def __init__(self, peer: VerifiedPeer) -> None:
        super().__init__(peer)
        self._disproved: set[tuple[int, int, int]] = set()

    # ---- opening

    def reveal(self, record: StepRecord) -> None:
        """REVEAL one's secret of the output that ends this step, now that the aggregates are locked."""
        output = record.step + 1
        behaviour, turn = self.peer.behaviour, self.peer.turn(record)
        if self.peer.job.terms.withheld == Withheld.TRUSTED:
            ready = Message("READY", output, self.peer.index, None, 8, Traffic.BEACON)
            self.peer.network.send(ready, self.peer.network.host)
        if output not in self.peer.beacon_duty.secrets:
            return
        if behaviour.holds_back(turn):
            self.peer.also(self._open_last(output, record))
        elif behaviour.reveals(turn):
            self._submit_reveal(output)

    def reveal_first(self) -> Life:
        """Open output 0, from which step 0 takes its batches."""
        yield self.peer.inbox.collect("chain:Locked", 0, 1)
        if 0 in self.peer.beacon_duty.secrets:
            self._submit_reveal(0)

    def _open_last(self, output: int, record: StepRecord) -> Life:
        """Wait until all others have opened, then open or not: the attack on a beacon that can be biased."""
        peer, history = self.peer, self.peer.chain.history
        latest_s = peer.phase_deadline(record.step, Phase.REVEAL) - HOLD_BLOCKS * peer.chain.block_time_s
        foresight = Foresight(peer, output)
        while peer.env.now < latest_s and not foresight.others_have_opened():
            yield peer.env.sleep(peer.chain.block_time_s / 2)
        if output not in history.randomness and peer.behaviour.opens(peer.turn(record), foresight):
            self._submit_reveal(output)

    def _submit_reveal(self, output: int) -> None:
        duty = self.peer.beacon_duty
        epoch, position = divmod(output, self.peer.job.terms.epoch_outputs)
        self._submit(output, duty.secrets[output], duty.epochs[epoch], position)

    def _submit(self, output: int, secret: int, dealt: DealtEpoch, position: int) -> None:
        digest, commitment = sha256(dealt.transcripts[position]), dealt.commitments[position]
        path = list(merkle_path(dealt.leaves, position))
        self.peer.chain.submit("beacon", "reveal", output, secret, digest, commitment, path)

    # ---- what becomes of withheld secrets

    def watch(self) -> Life:
        """Do what the job's policy asks for whenever secrets are withheld."""
        peer = self.peer
        repair = self._recover_all if peer.job.terms.withheld == Withheld.RECOVER else self._toss_again
        for output in range(peer.job.terms.steps + 1):
            attempt = 0
            while True:
                topic = "chain:Withheld" if repair == self._recover_all else "chain:Restarted"
                need = 1 if repair == self._recover_all else {attempt + 1}
                withheld = peer.inbox.collect(topic, output, need)
                opened = peer.inbox.collect("chain:StepOpened", output, 1)
                yield withheld | opened
                if not withheld.triggered or withheld.value is None:
                    break
                attempt += 1
                [event] = withheld.value.messages.values()
                repair(output, attempt, mask_members(event.fields["dealers"]))
                if repair == self._recover_all:
                    break

    # ---- commit-reveal: fresh commitments, fresh secrets

    def _toss_again(self, output: int, attempt: int, dealers: list[int]) -> None:
        if self.peer.index in dealers:
            self.peer.also(self._commit_again(output, attempt))

    def _commit_again(self, output: int, attempt: int) -> Life:
        """Post a fresh commitment, and open it when all have."""
        peer, job = self.peer, self.peer.job
        context = dealing_context(job.terms.job_digest, output, peer.index, attempt)
        dealing = job.scheme.deal(context, [], 1, job.rng.key("toss", peer.index, output, attempt))
        dealt = make_epoch([dealing.transcript], [job.scheme.commitment(0, 1, dealing.transcript)])
        peer.chain.submit("beacon", "recommit", output, dealt.root)
        yield peer.inbox.collect("chain:Phase", output, {Phase.REVEAL + len(Phase) * attempt})
        record = peer.records.get(output - 1)
        if record is None or peer.behaviour.reveals(peer.turn(record)):
            self._submit(output, dealing.secret, dealt, 0)

    # ---- recovery of shared secrets

    def _recover_all(self, output: int, attempt: int, dealers: list[int]) -> None:
        for dealer in dealers:
            self.peer.also(self._recover(output, dealer))

    def _recover(self, output: int, dealer: int) -> Life:
        """Decrypt and gossip one's share of a withheld secret; whoever has t of them calls the contract."""
        peer, job, duty = self.peer, self.peer.job, self.peer.beacon_duty
        epoch, position = divmod(output, job.terms.epoch_outputs)
        receivers = peer.chain.history.receivers[epoch]
        dealt = duty.dealt_by(dealer, epoch)
        if peer.index not in receivers or dealt is None or peer.index == dealer:
            return
        threshold = job.terms.threshold(len(receivers))
        context, _ = duty.place(output, dealer, receivers)
        setting = (context, duty.keys(receivers), threshold, dealt.transcripts[position])
        yield peer.spend("beacon", 5 * peer.device.group_exp_s)
        topic = share_topic(dealer).decode()
        self._gossip_share(topic, output, dealer, setting, receivers)
        path = list(merkle_path(dealt.leaves, position))
        evidence = (dealt.transcripts[position], dealt.commitments[position], path)
        shares: list[tuple[int, bytes]] = []
        need = threshold
        while len(shares) < threshold:
            got = yield peer.inbox.collect(topic, output, need)
            yield peer.spend("beacon", 5 * threshold * peer.device.group_exp_s)
            shares = self._valid_shares(setting, receivers, output, dealer, evidence, got.messages)[:threshold]
            need = len(got.messages) + 1
        yield peer.wait_turn()
        if output not in peer.chain.history.randomness:
            numbers, opened = [number for number, _ in shares], [share for _, share in shares]
            call = (output, dealer, *evidence, numbers, opened)
            peer.chain.submit("beacon", "recover", *call, gas_limit=PROOF_GAS_LIMIT)

    def _gossip_share(self, topic: str, output: int, dealer: int, setting: Setting, receivers: list[int]) -> None:
        peer, job = self.peer, self.peer.job
        assert isinstance(job.scheme, BeaconScheme)
        number = receivers.index(peer.index) + 1
        seed = job.rng.key("share", peer.index, output, dealer)
        share = job.scheme.decrypt_share(*setting, number, peer.beacon_duty.secret_key, seed)
        published = peer.behaviour.opened_share(output, dealer, share)
        if published is not None:
            body = sha256(published)
            size = len(published)
            message = job.messenger.make(peer, topic, output, published, size, body, Traffic.BEACON)
            peer.network.broadcast(message)

    def _valid_shares(
        self,
        setting: Setting,
        receivers: list[int],
        output: int,
        dealer: int,
        evidence: tuple[bytes, bytes, list[bytes]],
        messages: dict[int, Message],
    ) -> list[tuple[int, bytes]]:
        """Return the proven shares among what arrived, with their receivers' numbers; prove the others wrong."""
        scheme = self.peer.job.scheme
        assert isinstance(scheme, BeaconScheme)
        valid = []
        for sender, message in messages.items():
            if sender not in receivers or not self.peer.job.messenger.is_authentic(message):
                continue
            number = receivers.index(sender) + 1
            if scheme.verify_share(*setting, number, message.content):
                valid.append((number, message.content))
            else:
                self.peer.also(self._prove_bad_share(output, dealer, message, evidence))
        return valid

    def _prove_bad_share(
        self, output: int, dealer: int, message: Message, evidence: tuple[bytes, bytes, list[bytes]]
    ) -> Life:
        """Show the contract a signed share that decrypts nothing, once."""
        peer = self.peer
        slot = (output, dealer, message.sender)
        if slot in self._disproved or not peer.behaviour.disputes(message.sender):
            return
        self._disproved.add(slot)
        yield peer.wait_turn()
        if message.sender not in peer.chain.history.banned:
            proof = (output, dealer, message.sender, message.content, message.signature, *evidence)
            peer.chain.submit("court", "prove_bad_share", *proof, gas_limit=PROOF_GAS_LIMIT)
