"""Text as records of a language model: windows of tokens, and what comes after each.

A record is `context` consecutive tokens as float32, its label the token that follows. A model that reads tokens
learns to predict every token of the window from those before it, the label being the last. Windows begin every
`stride` tokens; the last part of the text is for testing, so that no test window overlaps a training one.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Literal

import numpy as np

from simdfl.errors import UserError
from simdfl.learning.data import Dataset, choose
from simdfl.learning.files import Checking, PublishedFile, obtain, read_file

WHERE = "learning.dataset.params"
BYTES = 256
Tokens = Literal["characters", "bytes"]
Arrays = tuple[np.ndarray, np.ndarray]

SHAKESPEARE = PublishedFile(
    "tiny_shakespeare.txt",
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    "sha256",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)


def tokenise(raw: bytes, tokens: Tokens, name: str) -> tuple[np.ndarray, int]:
    """Return the tokens (n,) int32 of a UTF-8 text and how many different ones there can be.

    Characters are numbered in the order of their code points, of those that occur.

    Raises
    ------
    UserError
        If characters are wanted and the text is not UTF-8.

    Examples
    --------
    >>> tokenise(b"cab", "characters", "x")[0].tolist()
    [2, 0, 1]
    """
    if tokens == "bytes":
        return np.frombuffer(raw, dtype=np.uint8).astype(np.int32), BYTES
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{WHERE}.tokens: {name} is not UTF-8 ({error}); use tokens: bytes") from error
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    known, numbers = np.unique(points, return_inverse=True)
    return numbers.astype(np.int32), len(known)


def windows(tokens: np.ndarray, context: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Return records (n, context) float32 and labels (n,) int32; none if the text is too short.

    >>> x, y = windows(np.arange(7), 3, 2)
    >>> x.tolist(), y.tolist()
    ([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]], [3, 5])
    """
    if len(tokens) <= context:
        return np.zeros((0, context), dtype=np.float32), np.zeros(0, dtype=np.int32)
    cut = np.lib.stride_tricks.sliding_window_view(tokens, context + 1)[::stride]
    return cut[:, :-1].astype(np.float32), cut[:, -1].astype(np.int32)


def _as_dataset(
    name: str,
    raw: bytes,
    rng: np.random.Generator,
    tokens: Tokens,
    context: int,
    stride: int | None,
    test_fraction: float,
    n_train: int | None,
    n_test: int | None,
) -> Dataset:
    stride = context if stride is None else stride
    if context < 1 or stride < 1 or not 0 < test_fraction < 1:
        raise UserError(
            f"{WHERE}: context and stride must be at least 1 and test_fraction between 0 and 1, "
            f"got {context}, {stride}, {test_fraction}"
        )
    numbers, n_tokens = tokenise(raw, tokens, name)
    cut = len(numbers) - round(len(numbers) * test_fraction)
    sides: list[Arrays] = []
    for key, part, count in (("n_train", numbers[:cut], n_train), ("n_test", numbers[cut:], n_test)):
        x, y = windows(part, context, stride)
        if not len(y):
            raise UserError(
                f"{WHERE}.context: {name} gives no window of {context} + 1 tokens in {len(part)}; "
                "use a smaller context, another test_fraction or a longer text"
            )
        chosen = choose(rng, len(y), count, f"{WHERE}.{key}")
        sides.append((x[chosen], y[chosen]))
    return Dataset(name, *sides[0], *sides[1], n_tokens, is_text=True)


def load_text(
    rng: np.random.Generator,
    folder: Path,
    *,
    file: str,
    tokens: Tokens = "characters",
    context: int = 64,
    stride: int | None = None,
    test_fraction: float = 0.1,
    n_train: int | None = None,
    n_test: int | None = None,
) -> Dataset:
    """Return the windows of a text file in the data folder.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the records, if `n_train` or `n_test` are given.
    folder : Path
    file : str
        Path inside the folder.
    tokens : str
        ``characters`` (those that occur, the text being UTF-8) or ``bytes`` (256).
    context : int
        Tokens of a record.
    stride : int, optional
        Tokens from the beginning of one record to that of the next; `context`, if not given.
    test_fraction : float
        Part at the end that is kept for testing.
    n_train, n_test : int, optional
        Records to draw of each side; all, if not given.

    Raises
    ------
    UserError
        If the file cannot be read, lies outside the folder or is too short, or a number is impossible.
    """
    path = PurePath(file)
    if not file or path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"{WHERE}.file: {file!r} is no path inside the data folder; give the file's name here and its "
            "folder as learning.dataset.folder"
        )
    raw = read_file(f"{WHERE}.file", folder / path)
    return _as_dataset("text", raw, rng, tokens, context, stride, test_fraction, n_train, n_test)


def load_tiny_shakespeare(
    rng: np.random.Generator,
    folder: Path,
    *,
    tokens: Tokens = "characters",
    context: int = 64,
    stride: int | None = None,
    test_fraction: float = 0.1,
    n_train: int | None = None,
    n_test: int | None = None,
    checksum: Checking = "published",
) -> Dataset:
    """Return the windows of 1.1 million characters of Shakespeare; parameters as in :func:`load_text`.

    References
    ----------
    Karpathy, "The unreasonable effectiveness of recurrent neural networks", 2015 (the file).
    """
    raw = obtain("learning.dataset", SHAKESPEARE, folder, checksum)
    return _as_dataset("tiny_shakespeare", raw, rng, tokens, context, stride, test_fraction, n_train, n_test)


def load_python_reference(
    rng: np.random.Generator,
    *,
    tokens: Tokens = "characters",
    context: int = 64,
    stride: int | None = None,
    test_fraction: float = 0.1,
    n_train: int | None = None,
    n_test: int | None = None,
) -> Dataset:
    """Return the windows of the language reference that every Python carries for its ``help()``.

    About 400,000 characters. Each version of Python has its own text: who audits a run needs the version that
    made it. Parameters as in :func:`load_text`.
    """
    from pydoc_data.topics import topics

    raw = "\n".join(topics[name] for name in sorted(topics)).encode()
    return _as_dataset("python_reference", raw, rng, tokens, context, stride, test_fraction, n_train, n_test)
