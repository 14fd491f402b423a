"""Attacks on the data that a gradient is computed from: labels and features.

The gradient itself is computed as it should be, on a poisoned batch. Since batches are public, a validator's
recomputation catches all of them; where nobody recomputes, their vectors look natural.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from adversaries.checks import require, require_positive, require_share
from adversaries.crowd import settings
from simdfl.learning.poison import Noise, Poison, RandomLabels, Relabel
from simdfl.peers.behaviour import Byzantine, Coalition, Turn


class DataAttack(Byzantine, ABC):
    """Base of the attacks that poison their batch; subclasses say how.

    Accomplices with the same attack ask for one another's gradients ahead, so that they are computed together.
    """

    @abstractmethod
    def poison(self, peer: int) -> Poison:
        """Return what this accomplice does to its batch."""

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the gradient (d,) of the poisoned batch."""
        return self.poisoned(turn)

    def poisoned(self, turn: Turn) -> np.ndarray:
        """Return the own gradient (d,) on the poisoned batch, read-only."""
        crew: set[int] = self.coalition.notes.setdefault((*settings(self), "crew"), set())
        crew.add(turn.peer)
        self.coalition.once((*settings(self), "asked", turn.step), lambda: self._ask(turn, crew))
        return turn.own_gradient(self.poison(turn.peer))

    def _ask(self, turn: Turn, crew: set[int]) -> None:
        if turn.ask is not None:
            for peer in sorted(crew.intersection(turn.contributors)):
                turn.ask(peer, self.poison(peer))


def require_label(name: str, label: int, coalition: Coalition) -> None:
    """Refuse a class that the data do not have."""
    require(0 <= label < coalition.n_classes, name, label, f"a class 0 to {coalition.n_classes - 1}")


class LabelFlip(DataAttack):
    """Compute the gradient on the right records with labels ``n_classes - 1 - y``, or with one class for another.

    The vector is as long as an honest one, so clipping hardly holds it. Caught by a validator's recomputation.

    Parameters
    ----------
    source, target : int or None
        If both are given, records of class `source` are labelled `target` and all others rightly, and the attack
        success is the share of the source's test records that the model takes for the target.

    References
    ----------
    Gorbunov et al., ICML 2022, section 4.1; Tolpegin et al., "Data poisoning attacks against federated
    learning systems", ESORICS 2020, section 3 (source and target class).
    """

    def __init__(self, *, source: int | None = None, target: int | None = None, **base: Any) -> None:
        super().__init__(**base)
        together = (source is None) == (target is None)
        require(together, "label_flip.target", target, "given if and only if source is")
        labels = list(range(self.coalition.n_classes))
        if source is None or target is None:
            labels.reverse()
        else:
            require_label("label_flip.source", source, self.coalition)
            require_label("label_flip.target", target, self.coalition)
            require(source != target, "label_flip.target", target, "another class than source")
            labels[source] = target
        self.is_targeted = source is not None
        self.label_map = tuple(labels)

    def poison(self, peer: int) -> Poison:
        """Return the label map."""
        return Relabel(self.label_map)

    def goal(self) -> Poison | None:
        """Measure the success of a targeted flip."""
        return Relabel(self.label_map) if self.is_targeted else None


class RandomLabelFlip(DataAttack):
    """Compute the gradient with random labels for a `share` of the batch, drawn record by record.

    Confusion without a direction: what a careless annotator does, as an attack. Caught by a validator's
    recomputation.

    Parameters
    ----------
    share : float
        Part of the batch.

    References
    ----------
    Tolpegin et al., ESORICS 2020, section 2 (label noise).
    """

    def __init__(self, *, share: float = 1.0, **base: Any) -> None:
        super().__init__(**base)
        require_share("random_labels.share", share)
        self.share = share

    def poison(self, peer: int) -> Poison:
        """Return the random labels."""
        return RandomLabels(self.share)


class NoisyData(DataAttack):
    """Compute the gradient on records blurred by Gaussian noise of standard deviation `std`, rightly labelled.

    Labels are right and vectors natural: the model only learns to look at the wrong things. Caught by a
    validator's recomputation.

    Parameters
    ----------
    std : float
        In units of the features.
    share : float
        Part of the batch.

    References
    ----------
    Biggio, Nelson, Laskov, "Poisoning attacks against support vector machines", ICML 2012 (poisoned samples).
    """

    def __init__(self, *, std: float = 1.0, share: float = 1.0, **base: Any) -> None:
        super().__init__(**base)
        require_positive("noisy_data.std", std)
        require_share("noisy_data.share", share)
        self.std = std
        self.share = share

    def poison(self, peer: int) -> Poison:
        """Return the noise."""
        return Noise(self.std, self.share)
