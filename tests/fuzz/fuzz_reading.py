"""Coverage-guided fuzzing of everything that reads a stranger's file; needs ``pip install -e ".[fuzz]"``.

``python tests/fuzz/fuzz_reading.py [--seeds RUN_FOLDER] [-runs=N] [libFuzzer's options] CORPUS`` feeds each
reader with bytes of atheris' choosing, beginning with the files of a published run. The readers may return or
raise ``Unusable``; anything else, and anything that takes long or much memory, is a finding: atheris writes the
input to a file and ends with an error.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["simdfl.auditing", "simdfl.canonical", "simdfl.crypto.encoding"]):
    from simdfl.auditing.certificate import read_certificate
    from simdfl.auditing.findings import Unusable
    from simdfl.auditing.published import INDEX, read_index
    from simdfl.auditing.reading import GZIP_HEADER, parse_json, read_json, read_lines, read_weights

N_PARAMETERS = 5
NAME = "input.bin"


def compressed(data: bytes) -> bytes:
    """Return one gzip member as published files have it, so that the fuzzer reaches the lines inside."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = engine.compress(data) + engine.flush()
    return GZIP_HEADER + body + zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")


def canonical(data: bytes) -> bytes:
    """Return the accepted form of a JSON text, so that the fuzzer reaches the fields; other bytes as they are."""
    try:
        return json.dumps(json.loads(data), indent=2, sort_keys=True).encode() + b"\n"
    except (ValueError, RecursionError):
        return data


def readers(folder: Path) -> list[Callable[[bytes], Any]]:
    """Return what is fuzzed: functions of the bytes of one file."""
    file = folder / NAME

    def written(data: bytes, name: str = NAME) -> None:
        (folder / name).write_bytes(data)

    def lines(data: bytes) -> None:
        written(data)
        for _ in read_lines(folder, NAME):
            pass

    def weights(data: bytes) -> None:
        written(data)
        read_weights(folder, NAME, N_PARAMETERS)

    def index(data: bytes) -> None:
        written(canonical(data), INDEX)
        read_index(folder)

    def json_file(data: bytes) -> None:
        written(canonical(data))
        read_json(folder, NAME, "simdfl.manifest.v1")

    def certificate(data: bytes) -> None:
        written(canonical(data))
        read_certificate(file)

    def packed_lines(data: bytes) -> None:
        lines(compressed(data))

    def text(data: bytes) -> None:
        parse_json(NAME, data)

    return [text, lines, packed_lines, weights, index, json_file, certificate]


def write_seeds(run_folder: Path, corpus: Path) -> None:
    """Write a published run's files as first inputs; the last byte of an input chooses its reader."""
    corpus.mkdir(parents=True, exist_ok=True)
    json_texts = [(run_folder / name).read_bytes() for name in ("manifest.json", INDEX)]
    packed = (run_folder / "messages.jsonl.gz").read_bytes()
    some_lines = b"\n".join(zlib.decompress(packed, zlib.MAX_WBITS | 16).split(b"\n")[:3]) + b"\n"
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({N_PARAMETERS},), }}".ljust(117) + "\n"
    vector = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(4 * N_PARAMETERS)
    seeds = [json_texts[0], compressed(some_lines), some_lines, vector, json_texts[1], json_texts[0]]
    for reader, data in enumerate(seeds):
        (corpus / f"seed_{reader}").write_bytes(data + bytes([reader]))


def main() -> None:
    """Fuzz until libFuzzer's limits or a finding."""
    if "--seeds" in sys.argv:
        at = sys.argv.index("--seeds")
        write_seeds(Path(sys.argv[at + 1]), Path(sys.argv[-1]))
        del sys.argv[at : at + 2]
    with tempfile.TemporaryDirectory() as place:
        shelf = readers(Path(place))

        def one_input(data: bytes) -> None:
            provider = atheris.FuzzedDataProvider(data)
            reader = shelf[provider.ConsumeIntInRange(0, len(shelf) - 1)]
            with suppress(Unusable):
                reader(provider.ConsumeBytes(provider.remaining_bytes()))

        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
