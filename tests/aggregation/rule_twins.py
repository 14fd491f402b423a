"""Slow readable twins of the rules, in float64, straight from the papers."""

from __future__ import annotations

import numpy as np


def clip_step(x: np.ndarray, w: np.ndarray, v: np.ndarray, tau: float) -> np.ndarray:
    """Return (1/W) sum_i w_i Delta_i."""
    delta = x.astype(np.float64) - v
    lengths = np.maximum(np.linalg.norm(delta, axis=1), 1e-300)
    return (w / w.sum() * np.minimum(1.0, tau / lengths)) @ delta


def centered_clip(x: np.ndarray, w: np.ndarray, tau: float, limit: int = 20_000) -> np.ndarray:
    v = np.median(x[w > 0].astype(np.float64), axis=0)
    for _ in range(limit):
        step = clip_step(x, w, v, tau)
        v = v + step
        if np.linalg.norm(step) <= 1e-10:
            break
    return v


def mean(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64).mean(axis=0)


def median(x: np.ndarray) -> np.ndarray:
    return np.median(x.astype(np.float64), axis=0)


def trimmed_mean(x: np.ndarray, f: int) -> np.ndarray:
    columns = [sorted(column)[f : len(x) - f] for column in x.astype(np.float64).T]
    return np.array([np.mean(column) for column in columns])


def krum_scores(x: np.ndarray, f: int) -> np.ndarray:
    x, n = x.astype(np.float64), len(x)
    scores = []
    for i in range(n):
        squares = sorted(float(np.sum((x[i] - x[j]) ** 2)) for j in range(n) if j != i)
        scores.append(sum(squares[: n - f - 2]))
    return np.array(scores)


def krum(x: np.ndarray, f: int) -> np.ndarray:
    return x[int(np.argmin(krum_scores(x, f)))]


def multi_krum(x: np.ndarray, f: int, m: int) -> np.ndarray:
    return x[np.argsort(krum_scores(x, f), kind="stable")[:m]].astype(np.float64).mean(axis=0)


def geometric_median(x: np.ndarray, nu: float = 1e-3, limit: int = 5_000) -> np.ndarray:
    x = x.astype(np.float64)
    v = np.median(x, axis=0)
    for _ in range(limit):
        pull = 1.0 / np.maximum(nu, np.linalg.norm(x - v, axis=1))
        v = pull @ x / pull.sum()
    return v
