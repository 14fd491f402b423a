"""Where things lie that belong to a user's machine and to no run: the cache folder.

The folder is ``SIMDFL_CACHE``, else ``simdfl`` under ``XDG_CACHE_HOME``, else ``~/.cache/simdfl``. What lies in
it may be deleted at any time. Nothing in a run's results depends on it.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(purpose: str) -> Path:
    """Return the folder that holds what is cached for a purpose, such as ``data``; it need not exist.

    >>> cache_folder("data").name
    'data'
    """
    chosen = os.environ.get("SIMDFL_CACHE")
    if chosen:
        return Path(chosen).expanduser() / purpose
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "simdfl" / purpose
