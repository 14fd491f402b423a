"""Where things lie that belong to a user's machine and to no run: the cache folder.

The cache folder is ``SIMDFL_CACHE``, else ``simdfl`` under ``XDG_CACHE_HOME``, else ``~/.cache/simdfl``. What
lies in it may be deleted at any time. Nothing in a run's results depends on it.
"""

from __future__ import annotations

import hashlib
import os
import platform
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


def use_compilation_cache() -> None:
    """Let JAX keep what it compiles in the cache folder, unless the environment says otherwise.

    ``SIMDFL_COMPILATION_CACHE=off`` switches it off; JAX's own variables, where they are set, come first. Each
    kind of processor has a folder of its own, since JAX does not tell them apart and instructions change bits. It
    must be called before jax is imported, since it speaks to jax by the environment, which also reaches child
    processes.
    """
    if os.environ.get("SIMDFL_COMPILATION_CACHE", "on") == "off" or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = cache_folder("compiled") / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home is no reason not to run
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")


def _processor() -> str:
    """Return a short name for this machine's kind of processor and its instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        told = {line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))}
    except OSError:
        told = {platform.processor()}
    return hashlib.sha256("\n".join([platform.machine(), *sorted(told)]).encode()).hexdigest()[:16]
