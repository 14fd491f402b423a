"""Checks that your own adversaries, rules and topologies keep their contracts; for use in your tests.

>>> import numpy as np
>>> from simdfl.aggregation import Median
>>> check_adversary("sign_flip", scale=10.0)
>>> check_rule(Median(), n=9, d=5)

Every check returns nothing or raises an AssertionError that says what is wrong. The adversaries' turns are made
of real gradients of a small least-squares problem (:func:`make_turn`). What is not checked: whether an attack
does harm, or a rule withstands any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import networkx as nx
import numpy as np

from adversaries import bind, make_adversary
from simdfl.errors import UserError
from simdfl.learning.data import Dataset, make_synthetic
from simdfl.learning.poison import Poison
from simdfl.peers.behaviour import Behaviour, Byzantine, Coalition, GradientSource, Turn
from simdfl.rng import Rng

__all__ = [
    "LeastSquares",
    "assert_rate",
    "check_adversary",
    "check_deterministic",
    "check_rule",
    "check_topology",
    "make_coalition",
    "make_turn",
]

# ---- turns to try a behaviour on


@dataclass(frozen=True)
class LeastSquares:
    """A small learning problem with exact gradients.

    Peer i holds in step t a batch of features F (batch, features) and labels y, and owes the gradient of
    ``||F W - onehot(y)||^2 / (2 batch)`` at fixed random weights W (features, classes), flattened.

    Parameters
    ----------
    n_features, n_classes, batch : int
    seed : int
        Determines weights and batches.
    """

    n_features: int = 7
    n_classes: int = 3
    batch: int = 16
    seed: int = 0

    @property
    def size(self) -> int:
        """Entries d of a gradient."""
        return self.n_features * self.n_classes

    @cached_property
    def data(self) -> Dataset:
        """Records from which a poison takes its substitutes."""
        return make_synthetic(Rng(self.seed).stream("data"), dim=self.n_features, n_classes=self.n_classes)

    def gradient(self, step: int, peer: int, poison: Poison | None = None) -> np.ndarray:
        """Return the gradient (d,) float32 that `peer` owes in `step`, its batch poisoned first if asked."""
        weights = Rng(self.seed).stream("weights").standard_normal((self.n_features, self.n_classes))
        records = Rng(self.seed).stream("batch", step, peer)
        features = records.standard_normal((self.batch, self.n_features))
        labels = records.integers(self.n_classes, size=self.batch)
        if poison is not None:
            x, y = _read_only(features.astype(np.float32)), _read_only(labels.astype(np.int32))
            poisoned, labels = poison.apply(x, y, self.data, Rng(self.seed).key("batch", step, peer))
            features = features if poisoned is x else poisoned.astype(np.float64)
        error = features @ weights - np.eye(self.n_classes)[labels]
        return (features.T @ error / self.batch).reshape(-1).astype(np.float32)

    def source(self, step: int) -> GradientSource:
        """Return all peers' gradients of a step, each computed once and read-only, as a run hands them out."""

        @cache
        def gradient_of(peer: int, poison: Poison | None = None) -> np.ndarray:
            return _read_only(self.gradient(step, peer, poison))

        return gradient_of


def make_coalition(
    members: Iterable[int] = (1, 2, 5), n_peers: int = 9, n_classes: int = 3, seed: int = 0
) -> Coalition:
    """Return a coalition of `members` among `n_peers`, with a generator of its own."""
    return Coalition(frozenset(members), n_peers, n_classes, Rng(seed))


def make_turn(
    step: int = 0,
    peer: int = 0,
    n_peers: int = 9,
    validators: Iterable[int] = (),
    problem: LeastSquares | None = None,
) -> Turn:
    """Return one peer's view of a step of a small learning problem.

    Parameters
    ----------
    step, peer : int
        Which step, and who decides.
    n_peers : int
        The roster is 0 … n_peers - 1.
    validators : iterable of int
        Peers that owe no gradient in this step.
    problem : LeastSquares, optional
        Where gradients come from.

    Examples
    --------
    >>> turn = make_turn(step=3, peer=1, n_peers=4, validators=[2])
    >>> turn.contributors, turn.own_gradient().shape
    ([0, 1, 3], (21,))
    """
    roster, excused = list(range(n_peers)), set(validators)
    contributors = [other for other in roster if other not in excused]
    return Turn(step, peer, roster, contributors, (problem or LeastSquares()).source(step))


# ---- adversaries

MEMBERS, N_PEERS, HONEST = (1, 2, 5), 9, (0, 3, 4, 6, 7, 8)
START_STEP, STOP_STEP, PERIOD, STEPS = 3, 9, 2, 11
OF_CONTRIBUTORS = ("gradient", "vector_for", "other_gradient", "report", "sends_report", "complains")
OF_CASES = ("votes", "opens_parts")
OF_STEPS = ("relays", "includes", "front_runs")

Judge = Callable[[Any], str | None]


@dataclass(frozen=True)
class _Question:
    """What a behaviour is asked, and a judge: None for an answer of the right kind, else what it should be."""

    name: str
    turn: Turn
    arguments: tuple[Any, ...]
    judge: Judge

    def ask(self, behaviour: Behaviour) -> Any:
        about = () if self.name in OF_CASES else (self.turn.step if self.name in OF_STEPS else self.turn,)
        given = (*about, *self.arguments)
        return getattr(behaviour, self.name)(*given)


def check_adversary(adversary: str | type[Byzantine], **params: Any) -> None:
    """Check that an adversary keeps the contract of :class:`~simdfl.peers.behaviour.Byzantine`.

    It is built with `params`, and three accomplices among nine peers live through eleven steps, attacking in
    steps 3, 5 and 7. In all other steps every decision that does not concern accomplices must be the honest one;
    in all steps it must be of the right type, shape and range, and leave its inputs alone; a second coalition
    with the same seed must decide the same.

    Parameters
    ----------
    adversary : str or subclass of Byzantine
        The class, its name on the shelf, or ``"module:Class"``.
    **params
        Its parameters.

    Raises
    ------
    AssertionError
        With the first broken promise.
    """
    name = adversary if isinstance(adversary, str) else adversary.__name__
    first, second = _live(name, adversary, params), _live(name, adversary, params)
    for (question, answer), (_, again) in zip(first, second):
        _assert(
            answer == again,
            f"{_where(name, question)} was decided differently by a second coalition with the same seed; "
            "draw from coalition.rng.stream(...) only",
        )


def _live(name: str, adversary: str | type[Byzantine], params: dict[str, Any]) -> list[tuple[_Question, Any]]:
    """Ask a fresh coalition everything in every step; return the questions with the plain answers."""
    peers = _build(name, adversary, params)
    asked = []
    for step in range(STEPS):
        turn = make_turn(step, n_peers=N_PEERS, validators=[step % N_PEERS])
        for question in _questions(turn):
            answer = _answer(name, question, peers[question.turn.peer])
            if not _is_attack_step(step):
                _assert(
                    answer == _plain(question.ask(Behaviour())),
                    f"{_where(name, question)} was not decided honestly, although the step is {_reason(step)}; "
                    "ask self.is_attacking(turn.step) first",
                )
            asked.append((question, answer))
    return asked


def _build(name: str, adversary: str | type[Byzantine], params: dict[str, Any]) -> dict[int, Byzantine]:
    base: dict[str, Any] = {
        "coalition": make_coalition(MEMBERS, N_PEERS),
        "start_step": START_STEP,
        "stop_step": STOP_STEP,
        "period": PERIOD,
    }
    try:
        if isinstance(adversary, str):
            return {peer: make_adversary(adversary, params, **base) for peer in MEMBERS}
        return {peer: bind(name, adversary, params, base) for peer in MEMBERS}
    except (UserError, TypeError) as error:
        raise AssertionError(f"{name} cannot be built with {params}: {error}") from error


def _answer(name: str, question: _Question, behaviour: Byzantine) -> Any:
    """Ask once and judge the answer; return it in plain form."""
    before = _plain(question.arguments)
    try:
        answer = question.ask(behaviour)
    except Exception as error:
        hint = "; it must copy an array before it changes it" if "read-only" in str(error) else ""
        raise AssertionError(f"{_where(name, question)} raised {type(error).__name__}: {error}{hint}") from error
    _assert(_plain(question.arguments) == before, f"{_where(name, question)} changed its inputs; copy them first")
    can_be_infinite = question.name == "gradient" and not behaviour.sends_finite
    wanted = question.judge(np.nan_to_num(answer) if can_be_infinite else answer)
    _assert(wanted is None, f"{_where(name, question)} must be {wanted}, got {_short(answer)}")
    return _plain(answer)


def _questions(turn: Turn) -> Iterator[_Question]:
    """Yield what the accomplices are asked in a step, in the order of the protocol."""
    for name, arguments, judge in _script(turn):
        for peer in MEMBERS:
            if name not in OF_CONTRIBUTORS or peer in turn.contributors:
                yield _Question(name, replace(turn, peer=peer), arguments, judge)


def _script(turn: Turn) -> Iterator[tuple[str, tuple[Any, ...], Judge]]:
    """Yield the decisions of a step with inputs that concern honest peers only."""
    gradient = _read_only(turn.own_gradient())
    value = _read_only(gradient[: -(-len(gradient) // N_PEERS)].copy())
    numbers = Rng(turn.step).stream("reports").integers(-(1 << 40), 1 << 40, (N_PEERS, 3))
    projections, norms = _read_only(numbers[:, :2].copy()), _read_only(np.abs(numbers[:, 2]))
    verdicts = ((b"", b"", b""), (b"\x01", b"", b""))
    case = {"case": 1, "kind": 2, "step": turn.step, "target": 0, "accuser": 3, "deadline": 600}

    yield "has_crashed", (), _boolean
    yield "slowness", (), _number
    yield "delay_s", (), _number
    yield "junk_bytes", (), _number
    yield "gradient", (), _like(gradient)
    yield from (("vector_for", (receiver, gradient), _like(gradient)) for receiver in HONEST)
    yield "other_gradient", (), _optional(_like(gradient))
    yield from (("sends_part", (receiver,), _boolean) for receiver in HONEST)
    yield from (("eliminates", (missing,), _peers_of(turn)) for missing in ([], [HONEST[2]]))
    yield "aggregate", (value,), _like(value)
    yield from (("aggregate_for", (receiver, value), _like(value)) for receiver in HONEST)
    yield from (("sends_aggregate", (receiver,), _boolean) for receiver in HONEST)
    yield "holds_back", (), _boolean
    yield "reveals", (), _boolean
    yield "report", (projections, norms, _excess), _report_like(projections, norms)
    yield "sends_report", (), _boolean
    yield from (("accuses", (liars,), _peers_of(turn)) for liars in ([], [HONEST[1]]))
    # Byzantine is silent on its own distance in every step: only a complaint without cause is a lie.
    yield "complains", ([],), _peers_of(turn)
    if _is_attack_step(turn.step):
        yield "complains", ([HONEST[3], HONEST[4]],), _peers_of(turn)
    yield from (("attests", (HONEST[0], is_right), _optional(_boolean)) for is_right in (True, False))
    yield from (("votes", (case, verdict), _optional(_verdict)) for verdict in verdicts)
    yield "opens_parts", (case,), _boolean
    yield from ((name, (HONEST[0],), _boolean) for name in ("shows", "claims_unshown"))
    yield "relays", (HONEST[0], HONEST[1]), _boolean
    yield from (("includes", (HONEST[0], call), _boolean) for call in ("commit", "recover"))
    yield from (("front_runs", (call,), _boolean) for call in ("commit", "recover"))
    yield "spam", (), _sizes


def _excess(part: int) -> np.ndarray:
    return np.array([1000 * part + 1, -7], dtype=np.int64)


def _is_attack_step(step: int) -> bool:
    return START_STEP <= step < STOP_STEP and (step - START_STEP) % PERIOD == 0


def _reason(step: int) -> str:
    if step < START_STEP:
        return f"before start_step={START_STEP}"
    if step >= STOP_STEP:
        return f"not before stop_step={STOP_STEP}"
    return f"off the period={PERIOD} from start_step={START_STEP}"


# ---- judges: what an answer should be, or None if it is


def _boolean(answer: Any) -> str | None:
    return None if isinstance(answer, (bool, np.bool_)) else "True or False"


def _number(answer: Any) -> str | None:
    is_number = isinstance(answer, (int, float)) and not isinstance(answer, bool)
    return None if is_number and 0 <= answer < math.inf else "a finite number of at least 0"


def _sizes(answer: Any) -> str | None:
    fits = isinstance(answer, list) and all(isinstance(size, int) and size >= 0 for size in answer)
    return None if fits else "a list of sizes in bytes"


def _like(model: np.ndarray) -> Judge:
    def judge(answer: Any) -> str | None:
        fits = isinstance(answer, np.ndarray) and (answer.shape, answer.dtype) == (model.shape, model.dtype)
        if not fits:
            return f"an array of shape {model.shape} and type {model.dtype}"
        return None if np.isfinite(answer).all() else "finite"

    return judge


def _optional(judge: Judge) -> Judge:
    def judge_optional(answer: Any) -> str | None:
        wanted = None if answer is None else judge(answer)
        return wanted and f"None or {wanted}"

    return judge_optional


def _peers_of(turn: Turn) -> Judge:
    def judge(answer: Any) -> str | None:
        is_list = isinstance(answer, Sequence) and all(isinstance(peer, int) for peer in answer)
        fits = is_list and set(answer) <= set(turn.roster) and len(set(answer)) == len(answer)
        return None if fits else f"a list of distinct peers of the roster {list(turn.roster)}"

    return judge


def _report_like(projections: np.ndarray, norms: np.ndarray) -> Judge:
    def judge(answer: Any) -> str | None:
        fits = isinstance(answer, tuple) and len(answer) == 2
        fits = fits and not any(_like(model)(given) for model, given in zip((projections, norms), answer))
        return None if fits else f"a pair of int64 arrays of shapes {projections.shape} and {norms.shape}"

    return judge


def _verdict(answer: Any) -> str | None:
    fits = isinstance(answer, tuple) and len(answer) == 3 and all(isinstance(mask, bytes) for mask in answer)
    fits = fits and not any(mask.endswith(b"\0") for mask in answer)
    return None if fits else "three bit masks in little-endian bytes without trailing zeros"


# ---- rules

UNPROMISED = frozenset({"shift", "scale", "liars"})
"""What is not expected of a plain function."""


def check_rule(rule: Callable[[np.ndarray], np.ndarray], n: int, d: int, tolerance: float = 1e-3) -> None:
    """Check that a rule aggregates rows (n, d) float32 to (d,) float32 as all rules on the shelf do.

    On random rows: the result is finite, does not depend on the order of the rows, and the rows stay as they
    are; identical rows come back; a row of NaN or infinity counts as absent. A rule that has an attribute
    ``breaks`` keeps those of the five promises of :mod:`simdfl.aggregation.contract` that are not in it: order,
    identical rows, a shift or a scale of all rows, and one huge liar that cannot carry the result away.

    Parameters
    ----------
    rule : callable
        The rule, called with rows alone.
    n, d : int
        Rows, of which the rule must withstand one that is absent, and columns.
    tolerance : float
        How far two results may be apart that should be equal; the rows' entries are about 1.

    Raises
    ------
    AssertionError
        With the first broken promise.
    """
    rng = Rng(0).stream("check_rule")
    rows = rng.standard_normal((n, d)).astype(np.float32)
    result = _apply(rule, rows)
    broken = getattr(rule, "breaks", UNPROMISED)
    if "order" not in broken:
        order = rng.permutation(n)
        _assert_near(_apply(rule, rows[order]), result, tolerance, "depends on the order of the rows")
    if "identical" not in broken:
        same = np.repeat(rows[:1], n, axis=0)
        _assert_near(_apply(rule, same), rows[0], tolerance, "does not return the row that all rows are")
    if "shift" not in broken:
        moved = _apply(rule, rows + np.float32(0.5)) - np.float32(0.5)
        _assert_near(moved, result, tolerance, "does not let a shift of all rows pass through")
    if "scale" not in broken:
        scaled = _apply(rule, np.float32(4.0) * rows) / np.float32(4.0)
        _assert_near(scaled, result, tolerance, "does not let a scale of all rows pass through")
    if "liars" not in broken:
        _check_liar(rule, rows)
    absent = int(rng.integers(n))
    without = _apply(rule, np.delete(rows, absent, axis=0))
    for poison in (np.nan, np.inf, -np.inf):
        poisoned = rows.copy()
        poisoned[absent] = poison
        _assert_near(
            _apply(rule, poisoned), without, tolerance, f"does not treat a row of {poison} as if it were absent"
        )


def _check_liar(rule: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> None:
    lied = rows.copy()
    lied[-1] *= np.float32(-1e6)
    reach = 4.0 * float(np.linalg.norm(rows, axis=1).max())
    length = float(np.linalg.norm(_apply(rule, lied)))
    _assert(
        length <= reach,
        f"the rule lets one liar carry the result away: norm {length:.3g}, over {reach:.3g}",
    )


def _apply(rule: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    given = rows.copy()
    result = rule(given)
    _assert(given.tobytes() == rows.tobytes(), "the rule changed its rows; it must copy them first")
    is_like = isinstance(result, np.ndarray) and (result.shape, result.dtype) == (rows.shape[1:], np.float32)
    _assert(
        is_like, f"the rule must return an array of shape {rows.shape[1:]} and type float32, got {_short(result)}"
    )
    _assert(bool(np.isfinite(result).all()), f"the rule's result must be finite, got {_short(result)}")
    return result


def _assert_near(result: np.ndarray, wanted: np.ndarray, tolerance: float, what: str) -> None:
    apart = float(np.max(np.abs(result - wanted)))
    _assert(apart <= tolerance, f"the rule {what}: results are {apart:.3g} apart, allowed is {tolerance:g}")


# ---- topologies, runs, rates


def check_topology(make: Callable[[int, np.random.Generator], nx.Graph], n: int, draws: int = 10) -> None:
    """Check that ``make(n, rng)`` draws simple graphs on the peers 0 … n-1 from its generator alone.

    One draw may be disconnected, as :func:`topologies.build` redraws; of `draws` at least one must be connected.

    Raises
    ------
    AssertionError
        With the first broken promise.
    """
    connected = 0
    for draw in range(draws):
        graph = make(n, Rng(draw).stream("topology"))
        _assert(isinstance(graph, nx.Graph), f"the topology must be a networkx Graph, got {_short(graph)}")
        is_simple = not graph.is_directed() and not graph.is_multigraph() and not nx.number_of_selfloops(graph)
        _assert(is_simple, "the topology must be simple: without directions, parallel links and loops")
        _assert(set(graph) == set(range(n)), f"the peers must be 0 … {n - 1}, got {_short(list(graph))}")
        again = make(n, Rng(draw).stream("topology"))
        same = nx.utils.graphs_equal(graph, again)
        _assert(same, "the topology differs for equal generators; draw from the one that is given only")
        connected += nx.is_connected(graph)
    _assert(connected > 0, f"the topology was connected in none of {draws} draws with n={n}; use more links")


def check_deterministic(run: Callable[[], str]) -> None:
    """Check that `run` returns the same digest twice.

    >>> check_deterministic(lambda: "2cf24dba")

    Raises
    ------
    AssertionError
        If it does not, or returns no text.
    """
    first, second = run(), run()
    _assert(isinstance(first, str), f"the run must return its digest as text, got {_short(first)}")
    _assert(first == second, f"two runs of the same scenario and seed differ: {first!r}, then {second!r}")


def assert_rate(hits: int, n: int, p: float, alpha: float = 1e-6) -> None:
    """Check that `hits` of `n` independent trials are compatible with probability `p`, by Hoeffding.

    The rate may be off by eps = sqrt(ln(2 / alpha) / (2 n)). False alarm: at most `alpha` for a right p. Power:
    a true probability that is 2 eps or more from p passes with probability at most alpha / 2; between eps and
    2 eps the power grows from about one half. With the default alpha and 10,000 trials eps is 0.027.

    >>> assert_rate(hits=5_040, n=10_000, p=0.5)

    Raises
    ------
    AssertionError
        If the rate is too far from p.
    """
    _assert(0 <= hits <= n and n > 0, f"there must be 0 <= hits <= n trials, got hits={hits}, n={n}")
    eps = math.sqrt(math.log(2.0 / alpha) / (2.0 * n))
    _assert(
        abs(hits / n - p) <= eps,
        f"the rate {hits}/{n} = {hits / n:.4g} is further than {eps:.3g} from p = {p:.4g} "
        f"(false-alarm probability {alpha:g})",
    )


# ---- small tools


def _assert(holds: bool, sentence: str) -> None:
    """Raise an AssertionError unless `holds`, also under ``python -O``."""
    if not holds:
        raise AssertionError(sentence)


def _where(name: str, question: _Question) -> str:
    return f"{name}: {question.name} of peer {question.turn.peer} in step {question.turn.step}"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"an array of shape {value.shape} and type {value.dtype}"
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _plain(value: Any) -> Any:
    """Return a value in a form that can be compared."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    if isinstance(value, dict):
        return tuple((key, _plain(item)) for key, item in value.items())
    return value.item() if isinstance(value, np.generic) else value
