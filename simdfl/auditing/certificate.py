"""The openness certificate: a small signed statement that links weights, data, code, seeds, participants, chain.

It says what an auditor has checked, under the auditor's own key. Whoever trusts that key need not audit again;
whoever does not can, since everything it names is content-addressed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from simdfl.auditing.findings import Unusable
from simdfl.auditing.inspection import Outcome
from simdfl.auditing.published import as_bytes, require_fields
from simdfl.auditing.reading import parse_json
from simdfl.auditing.report import as_record
from simdfl.canonical import canonical_json
from simdfl.crypto.hashing import digest, sha256
from simdfl.crypto.signatures import Keypair, verify

FORMAT = "simdfl.certificate.v1"
STATEMENT_FIELDS = (
    *("format", "address", "job", "weights_sha256", "dataset_root", "code", "seed", "participants", "heads"),
    *("level", "coin", "gradients_checked", "verdict", "not_assured", "audit_digest"),
)
FIELDS = ("statement", "auditor", "signature")
LIMIT_BYTES = 1 << 20


def read_key(path: Path) -> Keypair:
    """Return the signing key in a file: 64 hexadecimal digits.

    Raises
    ------
    Unusable
        If it holds anything else.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: the key cannot be read; give a file with 64 hexadecimal digits") from error
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise Unusable(f"{path}: a key file holds 64 lower-case hexadecimal digits and nothing else")
    try:
        return Keypair(bytes.fromhex(text))
    except ValueError as error:
        raise Unusable(f"{path}: {error}") from error


def certify(outcome: Outcome, key: Keypair) -> dict[str, Any]:
    """Return the signed certificate of a clean audit.

    Raises
    ------
    Unusable
        If the audit was not clean: there is nothing to certify.
    """
    published = outcome.published
    if outcome.exit_status or published is None:
        raise Unusable("only a clean audit can be certified")
    record = as_record(outcome)
    record.pop("seconds")
    record["sample"] = {name: value for name, value in record["sample"].items() if name != "wall_s"}
    statement = {
        "format": FORMAT,
        "address": outcome.address,
        "job": outcome.job_digest,
        "weights_sha256": outcome.index["files"]["model.npy"]["sha256"],
        "dataset_root": published.manifest["dataset_root"],
        "code": f"simdfl {published.manifest['version']}",
        "seed": published.configuration["seed"],
        "participants": [member.hex() for member in published.terms.members],
        "heads": outcome.index["heads"],
        "level": outcome.level,
        "coin": outcome.request.coin,
        "gradients_checked": outcome.sample.get("checked", 0),
        "verdict": record["verdict"],
        "not_assured": [gap.missing for gap in outcome.gaps],
        "audit_digest": sha256(canonical_json(record)).hex(),
    }
    signature = key.sign(statement_digest(statement))
    return {"statement": statement, "auditor": key.address.hex(), "signature": signature.hex()}


def statement_digest(statement: dict[str, Any]) -> bytes:
    """Return what an auditor signs."""
    return digest("simdfl/certificate", canonical_json(statement))


def read_certificate(path: Path) -> dict[str, Any]:
    """Return a certificate whose signature is right.

    Raises
    ------
    Unusable
        If the file is no certificate.
    BadCertificate
        If its signature is not the auditor's.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise Unusable(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > LIMIT_BYTES:
        raise Unusable(f"{path}: too large for a certificate")
    found = require_fields(str(path), parse_json(str(path), data), FIELDS)
    statement = require_fields(f"{path} statement", found["statement"], STATEMENT_FIELDS)
    if statement["format"] != FORMAT:
        raise Unusable(f"{path}: not of the format {FORMAT}")
    auditor, signature = as_bytes("auditor", found["auditor"], 20), as_bytes("signature", found["signature"])
    if not verify(statement_digest(statement), signature, auditor):
        raise BadCertificate(f"{path}: not signed by {auditor.hex()}, or changed since")
    return found


class BadCertificate(Unusable):
    """A certificate that was not signed by whom it names."""
