"""Run folders: tidy tables, provenance, and the artefacts that an outsider needs to check a run."""
