"""Sweeps: many runs of one scenario over processes or machines, resumable, with one table at the end."""
