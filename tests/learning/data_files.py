"""Small files in the formats of the published data sets."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np

from simdfl.learning.images import CIFAR_FILE, CIFAR_TEST, CIFAR_TRAIN


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    """Return an array of bytes as a gzipped IDX file."""
    header = struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def digits(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n images (n, 28, 28) of noise and labels."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return rng.integers(0, 256, (n, 28, 28)), np.arange(n) % 10


def write_idx(folder: Path, prefix: str, n_train: int = 30, n_test: int = 20) -> None:
    """Write the four files of MNIST or Fashion-MNIST."""
    (folder / prefix).mkdir(parents=True, exist_ok=True)
    for name, (images, labels) in {"train": digits(n_train, 1), "t10k": digits(n_test, 2)}.items():
        (folder / prefix / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (folder / prefix / f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(labels))


def cifar(batches: dict[str, bytes]) -> bytes:
    """Return a gzipped tar of batch files."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def cifar_batches(per_batch: int = 4) -> dict[str, bytes]:
    """Return batch files in which record j of batch i is the label j and pixels that count up from i + j."""
    found = {}
    for i, name in enumerate((*CIFAR_TRAIN, *CIFAR_TEST)):
        records = [
            bytes([j % 10]) + ((i + j + np.arange(3072)) % 256).astype(np.uint8).tobytes()
            for j in range(per_batch)
        ]
        found[name] = b"".join(records)
    return found


def write_cifar(folder: Path, per_batch: int = 4) -> None:
    """Write a small CIFAR-10."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CIFAR_FILE.name).write_bytes(cifar(cifar_batches(per_batch)))
