"""Studies over many runs: every attack against every protocol, and the figures of the security argument."""
