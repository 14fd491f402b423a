"""The public audit: a second, independent reading of what a run has published.

Nothing here is imported from the rooms in which peers live (protocols, peers, world): what a peer computes and
what an auditor computes meet only in the published bytes. Shared are the vocabulary, the cryptography, the
contracts, the precompiles, and the pure learning code that the manifest names.
"""
