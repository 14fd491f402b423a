"""Attacks where blocks are made: censoring, front-running, and filling blocks with junk.

The chain's proposers are drawn among the peers, as on a chain of their own; a Byzantine peer that proposes
decides what is in its block.
"""

from __future__ import annotations

from typing import Any

from adversaries.checks import require, require_count
from simdfl.peers.behaviour import Byzantine, Turn

REWARDED = frozenset(
    {"prove_equivocation", "prove_contradiction", "prove_bad_share", "dispute_dealing", "recover"}
)
"""Calls whose sender is paid for a proof that everybody can copy from the mempool."""
MOST_CALL_BYTES = 120_000


class CensoringProposer(Byzantine):
    """Leave the calls of honest peers out of the own blocks.

    Deadlines last many blocks, and with an honest majority of proposers every call is included before them: the
    steps become slower, nobody misses anything.
    """

    def includes(self, step: int, sender: int, function: str) -> bool:
        """Include the coalition's calls."""
        return sender in self.coalition.members or not self.is_attacking(step)


class FrontRunningProposer(Byzantine):
    """Copy proofs out of the mempool and put the own copy first, to earn the reporter's share.

    The culprit is punished all the same; the reward goes to the wrong peer. A commitment to the proof before its
    publication would prevent it, at the price of another transaction.

    References
    ----------
    Daian et al., "Flash Boys 2.0", S&P 2020.
    """

    def front_runs(self, step: int, function: str) -> bool:
        """Copy what pays."""
        return function in REWARDED and self.is_attacking(step)


class BlockSpam(Byzantine):
    """Fill blocks with junk: `calls` transactions a step, each with `call_bytes` of calldata and a doubled tip.

    The base fee rises by an eighth with every full block (EIP-1559) and the calldata floor (EIP-7623) makes junk
    dear, so the spammers pay for the delay; the report shows both.

    Parameters
    ----------
    calls : int
    call_bytes : int
        At most 120,000: more does not fit into a transaction.
    """

    def __init__(self, *, calls: int = 20, call_bytes: int = 100_000, **base: Any) -> None:
        super().__init__(**base)
        require_count("block_spam.calls", calls)
        require(1 <= call_bytes <= MOST_CALL_BYTES, "block_spam.call_bytes", call_bytes, "from 1 to 120,000")
        self.calls = calls
        self.call_bytes = call_bytes

    def spam(self, turn: Turn) -> list[int]:
        """Return the sizes of the junk calls to send now."""
        return [self.call_bytes] * self.calls if self.is_attacking(turn.step) else []
