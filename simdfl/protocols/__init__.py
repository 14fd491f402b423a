"""Training protocols by name; each reads like its paper's algorithm."""

GOSSIP_PROTOCOLS = ("gossip_sgd", "async_gossip")
"""Protocols in which every peer has a model of its own."""
PROTOCOLS = ("verified", "btard", "all_reduce", "parameter_server", *GOSSIP_PROTOCOLS)
