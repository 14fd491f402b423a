"""simdfl: a simulator of verifiable, Byzantine-tolerant decentralised federated learning."""

import os

# The size of XLA's thread pool changes the bits of its results on a CPU; one thread makes a run the same on
# every machine of one kind, and processes, not threads, use the other cores. Read when jax is first imported.
# The same holds for NumPy's matrix products, if numpy is not loaded yet.
os.environ.setdefault("NPROC", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
