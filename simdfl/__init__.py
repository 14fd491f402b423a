"""simdfl: a simulator of verifiable, Byzantine-tolerant decentralised federated learning."""

import os

# The size of XLA's thread pool changes the bits of its results on a CPU; one thread makes a run the same on
# every machine of one kind, and processes, not threads, use the other cores. Read when jax is first imported.
os.environ.setdefault("NPROC", "1")
# For the same reason, and because threads of a BLAS that share a core cost many times the small products of the
# aggregation rules. Read when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
