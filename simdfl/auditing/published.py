"""The published artefacts as the auditor reads them: the index, the manifest, the deployment, blocks, messages.

Field names, byte orders and digests are described in ``docs/published-format.md``; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from contracts_model.anchor import AnchorJob
from contracts_model.deployment import Deployment
from contracts_model.job import Job
from contracts_model.terms import Terms, Withheld
from simdfl.auditing.findings import Unusable
from simdfl.auditing.reading import read_json, read_lines
from simdfl.auditing.timing import time_rule
from simdfl.canonical import canonical_json
from simdfl.chain.host import ChainHost
from simdfl.crypto.beacon import SCHEMES, RandomBeacon, make_beacon
from simdfl.crypto.groups import GROUPS
from simdfl.crypto.hashing import digest

INDEX = "published.json"
INDEX_FIELDS = ("format", "protocol", "outcome", "steps", "bytes_per_step", "heads", "files")
MANIFEST_FIELDS = (
    *("format", "version", "configuration", "n_parameters", "dataset", "dataset_root", "shard_roots"),
    *("genesis", "arithmetic"),
)
DEPLOYMENT_FIELDS = ("format", "terms", "beacon", "chains")
CHAIN_FIELDS = (
    *("contracts", "is_channel", "is_optimistic", "window_s", "block_time_s", "gas_limit", "tx_gas_cap"),
    *("base_fee_wei", "source", "is_shared", "balances", "final_state"),
)
BLOCK_FIELDS = (
    "number",
    "timestamp_s",
    "parent",
    "hash",
    "base_fee_wei",
    "gas_used",
    "outside_gas",
    "transactions",
)
LED_BLOCK_FIELDS = (*BLOCK_FIELDS, "leader")
"""Of a chain whose block source elects leaders."""
RECEIPT_FIELDS = (
    *("block", "position", "sender", "contract", "function", "calldata", "value_wei", "nonce", "gas_limit"),
    *("max_fee_wei", "priority_fee_wei", "signature", "gas_used", "fee_wei", "reason", "events"),
)
EVENT_FIELDS = ("contract", "name", "fields")
MESSAGE_FIELDS = ("topic", "step", "sender", "digest", "signature", "content")
TERM_FIELDS = tuple(field.name for field in fields(Terms))
MAX_PARAMETERS = 1 << 36
FILES = {"chain": "chain.jsonl.gz", "base": "base_chain.jsonl.gz"}


def require_fields(place: str, value: Any, names: Collection[str]) -> dict[str, Any]:
    """Return an object that has exactly these fields.

    Raises
    ------
    Unusable
        If it has others.
    """
    if not isinstance(value, dict) or set(value) != set(names):
        raise Unusable(f"{place}: its fields are not {', '.join(names)}")
    return value


def as_bytes(place: str, value: Any, size: int | None = None) -> bytes:
    """Return the bytes of lower-case hexadecimal text, of a given size if it must have one."""
    try:
        data = bytes.fromhex(value)
    except (TypeError, ValueError) as error:
        raise Unusable(f"{place}: not hexadecimal") from error
    if data.hex() != value or (size is not None and len(data) != size):
        raise Unusable(f"{place}: not {'lower-case' if size is None else size} hexadecimal bytes")
    return data


def as_whole(place: str, value: Any) -> int:
    """Return a whole number of at most 64 bits, not negative."""
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise Unusable(f"{place}: not a whole number")
    return value


def as_wei(place: str, value: Any, bits: int = 128) -> int:
    """Return an amount of wei, given as decimal text: JSON readers may round large numbers."""
    if not isinstance(value, str) or not re.fullmatch("0|[1-9][0-9]{0,38}", value) or int(value) >= 1 << bits:
        raise Unusable(f"{place}: not an amount of wei in decimal digits, below 2**{bits}")
    return int(value)


@dataclass(frozen=True)
class Published:
    """An opened run folder: index, manifest, terms and beacon; all else is read when it is needed."""

    folder: Path
    index: dict[str, Any]
    address: bytes
    manifest: dict[str, Any]
    deployment: dict[str, Any]
    terms: Terms
    scheme: RandomBeacon

    @property
    def configuration(self) -> dict[str, Any]:
        """What the manifest declares."""
        configuration: dict[str, Any] = self.manifest["configuration"]
        return configuration

    @property
    def n_parameters(self) -> int:
        """Length d of the weights."""
        return int(self.manifest["n_parameters"])

    @property
    def steps(self) -> int:
        """How many steps were finished."""
        return int(self.index["steps"])

    @property
    def job_digest(self) -> bytes:
        """The manifest's digest, which names the job."""
        return digest("simdfl/manifest", canonical_json(self.manifest))

    def deploy(self, name: str) -> Deployment:
        """Return a chain's contracts, freshly deployed."""
        chain = self.deployment["chains"][name]
        balances = {as_bytes(name, key, 20): as_wei(name, wei) for key, wei in chain["balances"].items()}
        host = ChainHost(self.scheme)
        if chain["contracts"] == "anchor":
            return AnchorJob(self.terms, host, balances, 0, bool(chain["is_optimistic"]), int(chain["window_s"]))
        return Job(self.terms, host, balances)

    def blocks(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield a chain's blocks."""
        is_led = self.deployment["chains"][name]["source"]["name"] == "shared_sequencer"
        for number, block in enumerate(read_lines(self.folder, FILES[name]), 1):
            place = f"{FILES[name]}, line {number}"
            require_fields(place, block, LED_BLOCK_FIELDS if is_led else BLOCK_FIELDS)
            if not isinstance(block["transactions"], list):
                raise Unusable(f"{place}: transactions are no list")
            for receipt in block["transactions"]:
                _check_receipt(place, require_fields(place, receipt, RECEIPT_FIELDS))
            yield block

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield the signed messages in the order in which they were made."""
        for number, message in enumerate(read_lines(self.folder, "messages.jsonl.gz"), 1):
            yield require_fields(f"messages.jsonl.gz, line {number}", message, MESSAGE_FIELDS)


def read_index(folder: Path) -> dict[str, Any]:
    """Return the index of a run folder."""
    index = require_fields(INDEX, read_json(folder, INDEX, "simdfl.published.v1"), INDEX_FIELDS)
    steps = as_whole(f"{INDEX} steps", index["steps"])
    if not isinstance(index["files"], dict) or not isinstance(index["heads"], dict):
        raise Unusable(f"{INDEX}: files and heads are objects")
    published_bytes = 0
    for name, entry in index["files"].items():
        place = f"{INDEX} {name[:80]!r}"
        require_fields(place, entry, ("bytes", "sha256"))
        as_bytes(place, entry["sha256"], 32)
        published_bytes += as_whole(place, entry["bytes"])
    if index["bytes_per_step"] != published_bytes // max(1, steps):
        raise Unusable(f"{INDEX} bytes_per_step: not the bytes of all files over the steps")
    chains = [file.partition(".")[0] for file in FILES.values() if file in index["files"]]
    require_fields(f"{INDEX} heads", index["heads"], chains)
    for name, head in index["heads"].items():
        as_bytes(f"{INDEX} heads {name}", head, 32)
    ends = isinstance(index["outcome"], str) and re.fullmatch("completed|aborted: .*", index["outcome"])
    if not isinstance(index["protocol"], str) or not ends:
        raise Unusable(f"{INDEX}: protocol is a text, and outcome 'completed' or 'aborted: ' and a reason")
    return index


def open_published(folder: Path, index: dict[str, Any]) -> Published:
    """Open a run folder that has a chain, by its index.

    Raises
    ------
    Unusable
        If an artefact is missing or malformed.
    """
    manifest = require_fields(
        "manifest.json", read_json(folder, "manifest.json", "simdfl.manifest.v1"), MANIFEST_FIELDS
    )
    deployment = require_fields(
        "deployment.json", read_json(folder, "deployment.json", "simdfl.deployment.v1"), DEPLOYMENT_FIELDS
    )
    beacon = require_fields("deployment.json beacon", deployment["beacon"], ("scheme", "group"))
    if not {type(beacon[key]) for key in beacon} == {str}:
        raise Unusable("deployment.json beacon: scheme and group are texts")
    if beacon["scheme"] not in SCHEMES or beacon["group"] not in GROUPS:
        raise Unusable("deployment.json beacon: no such scheme or group")
    published_chains = [name for name, file in FILES.items() if file in index["files"]]
    for name, chain in require_fields("deployment.json chains", deployment["chains"], published_chains).items():
        _check_chain(f"deployment.json {name}", require_fields(f"deployment.json {name}", chain, CHAIN_FIELDS))
    if not 0 < as_whole("manifest.json n_parameters", manifest["n_parameters"]) <= MAX_PARAMETERS:
        raise Unusable(f"manifest.json n_parameters: not between 1 and {MAX_PARAMETERS}")
    scheme = make_beacon(beacon["scheme"], beacon["group"])
    address = digest("simdfl/published", canonical_json(index))
    return Published(folder, index, address, manifest, deployment, _terms(deployment["terms"]), scheme)


def _check_receipt(place: str, receipt: dict[str, Any]) -> None:
    """Refuse texts and events of other types; numbers are checked where they are used."""
    if any(type(receipt[key]) is not str for key in ("contract", "function", "reason")):
        raise Unusable(f"{place}: contract, function and reason are texts")
    if not isinstance(receipt["events"], list):
        raise Unusable(f"{place}: events are a list")
    for event in receipt["events"]:
        require_fields(place, event, EVENT_FIELDS)
        if type(event["name"]) is not str or not isinstance(event["fields"], dict):
            raise Unusable(f"{place}: an event has a name and fields")


def _check_chain(place: str, chain: dict[str, Any]) -> None:
    numbers = [as_whole(place, chain[key]) for key in ("gas_limit", "tx_gas_cap", "window_s")]
    block_s = chain["block_time_s"]
    if numbers[0] < 2 or type(block_s) not in (int, float) or not 0 < block_s < 1e9:
        raise Unusable(f"{place}: impossible gas limit or block time")
    time_rule(place, chain["source"], block_s)
    if any(type(chain[key]) is not bool for key in ("is_channel", "is_optimistic", "is_shared")):
        raise Unusable(f"{place}: is_channel, is_optimistic and is_shared are true or false")
    if not isinstance(chain["balances"], dict) or chain["contracts"] not in ("job", "anchor"):
        raise Unusable(f"{place}: no accounts, or contracts of another kind")


def _type_of_term(key: str) -> type:
    """Return the type that a published term has."""
    kinds = {"job_digest": bytes, "owner": bytes, "members": tuple, "shows": bool, "proves_dealings": bool}
    return kinds.get(key, int)


def _terms(record: Any) -> Terms:
    given = dict(require_fields("deployment.json terms", record, TERM_FIELDS))
    given["job_digest"] = as_bytes("terms.job_digest", given["job_digest"], 32)
    given["owner"] = as_bytes("terms.owner", given["owner"], 20)
    if not isinstance(given["members"], list):
        raise Unusable("deployment.json terms.members: not a list")
    given["members"] = tuple(as_bytes("terms.members", member, 20) for member in given["members"])
    for key in ("deposit_wei", "reward_wei"):
        given[key] = as_wei(f"terms.{key}", given[key])
    for key, value in given.items():
        if type(value) is not _type_of_term(key) and not (value is None and key == "assumed_byzantine"):
            raise Unusable(f"deployment.json terms.{key}: of the wrong type")
    try:
        given["withheld"] = Withheld(given["withheld"])
        return Terms(**given)
    except (TypeError, ValueError) as error:
        raise Unusable(f"deployment.json terms: {error}") from error
