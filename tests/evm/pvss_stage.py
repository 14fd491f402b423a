"""A ring of receivers, a dealer's transcript and the verifier contract that judges both, for either curve."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import eels

import contracts_model
from simdfl.crypto import dleq
from simdfl.crypto.groups import Group, Point, get_group
from simdfl.crypto.keys import derive_secret_key, public_key
from simdfl.crypto.sharing import SHARINGS, opening
from simdfl.crypto.sharing.polynomial import evaluate

VYPER = Path(contracts_model.__file__).parent / "vyper"
CONTEXT = b"job digest, output and dealer in forty-eight byte"[:48]
SEED = b"\x07" * 32
LOW_WORD = (1 << 256) - 1
CURVES = ("bn254", "bls12_381")
BLS_FIELD = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)


@dataclass(frozen=True)
class Curve:
    """How one curve's elements are encoded for its verifier."""

    name: str
    group: Group = field(compare=False)

    @property
    def element_type(self) -> str:
        return "bytes32" if self.name == "bn254" else "bytes"

    @property
    def y_type(self) -> str:
        return "uint256" if self.name == "bn254" else "uint256[2]"

    @property
    def source(self) -> Path:
        return VYPER / f"pvss_{self.name.replace('_', '')}.vy"

    def y(self, element: bytes) -> Any:
        """Return the hint that belongs to an element."""
        point = self.group.decode(element, allow_identity=True)
        if self.name == "bn254":
            return self.group.affine(point)[1]  # type: ignore[attr-defined]
        return self.words(int.from_bytes(point.to_xy_bytes_be()[48:], "big"))

    def words(self, y: int) -> Any:
        """Return a field element as the verifier takes it."""
        return y if self.name == "bn254" else (y >> 256, y & LOW_WORD)


@cache
def get_curve(name: str) -> Curve:
    return Curve(name, get_group(name))


@cache
def verifier(name: str) -> tuple[eels.Chain, bytes]:
    """Return a chain with the curve's verifier, deployed once."""
    chain = eels.Chain()
    made = chain.deploy(eels.compile_vyper(get_curve(name).source).init_code)
    assert made.success
    return chain, made.contract


@dataclass(frozen=True)
class Stage:
    """n receivers, one dealing with threshold t, and calls to the verifier about it."""

    curve: Curve
    n: int
    threshold: int
    context: bytes = CONTEXT

    @property
    def group(self) -> Group:
        return self.curve.group

    @cached_property
    def secret_keys(self) -> list[int]:
        return [derive_secret_key(self.group, i.to_bytes(32, "big")) for i in range(self.n)]

    @cached_property
    def public_keys(self) -> list[Point]:
        return [public_key(self.group, key) for key in self.secret_keys]

    @cached_property
    def keys(self) -> list[bytes]:
        return [self.group.encode(key) for key in self.public_keys]

    @cached_property
    def dealing(self):
        return SHARINGS["ldei"].deal(self.group, self.context, self.public_keys, self.threshold, SEED)

    @property
    def transcript(self) -> bytes:
        return self.dealing.transcript

    def is_valid(self, transcript: bytes) -> bool:
        """Return simdfl's own verdict."""
        return SHARINGS["ldei"].verify(self.group, self.context, self.public_keys, self.threshold, transcript)

    def elements(self, transcript: bytes) -> list[bytes]:
        size = self.group.element_bytes
        return [transcript[at : at + size] for at in range(0, size * (self.n + 1), size)]

    def response(self, transcript: bytes) -> list[int]:
        start = self.group.element_bytes * (self.n + 1) + 16
        return [int.from_bytes(transcript[at : at + 32], "big") for at in range(start, len(transcript), 32)]

    def share(self, receiver: int) -> bytes:
        """Return a receiver's decrypted share, numbered from 1."""
        encrypted = self.group.decode(self.elements(self.transcript)[receiver])
        secret, bound = self.secret_keys[receiver - 1], self.share_context(receiver)
        return opening.decrypt_share(self.group, bound, secret, encrypted, SEED)

    def share_context(self, receiver: int) -> bytes:
        return self.context + b"share" + receiver.to_bytes(4, "little")

    # ---- calls

    def call(self, function: str, types: str, *arguments: Any, gas: int = 1 << 40) -> eels.Receipt:
        chain, contract = verifier(self.curve.name)
        data = eels.calldata(f"{function}({self.signature(types)})", *arguments)
        return chain.call(contract, data, gas=gas)

    def signature(self, types: str) -> str:
        """Return ABI types where ``E`` stands for an element and ``Y`` for its hint."""
        return types.replace("E", self.curve.element_type).replace("Y", self.curve.y_type)

    def dealing_arguments(self, transcript: bytes, ys: list[Any], values: list[int] | None = None) -> list[Any]:
        order, response = self.group.order, self.response(transcript)
        if values is None:
            values = [evaluate(response, i, order) for i in range(self.n + 1)]
        key_ys = [self.curve.y(key) for key in self.keys]
        return [self.context, self.threshold, b"".join(self.keys), key_ys, transcript, ys, values]

    DEALING = "bytes,uint256,bytes,Y[],bytes,Y[],uint256[]"

    def verify_dealing(self, transcript: bytes, ys: list[Any] | None = None, values=None) -> eels.Receipt:
        if ys is None:
            ys = [self.curve.y(element) for element in self.elements(transcript)]
        return self.call("dealing", self.DEALING, *self.dealing_arguments(transcript, ys, values))

    def verify_possession(self, context: bytes, receiver: int, proof: bytes) -> eels.Receipt:
        key = self.keys[receiver - 1]
        return self.call("possession", "bytes,E,Y,bytes", context, key, self.curve.y(key), proof)

    def prove_possession(self, context: bytes, receiver: int) -> bytes:
        return dleq.prove_possession(self.group, context, self.secret_keys[receiver - 1], SEED)

    def verify_opening(self, commitment: bytes, secret: int) -> eels.Receipt:
        return self.call("opening", "E,uint256", commitment, secret)

    def verify_share(self, receiver: int, share: bytes, numbered: int | None = None) -> eels.Receipt:
        key, encrypted = self.keys[receiver - 1], self.elements(self.transcript)[receiver]
        hints = [self.curve.y(each) for each in (key, encrypted, share[: self.group.element_bytes])]
        return self.call(
            "share",
            "bytes,uint256,E,Y,E,Y,bytes,Y",
            *(self.context, numbered or receiver, key, hints[0], encrypted, hints[1], share, hints[2]),
        )

    RECOVERY = "bytes,uint256,uint256[],bytes,Y[],bytes,Y[],bytes,Y[]"

    def recovery_arguments(self, receivers: list[int], shares: list[bytes]) -> list[Any]:
        elements, size = self.elements(self.transcript), self.group.element_bytes
        keys = [self.keys[i - 1] for i in receivers]
        hints = [
            [self.curve.y(each) for each in group]
            for group in (keys, [elements[i] for i in receivers], [share[:size] for share in shares])
        ]
        head = [self.context, self.n, receivers, b"".join(keys), hints[0], self.transcript]
        return [*head, hints[1], b"".join(shares), hints[2]]

    def recover(self, receivers: list[int], shares: list[bytes]) -> eels.Receipt:
        return self.call("recovery", self.RECOVERY, *self.recovery_arguments(receivers, shares))

    def output(self, run: bytes, index: int, secret_sum: int, recovered: list[bytes]) -> eels.Receipt:
        hints = [self.curve.y(element) for element in recovered]
        return self.call("output", "bytes32,uint256,uint256,E[],Y[]", run, index, secret_sum, recovered, hints)


@cache
def get_stage(curve: str, n: int, threshold: int, context: bytes = CONTEXT) -> Stage:
    """Return a stage that all tests share, with its dealing."""
    return Stage(get_curve(curve), n, threshold, context)
