"""Peers that come and go: sessions on the network and absences from it, with drawn lengths.

Lengths are exponential, or log-normal with the same mean, as measured sessions have many short ones and a few
very long ones. What a peer sends or should receive while it is absent is lost. Nobody is absent before `after_s`.

References
----------
D. Stutzbach, R. Rejaie, "Understanding churn in peer-to-peer networks", IMC 2006: session lengths are not
exponential; Weibull and log-normal fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from simdfl.kernel import Environment
from simdfl.kernel.actor import Life
from simdfl.network.network import Network

LENGTHS = ("exponential", "lognormal")
SIGMA = 1.5
"""Spread of the logarithm of log-normal lengths."""


@dataclass(frozen=True)
class Churn:
    """How long peers stay and how long they stay away.

    Parameters
    ----------
    session_s, absence_s : float
        Mean lengths, seconds.
    lengths : str
        Their distribution, a name of ``LENGTHS``.
    after_s : float
        Until when all stay.
    """

    session_s: float
    absence_s: float
    lengths: str = "lognormal"
    after_s: float = 0.0

    def draw(self, mean_s: float, rng: np.random.Generator) -> float:
        """Return one length, seconds, with mean `mean_s`."""
        if self.lengths == "exponential":
            return float(rng.exponential(mean_s))
        return float(mean_s * rng.lognormal(-0.5 * SIGMA**2, SIGMA))


def start_churn(
    env: Environment,
    network: Network,
    churn: Churn,
    peers: Iterable[int],
    stream: Callable[[int], np.random.Generator],
    on_return: Callable[[int], object] = lambda peer: None,
) -> None:
    """Let `peers` come and go, each by its own ``stream(peer)``; call ``on_return(peer)`` when one is back."""

    def live(peer: int, rng: np.random.Generator) -> Life:
        yield env.sleep(churn.after_s)
        while True:
            yield env.sleep(churn.draw(churn.session_s, rng))
            was_down = network.is_down(peer)
            network.set_down(peer, True)
            yield env.sleep(churn.draw(churn.absence_s, rng))
            if not was_down:  # who crashed by other causes comes back by other causes
                network.set_down(peer, False)
                on_return(peer)

    for peer in peers:
        env.process(live(peer, stream(peer)))
