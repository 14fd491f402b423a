"""Published files: read, downloaded, refused."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from data_files import cifar, cifar_batches, digits, idx, write_cifar, write_idx

from simdfl.errors import UserError
from simdfl.folders import cache_folder
from simdfl.learning.datasets import load_dataset
from simdfl.learning.files import PublishedFile, data_folder, obtain
from simdfl.learning.images import read_cifar, read_idx
from simdfl.rng import Rng

OWN = {"checksum": "none"}
CONTENT = b"what was published"
FILE = PublishedFile("some.bin", "", "sha256", hashlib.sha256(CONTENT).hexdigest())


def load(name: str, folder: Path, **params):
    return load_dataset(name, params, Rng(1).stream("dataset"), str(folder))


@pytest.mark.parametrize("name, prefix", [("mnist", "mnist"), ("fashion_mnist", "fashion-mnist")])
def test_idx_files_become_images(name, prefix, tmp_path):
    write_idx(tmp_path, prefix)
    data = load(name, tmp_path, **OWN)
    images, labels = digits(30, 1)
    np.testing.assert_array_equal(data.x_train[..., 0], images.astype(np.float32) / 255)
    np.testing.assert_array_equal(data.y_train, labels)
    assert data.x_test.shape == (20, 28, 28, 1)
    assert (data.x_train.dtype, data.y_train.dtype, data.n_classes) == (np.float32, np.int32, 10)


def test_cifar_records_become_images_with_channels_last(tmp_path):
    write_cifar(tmp_path)
    data = load("cifar10", tmp_path, **OWN)
    assert (data.x_train.shape, data.x_test.shape) == ((20, 32, 32, 3), (4, 32, 32, 3))
    record = (1 + 2 + np.arange(3072)) % 256  # batch 1, record 2
    for channel, row, column in [(0, 0, 0), (1, 0, 5), (2, 31, 31)]:
        value = record[1024 * channel + 32 * row + column] / 255
        assert data.x_train[4 + 2, row, column, channel] == np.float32(value)
    assert data.y_train.tolist() == [0, 1, 2, 3] * 5


def test_a_part_is_drawn_by_the_seed(tmp_path):
    write_idx(tmp_path, "mnist")
    whole = load("mnist", tmp_path, **OWN)
    part, again = (load("mnist", tmp_path, n_train=9, n_test=5, **OWN) for _ in range(2))
    other = load_dataset("mnist", {"n_train": 9, "n_test": 5, **OWN}, Rng(2).stream("dataset"), str(tmp_path))
    assert (len(part.y_train), len(part.y_test)) == (9, 5)
    assert part.merkle_root() == again.merkle_root()
    assert other.merkle_root() != part.merkle_root()
    known = {record.tobytes() for record in whole.x_train}
    assert all(record.tobytes() in known for record in part.x_train)


def test_a_root_does_not_depend_on_the_folder(tmp_path):
    for folder in ("a", "b"):
        write_idx(tmp_path / folder, "mnist")
    roots = {load("mnist", tmp_path / folder, **OWN).merkle_root() for folder in ("a", "b")}
    assert len(roots) == 1


def test_other_content_needs_consent(tmp_path):
    write_idx(tmp_path, "mnist")
    with pytest.raises(
        UserError, match=r"train-images.* has the md5 sum .* published is f68b3c2d.*checksum: none"
    ):
        load("mnist", tmp_path)


def test_the_folder_is_given_or_the_environments_or_in_the_cache(monkeypatch, tmp_path):
    for name in ("SIMDFL_DATA", "SIMDFL_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert data_folder() == tmp_path / "x" / "simdfl" / "data"
    monkeypatch.setenv("SIMDFL_CACHE", str(tmp_path / "c"))
    assert data_folder() == tmp_path / "c" / "data" == cache_folder("data")
    monkeypatch.setenv("SIMDFL_DATA", str(tmp_path / "d"))
    assert data_folder() == tmp_path / "d"
    assert data_folder("given") == Path("given")


@pytest.mark.parametrize(
    "raw, sentence",
    [
        (b"no gzip", "is damaged"),
        (idx(digits(3, 1)[0])[:-20], "is damaged"),
        (idx(digits(3, 1)[0], kind=13), "no IDX file of unsigned bytes in 3 dimensions"),
        (idx(digits(3, 1)[1]), "no IDX file of unsigned bytes in 3 dimensions"),
        (gzip.compress(gzip.decompress(idx(digits(3, 1)[0])) + b"x"), "holds more bytes"),
        (gzip.compress(gzip.decompress(idx(digits(3, 1)[0]))[:-1]), "holds fewer bytes"),
        (gzip.compress(b"\0\0\x08"), "is damaged"),
    ],
    ids=["no_gzip", "torn", "floats", "labels", "longer", "shorter", "no_header"],
)
def test_a_damaged_idx_file_is_one_sentence(raw, sentence):
    with pytest.raises(UserError, match=sentence):
        read_idx(raw, "x.gz", 3)


def test_a_damaged_cifar_is_one_sentence():
    batches = cifar_batches()
    short = batches | {"test_batch.bin": batches["test_batch.bin"][:-1]}
    lacking = {name: content for name, content in batches.items() if name != "data_batch_3.bin"}
    for raw, sentence in (
        (cifar(batches)[:-30], "is damaged"),
        (b"no tar", "is damaged"),
        (cifar(short), r"test_batch.bin in x is no whole number of 3073-byte records"),
        (cifar(lacking), r"data_batch_3.bin in x .* \(0 bytes\)"),
    ):
        with pytest.raises(UserError, match=sentence):
            read_cifar(raw, "x")


def test_labels_and_counts_are_checked(tmp_path):
    write_idx(tmp_path, "mnist")
    with pytest.raises(UserError, match=r"params.n_train: must be 1 to the 30 records .* got 31"):
        load("mnist", tmp_path, n_train=31, **OWN)
    with pytest.raises(UserError, match="did you mean 'n_train'"):
        load("mnist", tmp_path, n_trai=3, **OWN)
    with pytest.raises(UserError, match=r"params.checksum: got 'md5'"):
        load("mnist", tmp_path, checksum="md5")
    labels = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(idx(np.arange(20)))
    with pytest.raises(UserError, match="labels 0 to 9, a file holds 19"):
        load("mnist", tmp_path, **OWN)
    labels.write_bytes(idx(np.arange(19)))
    with pytest.raises(UserError, match="20 images for 19 labels"):
        load("mnist", tmp_path, **OWN)


class Quiet(SimpleHTTPRequestHandler):
    """A file server that prints nothing and counts what it is asked for."""

    asked: list[str] = []

    def log_message(self, *words: object) -> None:
        """Keep the path."""
        self.asked.append(self.path)


@pytest.fixture
def site(tmp_path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "some.bin").write_bytes(CONTENT)
    (tmp_path / "www" / "other.bin").write_bytes(b"something else")
    Quiet.asked = []
    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "www"))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_is_downloaded_once_and_kept(site, tmp_path):
    file, folder = replace(FILE, url=f"{site}/some.bin"), tmp_path / "new" / "folder"
    assert obtain("x", file, folder) == obtain("x", file, folder) == CONTENT
    assert Quiet.asked == ["/some.bin"]
    assert [path.name for path in folder.iterdir()] == ["some.bin"]


def test_a_wrong_download_is_not_kept(site, tmp_path):
    file = replace(FILE, url=f"{site}/other.bin")
    for checksum in ("published", "none"):
        with pytest.raises(UserError, match=r"gave has the sha256 sum .* published is"):
            obtain("x", file, tmp_path / "new", checksum)
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_had_is_one_sentence(site, tmp_path):
    for url in (f"{site}/missing.bin", "http://127.0.0.1:9/some.bin", "no url"):
        with pytest.raises(
            UserError, match=r"^key: some.bin is not in .* cannot be reached \(.*\); put it there"
        ):
            obtain("key", replace(FILE, url=url), tmp_path)
    (tmp_path / "some.bin").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        obtain("key", FILE, tmp_path)
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be written"):
        obtain("key", replace(FILE, url=f"{site}/some.bin"), tmp_path / "plain" / "folder")
