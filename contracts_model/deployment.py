"""A deployment: contracts that share a machine, the accounts of their users, and the execution of calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from contracts_model.abi import AbiError, as_decoded, decode, decode_known, encode
from contracts_model.computing import computing_gas, count_arguments
from contracts_model.gas import TX_BASE_GAS, Meter, intrinsic_and_floor_gas
from contracts_model.host import Host
from contracts_model.runtime import BURN, Context, Contract, Event, Revert, Wallets
from contracts_model.storage import Machine
from contracts_model.terms import Terms
from contracts_model.treasury import VAULT, Treasury

SELECTOR_BYTES = 4


@dataclass(frozen=True)
class Call:
    """A message to one function of one contract."""

    sender: bytes
    contract: str
    function: str
    args: tuple[Any, ...] = ()
    value_wei: int = 0


class Outcome(NamedTuple):
    """What became of a call: the reason is empty if it succeeded."""

    gas_used: int
    reason: str
    events: tuple[Event, ...]

    @property
    def succeeded(self) -> bool:
        """Whether the call took effect."""
        return not self.reason


@dataclass
class Deployment:
    """Contracts on a chain.

    Parameters
    ----------
    terms : Terms
        The manifest.
    host : Host
        Precompiles.
    balances : dict of bytes to int
        Initial account balances in wei.
    timestamp_s : int
        Time of deployment.
    """

    terms: Terms
    host: Host
    balances: dict[bytes, int]
    timestamp_s: int = 0
    machine: Machine = field(init=False)
    contracts: dict[str, Contract] = field(init=False)
    treasury: Treasury = field(init=False)
    genesis_events: tuple[Event, ...] = field(init=False, default=())
    journal: list[Callable[[], None]] | None = field(init=False, default=None, repr=False, compare=False)
    """Where given, successful calls leave here how to undo them, in order; to be undone last first."""

    def __post_init__(self) -> None:
        self.machine = Machine()
        self.wallets = Wallets(self.machine, dict(self.balances))
        self.minted_wei = sum(self.balances.values())
        self.treasury = Treasury("treasury", self.machine, self.wallets)
        self.contracts = {contract.name: contract for contract in (self.treasury, *self.deploy())}

    def deploy(self) -> tuple[Contract, ...]:
        """Make the contracts beside the treasury."""
        return ()

    def _context(self, call: Call, block_number: int, timestamp_s: int, meter: Meter) -> Context:
        return Context(call.sender, call.value_wei, block_number, timestamp_s, self.host, meter)

    def function_of(self, call: Call) -> Any:
        """Return the bound function a call addresses.

        Raises
        ------
        Revert
            If there is no such external function.
        """
        contract = self.contracts.get(call.contract)
        function = getattr(contract, call.function, None)
        if function is None or not hasattr(function, "abi_types"):
            raise Revert(f"no function {call.contract}.{call.function}")
        return function

    def source_of(self, call: Call) -> str:
        """Return the name of the compiled code that a call runs."""
        return self.contracts[call.contract].source or call.contract

    def calldata(self, call: Call) -> bytes:
        """Return selector and ABI-encoded arguments.

        Raises
        ------
        AbiError
            If the arguments do not fit the signature.
        """
        types = self.function_of(call).abi_types
        signature = f"{call.function}({','.join(types)})".encode()
        return self.host.keccak256(signature)[:SELECTOR_BYTES] + encode(types, call.args)

    def decode_call(self, sender: bytes, contract: str, calldata: bytes, value_wei: int = 0) -> Call:
        """Return the call that `calldata` encodes: the inverse of :meth:`calldata`.

        Raises
        ------
        AbiError
            If no function of the contract has this selector or the arguments are malformed.
        """
        for name in dir(type(self.contracts[contract])):
            types = getattr(getattr(type(self.contracts[contract]), name), "abi_types", None)
            if types is None:
                continue
            selector = self.host.keccak256(f"{name}({','.join(types)})".encode())[:SELECTOR_BYTES]
            if calldata.startswith(selector):
                return Call(sender, contract, name, decode(types, calldata[SELECTOR_BYTES:]), value_wei)
        raise AbiError(f"no function of {contract} has this selector")

    def execute(
        self, call: Call, block_number: int, timestamp_s: int, gas_limit: int, calldata: bytes | None = None
    ) -> Outcome:
        """Run one call; all of its effects happen or none.

        Parameters
        ----------
        call : Call
            What is called.
        block_number, timestamp_s : int
            Of the block.
        gas_limit : int
            How much gas the sender pays for at most.
        calldata : bytes, optional
            :meth:`calldata` of the call, where it is known already.

        Returns
        -------
        Outcome
            With ``reason`` set when the call reverted, ran out of gas or was malformed.
        """
        meter = Meter(gas_limit, accounts={call.contract, call.sender})
        context = self._context(call, block_number, timestamp_s, meter)
        try:
            calldata = self.calldata(call) if calldata is None else calldata
        except (AbiError, Revert) as error:
            return Outcome(min(TX_BASE_GAS, gas_limit), str(error) or "malformed call", ())
        intrinsic_gas, floor_gas = intrinsic_and_floor_gas(calldata)
        if max(intrinsic_gas, floor_gas) > gas_limit:
            return Outcome(gas_limit, "out of gas", ())
        meter.charge(intrinsic_gas)
        self.machine.meter = meter
        try:
            reason = self._run(call, context, calldata)
        finally:
            self.machine.meter = None
        meter.charge(computing_gas(self.source_of(call), call.function, reason, meter.counts))
        if meter.used > gas_limit:
            reason = "out of gas"
        if reason:
            meter.rollback()
            meter.refund = 0
            context.events.clear()
        if self.journal is not None:
            self.journal.extend(partial(state.restore, values) for state, values in meter.undo)
        gas_used = gas_limit if reason == "out of gas" else meter.settle(floor_gas)
        return Outcome(gas_used, reason, tuple(context.events))

    def _run(self, call: Call, context: Context, calldata: bytes) -> str:
        """Return the reason of failure, or an empty string."""
        function = self.function_of(call)
        if call.value_wei and not getattr(function, "is_payable", False):
            return "this function takes no value"
        types = function.abi_types
        arguments = as_decoded(types, call.args) or decode_known(types, calldata, SELECTOR_BYTES)
        count_arguments(context.meter, types, arguments)
        try:
            function(context, *arguments)
        except Revert as revert:
            return revert.reason
        return ""

    def check_conservation(self) -> None:
        """Check that no wei appeared or vanished.

        Raises
        ------
        AssertionError
            If balances and bookings disagree.
        """
        total = sum(self.wallets.balances.values())
        assert total == self.minted_wei, f"{total} wei exist, {self.minted_wei} were minted"
        held = self.treasury.held_wei()
        assert self.wallets.of(VAULT) == held, f"the vault holds {self.wallets.of(VAULT)}, books say {held}"
        burned = self.treasury.totals.data.get("burned", 0)
        assert self.wallets.of(BURN) == burned, "burned money is missing"
