"""Gas of a job's calls by role and number of peers: ``python -m contracts_model.job_gas [n ...]``.

Honest steps are played with the contracts themselves; proofs are priced as their verifiers over BLS12-381 spend
(:mod:`contracts_model.verification`). Columns are whole transactions: a call whose sender is the last of its
phase also opens the next one. The last two rows are a false accusation's court: a vote, and the vote that
decides and bans.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections import defaultdict
from statistics import median

from contracts_model.classroom import Classroom, HashHost
from contracts_model.job import Outcome
from contracts_model.terms import Withheld
from contracts_model.verification import BLS12_381

SIZES = (8, 16, 32, 64, 128, 256)
ROWS = (
    ("every peer, once", "registry.register", "usual"),
    ("every peer, an epoch", "beacon.deal", "usual"),
    ("contributor", "ledger.commit", "usual"),
    ("contributor, at most", "ledger.commit", "most"),
    ("validator", "ledger.attest", "usual"),
    ("every peer", "ledger.aggregate", "usual"),
    ("who ends the aggregation", "ledger.aggregate", "most"),
    ("every peer", "beacon.reveal", "usual"),
    ("who opens the next step", "beacon.reveal", "most"),
    ("voter", "court.vote", "usual"),
    ("the vote that bans", "court.vote", "most"),
)


class PricedHost(HashHost):
    """Hashes in place of proofs, at the price of proofs."""

    def possession_gas(self) -> int:
        """Return what the verifier spends on a proof of possession."""
        return BLS12_381.possession_gas(52)

    def opening_gas(self) -> int:
        """Return what the verifier spends on an opened secret."""
        return BLS12_381.opening_gas()

    def output_gas(self, recovered: int) -> int:
        """Return what the verifier spends on an output."""
        return BLS12_381.output_gas(recovered)


class Counting(Classroom):
    """A classroom that keeps the gas of every call and says nothing."""

    def __init__(self, peers: int) -> None:
        self.gas: dict[str, list[int]] = defaultdict(list)
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(
                peers, PricedHost(), withheld=Withheld.RECOVER, validators=max(1, peers // 8), steps=8
            )

    def call(self, who: int | bytes, where: str, *args: object, value: int = 0) -> Outcome:
        """Make one call and keep its gas."""
        with contextlib.redirect_stdout(io.StringIO()):
            outcome = super().call(who, where, *args, value=value)
        if not outcome.succeeded:
            raise AssertionError(f"{where}: {outcome.reason}")
        self.gas[where].append(outcome.gas_used)
        return outcome


def measure(peers: int) -> dict[tuple[str, str], int]:
    """Return the median gas of a call in steps 1 to 3, and its most, by function."""
    room = Counting(peers)
    for act in ("register", "deal"):
        room.everybody(act)
    registrations = room.gas.pop("registry.register")
    room.wait()
    room.everybody("reveal")
    room.play_step()
    room.gas.clear()
    room.play_step()
    room.play_step()
    validator, target = room.pairs()[0]
    room.attest(validator, target, honest=False)
    for peer in range(peers // 2 + 1):
        room.vote(peer, 1, [target])
    found = {}
    for where, gas in {**room.gas, "registry.register": registrations}.items():
        found[where, "usual"], found[where, "most"] = int(median(gas)), max(gas)
    return found


def main(arguments: list[str]) -> int:
    """Print the table as Markdown."""
    sizes = [int(text) for text in arguments] or list(SIZES)
    columns = {n: measure(n) for n in sizes}
    print("| who | call | " + " | ".join(f"n = {n}" for n in sizes) + " |")
    print("| --- | --- |" + " ---: |" * len(sizes))
    for who, where, which in ROWS:
        print(f"| {who} | `{where}` | " + " | ".join(f"{columns[n][where, which]:,}" for n in sizes) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
