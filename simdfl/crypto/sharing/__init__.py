"""Publicly verifiable secret sharings behind one interface.

All three give the same secrets to the same receivers; they differ in how a dealer proves that the shares fit
together. ``ldei`` is the smallest and fastest, ``schoenmakers`` the simplest.
"""

from __future__ import annotations

from simdfl.crypto.sharing.base import Dealing, Setting, SharingScheme
from simdfl.crypto.sharing.ldei import Ldei
from simdfl.crypto.sharing.schoenmakers import Schoenmakers
from simdfl.crypto.sharing.scrape import Scrape
from simdfl.crypto.sharing.transcript import Transcript

SHARINGS: dict[str, SharingScheme] = {
    "ldei": Ldei(),
    "scrape": Scrape(),
    "schoenmakers": Schoenmakers(),
}

__all__ = ["SHARINGS", "Dealing", "Ldei", "Schoenmakers", "Scrape", "Setting", "SharingScheme", "Transcript"]
