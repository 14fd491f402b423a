"""What an audit did not show, in words: the assurances that this kind of run lacks, and what they leave open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NO_CHAIN = "nothing was committed to: no contracts, no signatures, no beacon"
ALWAYS = (
    (
        "that this is the chain",
        "the audit checks a copy of the chain; compare the head hash in this report with the chain's own, "
        "or a whole history signed by the same keys could stand here",
    ),
    (
        "that data are true",
        "a wrong or poisoned record that was in the data set before the run is learned like any other",
    ),
    (
        "tables, trace, summary",
        "scenario.yaml, summary.txt, provenance.json and the tables of a run folder are commentary: nobody "
        "signed them",
    ),
)


@dataclass(frozen=True)
class Gap:
    """One assurance that is missing, and what an attacker could still have done."""

    missing: str
    attack: str


def gaps_of(index: dict[str, Any], configuration: dict[str, Any] | None, level: int) -> list[Gap]:
    """Return what a run of this kind, audited to this level, does not assure.

    Parameters
    ----------
    index : dict
        The index of the run folder.
    configuration : dict or None
        What the manifest declares; None where there is none.
    level : int
        The level reached; -1 if nothing could be checked.
    """
    if configuration is None:
        return _unverified(str(index["protocol"]))
    gaps = [*_level(level), *_protocol(configuration), *_learning(configuration), *_beacon(configuration)]
    return gaps + [Gap(*pair) for pair in ALWAYS]


def _unverified(protocol: str) -> list[Gap]:
    if protocol in ("verified", "btard"):
        return [Gap("everything", "the folder could not be read as far as what its manifest declares")]
    who = "the server" if protocol == "parameter_server" else "any one peer"
    return [
        Gap(f"everything: {NO_CHAIN}", f"{who} could have replaced the weights by any others, unseen"),
        Gap("membership", "peers could have voted twice, under other names or for each other"),
        Gap("the batches", "every peer chose its records itself and could have computed anything"),
        Gap("the aggregates", f"{who} could have added any vector to any step; nobody can tell afterwards"),
    ]


def _level(level: int) -> list[Gap]:
    gaps = []
    if level < 1:
        attack = (
            "gradients were not recomputed: a peer that no validator drew could have sent any vector, clipped"
        )
        gaps.append(Gap("gradients (level 1)", attack))
    if level < 2:
        attack = (
            "a coalition that controls an aggregator and its reporters' sums could have shifted a part by less "
        )
        gaps.append(
            Gap("the whole training (level 2)", attack + "than the V2 tolerance in each step that was not drawn")
        )
    return gaps


def _protocol(configuration: dict[str, Any]) -> list[Gap]:
    protocol, gaps = configuration["protocol"], []
    if protocol["name"] == "btard":
        gaps += [
            Gap(
                "a chain",
                "the history was certified by the peers' own majority and by nobody else: those who "
                "held more than half of the keys could write another one at any time",
            ),
            Gap("stakes", "a cheat that is found loses its place and no money"),
        ]
    elif protocol["anchoring"]["policy"] != "step":
        gaps.append(
            Gap(
                "every call on a public chain",
                "between two anchors the history stands on the signatures of more "
                "than half of the peers; such a majority could have agreed on other calls before it anchored",
            )
        )
    if not protocol["validators"]:
        gaps.append(Gap("validators", "nobody recomputed anything during the run"))
    return gaps


def _learning(configuration: dict[str, Any]) -> list[Gap]:
    gaps = []
    arithmetic = configuration["protocol"]["arithmetic"]
    if arithmetic["name"] == "tolerant":
        gaps.append(
            Gap(
                "gradients by their bits",
                "devices differ, and the bytes that were sent are not published: each "
                "peer could move its gradient by twice the tolerance in every step and go unpunished "
                f"(declared: {arithmetic})",
            )
        )
    if configuration["learning"]["privacy"]["data"] == "private":
        gaps.append(
            Gap(
                "batches",
                "records are private: only the validators that were drawn saw batches opened; a "
                "coalition of target and validator could have used any records, and labels were never public",
            )
        )
    return gaps


def _beacon(configuration: dict[str, Any]) -> list[Gap]:
    is_btard = configuration["protocol"]["name"] == "btard"
    scheme = "commit_reveal" if is_btard else str(configuration["beacon"]["scheme"])
    attacks = {
        "commit_reveal": "whoever opened last could have the coin tossed again, at the price of its place",
        "randao": "the last to open chose between two outputs in every step",
        "ideal": "the trusted dealer chose every output: batches, validators, directions",
    }
    gaps = []
    if scheme in attacks:
        gaps.append(Gap(f"an unbiased beacon ({scheme})", attacks[scheme]))
    if not is_btard and configuration["beacon"]["group"] == "ideal" and scheme not in attacks:
        gaps.append(
            Gap(
                "secrecy of the beacon",
                "the group is additive integers: anybody could read every secret as soon as it was dealt",
            )
        )
    elif scheme not in attacks:
        gaps.append(
            Gap(
                "secrecy of the beacon against a threshold",
                "t colluding receivers could have decrypted outputs early; no transcript shows it",
            )
        )
    return gaps
