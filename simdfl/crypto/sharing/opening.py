"""After the deal: opening by the dealer, recovery by the receivers, output of the beacon.

The same for all schemes. An honest dealer reveals s = p(0), 32 bytes, checked against the commitment
``s g``. Where it does not, every receiver publishes its decrypted share with a proof, and any t of them
give ``s h``. Both ways lead to the same point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simdfl.crypto import dleq
from simdfl.crypto.groups.base import Group, Point
from simdfl.crypto.hashing import digest, xof
from simdfl.crypto.sharing.polynomial import lagrange_at
from simdfl.errors import CryptoError

_WEIGHT_BYTES = 16


def check_opening(group: Group, commitment_point: Point, secret: int) -> bool:
    """Return whether `secret`, a scalar in ``0 .. order - 1``, opens the commitment."""
    if not 0 <= secret < group.order:
        return False
    return group.equal(group.fixed_base(group.g)(secret), commitment_point)


def check_openings(group: Group, commitments: Sequence[Point], secrets: Sequence[int]) -> list[bool]:
    """Return which secrets open their commitments.

    One random combination of all equations is checked first (a wrong one survives with probability 2^-128,
    since the weights are hashed from everything); where it fails, the equations are checked one by one.

    Raises
    ------
    ValueError
        The lengths differ.
    """
    if len(commitments) != len(secrets):
        raise ValueError(f"{len(commitments)} commitments but {len(secrets)} secrets")
    if all(0 <= secret < group.order for secret in secrets) and _all_open(group, commitments, secrets):
        return [True] * len(secrets)
    return [check_opening(group, point, secret) for point, secret in zip(commitments, secrets, strict=True)]


def _all_open(group: Group, commitments: Sequence[Point], secrets: Sequence[int]) -> bool:
    encoded = [
        group.encode(point) + group.encode_scalar(s) for point, s in zip(commitments, secrets, strict=True)
    ]
    raw = xof("simdfl/opening/weights", b"".join(encoded), size=_WEIGHT_BYTES * len(encoded))
    weights = [int.from_bytes(raw[k : k + _WEIGHT_BYTES], "big") for k in range(0, len(raw), _WEIGHT_BYTES)]
    total = sum(w * s for w, s in zip(weights, secrets, strict=True))
    return group.equal(group.fixed_base(group.g)(total), group.msm(weights, commitments))


def share_bytes(group: Group) -> int:
    """Return the size of a decrypted share with its proof."""
    return group.element_bytes + dleq.PROOF_BYTES


def decrypt_share(group: Group, context: bytes, sk: int, encrypted_share: Point, seed: bytes) -> bytes:
    """Return a receiver's decrypted share with the proof that it was decrypted rightly.

    Parameters
    ----------
    group : Group
        Where the points live.
    context : bytes
        What the proof is bound to; names the sharing and the receiver.
    sk : int
        The receiver's secret key.
    encrypted_share : Point
        ``p(i) pk_i``.
    seed : bytes
        32 secret bytes.

    Returns
    -------
    bytes
        The point ``S = p(i) h`` (:func:`decode_share` reads it) and a proof of log_h pk = log_S of the
        encrypted share.
    """
    pk = group.fixed_base(group.h)(sk)
    share = group.mul(pow(sk, -1, group.order), encrypted_share)
    proof = dleq.prove(group, context, group.h, pk, share, encrypted_share, sk, seed)
    return group.encode(share) + proof.encode(group)


def decode_share(group: Group, share: bytes) -> Point:
    """Return the point of a decrypted share, whose proof is :func:`verify_share`'s business.

    Raises
    ------
    CryptoError
        The length is wrong or the point malformed.
    """
    if len(share) != share_bytes(group):
        raise CryptoError(f"decode_share: a share has {share_bytes(group)} bytes, got {len(share)}")
    return group.decode(share[: group.element_bytes])


def verify_share(group: Group, context: bytes, pk: Point, encrypted_share: Point, share: bytes) -> bool:
    """Return whether `share` decrypts `encrypted_share` under the key `pk`; False for malformed bytes."""
    try:
        point = decode_share(group, share)
        proof = dleq.DleqProof.decode(group, share[group.element_bytes :])
    except CryptoError:
        return False
    return dleq.verify(group, context, group.h, pk, point, encrypted_share, proof)


def reconstruct(group: Group, shares: Mapping[int, Point], coordinate: int = 0) -> Point:
    """Return a secret point from decrypted shares by Lagrange's formula at minus its coordinate.

    Parameters
    ----------
    group : Group
        Where the points live.
    shares : mapping of int to Point
        Verified shares of at least t receivers, by number from 1. All given ones are used.
    coordinate : int
        Which of the packed secrets; 0 where there is one.

    Raises
    ------
    ValueError
        There are no shares, or one has the secret's own number.
    """
    return group.msm(lagrange_at(-coordinate, list(shares), group.order), list(shares.values()))


def combine_secrets(group: Group, secrets: Sequence[int], recovered: Sequence[Point]) -> Point:
    """Return the sum of all secrets as a point: opened scalars times h, plus recovered points."""
    total = group.fixed_base(group.h)(sum(secrets))
    for point in recovered:
        total = group.add(total, point)
    return total


def beacon_output(group: Group, run: bytes, index: int, secrets_sum_point: Point) -> bytes:
    """Return the 32 bytes of output `index` of the beacon of `run`."""
    return digest("BEACON", run, index.to_bytes(8, "little"), group.encode(secrets_sum_point))
