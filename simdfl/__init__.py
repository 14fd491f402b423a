"""simdfl: a simulator of verifiable, Byzantine-tolerant decentralised federated learning."""

__version__ = "0.1.0"
