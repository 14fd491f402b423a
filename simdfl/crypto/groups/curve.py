"""Constants of BLS12-381 G1 that both implementations share.

References
----------
.. [1] Bowe, *BLS12-381: New zk-SNARK elliptic curve construction*, 2017.
.. [2] RFC 9380, section 8.8.1 (suite ``BLS12381G1_XMD:SHA-256_SSWU_RO_``).
"""

from __future__ import annotations

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
ELEMENT_BYTES = 48
SUITE = b"BLS12381G1"
GENERATOR = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)
IDENTITY = b"\xc0" + bytes(47)
HASH_DST = b"SIMDFL-V01-CS01-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"
