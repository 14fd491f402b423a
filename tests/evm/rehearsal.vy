# pragma version ~=0.4.3
"""
A verifier for tests of the other contracts: proofs are hashes. It answers as rehearsal.py does, for the same work
whatever the answer.
"""


@external
@view
def verify_possession(context: Bytes[52], key: Bytes[48], proof: Bytes[64]) -> bool:
    return keccak256(proof) == keccak256(slice(concat(sha256(concat(b"possession", context, key)), b""), 0, 32))


@external
@view
def check_opening(context: Bytes[52], commitment: Bytes[48], secret: uint256) -> bool:
    made: Bytes[48] = concat(sha256(concat(b"open", context, convert(secret, bytes32))), empty(bytes16))
    return keccak256(made) == keccak256(commitment)


@external
@view
def verify_dealing(
    context: Bytes[52],
    keys: bytes32,
    n_keys: uint256,
    threshold: uint256,
    transcript: Bytes[16384],
    commitment: Bytes[48],
    coordinate: uint256,
) -> bool:
    sizes: Bytes[64] = concat(convert(threshold, bytes32), convert(n_keys, bytes32))
    made: bytes32 = sha256(concat(b"deal", context, sizes))
    found: Bytes[64] = slice(transcript, 0, 32)
    inside: Bytes[64] = slice(transcript, 32, 48)
    return (convert(keccak256(found) == keccak256(concat(made, b"")), uint256) & convert(
        keccak256(inside) == keccak256(commitment), uint256
    )) != 0


@internal
@view
def _share(context: Bytes[52], transcript: bytes32, place: uint256) -> bytes32:
    return sha256(concat(b"share", context, convert(place, bytes32), transcript))


@external
@view
def verify_share(
    context: Bytes[52],
    keys: bytes32,
    n_keys: uint256,
    threshold: uint256,
    transcript: Bytes[16384],
    place: uint256,
    share: Bytes[112],
) -> bool:
    return keccak256(share) == keccak256(concat(self._share(context, sha256(transcript), place), b""))


@external
@view
def recover_secret(
    context: Bytes[52],
    keys: bytes32,
    n_keys: uint256,
    threshold: uint256,
    transcript: Bytes[16384],
    receivers: DynArray[uint256, 64],
    shares: DynArray[Bytes[112], 64],
    coordinate: uint256,
) -> (bytes32, bytes32):
    digest: bytes32 = sha256(transcript)
    right: uint256 = 1
    for at: uint256 in range(len(receivers), bound=64):
        made: bytes32 = self._share(context, digest, receivers[at])
        right &= convert(keccak256(shares[at]) == keccak256(concat(made, b"")), uint256)
    secret: uint256 = convert(sha256(concat(b"secret", digest)), uint256)
    return convert(secret * right, bytes32), empty(bytes32)


@external
@view
def beacon_output(
    job_digest: bytes32, output: uint256, secret_sum: uint256, recovered: DynArray[bytes32, 128]
) -> bytes32:
    mixed: bytes32 = sha256(concat(job_digest, convert(output, bytes32), convert(secret_sum, bytes32)))
    for piece: bytes32 in recovered:
        mixed = sha256(concat(mixed, piece))
    return mixed
