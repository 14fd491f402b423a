"""ByzFL for comparisons: single modules of it, without the parts that need torchvision."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any


def load_byzfl(*names: str) -> tuple[Any, ...] | None:
    """Return modules of ByzFL by their names within it, and torch; None if they cannot be imported.

    The package imports its own benchmark, and that torchvision, which fits only one build of torch; an empty
    package in its place keeps both out.
    """
    if "byzfl" not in sys.modules:
        found = importlib.util.find_spec("byzfl")
        if found is None or importlib.util.find_spec("torch") is None:
            return None
        package = types.ModuleType("byzfl")
        package.__path__ = list(found.submodule_search_locations or [])
        sys.modules["byzfl"] = package
    return tuple(importlib.import_module(name) for name in (*(f"byzfl.{name}" for name in names), "torch"))
