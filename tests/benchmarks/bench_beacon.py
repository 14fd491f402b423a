"""Wall time of one dealing, its verification, its opening and its recovery, for every scheme and group.

Run ``python tests/benchmarks/bench_beacon.py [--n 8 16 … 256] [--reference]``. Times are the best of a few
rounds in milliseconds; "x" columns are ratios to the scheme `schoenmakers` in the same run, which travel better
between machines than the times. "exp" counts point multiplications as the simulator charges them, beside those
of the literature: Schoenmakers 4 n + t to deal (with announcements that a dealer can skip) and 4 n + n t short
ones to verify, SCRAPE 4 n and 5 n, LDEI 2 n and 2 n. "b/32" are the bytes if a point had 32 bytes, as on other
curves. `albatross` tolerates a third and serves many outputs with one dealing: its last column divides by them.
Tables of fixed bases are built before the clock starts, as they are in a run of many steps.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from simdfl.crypto.groups import Group, get_group
from simdfl.crypto.keys import derive_secret_key, public_key
from simdfl.crypto.sharing import SHARINGS, SharingScheme
from simdfl.crypto.sharing.opening import (
    check_opening,
    decode_share,
    decrypt_share,
    reconstruct,
    verify_share,
)

CONTEXT, SEED = b"benchmark", b"s" * 32
BASELINE = "schoenmakers"
TOLERATED_PERCENT = 33
MOST_REFERENCE = 16
LITERATURE = {
    "schoenmakers": lambda n, t: (4 * n + t, 4 * n),
    "scrape": lambda n, t: (4 * n, 5 * n),
    "ldei": lambda n, t: (2 * n, 2 * n),
    "albatross": lambda n, t: (4 * t, 4 * t),
}
HEADER = (
    f"{'group':20} {'n':>4} {'t':>4} {'scheme':13} {'deal ms':>9} {'x':>5} {'verify ms':>10} {'x':>5}"
    f" {'open ms':>8} {'recover ms':>11} {'deal exp':>9} {'lit.':>5} {'verify exp':>11} {'lit.':>5}"
    f" {'recover exp':>12} {'bytes':>7} {'b/32':>6} {'bytes/output':>13}"
)


def best_ms(action: Callable[[], object], rounds: int) -> float:
    """Return the shortest of `rounds` wall times, in milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def measure(group: Group, scheme: SharingScheme, n: int, t: int, rounds: int) -> dict[str, float]:
    """Return the wall times of one peer's work on one dealing."""
    sks = [derive_secret_key(group, i.to_bytes(32, "big")) for i in range(n)]
    pks = [public_key(group, sk) for sk in sks]
    dealing = scheme.deal(group, CONTEXT, pks, t, SEED)
    assert scheme.verify(group, CONTEXT, pks, t, dealing.transcript)
    parsed = scheme.parse(group, n, t, dealing.transcript)
    encrypted = [parsed.encrypted_share(i) for i in range(1, t + 1)]
    shares = [decrypt_share(group, CONTEXT, sk, y, SEED) for sk, y in zip(sks, encrypted)]

    def recover() -> None:
        decrypt_share(group, CONTEXT, sks[0], encrypted[0], SEED)
        assert all(verify_share(group, CONTEXT, *each) for each in zip(pks, encrypted, shares))
        reconstruct(group, {i: decode_share(group, share) for i, share in enumerate(shares, start=1)})

    return {
        "deal": best_ms(lambda: scheme.deal(group, CONTEXT, pks, t, SEED), rounds),
        "verify": best_ms(lambda: scheme.verify(group, CONTEXT, pks, t, dealing.transcript), rounds),
        "open": best_ms(lambda: check_opening(group, parsed.commitment_point, dealing.secret), rounds),
        "recover": best_ms(recover, rounds),
        "bytes": len(dealing.transcript),
        "narrow": len(dealing.transcript) - (group.element_bytes - 32) * scheme.layout(n, t).points,
        "outputs": scheme.packing(n, t),
    }


def report(name: str, n: int, rounds: int) -> None:
    """Print one line for every scheme."""
    group = get_group(name)
    thresholds = dict.fromkeys(SHARINGS, (n + 1) // 2) | {"albatross": n - n * TOLERATED_PERCENT // 100}
    rows = {scheme: measure(group, SHARINGS[scheme], n, t, rounds) for scheme, t in thresholds.items()}
    for scheme, row in rows.items():
        t, costs = thresholds[scheme], SHARINGS[scheme]
        ratio = {key: row[key] / rows[BASELINE][key] for key in ("deal", "verify")}
        dealt, verified = LITERATURE[scheme](n, t)
        print(
            f"{name:20} {n:4} {t:4} {scheme:13} {row['deal']:9.2f} {ratio['deal']:5.2f} {row['verify']:10.2f}"
            f" {ratio['verify']:5.2f} {row['open']:8.3f} {row['recover']:11.2f}"
            f" {costs.deal_exponentiations(n, t):9.0f} {dealt:5} {costs.verify_exponentiations(n, t):11.1f}"
            f" {verified:5} {costs.recover_exponentiations(t):12} {row['bytes']:7.0f} {row['narrow']:6.0f}"
            f" {row['bytes'] / row['outputs']:13.0f}"
        )


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256], help="numbers of peers")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the best counts")
    parser.add_argument(
        "--reference", action="store_true", help="also the slow group, up to n = 16 (seconds a line)"
    )
    arguments = parser.parse_args()
    print(HEADER)
    for n in arguments.n:
        report("bls12_381", n, arguments.rounds)
        if arguments.reference and n <= MOST_REFERENCE:
            report("bls12_381_reference", n, 1)


if __name__ == "__main__":
    main()
