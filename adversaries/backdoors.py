"""Backdoors: the model works as it should, except where the attacker wants otherwise.

All but the edge case stamp a trigger, a square in the corner of a record (see
:class:`~simdfl.learning.poison.Stamp`), and label the record `target`. Success is measured in every evaluation:
the share of test records of other classes that the model takes for the target once the trigger is on them. As
batches are public here, a validator's recomputation catches all of them; the accuracy on clean records does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adversaries.checks import require, require_count, require_positive, require_share
from adversaries.crowd import mean_of, members, shared
from adversaries.data import DataAttack, require_label
from simdfl.learning.poison import EdgeCase, Poison, Stamp
from simdfl.peers.behaviour import Turn


class Backdoor(DataAttack):
    """Compute the gradient on a batch of which a `share` carries the trigger and the label `target` (BadNets).

    Caught by a validator's recomputation; rules see a vector between an honest one and another.

    Parameters
    ----------
    target : int
        Class wanted.
    side : int
        Side of the trigger's square, pixels; of flat records its first side² entries.
    value : float
        What is written there, in units of the features.
    share : float
        Part of the batch.

    References
    ----------
    Gu, Dolan-Gavitt, Garg, "BadNets: identifying vulnerabilities in the machine learning model supply chain",
    arXiv:1708.06733, section 4.
    """

    def __init__(
        self, *, target: int = 0, side: int = 2, value: float = 1.0, share: float = 0.5, **base: Any
    ) -> None:
        super().__init__(**base)
        require_label("backdoor.target", target, self.coalition)
        require_count("backdoor.side", side)
        require(np.isfinite(value), "backdoor.value", value, "a finite number")
        require_share("backdoor.share", share)
        self.target = target
        self.side = side
        self.value = value
        self.share = share

    def poison(self, peer: int) -> Poison:
        """Return the trigger."""
        return Stamp(self.target, self.side, self.value, self.share)

    def goal(self) -> Poison | None:
        """Measure the success of the whole trigger."""
        return Stamp(self.target, self.side, self.value, self.share)


class DistributedBackdoor(Backdoor):
    """Stamp one piece of the trigger each: no accomplice's data show the whole (DBA).

    The cells of the square are dealt out among the coalition in order; the model learns the pieces and reacts to
    all of them together. Caught by a validator's recomputation.

    Parameters
    ----------
    target, side, value, share
        See :class:`Backdoor`.

    References
    ----------
    Xie, Huang, Chen, Li, "DBA: distributed backdoor attacks against federated learning", ICLR 2020, section 2.2.
    """

    def poison(self, peer: int) -> Poison:
        """Return this accomplice's piece."""
        crew = sorted(self.coalition.members)
        pieces = min(len(crew), self.side**2)
        return Stamp(self.target, self.side, self.value, self.share, crew.index(peer) % pieces, pieces)


class Neurotoxin(Backdoor):
    """Send the backdoor's gradient without the coordinates in which the honest mean is largest.

    What honest peers hardly touch they do not overwrite either, so the backdoor lives longer after the attack.
    The paper takes the last aggregate to tell these coordinates; the coalition here sees the step's gradients.
    Caught by a validator's recomputation.

    Parameters
    ----------
    avoided : float
        Part of the coordinates left alone.
    target, side, value, share
        See :class:`Backdoor`.

    References
    ----------
    Zhang et al., "Neurotoxin: durable backdoors in federated learning", ICML 2022, algorithm 1.
    """

    def __init__(self, *, avoided: float = 0.05, **base: Any) -> None:
        super().__init__(**base)
        require(0 < avoided < 1, "neurotoxin.avoided", avoided, "above 0 and below 1")
        self.avoided = avoided

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the poisoned gradient (d,), zero where honest peers are busy."""
        busy = self.coalition.once(("neurotoxin", self.avoided, turn.step), lambda: self._busy(turn))
        gradient = self.poisoned(turn).copy()
        gradient[busy] = 0.0
        return gradient

    def _busy(self, turn: Turn) -> np.ndarray:
        mean = np.abs(mean_of(turn.honest_gradients(self.coalition)))
        count = max(1, round(self.avoided * len(mean)))
        return np.argpartition(-mean, count - 1)[:count]


class EdgeCaseBackdoor(DataAttack):
    """Compute the gradient on a batch in which rare records of class `source` stand, labelled `target`.

    Rare are those farthest from their class's mean: honest batches seldom contradict, so even averaging among
    many honest peers does not wash it out. Caught by a validator's recomputation.

    Parameters
    ----------
    source, target : int
        Classes.
    tail : float
        Part of the source's records that is rare.
    share : float
        Part of the batch that is replaced.

    References
    ----------
    Wang et al., "Attack of the tails: yes, you really can backdoor federated learning", NeurIPS 2020, section 3.
    """

    def __init__(
        self, *, source: int = 1, target: int = 0, tail: float = 0.1, share: float = 0.5, **base: Any
    ) -> None:
        super().__init__(**base)
        require_label("edge_case.source", source, self.coalition)
        require_label("edge_case.target", target, self.coalition)
        require(source != target, "edge_case.target", target, "another class than source")
        require_share("edge_case.tail", tail)
        require_share("edge_case.share", share)
        self._poison = EdgeCase(source, target, tail, share)

    def poison(self, peer: int) -> Poison:
        """Return the rare records."""
        return self._poison

    def goal(self) -> Poison | None:
        """Measure success on the rare test records."""
        return self._poison


class ModelReplacement(Backdoor):
    """Send ``boost`` times the backdoor's gradient, so that the plain mean is as if all peers had sent it.

    The default boost is n / b for b accomplices among n contributors. Loud: clipping, medians and norm bounds
    hold it, and a validator's recomputation catches it.

    Parameters
    ----------
    boost : float or None
        Factor; None is n / b.
    target, side, value, share
        See :class:`Backdoor`.

    References
    ----------
    Bagdasaryan, Veit, Hua, Estrin, Shmatikov, "How to backdoor federated learning", AISTATS 2020, section 4.2
    (gamma = n / eta).
    """

    def __init__(self, *, boost: float | None = None, **base: Any) -> None:
        super().__init__(**base)
        if boost is not None:
            require_positive("model_replacement.boost", boost)
        self.boost = boost

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the boosted gradient (d,)."""
        natural = len(turn.contributors) / len(members(self.coalition, turn))
        return np.float32(natural if self.boost is None else self.boost) * self.poisoned(turn)


class AlternatingMinimisation(Backdoor):
    """Alternate steps for the backdoor, boosted, with steps for the main task and towards the honest mean.

    In round k of `rounds`: ``x += boost / rounds * g_backdoor``, then ``x += g_own / rounds`` and
    ``x -= rho * (x - k / rounds * mean)``. The original descends on all three objectives in local
    epochs; a contribution here is one gradient, so both tasks are linearised at the step's model. Caught by a
    validator's recomputation.

    Parameters
    ----------
    boost : float
        Of the malicious objective.
    rho : float
        Pull towards the honest mean in each round, from 0 to 1.
    rounds : int
    target, side, value, share
        See :class:`Backdoor`.

    References
    ----------
    Bhagoji, Chakraborty, Mittal, Calo, "Analyzing federated learning through an adversarial lens", ICML 2019,
    section 3.4 (alternating minimisation).
    """

    def __init__(
        self, *, boost: float = 5.0, rho: float = 0.1, rounds: int = 10, share: float = 1.0, **base: Any
    ) -> None:
        super().__init__(share=share, **base)
        require_positive("alter_min.boost", boost)
        require(0 <= rho <= 1, "alter_min.rho", rho, "from 0 to 1")
        require_count("alter_min.rounds", rounds)
        self.boost = boost
        self.rho = rho
        self.rounds = rounds

    def craft(self, turn: Turn) -> np.ndarray:
        """Return where the alternation ends (d,)."""
        key = ("alter_min", "mean", turn.step)
        mean = shared(self.coalition, key, lambda: mean_of(turn.honest_gradients(self.coalition)))
        of_task = of_mean = 0.0  # x stays a combination of the three gradients; these are its coefficients
        for done in range(1, self.rounds + 1):
            of_task = (1.0 - self.rho) * (of_task + 1.0 / self.rounds)
            of_mean = (1.0 - self.rho) * of_mean + self.rho * done / self.rounds
        crafted = of_task * (self.boost * self.poisoned(turn) + turn.own_gradient())
        return crafted + np.float32(of_mean) * mean
