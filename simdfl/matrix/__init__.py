"""Every attack against every protocol that it concerns: ``python -m simdfl.matrix``."""
