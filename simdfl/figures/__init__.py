"""The figures, each from one command: ``python -m simdfl.figures beacon_bias``."""

NAMES = ("beacon_bias", "ban_times", "defences", "defences_cifar10", "sum_check", "network_truth")
