"""The same transactions on Foundry's anvil (Osaka), a process of its own that is asked by JSON-RPC over HTTP.

Whole transactions in blocks, with receipts, so gas is what a sender pays; nothing tells it before refunds.
Senders are impersonated and gas is free. ``npm install -g @foundry-rs/anvil`` brings a compiled program.

References
----------
Foundry Book, *anvil* (options and methods); Ethereum JSON-RPC specification.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from http.client import HTTPConnection
from itertools import groupby, islice
from typing import Any
from weakref import finalize

from eels import COINBASE, ERROR_SELECTOR
from eth_abi import decode
from twins import OWNER

GAS = 1 << 24
RICH_WEI = 10**30
START_S = 1_000
PATIENCE_S = 30.0
BLOCK_GAS = 1 << 50
BLOCK_CALLS = 64

HOW_TO_GET = "there is no anvil on the PATH: npm install -g @foundry-rs/anvil"

Sent = tuple[bytes, bytes, bytes, int, int]
"""Sender, account called, calldata, value in wei, time in seconds."""


def find_anvil(given: str | None = None) -> str | None:
    """Return the program's path, as given or on the PATH; None where there is none."""
    return shutil.which(given or "anvil")


class Anvil:
    """A chain in memory, mined on demand.

    Parameters
    ----------
    program : str
        Path of anvil.

    Raises
    ------
    RuntimeError
        If it does not answer in time.
    """

    has_gas = True

    def __init__(self, program: str) -> None:
        self._port = _free_port()
        options = {"port": self._port, "hardfork": "osaka", "timestamp": START_S, "gas-limit": BLOCK_GAS}
        options |= {"block-base-fee-per-gas": 0, "gas-price": 0, "accounts": 1, "order": "fees"}
        flags = ("no-mining", "auto-impersonate", "disable-min-priority-fee", "enable-tx-gas-limit")
        words = [f"--{name}={value}" for name, value in options.items()] + [f"--{name}" for name in flags]
        self._process = subprocess.Popen(
            [program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._http = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        self.close = finalize(self, _stop, self._process, self._http)
        self._wait(program)
        self.ask("anvil_setCoinbase", _hex(COINBASE))  # by default address 0, where slashed money goes: warm
        self.fund(OWNER, RICH_WEI)

    def _wait(self, program: str) -> None:
        """Return when the program answers."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                self.ask("eth_chainId")
                return
            except OSError:
                self._http.close()
                time.sleep(0.05)
        self.close()
        raise RuntimeError(f"{program} does not answer on port {self._port}; is it anvil, 1.7 or later?")

    def ask(self, method: str, *arguments: Any) -> Any:
        """Return what a method answers."""
        return self._post(_request(0, method, arguments))["result"]

    def _post(self, body: Any) -> Any:
        self._http.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
        answer = json.loads(self._http.getresponse().read())
        failed = [each for each in (answer if isinstance(answer, list) else [answer]) if "error" in each]
        assert not failed, failed[0]
        return answer

    def fund(self, account: bytes, wei: int) -> None:
        """Set an account's balance."""
        self.ask("anvil_setBalance", _hex(account), hex(wei))

    def deploy(self, init_code: bytes) -> bytes:
        """Create a contract as OWNER; return its address."""
        self.ask("eth_sendTransaction", _transaction(OWNER, None, init_code, 0, price_wei=0))
        (receipt,) = self._mine(START_S)
        assert receipt["status"] == "0x1", receipt
        return _raw(receipt["contractAddress"])

    def send(self, sender: bytes, to: bytes, data: bytes, value: int, time_s: int) -> tuple[bool, str, list, int]:
        """Run a transaction in a block of its own; return success, reason, logs and gas used."""
        self.ask("eth_sendTransaction", _transaction(sender, to, data, value, price_wei=0))
        (receipt,) = self._mine(time_s)
        self.spent = int(receipt["gasUsed"], 16)
        logs = [_log(entry) for entry in receipt["logs"]]
        succeeded = receipt["status"] == "0x1"
        return succeeded, "" if succeeded else self._reason(receipt["transactionHash"]), logs, self.spent

    def _reason(self, transaction: str) -> str:
        """Return the text that a transaction reverted with."""
        trace = self.ask("debug_traceTransaction", transaction, {"tracer": "callTracer"})
        output = _raw(trace.get("output", "0x"))
        return str(decode(["string"], output[4:])[0]) if output[:4] == ERROR_SELECTOR else ""

    def send_all(self, calls: Iterable[Sent]) -> list[dict[str, Any]]:
        """Run transactions in blocks of one time each; return their receipts in order.

        A block's transactions come in one request, whose parts anvil may take in any order. What orders them in
        the block is what they pay: each a wei a gas less than the one before.
        """
        receipts: list[dict[str, Any]] = []
        self._nonces: dict[bytes, int] = {}
        for time_s, group in groupby(calls, key=lambda call: call[4]):
            while block := list(islice(group, BLOCK_CALLS)):
                self._post([self._sending(call, len(block) - place) for place, call in enumerate(block)])
                receipts += self._mine(time_s)
        return receipts

    def _sending(self, call: Sent, price_wei: int) -> dict[str, Any]:
        """Return the request that sends a transaction, its sender's next."""
        sender = call[0]
        nonce = self._nonces[sender] if sender in self._nonces else self._sent_by(sender)
        self._nonces[sender] = nonce + 1
        fields = _transaction(*call[:4], price_wei=price_wei) | {"nonce": hex(nonce)}
        return _request(nonce, "eth_sendTransaction", [fields])

    def _sent_by(self, sender: bytes) -> int:
        return int(self.ask("eth_getTransactionCount", _hex(sender), "latest"), 16)

    def _mine(self, time_s: int) -> Sequence[dict[str, Any]]:
        """Mine what waits; return its receipts."""
        self.ask("evm_mine", time_s)
        found: Sequence[dict[str, Any]] = self.ask("eth_getBlockReceipts", "latest")
        return found

    def storage(self, account: bytes, slot: int) -> int:
        """Return the value of a storage slot."""
        return int(self.ask("eth_getStorageAt", _hex(account), hex(slot), "latest"), 16)

    def balance(self, account: bytes) -> int:
        """Return an account's balance in wei."""
        return int(self.ask("eth_getBalance", _hex(account), "latest"), 16)


def _stop(process: subprocess.Popen[bytes], http: HTTPConnection) -> None:
    """End the program and what it started: npm's is a launcher."""
    http.close()
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(timeout=5)
            return
        except ProcessLookupError:
            process.wait()
            return
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _request(number: int, method: str, arguments: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(arguments)}


def _transaction(sender: bytes, to: bytes | None, data: bytes, value: int, price_wei: int) -> dict[str, str]:
    fields = {"from": _hex(sender), "input": _hex(data), "value": hex(value), "gas": hex(GAS)}
    return fields | {"gasPrice": hex(price_wei)} | ({"to": _hex(to)} if to else {})


def _log(entry: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    """Return account, topic and data of a log entry."""
    return _raw(entry["address"]), _raw(entry["topics"][0]), _raw(entry["data"])


def _raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
