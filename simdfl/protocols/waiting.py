"""Waiting for the chain: events arrive with blocks, and a deadline that has passed needs somebody to say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts_model import Event, Phase
from simdfl.errors import ProtocolAborted
from simdfl.kernel.actor import Life

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer

RETRY_BLOCKS = 4
FAR_S = 3600.0


def await_chain(peer: VerifiedPeer, name: str, step: int, source: int, clock_round: int, *phases: Phase) -> Life:
    """Wait for a contract event; end an overdue phase by calling ``advance``.

    The peer with the lowest rank calls first, the next ones a block later each, so that one transaction is
    enough as a rule.

    Parameters
    ----------
    peer : VerifiedPeer
        Who waits.
    name, step, source : str, int, int
        The event and the slot in which the client delivers it.
    clock_round : int
        The round whose phases have the deadlines: 0 during setup, step + 1 in a step.
    *phases : Phase
        Phases that may stand between now and the event, in order.

    Returns
    -------
    Event
        The awaited event.

    Raises
    ------
    ProtocolAborted
        If the job was aborted on chain.
    """
    called: set[int] = set()
    while True:
        current, deadline_s = overdue_at(peer, clock_round, phases, called)
        arrived = peer.inbox.collect(f"chain:{name}", step, {source}, deadline_s)
        known = len(peer.inbox.peek("chain:Phase", clock_round))
        yield arrived | peer.inbox.collect("chain:Phase", clock_round, known + 1)
        if not arrived.triggered:
            continue
        found: Any = arrived.value
        if found.complete:
            event: Event = found.messages[source]
            return event
        raise_if_aborted(peer, clock_round)
        if current is not None and overdue_at(peer, clock_round, phases, called)[0] == current:
            peer.chain.submit("ledger", "advance", clock_round, current % len(Phase))
            called.add(current)


def overdue_at(
    peer: VerifiedPeer, round_number: int, phases: tuple[Phase, ...], called: set[int]
) -> tuple[int | None, float]:
    """Return the entry of the latest phase that was announced and when this peer should call it overdue.

    A coin toss that starts again enters its phases anew: entries count on, in steps of the number of phases, and
    the fresh commitments (RECOVER) come before the fresh secrets (REVEAL).
    """
    seen = peer.inbox.peek("chain:Phase", round_number)
    block_s = peer.chain.block_time_s
    order = {int(phase): place for place, phase in enumerate(phases)}
    entries = [entry for entry in seen if entry % len(Phase) in order]
    if not entries:
        return None, peer.env.now + FAR_S

    def place(entry: int) -> tuple[int, int]:
        attempt, phase = divmod(entry, len(Phase))
        return attempt, -order[phase] if attempt else order[phase]

    latest = max(entries, key=place)
    deadline_s = peer.when_clock_shows(float(seen[latest].fields["deadline"]))
    wait_blocks = 1 + peer.rank + (RETRY_BLOCKS * (1 + peer.rank) if latest in called else 0)
    return latest, max(peer.env.now + block_s, deadline_s + wait_blocks * block_s)


def raise_if_aborted(peer: VerifiedPeer, step: int) -> None:
    """Raise ProtocolAborted if the contracts have given the job up."""
    aborted = peer.inbox.peek("chain:Aborted", 0)
    if aborted:
        raise ProtocolAborted(next(iter(aborted.values())).fields["reason"].decode(), step)
