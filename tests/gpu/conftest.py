"""These tests need an accelerator; without one each says so and is skipped."""

from __future__ import annotations

import jax
import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if jax.default_backend() != "cpu":
        return
    reason = "no accelerator: jax.default_backend() is 'cpu'"
    for item in items:
        if "tests/gpu/" in item.path.as_posix():
            item.add_marker(pytest.mark.skip(reason=reason))
