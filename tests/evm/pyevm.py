"""The same transactions on py-evm (Prague), for comparisons of speed; balances and gas fees are not kept."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from eth import constants
    from eth.db.atomic import AtomicDB
    from eth.vm.execution_context import ExecutionContext
    from eth.vm.forks.prague.computation import PragueComputation
    from eth.vm.forks.prague.state import PragueState
    from eth.vm.message import Message
    from eth.vm.transaction_context import BaseTransactionContext

from twins import OWNER, created

GAS = 1 << 24
RICH_WEI = 10**30


class PyEvm:
    """An EVM that runs messages one after the other."""

    def __init__(self) -> None:
        context = ExecutionContext(b"\xc0" * 20, 1_000, 1, 0, bytes(32), 60_000_000, [], 1, 0, 0)
        self.state = PragueState(AtomicDB(), context, constants.BLANK_ROOT_HASH)
        self.fund(OWNER, RICH_WEI)
        self._deployed = 0

    def fund(self, account: bytes, wei: int) -> None:
        """Set an account's balance."""
        self.state.set_balance(account, wei)

    def deploy(self, init_code: bytes) -> bytes:
        """Create a contract as OWNER; return its address."""
        address = created(OWNER, self._deployed)
        self._deployed += 1
        message = Message(GAS, b"", OWNER, 0, b"", init_code, create_address=address)
        made = PragueComputation.apply_create_message(self.state, message, BaseTransactionContext(0, OWNER))
        assert made.is_success, made.error
        return address

    def send(self, sender: bytes, to: bytes, data: bytes, value: int, time_s: int) -> tuple[bool, str, list, int]:
        """Run a message; return success, the error, no logs, and the gas of its execution."""
        self.state.lock_changes()
        self.state.execution_context._timestamp = time_s
        message = Message(GAS, to, sender, value, data, self.state.get_code(to))
        made = PragueComputation.apply_message(self.state, message, BaseTransactionContext(0, sender))
        return made.is_success, str(made.error) if made.is_error else "", [], made.get_gas_used()
