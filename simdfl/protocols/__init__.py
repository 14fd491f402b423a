"""Training protocols by name; each reads like its paper's algorithm."""

PROTOCOLS = ("verified", "btard", "all_reduce", "parameter_server")
