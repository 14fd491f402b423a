"""A job for the blackboard: the contracts alone, peers that know their lines, and every call told with its gas.

The beacon is commit-reveal with hashes (BTARD, appendix), so the standard library is enough; all else is the real
contracts. In simdfl, :class:`simdfl.chain.host.ChainHost` puts real cryptography in this host's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from contracts_model.beacon import dealing_context, mask_bytes
from contracts_model.job import Call, Job, Outcome
from contracts_model.keccak import keccak256
from contracts_model.merkle import merkle_path, merkle_root, verify_path
from contracts_model.registry import Standing
from contracts_model.runtime import Event, sha256_gas
from contracts_model.storage import members
from contracts_model.terms import Phase, Terms, Withheld

ETHER = 10**18
GAS_LIMIT = 1 << 24
SCALARS = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


def _hash(*pieces: object) -> bytes:
    return sha256(repr(pieces).encode()).digest()


class HashHost:
    """A host whose proofs are hashes: nobody can recover a secret, and nothing is signed."""

    sha256 = staticmethod(lambda data: sha256(data).digest())
    keccak256 = staticmethod(keccak256)

    def recover_signer(self, digest: bytes, signature: bytes) -> bytes | None:
        """Return nobody: this classroom signs nothing."""
        return None

    def verify_path(self, root: bytes, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bool:
        """Check a Merkle opening."""
        return verify_path(root, leaf, index, size, path)

    def verify_possession(self, context: bytes, public_key: bytes, proof: bytes) -> bool:
        """Check that the key was hashed with what it is bound to."""
        return proof == sha256(context + public_key).digest()

    def verify_dealing(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        commitment: bytes,
        k: int,
    ) -> bool:
        """Check that the transcript is the commitment: of a hash nothing else can be checked."""
        return transcript == commitment

    def check_opening(self, context: bytes, commitment: bytes, secret: int) -> bool:
        """Check a secret against its hash."""
        return commitment == sha256(context + secret.to_bytes(32, "big")).digest()

    def verify_share(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        position: int,
        share: bytes,
    ) -> bool:
        """Return False: hashes have no shares."""
        return False

    def recover_secret(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        shares: Sequence[tuple[int, bytes]],
        coordinate: int,
    ) -> bytes | None:
        """Return nothing: hashes hide their secrets for good."""
        return None

    def beacon_output(self, run: bytes, index: int, secret_sum: int, recovered: Sequence[bytes]) -> bytes:
        """Return the hash of the secrets' sum."""
        return sha256(run + index.to_bytes(8, "big") + secret_sum.to_bytes(32, "big")).digest()

    def add_secrets(self, left: int, right: int) -> int:
        """Add two secrets."""
        return (left + right) % SCALARS

    def possession_gas(self) -> int:
        """Return the price of one hash; so do all the others."""
        return sha256_gas(100)

    def opening_gas(self) -> int:
        """Return the price of one hash."""
        return sha256_gas(80)

    def dealing_gas(self, receivers: int, threshold: int) -> int:
        """Return zero: nothing is computed."""
        return 0

    def share_gas(self, receivers: int, threshold: int) -> int:
        """Return zero: nothing is computed."""
        return 0

    def recovery_gas(self, receivers: int, threshold: int) -> int:
        """Return zero: nothing is computed."""
        return 0

    def output_gas(self, recovered: int) -> int:
        """Return the price of one hash."""
        return sha256_gas(72)


class Classroom:
    """A deployed job whose peers act when they are told to.

    Parameters
    ----------
    peers : int
        How many.
    host : HashHost, optional
        Another one, with other prices.
    **terms
        Changes to the manifest (:class:`~contracts_model.terms.Terms`).
    """

    def __init__(self, peers: int = 4, host: HashHost | None = None, **terms: Any) -> None:
        addresses = tuple(_hash("peer", peer)[:20] for peer in range(peers))
        seconds = ("register_s", "deal_s", "commit_s", "aggregate_s", "reveal_s", "recover_s", "vote_s")
        chosen: dict[str, Any] = dict(
            job_digest=_hash("job"),
            owner=_hash("owner")[:20],
            members=addresses,
            minimum_peers=3,
            steps=4,
            validators=1,
            projections=1,
            tolerance=1 << 20,
            epoch_outputs=2,
            dispute_window=4,
            deposit_wei=32 * ETHER,
            reward_wei=ETHER // 100,
            reporter_percent=25,
            withheld=Withheld.RESTART,
            **dict.fromkeys(seconds, 60 * peers),
        )
        self.terms = Terms(**{**chosen, **terms})
        balances = dict.fromkeys(addresses, 100 * ETHER) | {self.terms.owner: 100 * ETHER}
        self.job = Job(self.terms, host or HashHost(), balances)
        self.now_s = 0
        self.log: list[Event] = list(self.job.genesis_events)
        self.call(self.terms.owner, "treasury.fund", value=10 * ETHER)

    # ---- calls

    def call(self, who: int | bytes, where: str, *args: Any, value: int = 0) -> Outcome:
        """Make one call, tell of it, and return what became of it; time goes on by a second."""
        self.now_s += 1
        contract, function = where.split(".")
        sender = who if isinstance(who, bytes) else self.terms.members[who]
        outcome = self.job.execute(
            Call(sender, contract, function, args, value), self.now_s, self.now_s, GAS_LIMIT
        )
        self.log += outcome.events
        told = ", ".join(event.name for event in outcome.events) or outcome.reason or "nothing happened"
        caller = "owner" if isinstance(who, bytes) else f"peer {who}"
        print(f"{caller:7} {where:22} {outcome.gas_used:>9,} gas  {told}")
        return outcome

    def everybody(self, act: str) -> None:
        """Let all peers whose turn it is register, deal, commit, aggregate or reveal."""
        awaited = self.job.beacon.awaited() if act == "reveal" else self.job.registry.active_mask()
        for peer in range(self.terms.n_peers) if act == "register" else list(members(awaited)):
            getattr(self, act)(peer)

    def register(self, peer: int) -> None:
        """Join with a key and the deposit."""
        key = (_hash("key", peer) + _hash("more", peer))[:48]
        proof = sha256(self.terms.job_digest + self.terms.members[peer] + key).digest()
        self.call(peer, "registry.register", key, proof, value=self.terms.deposit_wei)

    def deal(self, peer: int) -> None:
        """Post the root of one's commitments for the epoch that is open for dealing."""
        epoch = self.job.beacon.state["dealing"] - 1
        self.call(peer, "beacon.deal", epoch, merkle_root(self._leaves(peer, epoch)))

    def reveal(self, peer: int) -> None:
        """Open one's secret for the output that is due."""
        output = self.job.beacon.state["next"] - 1
        epoch, place = divmod(output, self.terms.epoch_outputs)
        commitment = self._commitment(peer, output)
        path = list(merkle_path(self._leaves(peer, epoch), place))
        digest = sha256(commitment).digest()
        self.call(peer, "beacon.reveal", output, self._secret(peer, output), digest, commitment, path)

    def commit(self, peer: int) -> None:
        """Commit to a gradient, or attest that the target's was right where one is drawn to validate."""
        step = self.job.ledger.step()
        target = dict(self.pairs()).get(peer)
        if target is None:
            root = _hash("gradient", step, peer) if step < self.terms.steps else bytes(32)
            self.call(peer, "ledger.commit", step, root, _hash("state", step), _hash("reports", step))
        else:
            self.attest(peer, target)

    def attest(self, validator: int, target: int, honest: bool = True) -> None:
        """Say whether the target's gradient of the last step is what its public seed gives."""
        step = self.job.ledger.step()
        evidence = _hash("recomputed", step, validator)
        self.call(validator, "ledger.attest", step, target, honest, evidence, _hash("state", step))

    def aggregate(self, peer: int) -> None:
        """Fix the hash of one's aggregated part."""
        attempt = self.job.ledger.state["attempt"]
        self.call(peer, "ledger.aggregate", self.job.ledger.step(), attempt, _hash("part", peer))

    def vote(self, peer: int, case: int, guilty: Sequence[int] = ()) -> None:
        """Vote who is guilty in a case."""
        self.call(peer, "court.vote", case, mask_bytes(sum(1 << culprit for culprit in guilty)), b"", b"")

    def wait(self, peer: int = 0) -> None:
        """Let the phase's time pass, and let a peer say so."""
        self.now_s = self.job.ledger.state["deadline"]
        self.call(peer, "ledger.advance", self.job.ledger.round(), int(self.job.ledger.phase()))

    def play_step(self) -> None:
        """Play the rest of a step with everybody honest."""
        dealing = self.job.beacon.state["dealing"] - 1
        for peer in members(self.job.registry.active_mask()):
            if not self.job.beacon.dealt.has(dealing, peer):
                self.deal(peer)
        for act in ("commit", "aggregate", "reveal"):
            self.everybody(act)

    # ---- what is known

    def pairs(self) -> list[tuple[int, int]]:
        """Return who validates whom in this step."""
        raw = next((event.fields["pairs"] for event in reversed(self.log) if event.name == "StepOpened"), b"")
        numbers = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]
        return list(zip(numbers[::2], numbers[1::2]))

    def books(self) -> str:
        """Return phase, step and a line a peer: standing, deposit, balance."""
        ledger = self.job.ledger
        lines = [f"step {ledger.step()}, phase {Phase(ledger.phase()).name}"]
        for peer, address in enumerate(self.terms.members):
            standing = Standing(self.job.registry.standings[peer]).name.lower()
            deposit = self.job.treasury.deposit_of(peer) / ETHER
            balance = self.job.wallets.of(address) / ETHER
            lines.append(f"peer {peer}  {standing:9}  deposit {deposit:5.2f} ETH  balance {balance:7.2f} ETH")
        totals = self.job.treasury.totals
        lines.append(f"pot {totals['pot'] / ETHER:.2f} ETH, burned {totals['burned'] / ETHER:.2f} ETH")
        return "\n".join(lines)

    # ---- secrets

    def _secret(self, peer: int, output: int) -> int:
        return int.from_bytes(_hash("secret", peer, output), "big") % SCALARS

    def _commitment(self, peer: int, output: int) -> bytes:
        bound = dealing_context(self.terms.job_digest, output, peer)
        return sha256(bound + self._secret(peer, output).to_bytes(32, "big")).digest()

    def _leaves(self, peer: int, epoch: int) -> list[bytes]:
        commitments = [self._commitment(peer, output) for output in self.job.beacon.outputs_of(epoch)]
        return [sha256(sha256(one).digest() + one).digest() for one in commitments]
