"""Publicly verifiable secret sharings behind one interface.

All give secrets to the same receivers; they differ in how a dealer proves that the shares fit together. ``ldei``
is the smallest and fastest, ``schoenmakers`` the simplest, ``albatross`` packs many secrets into one sharing.
"""

from __future__ import annotations

from simdfl.crypto.sharing.albatross import Albatross, extract
from simdfl.crypto.sharing.base import Dealing, Setting, SharingScheme
from simdfl.crypto.sharing.ldei import Ldei
from simdfl.crypto.sharing.schoenmakers import Schoenmakers
from simdfl.crypto.sharing.scrape import Scrape
from simdfl.crypto.sharing.transcript import Transcript

SHARINGS: dict[str, SharingScheme] = {
    "ldei": Ldei(),
    "scrape": Scrape(),
    "schoenmakers": Schoenmakers(),
    "albatross": Albatross(),
}

__all__ = [
    "SHARINGS",
    "Albatross",
    "Dealing",
    "Ldei",
    "Schoenmakers",
    "Scrape",
    "Setting",
    "SharingScheme",
    "Transcript",
    "extract",
]
