"""CenteredClip, iterated to its fixed point.

The fixed point v of ``v <- v + (1/W) sum_i w_i (x_i - v) min(1, tau / ||x_i - v||)`` minimises the convex
objective ``sum_i w_i huber_tau(||x_i - v||)`` and therefore does not depend on the path taken to it; it is
the geometric median smoothed with nu = tau. Here the path is chosen for speed:

1. Start c: weighted mean of the rows, each clipped to the median norm.
2. Reweighting on n numbers: with ``lambda_i = min(1, tau / ||x_i - v||)`` the step
   ``v <- sum_i w_i lambda_i x_i / sum_i w_i lambda_i`` has the same fixed point as CenteredClip, never
   raises the objective, and needs a fraction of the iterations where many rows are clipped. All iterates
   lie in the span of the rows, hence one Gram matrix gives all distances. Rows are normalised: a row that
   is 1,000 times too long would otherwise swallow the others in float32.
3. Polish: the same step on the vectors themselves, until CenteredClip's own step is at most eps. The
   reported residual is measured here, on the vectors that are returned.

References
----------
Karimireddy, He, Jaggi, "Learning from history for Byzantine robust optimization", ICML 2021, section 4.
Gorbunov et al., "Secure distributed training at scale", ICML 2022, algorithm 2 and appendix D.
Pillutla, Kakade, Harchaoui, "Robust aggregation for federated learning", IEEE TSP 70, 2022, algorithm 2.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from simdfl.aggregation.rows import MAX_SQUARED_NORM, row_weights
from simdfl.errors import UserError

TINY = 1e-30
SHORTEST = 1e-18  # the square of this length is still a float32; compilers may form it
RESOLUTION = 4e-7  # a relative change that float32 sums cannot tell from none
PATIENCE, PROGRESS = 3, 0.99  # polishing stops after 3 iterations in which the residual fell by less than 1 %

# Value, move, iterations, best value, its residual, iterations without progress.
_Polishing = tuple[Array, Array, Array, Array, Array, Array]


class ClipResult(NamedTuple):
    """A fixed point (d,) float32, the length of the next step there, and the iterations used."""

    value: np.ndarray
    residual: float
    iterations: int


def centered_clip(
    x: np.ndarray,
    weights: np.ndarray | None,
    tau: float,
    eps: float = 1e-6,
    max_iterations: int = 500,
    start: np.ndarray | None = None,
) -> ClipResult:
    """Aggregate rows by CenteredClip.

    Parameters
    ----------
    x : (n, d) float32
    weights : (n,) float32, optional
        Non-negative; zero excludes a row.
    tau : float
        Clipping radius; infinity gives the weighted mean.
    eps : float
        Length of the step at which to stop. Float32 cannot go far below 1e-7 times the length of the rows
        within the radius.
    max_iterations : int
        Bound on the iterations of phase 2 and, again, of phase 3.
    start : (d,) float32, optional
        Where to start, for instance the previous aggregate.

    Raises
    ------
    UserError
        If a number or shape is impossible.
    NoUsableRowsError
        If no row is present.
    """
    x = np.asarray(x, dtype=np.float32)
    present = row_weights(x, weights)
    centre = None if start is None else np.asarray(start, dtype=np.float32)[None]
    result = centered_clip_parts(x[None], present, tau, eps, max_iterations, centre)
    return ClipResult(result[0][0], float(result[1][0]), int(result[2][0]))


def centered_clip_parts(
    parts: ArrayLike,
    weights: ArrayLike,
    tau: float,
    eps: float = 1e-6,
    max_iterations: int = 500,
    start: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Aggregate p parts at once: the form that the verified protocol uses.

    Parameters
    ----------
    parts : (p, n, dp) float32
        Part j of peer i in ``parts[j, i]``.
    weights : (n,) float32
    tau, eps, max_iterations
        As for :func:`centered_clip`, for each part.
    start : (p, dp) float32, optional

    Returns
    -------
    values : (p, dp) float32
    residual : (p,) float32
        Infinite, with value zero, for a part in which no row is present.
    iterations : (p,) int32

    Raises
    ------
    UserError
        If a number or shape is impossible.
    """
    shape = np.shape(parts)
    if len(shape) != 3 or np.shape(weights) != shape[1:2]:
        raise UserError(
            f"centered_clip: needs parts (p, n, d) and weights (n,), got {shape}, {np.shape(weights)}"
        )
    if not tau > 0 or not eps > 0 or max_iterations < 1:
        raise UserError(
            "centered_clip: tau and eps must be positive and max_iterations at least 1, "
            f"got {tau}, {eps}, {max_iterations}"
        )
    if start is not None and np.shape(start) != (shape[0], shape[2]):
        raise UserError(f"centered_clip: start must have shape {(shape[0], shape[2])}, got {np.shape(start)}")
    values, residual, iterations = _solve(
        parts, weights, jnp.float32(tau), jnp.float32(eps), jnp.int32(max_iterations), start
    )
    return np.asarray(values), np.asarray(residual), np.asarray(iterations)


@jax.jit
def _solve(
    parts: Array, weights: Array, tau: Array, eps: Array, limit: Array, start: Array | None
) -> tuple[Array, Array, Array]:
    squares = jnp.sum(parts * parts, axis=2)
    usable = squares <= MAX_SQUARED_NORM  # False for NaN
    w = jnp.where(usable, weights, 0.0)
    total = jnp.sum(w, axis=1, keepdims=True)
    w = w / jnp.where(total > 0, total, 1.0)
    clean = jnp.where((w > 0)[:, :, None], parts, 0.0)
    centre = clipped_mean(clean, w, squares) if start is None else start
    centre, inner = _reweight_in_span(clean, w, centre, tau, eps, limit)
    values, residual, outer = _polish(clean, w, centre, tau, eps, limit)
    empty = total[:, 0] <= 0
    return jnp.where(empty[:, None], 0.0, values), jnp.where(empty, jnp.inf, residual), inner + outer


def _combine(coefficients: Array, rows: Array) -> Array:
    """Return sum_i coefficients[p, i] rows[p, i], in full float32 also where the device would use less."""
    return jnp.einsum("pn,pnd->pd", coefficients, rows, precision="highest")


def clipped_mean(rows: Array, w: Array, squares: Array) -> Array:
    """Return the weighted mean (p, d) of rows clipped to the median norm of the present ones."""
    norms = jnp.sqrt(jnp.where(w > 0, squares, jnp.inf))
    middle = (jnp.sum(w > 0, axis=1, keepdims=True) - 1) // 2
    radius = jnp.take_along_axis(jnp.sort(norms, axis=1), jnp.maximum(middle, 0), axis=1)
    return _combine(w * jnp.minimum(1.0, radius / jnp.maximum(norms, TINY)), rows)


def _reweight_in_span(
    rows: Array, w: Array, centre: Array, tau: Array, eps: Array, limit: Array
) -> tuple[Array, Array]:
    """Run phase 2; return the new centre (p, d) and the iterations of each part (p,).

    With u_i the normalised row about the centre and s_i its length, the iterate is ``centre + sum_i
    beta_i u_i``. It moves by at most ``sum_i |change of beta_i|``: the stopping rule.
    """
    about = jnp.where((w > 0)[:, :, None], rows - centre[:, None], 0.0)
    gram = jnp.einsum("pnd,pmd->pnm", about, about, precision="highest")
    s = jnp.maximum(jnp.sqrt(jnp.diagonal(gram, axis1=1, axis2=2)), SHORTEST)
    gram = gram / s[:, :, None] / s[:, None, :]

    def step(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        beta, moved, count = carry
        image = jnp.einsum("pnm,pm->pn", gram, beta, precision="highest")
        length = jnp.sum(beta * image, axis=1, keepdims=True)
        distance = jnp.sqrt(jnp.maximum(s * s - 2.0 * s * image + length, 0.0))
        pull = w * jnp.minimum(1.0, tau / jnp.maximum(distance, TINY))
        fresh = pull * s / jnp.maximum(jnp.sum(pull, axis=1, keepdims=True), TINY)
        running = moved > eps
        change = jnp.sum(jnp.abs(fresh - beta), axis=1) - RESOLUTION * jnp.sum(jnp.abs(fresh), axis=1)
        change = jnp.where(running, change, moved)
        return jnp.where(running[:, None], fresh, beta), change, count + running

    def is_running(carry: tuple[Array, Array, Array]) -> Array:
        return jnp.any((carry[1] > eps) & (carry[2] < limit))

    zero = jnp.zeros_like(w)
    begin = (zero, jnp.full(len(w), jnp.inf), jnp.zeros(len(w), dtype=jnp.int32))
    beta, _, count = jax.lax.while_loop(is_running, step, begin)
    return centre + _combine(beta / s, about), count


def _polish(rows: Array, w: Array, v: Array, tau: Array, eps: Array, limit: Array) -> tuple[Array, Array, Array]:
    """Run phase 3; return values (p, d), residuals (p,) and iterations (p,).

    Below the resolution of float32 the residual no longer falls; a part stops after ``PATIENCE``
    iterations without progress and keeps its best value.
    """

    def step_at(v: Array) -> tuple[Array, Array]:
        distance = jnp.sqrt(jnp.sum((rows - v[:, None]) ** 2, axis=2))
        pull = w * jnp.minimum(1.0, tau / jnp.maximum(distance, TINY))
        weight = jnp.sum(pull, axis=1, keepdims=True)
        step = _combine(pull, rows) - weight * v
        return step / jnp.maximum(weight, TINY), jnp.sqrt(jnp.sum(step * step, axis=1))

    def is_running(count: Array, least: Array, stalled: Array) -> Array:
        return (least > eps) & (count < limit) & (stalled < PATIENCE)

    def advance(carry: _Polishing) -> _Polishing:
        v, move, count, best, least, stalled = carry
        running = is_running(count, least, stalled)
        v = jnp.where(running[:, None], v + move, v)
        move, residual = step_at(v)
        better = running & (residual < least)
        stalled = jnp.where(residual < PROGRESS * least, 0, stalled + 1)
        best = jnp.where(better[:, None], v, best)
        return v, move, count + running, best, jnp.where(better, residual, least), stalled

    move, residual = step_at(v)
    zero = jnp.zeros(len(w), dtype=jnp.int32)
    begin = (v, move, zero, v, residual, zero)
    end = jax.lax.while_loop(lambda carry: jnp.any(is_running(carry[2], *carry[4:])), advance, begin)
    return end[3], end[4], end[2]
