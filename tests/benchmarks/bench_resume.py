"""How much faster a resumed run gets to where it was than it had been there: CPU seconds, one process each.

``python tests/benchmarks/bench_resume.py`` makes the demo's main run twice, with an empty store and a full one.
A full store is that of a run killed at its very end: the second figure is all replay.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "scenarios" / "byzantine_30pct.yaml"
LARGER = ("learning.model.name=mlp", "learning.model.params={hidden: [512, 256]}", "learning.batch_size=256")
CASES = {
    "the demo's model": ("protocol.steps=60",),
    "a larger model": ("protocol.steps=60", *LARGER),
}


def run_once(folder: str, resume: str, *overrides: str) -> None:
    """Run in this process and print CPU seconds of assembly and run, records read back, bytes, and the digest."""
    from simdfl.scenario import load
    from simdfl.world.build import build
    from simdfl.world.progress import Progress

    scenario = load(SCENARIO, overrides).scenario
    store = Progress(Path(folder), 10, resume == "resume").open("main", scenario)
    started = time.process_time()
    world = build(scenario, None, store)
    built = time.process_time()
    result = world.run()
    store.close()
    size = (Path(folder) / "main.store").stat().st_size
    print(built - started, time.process_time() - built, store.found, size, result.trace_digest)


def child(folder: str, resume: str, overrides: tuple[str, ...]) -> list[str]:
    """Return what :func:`run_once` prints in a fresh process."""
    command = [sys.executable, __file__, folder, resume, *overrides]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def main() -> None:
    """Print one row per case."""
    print(
        "| case | build | run | replay | ratio | read back | store |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for name, overrides in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            fresh, again = (child(folder, word, overrides) for word in ("fresh", "resume"))
        assert fresh[4] == again[4], "a replay must give the same digest"
        run_s, replay_s = float(fresh[1]), float(again[1])
        print(
            f"| {name} | {float(again[0]):.1f} s | {run_s:.1f} s | {replay_s:.1f} s | {run_s / replay_s:.1f} | "
            f"{int(again[2]):,} | {int(again[3]) / 1e6:.1f} MB |"
        )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if len(sys.argv) > 1:
        run_once(*sys.argv[1:])
    else:
        main()
