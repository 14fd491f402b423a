"""What all peers have in common: identity, device, signed broadcasts, and time spent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts_model.court import message_digest
from simdfl.crypto.hashing import sha256
from simdfl.crypto.signatures import Keypair, recover
from simdfl.kernel import Actor, Environment
from simdfl.kernel.actor import Life
from simdfl.learning.devices import DeviceProfile
from simdfl.learning.gradients import GradientEngine
from simdfl.memo import Memo
from simdfl.network import Message, Network, Traffic
from simdfl.peers.behaviour import Behaviour, Turn

Archive = Callable[[Message], None]
Watch = Callable[[int, str, str, float, float], None]
"""Called as ``watch(peer, track, name, begin_s, end_s)`` about phases and work of a peer."""


@dataclass(frozen=True)
class Seat:
    """A peer's place in a run: who it is, how it decides, what it runs on.

    Parameters
    ----------
    env : Environment
        The clock.
    index : int
        Position in the network.
    keypair : Keypair
        Signs messages and transactions.
    behaviour : Behaviour
        Its decisions.
    device : DeviceProfile
        What its work costs in simulated time.
    slowness : float
        Factor on its gradient time.
    network : Network
        Carries its messages.
    clock_late_s : float
        By how much its clock is late, negative if it is ahead.
    """

    env: Environment
    index: int
    keypair: Keypair
    behaviour: Behaviour
    device: DeviceProfile
    slowness: float
    network: Network
    clock_late_s: float = 0.0


class Peer(Actor):
    """A participant: protocols subclass it and write its life in ``run``.

    Parameters
    ----------
    seat : Seat
        Its place in the run.
    """

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat.env)
        self.index = seat.index
        self.keypair = seat.keypair
        self.behaviour = seat.behaviour
        self.device = seat.device
        self.slowness = seat.slowness
        self.network = seat.network
        self._clock_late_s = seat.clock_late_s
        self.spent_s: dict[str, float] = defaultdict(float)
        self.gradients_computed = 0
        self.validations = 0
        self.watch: Watch | None = None
        seat.network.attach(seat.index, self.inbox)
        self.inbox.listen("JUNK", lambda step, sender, message: None)

    def run(self) -> Life:
        """Live; overridden by each protocol."""
        raise NotImplementedError

    def when_clock_shows(self, time_s: float) -> float:
        """Return when this peer's clock shows a time that others have set, in simulated time."""
        return time_s + self._clock_late_s

    def spend(self, work: str, duration_s: float) -> Any:
        """Work for `duration_s` of simulated time, booked under `work`; to be yielded."""
        self.charge(work, duration_s)
        if self.watch is not None:
            self.watch(self.index, "work", work, self.env.now, self.env.now + duration_s)
        return self.env.sleep(duration_s)

    def during(self, phase: str, life: Life) -> Life:
        """Live through one phase of the protocol and tell who watches when it began and ended."""
        began_s = self.env.now
        result = yield from life
        if self.watch is not None:
            self.watch(self.index, "phase", phase, began_s, self.env.now)
        return result

    def gradient_s(self, engine: GradientEngine) -> float:
        """Return the simulated duration of one gradient of this peer."""
        return self.slowness * self.device.gradient_s(engine.sizes.gradient_flops, engine.model.precision)

    def compute_gradient(self, engine: GradientEngine, turn: Turn) -> Life:
        """Spend the time that the own gradient takes, as long as the behaviour makes it."""
        yield self.spend("gradient", self.behaviour.slowness(turn) * self.gradient_s(engine))
        self.gradients_computed += 1

    def hold_back(self, turn: Turn) -> Life:
        """Do what a behaviour does before it sends its gradient: shout junk at neighbours, wait."""
        size_bytes = self.behaviour.junk_bytes(turn)
        if size_bytes > 0:
            junk = Message("JUNK", turn.step, self.index, None, size_bytes, Traffic.CONTROL)
            for neighbour in self.network.neighbours(self.index):
                self.network.send(junk, neighbour)
        delay_s = self.behaviour.delay_s(turn)
        if delay_s > 0:
            yield self.env.sleep(delay_s)

    def charge(self, work: str, duration_s: float) -> None:
        """Book work that runs beside the peer's main life, on another core."""
        self.spent_s[work] += duration_s


class Messenger:
    """Makes and checks signed gossip messages of one run; each signature is verified once for all peers.

    Parameters
    ----------
    run : bytes
        The job digest that signatures bind.
    addresses : list of bytes
        Signing address of each peer.
    archive : callable
        Receives every signed message that is broadcast.
    """

    def __init__(self, run: bytes, addresses: list[bytes], archive: Archive) -> None:
        self._run = run
        self._addresses = addresses
        self._archive = archive
        self._verdicts = Memo(1 << 16)

    def make(
        self, peer: Peer, topic: str, step: int, content: Any, payload_bytes: int, body: bytes, traffic: Traffic
    ) -> Message:
        """Return a message signed by `peer`; `body` is the 32-byte digest of the content."""
        signature = peer.keypair.sign(message_digest(sha256, self._run, topic.encode(), step, body))
        message = Message(topic, step, peer.index, content, payload_bytes, traffic, body, signature)
        self._archive(message)
        return message

    def is_authentic(self, message: Message) -> bool:
        """Return whether the message is signed by its sender."""
        signed = (message.topic, message.step, message.digest, message.signature)
        return self._verdicts.get(signed, lambda: self._signer(*signed)) == self._addresses[message.sender]

    def _signer(self, topic: str, step: int, body: bytes, signature: bytes) -> bytes | None:
        return recover(message_digest(sha256, self._run, topic.encode(), step, body), signature)
