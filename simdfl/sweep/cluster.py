"""Where runs happen: a Dask cluster, one's own on this machine or one that is there already.

Either way a sweep holds a client and submits runs to it. One's own cluster has a process for each worker, one
thread in each, and listens on the loopback address alone.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simdfl import __version__
from simdfl.errors import UserError
from simdfl.sweep.work import worker_version

HERE = "127.0.0.1"
ENDINGS = 1
"""A run whose worker has ended is tried again so many times."""
CONNECT_S = 20.0


def visible_gpus(environment: Mapping[str, str], proc: Path = Path("/proc/driver/nvidia/gpus")) -> list[str]:
    """Return the GPUs that may be used, as ``CUDA_VISIBLE_DEVICES`` names them."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu.strip() for gpu in named.split(",") if gpu.strip() not in ("", "-1")]
    return [str(index) for index in range(len(list(proc.iterdir())))] if proc.is_dir() else []


def worker_environment(worker: int, n_workers: int, gpus: Sequence[str]) -> dict[str, str]:
    """Return the environment of one worker: a GPU of its own where there are enough, else its share of one.

    >>> worker_environment(1, 2, ["0", "1"])
    {'CUDA_VISIBLE_DEVICES': '1'}
    >>> worker_environment(2, 3, ["0", "1"])["XLA_PYTHON_CLIENT_MEM_FRACTION"]
    '0.45'
    >>> worker_environment(0, 2, [])
    {}
    """
    if not gpus:
        return {}
    assigned = {"CUDA_VISIBLE_DEVICES": gpus[worker % len(gpus)]}
    sharing = -(-n_workers // len(gpus))
    if sharing > 1:
        assigned["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 / sharing:.3g}"
    return assigned


@contextmanager
def connect(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """Yield a Dask client of an existing scheduler, or of a cluster of one's own that ends with the block.

    Raises
    ------
    UserError
        If the scheduler does not answer, has no workers, or these run another simdfl.
    """
    from distributed import Client

    _configure()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if scheduler is None:
        with _own_cluster(workers) as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(scheduler, timeout=CONNECT_S)
        client.wait_for_workers(1, timeout=CONNECT_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(
            f"--scheduler {scheduler}: no Dask scheduler with workers answers there; start one with 'dask "
            "scheduler' and 'dask worker', or leave --scheduler out"
        ) from error
    with client:
        _check_workers(client, scheduler)
        yield client


def _configure() -> None:
    import dask

    # A simulation must not be moved, paused or ended because of its memory: the system decides.
    memory = {f"distributed.worker.memory.{key}": False for key in ("target", "spill", "pause", "terminate")}
    dask.config.set({"distributed.scheduler.allowed-failures": ENDINGS, **memory})


def _check_workers(client: Any, scheduler: str) -> None:
    found = {str(answer) for answer in client.run(worker_version, on_error="return").values()}
    if found != {__version__}:
        raise UserError(
            f"--scheduler {scheduler}: its workers answer {', '.join(sorted(found))} where simdfl {__version__} "
            "is needed; install it there"
        )


@contextmanager
def _own_cluster(workers: int | None) -> Iterator[Any]:
    from distributed import Nanny, Scheduler, SpecCluster

    gpus = visible_gpus(os.environ)
    count = workers or len(gpus) or os.cpu_count() or 1
    quiet = {"host": HERE, "dashboard": False, "dashboard_address": f"{HERE}:0"}
    nannies = {
        index: {
            "cls": Nanny,
            "options": {
                **quiet,
                "nthreads": 1,
                "memory_limit": 0,
                "silence_logs": logging.CRITICAL,
                "env": worker_environment(index, count, gpus),
            },
        }
        for index in range(count)
    }
    # Processes inherit a blocked SIGINT, as a terminal sends it to them too.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        cluster = SpecCluster(
            workers=nannies,
            scheduler={"cls": Scheduler, "options": quiet},
            silence_logs=logging.CRITICAL,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    with cluster:
        yield cluster
