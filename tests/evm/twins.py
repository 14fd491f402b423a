"""The compiled twins of the contracts, deployed on an EVM, and what there corresponds to what in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eels import compile_vyper
from eth_abi import decode, encode
from eth_utils import keccak

from contracts_model import Event, Terms
from contracts_model.runtime import Logged, Mask, Pairs
from simdfl.crypto.groups import curve

SOURCES = Path(__file__).parents[2] / "contracts_model" / "vyper"
REHEARSAL = Path(__file__).parent / "rehearsal.vy"
NAMES = ("treasury", "registry", "beacon", "ledger", "court", "rewards")
ANCHORED = ("treasury", "anchor")
OWNER = b"\x0e" * 20

SCALARS = {
    "treasury.totals": {"pot": "pot", "burned": "burned", "rewarded": "rewarded"},
    "registry.counters": {"closed": "closed", "active": "active_count", "banned": "banned_count"},
    "registry.sets": {"active": "active", "candidates": "in_probation", "admitted": "admitted"},
    "beacon.state": {
        **{name: name for name in ("dealing", "deal_until", "next", "sum")},
        "attempt": "tosses",
        "recovered": "n_recovered",
    },
    "beacon.sets": {"awaited": "opening", "tossing": "tossing"},
    "ledger.state": {
        **{name: name for name in ("phase", "step", "round", "deadline", "attempt", "pairs_eliminated")},
        "pairs": "n_pairs",
    },
    "ledger.sets": {
        **{
            name: name
            for name in ("roster", "validators", "committed", "aggregated", "dropped", "void", "probes")
        },
        "contributors": "contributing",
    },
    "anchor.state": {"settled": "settled", "until": "settled_until"},
    "court.state": {"count": "n_cases", "waiting": "waiting", "waiting_from": "waiting_from"},
}
"""Plain variables by their names in Python and in Vyper; mappings have the same names in both."""

BITS = ("registry.sets", "beacon.sets", "ledger.sets", "beacon.receivers", "beacon.dealt", "ledger.contributors")
COURT_BITS = tuple(f"court.{name}" for name in ("eligible", "voted", "silent", "complaints", "absences"))


def created(sender: bytes, nonce: int) -> bytes:
    """Return the address of the contract that an account creates with a small nonce."""
    coded = bytes([nonce]) if nonce else b"\x80"
    return bytes(keccak(bytes([0xC0 + 22]) + b"\x94" + sender + coded)[12:])


@dataclass(frozen=True)
class Twins:
    """Where the twins of a job stand."""

    addresses: dict[str, bytes]
    proves_dealings: bool = False

    def code(self, contract: str) -> str:
        """Return the name of the source that stands behind a contract's name."""
        return "proving_beacon" if self.proves_dealings and contract == "beacon" else contract

    def read_log(self, contract: str, topic: bytes, data: bytes) -> tuple[str, str, dict[str, Any]]:
        """Return contract, name and fields of an EVM's log entry."""
        name, types = _events(self.code(contract))[topic]
        values = decode([kind for _, kind in types], data)
        plain = [bytes.fromhex(v[2:]) if kind == "address" else v for v, (_, kind) in zip(values, types)]
        return contract, name, dict(zip((field for field, _ in types), plain))

    def slot_of(self, name: str, key: Any) -> tuple[bytes, int]:
        """Return account and slot of what Python stores under a key of ``contract.variable``."""
        contract, variable = name.split(".")
        if name in BITS or name in COURT_BITS:
            key, piece = key
            assert piece == 0, "twins hold sets of up to 256 peers"
        layout = _layout(self.code(contract))
        if name in SCALARS:
            return self.addresses[contract], int(layout[SCALARS[name][key]]["slot"])
        slot = int(layout[variable]["slot"])
        for piece in key if isinstance(key, tuple) else (key,):
            slot = int.from_bytes(keccak(slot.to_bytes(32, "big") + _key_word(name, piece)), "big")
        return self.addresses[contract], slot


@cache
def _layout(code: str) -> dict[str, Any]:
    """Return where variables stand, those of an imported contract among them."""
    layout = compile_vyper(SOURCES / f"{code}.vy").storage
    inner = [held for held in layout.values() if "slot" not in held]
    return {name: place for held in (*inner, layout) for name, place in held.items() if "slot" in place}


def _key_word(name: str, piece: Any) -> bytes:
    if name == "registry.key_owners":
        return bytes(keccak(piece))
    if isinstance(piece, bytes):
        return piece.rjust(32, b"\0") if len(piece) == 20 else piece
    return int(piece).to_bytes(32, "big")


def value_word(name: str, value: Any) -> int:
    """Return what an EVM holds for a value in Python's storage."""
    if isinstance(value, bytes):
        return int.from_bytes(value if len(value) == 20 else value.ljust(32, b"\0"), "big")
    return int(value)


def deploy(evm: Any, terms: Terms, first_nonce: int) -> Twins:
    """Deploy verifier and twins of a job."""
    addresses = {name: created(OWNER, first_nonce + place) for place, name in enumerate(("verifier", *NAMES))}
    a = addresses
    job, n = terms.job_digest, terms.n_peers
    arguments: dict[str, tuple[Sequence[str], Sequence[Any]]] = {
        "treasury": (["address"] * 3, [a["registry"], a["ledger"], a["rewards"]]),
        "registry": (
            ["(bytes32,uint256,uint256,uint256,uint256,uint256)", "address[]"] + ["address"] * 5,
            [
                (
                    job,
                    terms.n_founders,
                    terms.deposit_wei,
                    terms.reporter_percent,
                    terms.dispute_window,
                    terms.probation_steps,
                ),
                list(terms.members),
                *(a[name] for name in ("treasury", "beacon", "ledger", "court", "verifier")),
            ],
        ),
        "beacon": (
            ["(bytes32,address,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256)"]
            + ["address"] * 4,
            [
                (
                    *(job, terms.owner, n, terms.steps, terms.epoch_outputs, terms.threshold_percent),
                    *(terms.tolerated_percent, terms.canary_permille, terms.probation_steps),
                    *(int(terms.withheld), curve.ORDER, terms.deal_s),
                ),
                *(a[name] for name in ("registry", "ledger", "court", "verifier")),
            ],
        ),
        "ledger": (
            ["(" + ",".join(["uint256"] * 11 + ["bool"] + ["uint256"] * 8) + ")"] + ["address"] * 4,
            [
                (
                    *(n, terms.minimum_peers, terms.steps, terms.validators, terms.epoch_outputs),
                    *(terms.dispute_window, terms.reward_wei, int(terms.withheld), terms.jury_size),
                    *(terms.canary_permille, terms.probation_steps, terms.shows),
                    0 if terms.assumed_byzantine is None else terms.assumed_byzantine + 1,
                    *(terms.register_s, terms.deal_s, terms.commit_s, terms.aggregate_s),
                    *(terms.reveal_s, terms.recover_s, terms.vote_s),
                ),
                *(a[name] for name in ("treasury", "registry", "beacon", "court")),
            ],
        ),
        "court": (
            ["(bytes32,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256)"] + ["address"] * 3,
            [
                (
                    *(job, n, terms.steps, terms.projections, terms.tolerance, terms.dispute_window),
                    *(terms.jury_size, terms.canary_permille, terms.vote_s),
                ),
                *(a[name] for name in ("registry", "beacon", "ledger")),
            ],
        ),
    }
    arguments["rewards"] = (
        ["(uint256,uint256,uint256,uint256)", *["address"] * 3],
        [
            (n, terms.contribution_rounds, terms.contribution_every, terms.contribution_wei),
            *(a[name] for name in ("treasury", "registry", "ledger")),
        ],
    )
    twins = Twins(addresses, terms.proves_dealings)
    assert evm.deploy(compile_vyper(REHEARSAL).init_code) == a["verifier"]
    for name in NAMES:
        types, values = arguments[name]
        made = evm.deploy(compile_vyper(SOURCES / f"{twins.code(name)}.vy").init_code + encode(types, values))
        assert made == a[name], name
    return twins


def deploy_anchor(evm: Any, terms: Terms, is_optimistic: bool, window_s: int, first_nonce: int) -> Twins:
    """Deploy the twins on a base chain: treasury and anchor."""
    addresses = {name: created(OWNER, first_nonce + place) for place, name in enumerate(ANCHORED)}
    code = compile_vyper(SOURCES / "treasury.vy").init_code + encode(["address"] * 3, [addresses["anchor"]] * 3)
    assert evm.deploy(code) == addresses["treasury"]
    values = [
        (
            *(terms.job_digest, terms.n_peers, terms.n_founders, terms.deposit_wei, terms.reporter_percent),
            *(is_optimistic, window_s),
        ),
        list(terms.members),
        addresses["treasury"],
    ]
    types = ["(bytes32,uint256,uint256,uint256,uint256,bool,uint256)", "address[]", "address"]
    assert (
        evm.deploy(compile_vyper(SOURCES / "anchor.vy").init_code + encode(types, values)) == addresses["anchor"]
    )
    return Twins(addresses)


# ---- events


@cache
def _events(code: str) -> dict[bytes, tuple[str, list[tuple[str, str]]]]:
    found = {}
    for entry in compile_vyper(SOURCES / f"{code}.vy").abi:
        if entry["type"] == "event":
            types = [(field["name"], field["type"]) for field in entry["inputs"]]
            topic = keccak(f"{entry['name']}({','.join(kind for _, kind in types)})".encode())
            found[topic] = (entry["name"], types)
    return found


def as_logged(event: Event) -> tuple[str, str, dict[str, Any]]:
    """Return a Python event as an EVM logs it."""
    return event.contract, event.name, {key: _logged(value) for key, value in event.fields.items()}


def _logged(value: Any) -> Any:
    if isinstance(value, Mask):
        return int.from_bytes(value, "little")
    if isinstance(value, Pairs):
        numbers = [int.from_bytes(value[at : at + 4], "little") for at in range(0, len(value), 4)]
        return tuple(v << 32 | u for v, u in zip(numbers[::2], numbers[1::2]))
    if isinstance(value, str):
        return value.encode().ljust(32, b"\0")
    if isinstance(value, Logged):
        return value.decode()
    return value
