"""A trusted parameter server with any robust rule: the centralised baseline of the literature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simdfl.crypto.encoding import canonical_float32
from simdfl.crypto.hashing import sha256
from simdfl.kernel import Actor, Environment
from simdfl.kernel.actor import Life
from simdfl.network import Message, Network, Traffic
from simdfl.protocols.baseline import BaselineJob, BaselinePeer
from simdfl.protocols.parts import admissible

if TYPE_CHECKING:
    from simdfl.learning.devices import DeviceProfile


class ServerPeer(BaselinePeer):
    """A peer that sends its gradient to the server and takes the aggregate from it."""

    def run(self) -> Life:
        """Compute, send, wait for the aggregate, update."""
        for step in range(self.job.steps):
            if self.has_crashed(step):
                return
            yield from self.compute(step)
            gradient = self.contribution(step)
            size = self.job.training.sizes.vector_bytes(gradient.size)
            message = Message("GRADIENT", step, self.index, gradient, size, Traffic.GRADIENT)
            self.network.send(message, self.network.host)
            got = yield self.inbox.collect("MODEL", step, 1)
            aggregate, aggregate_digest = got.messages[self.network.host].content
            self.finish(step, aggregate, aggregate_digest)


class ParameterServer(Actor):
    """The trusted server, at the network's infrastructure host.

    Parameters
    ----------
    env : Environment
        The clock.
    network : Network
        Where it listens.
    job : BaselineJob
        Rule, steps and how long it waits for stragglers.
    device : DeviceProfile
        What aggregation costs.
    """

    def __init__(self, env: Environment, network: Network, job: BaselineJob, device: DeviceProfile) -> None:
        super().__init__(env)
        self._network = network
        self._job = job
        self._device = device
        self._state = job.training.genesis
        network.attach(network.host, self.inbox)

    def run(self) -> Life:
        """Aggregate what arrives in time, send the result to everybody."""
        session = self._job.session(self._job.n_peers, self._job.training.layers)
        sizes = self._job.training.sizes
        for step in range(self._job.steps):
            deadline_s = self.env.now + self._job.wait_s
            got = yield self.inbox.collect("GRADIENT", step, self._job.n_peers, deadline_s)
            arrived = {message.sender: message.content for message in got.messages.values()}
            size = sum(sizes.vector_entries(gradient.size) for gradient in arrived.values())
            yield self.env.sleep(self._device.work_s(2.0 * size * len(arrived)))
            root = self._job.root(self._state, step)
            aggregate = admissible(session.aggregate(step, arrived, self._job.n_peers, root))
            content = (aggregate, sha256(canonical_float32(aggregate)))
            self._state = self._job.training.update(self._state, *content)
            size = sizes.vector_bytes(aggregate.size)
            message = Message("MODEL", step, self._network.host, content, size, Traffic.GRADIENT)
            for peer in range(self._job.n_peers):
                self._network.send(message, peer)
            self.inbox.forget(("GRADIENT",), step)
