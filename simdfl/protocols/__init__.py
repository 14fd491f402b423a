"""Training protocols by name; each reads like its paper's algorithm."""

PROTOCOLS = ("verified", "all_reduce", "parameter_server")
