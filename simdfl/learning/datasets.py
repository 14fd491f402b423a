"""The shelf of data sets."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from simdfl.errors import unknown_name
from simdfl.learning.data import Dataset, load_digits, make_synthetic
from simdfl.learning.files import data_folder
from simdfl.learning.images import load_cifar10, load_fashion_mnist, load_mnist
from simdfl.learning.schedules import bind
from simdfl.learning.texts import load_python_reference, load_text, load_tiny_shakespeare

DATASETS: dict[str, Callable[..., Dataset]] = {
    "digits": load_digits,
    "synthetic": make_synthetic,
    "mnist": load_mnist,
    "fashion_mnist": load_fashion_mnist,
    "cifar10": load_cifar10,
    "text": load_text,
    "tiny_shakespeare": load_tiny_shakespeare,
    "python_reference": load_python_reference,
}


def load_dataset(
    name: str, params: Mapping[str, Any], rng: np.random.Generator, folder: str | None = None
) -> Dataset:
    """Return the data set `name` with its parameters.

    Parameters
    ----------
    name : str
        On the shelf.
    params : mapping
        The user's.
    rng : np.random.Generator
        Shuffles and draws.
    folder : str, optional
        Where files lie, see :mod:`simdfl.learning.files`; of no concern to data that need none.

    Raises
    ------
    UserError
        If the name or a parameter is unknown, a value impossible, or a file missing or damaged.
    """
    if name not in DATASETS:
        raise unknown_name("learning.dataset.name", name, DATASETS)
    load = DATASETS[name]
    given: dict[str, Any] = {"rng": rng}
    if "folder" in inspect.signature(load).parameters:
        given["folder"] = data_folder(folder)
    return bind("learning.dataset.params", load, params, given)
