"""Level 0 on chain: hashes, rules and signatures of every block, and every call executed again.

The auditor deploys the contracts itself and feeds them the published calls. What a receipt says must be what
comes out: outcome, reason, gas and events. So a ban that is missing, a value of the beacon that was not opened,
or a call in another place shows at the first receipt that differs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from contracts_model.abi import AbiError
from contracts_model.accounts import Accounts
from contracts_model.deployment import Deployment, Outcome
from contracts_model.runtime import Event, Revert
from contracts_model.snapshot import state_digest
from simdfl.auditing.facts import Facts
from simdfl.auditing.findings import Findings
from simdfl.auditing.published import Published, as_bytes, as_wei, as_whole
from simdfl.auditing.timing import time_rule
from simdfl.canonical import canonical_json
from simdfl.crypto.encoding import Writer
from simdfl.crypto.hashing import digest
from simdfl.crypto.signatures import recover

TIPS = b"simdfl-proposer-acct"
BURNT_FEES = b"simdfl-basefee-burnt"
DATA_FEES = b"simdfl-l1-data-fees-"
SIGNATURE_BYTES = 65

Tick = Callable[[int], None]


def next_base_fee(base_fee_wei: int, gas_used: int, gas_limit: int) -> int:
    """Return the base fee of the block after (EIP-1559): an eighth up or down at most.

    >>> next_base_fee(800, 100, 100), next_base_fee(800, 0, 100), next_base_fee(800, 50, 100)
    (900, 700, 800)
    """
    target = gas_limit // 2
    step = base_fee_wei * abs(gas_used - target) // target // 8
    if gas_used > target:
        return base_fee_wei + max(1, step)
    return base_fee_wei - step


def events_json(events: tuple[Event, ...]) -> list[dict[str, Any]]:
    """Return events as they are published; bytes in hexadecimal."""
    return [
        {
            "contract": event.contract,
            "name": event.name,
            "fields": {k: v.hex() if isinstance(v, bytes) else v for k, v in event.fields.items()},
        }
        for event in events
    ]


def receipt_hash(receipt: dict[str, Any]) -> bytes:
    """Return the hash by which a block binds a receipt, as published."""
    events = [event["name"].encode() + canonical_json(event["fields"]) for event in receipt["events"]]
    return digest(
        "simdfl/receipt",
        as_bytes("signature", receipt["signature"]),
        as_bytes("calldata", receipt["calldata"]),
        as_whole("gas_used", receipt["gas_used"]).to_bytes(8, "little"),
        receipt["reason"].encode(),
        *events,
    )


def block_hash(block: dict[str, Any], parent: bytes) -> bytes:
    """Return the hash of a block on a parent."""
    numbers = [as_whole("header", block["number"]), as_whole("header", block["timestamp_s"])]
    numbers.append(as_wei("header", block["base_fee_wei"]))
    if block["outside_gas"] or "leader" in block:
        numbers.append(as_whole("header", block["outside_gas"]))
    if "leader" in block:
        numbers.append(as_whole("header", block["leader"]))
    header = b"".join(number.to_bytes(16, "little") for number in numbers)
    return digest("simdfl/block", header, parent, *map(receipt_hash, block["transactions"]))


class ChainAudit:
    """One chain, executed from its genesis.

    Parameters
    ----------
    published : Published
        The run folder.
    name : str
        ``chain`` or ``base``.
    findings : Findings
        Receives what is found.
    """

    def __init__(self, published: Published, name: str, findings: Findings) -> None:
        self._published = published
        self.name = name
        self._findings = findings
        self._record: dict[str, Any] = published.deployment["chains"][name]
        self.job: Deployment = published.deploy(name)
        self.facts = Facts()
        self.accounts = Accounts(published.terms)
        self.chain_id = digest("simdfl/chain", name.encode(), published.job_digest)
        self._nonces: dict[bytes, int] = defaultdict(int)
        self._base_fee_wei = as_wei("base_fee_wei", self._record["base_fee_wei"])
        self._times = time_rule(name, self._record["source"], self._record["block_time_s"])
        self._last = (0, -1, self.chain_id)
        for event in self.job.genesis_events:
            self.facts.record(event)

    def run(self, tick: Tick) -> Facts:
        """Read and execute all blocks; return what the contracts decided."""
        for block in self._published.blocks(self.name):
            self._check_block(block)
            tick(self.facts.step)
        self._check_end()
        return self.facts

    def _require(self, check: str, holds: object, place: str, what: str) -> bool:
        return self._findings.require(check, holds, self.facts.step, place, what)

    def _check_block(self, block: dict[str, Any]) -> None:
        number, timestamp_s = (as_whole("block", block[key]) for key in ("number", "timestamp_s"))
        last, last_s, parent = self._last
        place = f"{self.name} block {number}"
        own = block_hash(block, parent)
        is_bound = block["parent"] == parent.hex() and block["hash"] == own.hex()
        self._require("block hashes", is_bound, place, "the hash does not bind header, receipts and parent")
        in_time = timestamp_s >= last_s
        if not self._record["is_channel"]:
            in_time = self._times.accepts(timestamp_s) and in_time
        self._require("block rules", number == last + 1 and in_time, place, "out of order or out of time")
        self._check_maker(place, block)
        fee = as_wei("base_fee_wei", block["base_fee_wei"])
        self._require("block rules", fee == self._base_fee_wei, place, "not the base fee that demand gives")
        gas_used = sum(
            self._check_transaction(receipt, number, position, timestamp_s)
            for position, receipt in enumerate(block["transactions"])
        )
        limit = self._record["gas_limit"]
        outside_gas = as_whole("outside_gas", block["outside_gas"])
        alone = outside_gas == 0 or self._record["is_shared"]
        self._require("block rules", alone, place, "gas of others on a chain where the job is alone")
        gas_used += outside_gas
        fits = block["gas_used"] == gas_used <= limit
        self._require(
            "block rules", fits, place, "not the gas that its calls and others used, or above the limit"
        )
        self._base_fee_wei = next_base_fee(self._base_fee_wei, gas_used, limit)
        self._last = (number, timestamp_s, own)
        self.facts.block_hashes.add(own)

    def _check_maker(self, place: str, block: dict[str, Any]) -> None:
        """Check who made a block, and the order that its builder gave it."""
        is_led = self._times.leads(block.get("leader"))
        self._require("block rules", is_led, place, "not by the leader who was elected for its slot")
        calls = []
        for r in block["transactions"]:
            cap, tip = (as_wei(place, r[key]) for key in ("max_fee_wei", "priority_fee_wei"))
            sender, nonce = as_bytes(place, r["sender"], 20), as_whole(place, r["nonce"])
            calls.append((sender, nonce, min(tip, cap - self._base_fee_wei)))
        in_order = self._times.is_in_order(calls)
        self._require("block rules", in_order, place, "not in the order of the builder who bid most")

    def _check_transaction(self, r: dict[str, Any], number: int, position: int, timestamp_s: int) -> int:
        """Check one call and execute it; return the gas that it used."""
        place = f"{self.name} block {number}, call {position} ({r['contract']}.{r['function']})"
        sender = as_bytes(place, r["sender"], 20)
        body = self._body(place, r)
        signed = recover(digest("simdfl/transaction", self.chain_id, body), as_bytes(place, r["signature"]))
        data_wei = (len(body) + SIGNATURE_BYTES) * self._record["source"]["params"].get("l1_fee_wei_per_byte", 0)
        self._require("transaction signatures", signed == sender, place, "not signed by its sender")
        fee, cap, tip = (as_wei(place, r[key]) for key in ("fee_wei", "max_fee_wei", "priority_fee_wei"))
        in_place = (r["block"], r["position"], r["nonce"]) == (number, position, self._nonces[sender])
        priced = cap >= self._base_fee_wei and as_whole(place, r["gas_limit"]) <= self._record["tx_gas_cap"]
        self._require("block rules", in_place, place, "another place or nonce than its turn")
        self._require("block rules", priced, place, "outside what the chain includes")
        self._nonces[sender] = as_whole(place, r["nonce"]) + 1
        outcome = self._execute(place, r, sender, number, timestamp_s, data_wei)
        self.facts.calls[f"{r['contract']}.{r['function']}"] += 1
        tip_wei = min(tip, max(0, cap - self._base_fee_wei))
        self._require(
            "block rules",
            fee == outcome.gas_used * (self._base_fee_wei + tip_wei) + data_wei,
            place,
            "another fee than gas and prices give",
        )
        self._pay(place, sender, outcome.gas_used, tip_wei, data_wei)
        gas_fee_wei = outcome.gas_used * (self._base_fee_wei + tip_wei)
        self.accounts.record(sender, as_wei(place, r["value_wei"]), gas_fee_wei, data_wei, outcome.events)
        return outcome.gas_used

    def _body(self, place: str, r: dict[str, Any]) -> bytes:
        """Return the bytes of a transaction that are signed."""
        writer = Writer()
        for key in ("nonce", "gas_limit"):
            writer = writer.u64(as_whole(place, r[key]))
        for key in ("max_fee_wei", "priority_fee_wei"):
            writer = writer.u64(as_wei(place, r[key], 64))
        writer = writer.var(str(r["contract"]).encode())
        writer = writer.raw(as_wei(place, r["value_wei"]).to_bytes(32, "little"))
        return writer.var(as_bytes(place, r["calldata"])).done()

    def _execute(
        self, place: str, r: dict[str, Any], sender: bytes, number: int, timestamp_s: int, data_wei: int
    ) -> Outcome:
        value_wei = as_wei(place, r["value_wei"])
        try:
            calldata = as_bytes(place, r["calldata"])
            call = self.job.decode_call(sender, r["contract"], calldata, value_wei)
        except (AbiError, KeyError, TypeError, Revert):
            self._require("receipts", False, place, "calldata that no function of this contract has")
            return Outcome(0, "", ())
        gas_limit = as_whole(place, r["gas_limit"])
        most_wei = gas_limit * as_wei(place, r["max_fee_wei"]) + value_wei + data_wei
        can_pay = self.job.wallets.of(sender) >= most_wei
        self._require("block rules", can_pay, place, "its sender could not have paid for it")
        outcome = self.job.execute(call, number, timestamp_s, gas_limit, calldata)
        claimed = (r["function"], r["reason"], r["gas_used"], canonical_json(r["events"]))
        own = (call.function, outcome.reason, outcome.gas_used, canonical_json(events_json(outcome.events)))
        if claimed != own:
            self._require("receipts", False, place, _difference(claimed, own))
        else:
            self._require("receipts", True, place, "")
        for event in outcome.events:
            self.facts.record(event)
        return outcome

    def _pay(self, place: str, sender: bytes, gas_used: int, tip_wei: int, data_wei: int) -> None:
        try:
            self.job.wallets.move(sender, BURNT_FEES, gas_used * self._base_fee_wei)
            self.job.wallets.move(sender, TIPS, gas_used * tip_wei)
            self.job.wallets.move(sender, DATA_FEES, data_wei)
        except Revert:
            self._require("balances", False, place, "its sender cannot pay the fee")

    def _check_end(self) -> None:
        place = f"{self.name}, after block {self._last[0]}"
        objection = self._times.objection()
        self._require("block rules", not objection, place, objection)
        try:
            self.job.check_conservation()
            self._require("balances", True, place, "")
        except AssertionError as error:
            self._require("balances", False, place, str(error))
        for peer, (member, account) in enumerate(zip(self.job.terms.members, self.accounts.peers)):
            own = self.job.wallets.of(member) == self.job.balances.get(member, 0) + account.paid_wei
            self._require("balances", own, place, f"the books of peer {peer} do not give its balance")
        same = state_digest(self.job).hex() == self._record["final_state"]
        self._require("contract state", same, place, "slots and balances differ from the published digest")
        head = self._published.index["heads"].get("chain" if self.name == "chain" else "base_chain")
        self._require("block hashes", head == self._last[2].hex(), place, "not the head that the index names")


def _difference(claimed: tuple[Any, ...], own: tuple[Any, ...]) -> str:
    """Return in words what of a receipt differs from the auditor's own execution."""
    names = ("function", "reason", "gas", "events")
    for name, theirs, ours in zip(names, claimed, own):
        if theirs != ours:
            return f"executed again it gives other {name}: {str(ours)[:99]!r}, published is {str(theirs)[:99]!r}"
    return ""
