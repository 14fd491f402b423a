"""Cryptography of the protocol: canonical bytes, hashes, Merkle trees, signatures, verifiable sharings.

Everything here is a pure function of its arguments. Randomness arrives as a 32-byte seed and never repeats
under another statement, since every nonce is derived from the seed *and* from what is proved. Nothing here
runs in constant time: this is a simulator, and its secrets are worthless.

Import the submodules; this package itself imports nothing.
"""
