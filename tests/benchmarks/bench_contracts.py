"""Contract calls a second with exact gas: this library against EVMs on the same transactions.

``python tests/benchmarks/bench_contracts.py [--n N] [--calls N] [--anvil PATH]`` plays honest steps of a job,
records the calls, and runs the same ones again on each: the Python contracts, revm (through pyrevm), Foundry's
anvil, py-evm and Ethereum's execution specifications. The slow ones run a part of the calls from the start.
Verifying proofs is left out everywhere: the contracts ask a verifier that hashes.

anvil is a process of its own: up to 64 transactions (the fastest of 8 to 2,000) go there in one JSON-RPC
request over a connection that is kept, a block is mined, its receipts come back; all of this is in its time, and
it hashes blocks and keeps state roots, which nobody else here does. Signatures are checked nowhere. Needs the
``evm`` extra.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "evm")]

from anvil import HOW_TO_GET, Anvil, find_anvil  # noqa: E402
from double import START_S, Double, EelsEvm, Revm, rehearsal_host  # noqa: E402
from pyevm import PyEvm  # noqa: E402
from twins import deploy  # noqa: E402

from contracts_model import Call, Job  # noqa: E402


class Recorder(Double):
    """A stage that keeps its calls and asks no EVM."""

    def __init__(self, n: int, steps: int) -> None:
        super().__init__(Revm(), n=n, steps=steps, validators=2)
        self.calls: list[tuple[Call, int]] = []

    def call(self, who: Any, where: str, *args: Any, value: int = 0, gas: int = 1 << 24) -> Any:
        contract, function = where.split(".")
        sender = who if isinstance(who, bytes) else self.keys[who].address
        call = Call(sender, contract, function, args, value)
        self.calls.append((call, self.now))
        outcome = self.job.execute(call, 0, self.now, 1 << 24)
        self.log.extend(outcome.events)
        return outcome


def record(n: int, calls: int) -> Recorder:
    """Play honest steps until there are so many calls."""
    stage = Recorder(n, steps=10**6)
    stage.until_step(1)
    while len(stage.calls) < calls:
        stage.until_step(stage.current + 1)
    return stage


def in_python(stage: Recorder) -> Callable[[int], None]:
    """Return how to run the first calls on fresh Python contracts."""
    balances = {key.address: 10**30 for key in stage.keys} | {stage.terms.owner: 10**30}
    job = Job(stage.terms, rehearsal_host(), balances, timestamp_s=START_S)

    sent = [(call, 0, now_s, 1 << 24, job.calldata(call)) for call, now_s in stage.calls]

    def run(count: int) -> None:
        for one in sent[:count]:
            assert job.execute(*one).succeeded

    return run


def encoded(stage: Recorder, evm: Any) -> list[tuple[bytes, bytes, bytes, int, int]]:
    """Fund the accounts, deploy the twins; return the calls as an EVM takes them."""
    for account in (*(key.address for key in stage.keys), stage.terms.owner):
        evm.fund(account, 10**30)
    twins = deploy(evm, stage.terms, first_nonce=0)
    return [
        (call.sender, twins.addresses[call.contract], stage.job.calldata(call), call.value_wei, now_s)
        for call, now_s in stage.calls
    ]


def on_evm(stage: Recorder, evm: Any) -> Callable[[int], None]:
    """Return how to run the first calls on fresh twins."""
    calls = encoded(stage, evm)

    def run(count: int) -> None:
        for sent in calls[:count]:
            assert evm.send(*sent)[0]

    return run


def on_anvil(stage: Recorder, anvil: Anvil) -> Callable[[int], None]:
    """Return how to run the first calls on fresh twins, many in a block."""
    calls = encoded(stage, anvil)

    def run(count: int) -> None:
        receipts = anvil.send_all(calls[:count])
        assert [receipt["status"] for receipt in receipts] == ["0x1"] * count

    return run


def main() -> None:
    """Print calls a second and ratios."""
    parser = argparse.ArgumentParser(description="Contract calls a second, against EVMs.")
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--anvil", help="path of Foundry's anvil, where it is not on the PATH")
    options = parser.parse_args()
    stage = record(options.n, options.calls)
    ours = measure("contracts_model (exact gas)", in_python(stage), options.calls)
    measure("revm by pyrevm (gas not exact)", on_evm(stage, Revm()), options.calls, ours)
    if program := find_anvil(options.anvil):
        with closing(Anvil(program)) as anvil:
            measure("anvil by JSON-RPC, Osaka", on_anvil(stage, anvil), min(5_000, options.calls), ours)
    else:
        print(HOW_TO_GET)
    measure("py-evm, Prague", on_evm(stage, PyEvm()), min(400, options.calls), ours)
    measure("execution specifications, Osaka", on_evm(stage, EelsEvm()), min(200, options.calls), ours)


def measure(name: str, run: Callable[[int], None], count: int, ours: float | None = None) -> float:
    """Run so many calls; print and return how many a second."""
    begun = time.perf_counter()
    run(count)
    rate = count / (time.perf_counter() - begun)
    ours = rate if ours is None else ours
    print(f"{name:34} {rate:>10,.0f} calls/s   {ours / rate:>7.2f} times slower than ours", flush=True)
    return rate


if __name__ == "__main__":
    main()
