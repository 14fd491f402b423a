"""What the malicious leaders of a shared sequencer do with calls, in the words of a block's proposer.

Leaders are no peers of the job; malicious ones work for its Byzantine peers: these are spared, and front-running
pays one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simdfl.chain.proposer import ProposerPolicy
from simdfl.chain.sources import SharedSequencer
from simdfl.errors import UserError, nearest

if TYPE_CHECKING:
    from simdfl.chain.client import ChainClient

WHERE = "chain.source.params"


@dataclass(frozen=True)
class Leader:
    """A leader's decisions about calls; see :class:`simdfl.chain.proposer.Chooser`.

    Parameters
    ----------
    acts : str
        What it does; an honest leader's is ``builds``.
    coalition : frozenset of int
        Peers for which it works.
    peers, functions : frozenset
        Whose calls, and which, it acts upon; empty: all.
    """

    acts: str = "builds"
    coalition: frozenset[int] = frozenset()
    peers: frozenset[int] = frozenset()
    functions: frozenset[str] = frozenset()

    def accomplices(self) -> frozenset[int]:
        """Return the peers for which it works."""
        return self.coalition

    def _is_named(self, sender: int, function: str) -> bool:
        peer_is = sender in self.peers if self.peers else sender not in self.coalition
        return peer_is and (not self.functions or function in self.functions)

    def includes(self, step: int, sender: int, function: str) -> bool:
        """Leave the named calls out, if it censors."""
        return self.acts != "censor" or not self._is_named(sender, function)

    def front_runs(self, step: int, function: str) -> bool:
        """Copy the named calls, if it front-runs."""
        return self.acts == "front_run" and function in self.functions

    def puts_last(self, step: int, sender: int, function: str) -> bool:
        """Put the named calls behind all others, if it does that."""
        return self.acts == "last" and self._is_named(sender, function)


def leader_policy(
    source: SharedSequencer,
    byzantine: frozenset[int],
    addresses: list[bytes],
    functions: Sequence[str],
    step: Callable[[], int],
    clients: Sequence[ChainClient],
) -> ProposerPolicy:
    """Return what the leaders of a shared sequencer include, and in what order.

    Parameters
    ----------
    source : SharedSequencer
        Elects leaders and builders.
    byzantine : frozenset of int
        The coalition for which malicious leaders work.
    addresses, clients : list
        Of the peers.
    functions : list of str
        What calls there are.
    step : callable
        Returns the step that is open.

    Raises
    ------
    UserError
        If a named peer or function does not exist, or nobody can profit from front-running.
    """
    _check_names(source, len(addresses), functions)
    if source.corrupted and source.acts == "front_run" and not byzantine:
        raise UserError(f"{WHERE}.acts: 'front_run' pays a Byzantine peer and there is none; add an adversary")
    named = (frozenset(source.peers or ()), frozenset(source.functions or ()))
    bad = Leader(source.acts, byzantine, *named)
    leaders = {leader: bad if leader in source.corrupted else Leader() for leader in range(source.leaders)}
    policy = ProposerPolicy(leaders, addresses, step, source)
    paid = sorted(byzantine)
    policy.clients = {leader: clients[paid[leader % len(paid)]] for leader in source.corrupted if paid}
    return policy


def _check_names(source: SharedSequencer, n_peers: int, functions: Sequence[str]) -> None:
    for peer in source.peers or ():
        if peer >= n_peers:
            raise UserError(f"{WHERE}.peers: there is no peer {peer}; the last one is {n_peers - 1}")
    for function in source.functions or ():
        if function not in functions:
            hint = nearest(function, functions)
            raise UserError(
                f"{WHERE}.functions: no contract has a call {function!r}{hint}; "
                f"allowed are {', '.join(sorted(functions))}"
            )
