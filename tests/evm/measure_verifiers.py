"""Measure the constants of ``contracts_model/verification.py``: ``python tests/evm/measure_verifiers.py``.

To be run after every change of a verifier contract or of the compiler. What the closed forms explain
(precompiles, hashes, copies, memory) is taken off the gas of two calls of different size; what is left is one
constant a call and one a round.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import eels
import opcodes
from pvss_stage import CURVES, get_stage, verifier

from contracts_model.gas import words
from contracts_model.verification import VERIFIERS, Opcodes, Verifier

Call = Callable[[int], eels.Receipt]


def measure(call: Call, size: int) -> tuple[int, int]:
    """Return gas and highest memory word of one call."""
    with opcodes.highest_word() as highest:
        used = call(size).gas_used
    return used, highest[0]


def single(form: Verifier, name: str, call: Call) -> Opcodes:
    """Return the constants of a function without a loop."""
    used, highest = measure(call, 1)
    bare = replace(form, **{name: Opcodes(0, 0, highest)})
    return Opcodes(used - getattr(bare, f"{name}_gas")(), 0, highest)


def loop(form: Verifier, name: str, call: Call, first: int, extra_rounds: int = 0) -> Opcodes:
    """Return the constants of a function with a loop, from sizes `first` and `first` + 1."""
    (less, highest), (more, _) = measure(call, first), measure(call, first + 1)
    word = highest - (words(form.element_bytes * first) if name == "dealing" else 0)
    price = getattr(replace(form, **{name: Opcodes(0, 0, word)}), f"{name}_gas")
    explained = [price(*[size] * (1 if name == "output" else 2)) for size in (first, first + 1)]
    each = (more - explained[1]) - (less - explained[0])
    return Opcodes(less - explained[0] - each * (first + extra_rounds), each, word)


def constants(curve: str) -> Iterator[tuple[str, Opcodes]]:
    """Yield the constants of all functions, from honest calls."""
    form, one = VERIFIERS[curve], get_stage(curve, 2, 1)
    square = {size: get_stage(curve, size, size) for size in (1, 2)}
    proof = one.prove_possession(one.context, 1)
    yield "possession", single(form, "possession", lambda _: one.verify_possession(one.context, 1, proof))
    commitment, secret = one.elements(one.transcript)[0], one.dealing.secret
    yield "opening", single(form, "opening", lambda _: one.verify_opening(commitment, secret))
    yield "share", single(form, "share", lambda _: one.verify_share(1, one.share(1)))
    yield "dealing", loop(form, "dealing", lambda n: square[n].verify_dealing(square[n].transcript), 1, 1)

    def recover(threshold: int) -> eels.Receipt:
        receivers = [*range(1, threshold + 1)]
        return square[threshold].recover(receivers, [square[threshold].share(i) for i in receivers])

    yield "recovery", loop(form, "recovery", recover, 1)
    yield "output", loop(form, "output", lambda k: one.output(b"r" * 32, 7, 5, one.keys[:k]), 0)


def main() -> None:
    """Measure both verifiers."""
    for curve in CURVES:
        verifier(curve)  # deployed before anything is measured
        for name, found in constants(curve):
            verdict = "as written" if found == getattr(VERIFIERS[curve], name) else "differs from the file"
            print(f"{curve:10} {name:11} {found}: {verdict}")


if __name__ == "__main__":
    main()
