"""A stage on which every call is made twice: to the contracts in Python and to their compiled twins on an EVM."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import eels
from rehearsal import RehearsalHost, Scheme
from twins import OWNER, REHEARSAL, Twins, as_logged, deploy, value_word

from contracts_model import Call, Job, Outcome
from contracts_model.computing import computing_gas
from contracts_model.snapshot import storage_of
from contracts_model.treasury import VAULT
from simdfl.crypto.signatures import Keypair

sys.path.append(str(Path(__file__).parents[1] / "contracts"))
from contract_stage import DEPOSIT, POT, Stage, h, make_terms


@dataclass(frozen=True)
class Measured:
    """What a call to some code cost: here without arithmetic and memory, on the EVM before refunds and after."""

    code: str
    call: Call
    outcome: Outcome
    counts: dict[str, int]
    priced: int
    spent: int
    gas_used: int

    def is_equal(self) -> bool:
        """Return whether both paid the same."""
        return self.outcome.gas_used == self.gas_used


STRANGER = Keypair.from_seed(h("stranger")).address
START_S = 1_000
RICH = 10**30


class EelsEvm:
    """Ethereum's execution specifications, with exact gas."""

    has_gas = True

    def __init__(self) -> None:
        self.chain = eels.Chain(time_s=START_S)
        self.chain.fund(OWNER, RICH)

    def fund(self, account: bytes, wei: int) -> None:
        self.chain.fund(account, wei)

    def deploy(self, init_code: bytes) -> bytes:
        receipt = self.chain.deploy(init_code, sender=OWNER)
        assert receipt.success, receipt.error
        return receipt.contract

    def send(self, sender: bytes, to: bytes, data: bytes, value: int, time_s: int) -> tuple[bool, str, list, int]:
        """Return success, reason, logs as (account, topic, data), and gas before refunds, with refunds taken."""
        self.chain.time_s = time_s
        receipt = self.chain.transact(to, data, sender=sender, value=value)
        self.spent = receipt.spent
        logs = [(bytes(log.address), bytes(log.topics[0]), bytes(log.data)) for log in receipt.logs]
        return receipt.success, receipt.error, logs if receipt.success else [], receipt.gas_used

    def storage(self, account: bytes, slot: int) -> int:
        return self.chain.storage(account, slot)

    def put(self, account: bytes, slot: int, value: int) -> None:
        self.chain.put(account, slot, value)

    def balance(self, account: bytes) -> int:
        return self.chain.balance(account)


class Revm:
    """revm: fast, right in states and logs; its gas is wrong after the first transaction (slots stay warm)."""

    has_gas = False

    def __init__(self) -> None:
        import pyrevm

        self.evm = pyrevm.EVM(gas_limit=1 << 40, spec_id="PRAGUE")
        self.evm.set_block_env(pyrevm.BlockEnv(timestamp=START_S))
        self.fund(OWNER, RICH)
        self._pyrevm = pyrevm

    def fund(self, account: bytes, wei: int) -> None:
        self.evm.set_balance(_hex(account), wei)

    def deploy(self, init_code: bytes) -> bytes:
        return bytes.fromhex(self.evm.deploy(_hex(OWNER), init_code)[2:])

    def send(self, sender: bytes, to: bytes, data: bytes, value: int, time_s: int) -> tuple[bool, str, list, int]:
        self.evm.set_block_env(self._pyrevm.BlockEnv(timestamp=time_s))
        try:
            self.evm.message_call(_hex(sender), _hex(to), calldata=data, value=value, gas=1 << 24)
        except RuntimeError as error:
            return False, _reason(str(error)), [], 0
        logs = [
            (bytes.fromhex(log.address[2:]), bytes.fromhex(log.topics[0][2:]), bytes(log.data[1]))
            for log in self.evm.result.logs
        ]
        return True, "", logs, 0

    def storage(self, account: bytes, slot: int) -> int:
        return int(self.evm.storage(_hex(account), slot))

    def balance(self, account: bytes) -> int:
        return int(self.evm.get_balance(_hex(account)))


def _hex(account: bytes) -> str:
    from eth_utils import to_checksum_address

    return to_checksum_address(account)


def _reason(message: str) -> str:
    """Return the revert's text out of revm's message, which shows the output in hex."""
    start = message.find("0x08c379a0")
    if start < 0:
        return "" if "Revert" in message else message
    raw = bytes.fromhex(message[start + 10 :].split('"')[0].split(" ")[0].split(",")[0].rstrip(")}"))
    size = int.from_bytes(raw[32:64], "big")
    return raw[64 : 64 + size].decode()


@cache
def rehearsal_host() -> RehearsalHost:
    """Return a host that asks a compiled verifier for prices; one for all stages, since it remembers them."""
    pricing = eels.Chain()
    return RehearsalHost(pricing, pricing.deploy(eels.compile_vyper(REHEARSAL).init_code).contract)


class Double(Stage):
    """A job in Python and on an EVM; any difference between the two is a failure."""

    def __init__(self, evm: Any, n: int = 6, **changed: Any) -> None:
        self.keys = [Keypair.from_seed(h("peer", peer)) for peer in range(n)]
        self.scheme = Scheme()
        self.terms = make_terms(self.keys, **changed)
        self.beacon_keys = [self.scheme.make_key(h("beacon", peer)) for peer in range(n)]
        balances = {key.address: 10 * DEPOSIT for key in self.keys}
        balances |= {self.terms.owner: POT, STRANGER: 10 * DEPOSIT}
        self.evm = evm
        for account, wei in balances.items():
            evm.fund(account, wei)
        self.now = START_S
        self.transcripts, self.secrets = {}, {}
        self.made: list[str] = []
        self.rows: list[Measured] = []
        self.job, self.twins = self._deploy(balances)
        self.log = list(self.job.genesis_events)
        self.contract_at = {address: name for name, address in self.twins.addresses.items()}

    def _deploy(self, balances: dict[bytes, int]) -> tuple[Any, Twins]:
        """Deploy both versions of the contracts."""
        job = Job(self.terms, rehearsal_host(), balances, timestamp_s=START_S)
        return job, deploy(self.evm, self.terms, first_nonce=0)

    def call(self, who: int | bytes, where: str, *args: Any, value: int = 0, gas: int = 1 << 24) -> Outcome:
        contract, function = where.split(".")
        sender = who if isinstance(who, bytes) else self.keys[who].address
        call = Call(sender, contract, function, args, value)
        outcome, meter = _watched(self.job, call, self.now)
        self.log.extend(outcome.events)
        self.made.append(where)
        self._run_on_evm(call, outcome, meter)
        return outcome

    def _run_on_evm(self, call: Call, outcome: Outcome, meter: Any) -> None:
        to, data = self.twins.addresses[call.contract], self.job.calldata(call)
        success, reason, logs, gas_used = self.evm.send(call.sender, to, data, call.value_wei, self.now)
        self._compare(call, outcome, success, reason, logs, meter)
        if self.evm.has_gas:
            code = self.job.source_of(call)
            priced = computing_gas(code, call.function, outcome.reason, meter.counts)
            row = Measured(code, call, outcome, dict(meter.counts), meter.used - priced, self.evm.spent, gas_used)
            self.rows.append(row)

    def _compare(self, call: Call, outcome: Outcome, success: bool, reason: str, logs: list, meter: Any) -> None:
        expected = "" if outcome.reason == "this function takes no value" else outcome.reason
        told = "" if reason == "Revert" else reason
        assert (success, told) == (outcome.succeeded, expected), (call, outcome.reason, reason)
        seen = [self.twins.read_log(self.contract_at[account], topic, data) for account, topic, data in logs]
        assert seen == [as_logged(event) for event in outcome.events], (call, seen, outcome.events)
        stored = {slots.name: slots for slots in storage_of(self.job)}
        for name, slots in stored.items():
            for key in slots.touched(meter):
                account, slot = self.twins.slot_of(name, key)
                mine = value_word(name, slots.data.get(key, 0))
                assert self.evm.storage(account, slot) == mine, (call, name, key)
        assert self.evm.balance(self.twins.addresses["treasury"]) == self.job.wallets.of(VAULT)
        assert self.evm.balance(call.sender) == self.job.wallets.of(call.sender)


def _watched(job: Any, call: Call, now: int) -> tuple[Outcome, Any]:
    """Execute a call; return what became of it, and its meter."""
    meters: list[Any] = []
    context = job._context

    def keep(call: Call, block_number: int, timestamp_s: int, meter: Any) -> Any:
        meters.append(meter)
        return context(call, block_number, timestamp_s, meter)

    job._context = keep
    try:
        return job.execute(call, 0, now, 1 << 24), meters[0]
    finally:
        del job._context


class Sampled(Double):
    """A double whose EVM sees only calls of a kind that it has not seen often; the state is carried over before.

    So a long play costs little, and rare paths are all measured.
    """

    def __init__(self, seen: Counter[Any], often: int, n: int = 6, **changed: Any) -> None:
        super().__init__(EelsEvm(), n, **changed)
        self.seen, self.often = seen, often
        self._carried: dict[tuple[bytes, int], int] = self._state()

    def call(self, who: int | bytes, where: str, *args: Any, value: int = 0, gas: int = 1 << 24) -> Outcome:
        contract, function = where.split(".")
        sender = who if isinstance(who, bytes) else self.keys[who].address
        call = Call(sender, contract, function, args, value)
        self.job.journal = []
        outcome, meter = _watched(self.job, call, self.now)
        kind = (where, outcome.reason, tuple(sorted(meter.counts.items())))
        self.seen[kind] += 1
        if self.seen[kind] <= self.often:
            while self.job.journal:
                self.job.journal.pop()()
            self._carry()
            outcome, meter = _watched(self.job, call, self.now)
            self._run_on_evm(call, outcome, meter)
            self._carried = self._state()
        self.log.extend(outcome.events)
        self.made.append(where)
        return outcome

    def _state(self) -> dict[tuple[bytes, int], int]:
        found = {}
        for slots in storage_of(self.job):
            for key, value in slots.data.items():
                found[self._slot(slots.name, key)] = value_word(slots.name, value)
        return found

    def _slot(self, name: str, key: Any) -> tuple[bytes, int]:
        cached = self.__dict__.setdefault("_slots", {})
        if (name, key) not in cached:
            cached[name, key] = self.twins.slot_of(name, key)
        return cached[name, key]

    def _carry(self) -> None:
        """Give the EVM the state that Python has."""
        state = self._state()
        for place in self._carried.keys() | state.keys():
            if self._carried.get(place) != state.get(place):
                self.evm.put(*place, state.get(place, 0))
        for account, wei in self.job.wallets.balances.items():
            self.evm.fund(self.twins.addresses["treasury"] if account == VAULT else account, wei)
