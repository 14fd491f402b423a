"""Images in their standard files: MNIST and Fashion-MNIST (IDX), CIFAR-10 (the binary version).

Pixels become float32 in [0, 1], images (height, width, channels). The published split is kept; `n_train` and
`n_test` draw that many records of each side. The Python version of CIFAR-10 is not read: it is pickled, and
unpickling runs code.

References
----------
LeCun, Cortes, Burges, "The MNIST database of handwritten digits" (the IDX format).
Xiao, Rasul, Vollgraf, "Fashion-MNIST", arXiv:1708.07747.
Krizhevsky, "Learning multiple layers of features from tiny images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import tarfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from simdfl.errors import UserError
from simdfl.learning.data import Dataset, choose
from simdfl.learning.files import Checking, PublishedFile, obtain

PIXEL_MAX = np.float32(255.0)
WHERE = "learning.dataset"
N_CLASSES = 10
IDX_UNSIGNED_BYTES = 0x08
CIFAR_SHAPE = (3, 32, 32)
CIFAR_RECORD = 1 + math.prod(CIFAR_SHAPE)
CIFAR_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR_TEST = ("test_batch.bin",)
CIFAR_LIMIT = 100_000 * CIFAR_RECORD
"""Bytes of one batch file at most: ten times the published ones."""

Arrays = tuple[np.ndarray, np.ndarray]


def _idx_files(base: str, sums: tuple[str, str, str, str], prefix: str = "") -> tuple[PublishedFile, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(
        PublishedFile(f"{prefix}{name}-ubyte.gz", f"{base}/{name}-ubyte.gz", "md5", checksum)
        for name, checksum in zip(names, sums)
    )


MNIST_FILES = _idx_files(
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    "mnist/",
)
FASHION_FILES = _idx_files(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "fashion-mnist/",
)
CIFAR_FILE = PublishedFile(
    "cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "md5",
    "c32a1d4ab5d03f1284b67883e8d87530",
)


def read_idx(raw: bytes, name: str, dimensions: int) -> np.ndarray:
    """Return the array of a gzipped IDX file of unsigned bytes.

    Parameters
    ----------
    raw : bytes
        The compressed file.
    name : str
        For messages.
    dimensions : int
        How many the array must have.

    Raises
    ------
    UserError
        If the file is no such thing, is cut short or goes on after its end.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            zero, kind, found = struct.unpack(">HBB", stream.read(4))
            if (zero, kind, found) != (0, IDX_UNSIGNED_BYTES, dimensions):
                raise UserError(
                    f"{WHERE}: {name} is no IDX file of unsigned bytes in {dimensions} dimensions; get it again"
                )
            shape = struct.unpack(f">{found}I", stream.read(4 * found))
            size = math.prod(shape)
            content = stream.read(size + 1)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"{WHERE}: {name} is damaged ({error}); delete it and get it again") from error
    if len(content) != size:
        more = "more" if len(content) > size else "fewer"
        raise UserError(f"{WHERE}: {name} holds {more} bytes than its header says ({size}); get it again")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _read_idx_pair(files: tuple[PublishedFile, ...], folder: Path, checksum: Checking) -> Arrays:
    images_file, labels_file = files
    images = read_idx(obtain(WHERE, images_file, folder, checksum), images_file.name, 3)
    labels = read_idx(obtain(WHERE, labels_file, folder, checksum), labels_file.name, 1)
    if len(images) != len(labels):
        raise UserError(
            f"{WHERE}: {images_file.name} has {len(images)} images for {len(labels)} labels; get both again"
        )
    return images[..., None], labels


def read_cifar(raw: bytes, name: str) -> tuple[Arrays, Arrays]:
    """Return training and test images (n, 32, 32, 3) uint8 with labels, from the gzipped tar of binary batches.

    Raises
    ------
    UserError
        If it is no such archive, lacks a batch, or a batch is no whole number of records.
    """
    batches: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as archive:
            for member in archive:
                short = PurePosixPath(member.name).name
                stream = archive.extractfile(member) if short in (*CIFAR_TRAIN, *CIFAR_TEST) else None
                if stream is not None:
                    batches[short] = stream.read(CIFAR_LIMIT)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise UserError(f"{WHERE}: {name} is damaged ({error}); delete it and get it again") from error
    for short in (*CIFAR_TRAIN, *CIFAR_TEST):
        content = batches.get(short, b"")
        if not content or len(content) % CIFAR_RECORD:
            raise UserError(
                f"{WHERE}: {short} in {name} is no whole number of {CIFAR_RECORD}-byte records "
                f"({len(content)} bytes); get the binary version again"
            )
    return _cifar_records(batches, CIFAR_TRAIN), _cifar_records(batches, CIFAR_TEST)


def _cifar_records(batches: dict[str, bytes], names: tuple[str, ...]) -> Arrays:
    rows = np.frombuffer(b"".join(batches[name] for name in names), dtype=np.uint8).reshape(-1, CIFAR_RECORD)
    return rows[:, 1:].reshape(-1, *CIFAR_SHAPE).transpose(0, 2, 3, 1), rows[:, 0]


def _as_dataset(
    name: str, rng: np.random.Generator, train: Arrays, test: Arrays, n_train: int | None, n_test: int | None
) -> Dataset:
    sides: list[Arrays] = []
    for key, (images, labels), count in (("n_train", train, n_train), ("n_test", test, n_test)):
        if len(labels) and labels.max() >= N_CLASSES:
            raise UserError(
                f"{WHERE}: {name!r} has labels 0 to {N_CLASSES - 1}, a file holds {labels.max()}; get it again"
            )
        chosen = choose(rng, len(labels), count, f"{WHERE}.params.{key}")
        sides.append((images[chosen].astype(np.float32) / PIXEL_MAX, labels[chosen].astype(np.int32)))
    if sides[0][0].shape[1:] != sides[1][0].shape[1:]:
        raise UserError(f"{WHERE}: training and test images of {name!r} differ in size; get the files again")
    return Dataset(name, *sides[0], *sides[1], N_CLASSES)


def load_mnist(
    rng: np.random.Generator,
    folder: Path,
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    checksum: Checking = "published",
) -> Dataset:
    """Return 60,000 and 10,000 handwritten digits (28, 28, 1), or as many of them as asked for.

    Raises
    ------
    UserError
        If a file cannot be had, is damaged or another one, or there are fewer records than wanted.
    """
    return _load_idx("mnist", MNIST_FILES, rng, folder, n_train, n_test, checksum)


def load_fashion_mnist(
    rng: np.random.Generator,
    folder: Path,
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    checksum: Checking = "published",
) -> Dataset:
    """Return 60,000 and 10,000 articles of clothing (28, 28, 1); as :func:`load_mnist`."""
    return _load_idx("fashion_mnist", FASHION_FILES, rng, folder, n_train, n_test, checksum)


def _load_idx(
    name: str,
    files: tuple[PublishedFile, ...],
    rng: np.random.Generator,
    folder: Path,
    n_train: int | None,
    n_test: int | None,
    checksum: Checking,
) -> Dataset:
    train, test = (_read_idx_pair(files[at : at + 2], folder, checksum) for at in (0, 2))
    return _as_dataset(name, rng, train, test, n_train, n_test)


def load_cifar10(
    rng: np.random.Generator,
    folder: Path,
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    checksum: Checking = "published",
) -> Dataset:
    """Return 50,000 and 10,000 photographs (32, 32, 3) of ten classes; as :func:`load_mnist`."""
    train, test = read_cifar(obtain(WHERE, CIFAR_FILE, folder, checksum), CIFAR_FILE.name)
    return _as_dataset("cifar10", rng, train, test, n_train, n_test)
