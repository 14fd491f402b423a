"""Slow readable twins of the selecting, clustering and trusting rules, in float64, straight from the papers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from rule_twins import krum_scores
from scipy.stats import beta as beta_law
from sklearn.cluster import HDBSCAN, AgglomerativeClustering


def norms(x: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x, axis=1)


def clipped(x: np.ndarray, radius: float) -> np.ndarray:
    return np.array([row * min(1.0, radius / max(np.linalg.norm(row), 1e-300)) for row in x])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300))


def nearest_mean(column: np.ndarray, centre: float, count: int) -> float:
    return float(np.mean(sorted(column, key=lambda value: (abs(value - centre), value))[:count]))


def meamed(x: np.ndarray, f: int) -> np.ndarray:
    x = x.astype(np.float64)
    return np.array([nearest_mean(column, float(np.median(column)), len(x) - f) for column in x.T])


def phocas(x: np.ndarray, f: int) -> np.ndarray:
    x = x.astype(np.float64)
    return np.array([nearest_mean(column, np.mean(sorted(column)[f : len(x) - f]), len(x) - f) for column in x.T])


def adaptive_median(x: np.ndarray, k: float = 3.0) -> np.ndarray:
    result = []
    for column in x.astype(np.float64).T:
        middle = np.median(column)
        deviation = np.median(np.abs(column - middle))
        result.append(np.mean([value for value in column if abs(value - middle) <= k * 1.4826 * deviation]))
    return np.array(result)


def bulyan(x: np.ndarray, f: int) -> np.ndarray:
    left, chosen = list(x.astype(np.float64)), []
    for _ in range(len(x) - 2 * f):
        rows = np.array(left)
        if len(left) == 1:
            best = 0
        elif len(left) - f - 2 >= 2:
            best = int(np.argmin(krum_scores(rows, f)))
        else:  # one neighbour counts; of the two nearest each other the more central goes first
            scores = np.round(krum_scores(rows, len(left) - 3), 12)
            totals = [float(np.sum((rows - row) ** 2)) for row in rows]
            best = min(range(len(left)), key=lambda i: (scores[i], totals[i]))
        chosen.append(left.pop(best))
    rows = np.array(chosen)
    return np.array([nearest_mean(column, float(np.median(column)), len(rows) - 2 * f) for column in rows.T])


def rfa(x: np.ndarray, iterations: int = 3, nu: float = 1e-6) -> np.ndarray:
    x = x.astype(np.float64)
    v = x.mean(axis=0)
    for _ in range(iterations):
        pull = 1.0 / np.maximum(nu, norms(x - v))
        v = pull @ x / pull.sum()
    return v


def weighted_geometric_median(x: np.ndarray, a: np.ndarray, limit: int = 500) -> np.ndarray:
    v = np.median(x[a > 0], axis=0)
    for _ in range(limit):
        pull = a / np.maximum(1e-9, norms(x - v))
        v = pull @ x / pull.sum()
    return v


def autogm(x: np.ndarray, lam: float = 1.0, rounds: int = 20) -> np.ndarray:
    """Alternate; the weights by projecting onto the simplex with bisection on eta."""
    x, n = x.astype(np.float64), len(x)
    z = weighted_geometric_median(x, np.full(n, 1.0 / n))
    unit = np.median(norms(x - z))
    for _ in range(rounds):
        d = norms(x - z) / unit
        low, high = d.min(), d.min() + lam * n
        for _ in range(200):
            eta = (low + high) / 2
            low, high = (eta, high) if np.maximum(eta - d, 0).sum() < lam * n else (low, eta)
        z = weighted_geometric_median(x, np.maximum(high - d, 0) / (lam * n))
    return z


def best_subset(x: np.ndarray, f: int, spread) -> np.ndarray:
    x = x.astype(np.float64)
    subsets = [list(subset) for subset in combinations(range(len(x)), len(x) - f)]
    return x[min(subsets, key=lambda subset: spread(x[subset]))].mean(axis=0)


def diameter(rows: np.ndarray) -> tuple[float, float]:
    pairs = [float(np.sum((a - b) ** 2)) for a, b in combinations(rows, 2)]
    return max(pairs), sum(pairs)


def mda(x: np.ndarray, f: int) -> np.ndarray:
    return best_subset(x, f, diameter)


def mva(x: np.ndarray, f: int) -> np.ndarray:
    return best_subset(x, f, lambda rows: float(np.sum(rows.var(axis=0))))


def smea(x: np.ndarray, f: int) -> np.ndarray:
    return best_subset(x, f, lambda rows: np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[0])


def monna(x: np.ndarray, f: int, pivot: int = 0) -> np.ndarray:
    x = x.astype(np.float64)
    return x[np.argsort(norms(x - x[pivot]), kind="stable")[: len(x) - f]].mean(axis=0)


def cge(x: np.ndarray, f: int) -> np.ndarray:
    x = x.astype(np.float64)
    return x[np.argsort(norms(x), kind="stable")[: len(x) - f]].mean(axis=0)


def caf(x: np.ndarray, f: int) -> np.ndarray:
    x = x.astype(np.float64)
    c, best, least = np.ones(len(x)), x.mean(axis=0), np.inf
    while c.sum() > len(x) - 2 * f:
        mean = c @ x / c.sum()
        covariance = (x - mean).T @ np.diag(c) @ (x - mean) / c.sum()
        values, vectors = np.linalg.eigh(covariance)
        if values[-1] < least:
            best, least = mean, values[-1]
        pull = ((x - mean) @ vectors[:, -1]) ** 2
        c = c * (1.0 - np.where(c > 0, pull, 0.0) / pull[c > 0].max())
        c[c < 1e-12] = 0.0
    return best


def dnc(x: np.ndarray, f: int) -> np.ndarray:
    x = x.astype(np.float64)
    about = x - x.mean(axis=0)
    scores = (about @ np.linalg.svd(about)[2][0]) ** 2
    return x[np.argsort(scores, kind="stable")[: len(x) - f]].mean(axis=0)


def norm_clip(x: np.ndarray, radius: float = 1.0) -> np.ndarray:
    return clipped(x.astype(np.float64), radius).mean(axis=0)


def momentum_clip(x: np.ndarray, start: np.ndarray | None = None, tau: float = 1.0) -> np.ndarray:
    x = x.astype(np.float64)
    v = np.median(x, axis=0) if start is None else start
    return v + clipped(x - v, tau).mean(axis=0)


def clipped_clustering(x: np.ndarray, seen: tuple[float, ...] = ()) -> np.ndarray:
    x = x.astype(np.float64)
    distances = np.array([[1.0 - cosine(a, b) for b in x] for a in x])
    labels = AgglomerativeClustering(2, metric="precomputed", linkage="average").fit_predict(distances)
    largest = int(2 * labels.sum() > len(labels))
    short = clipped(x, float(np.median(np.concatenate([seen, norms(x)]))))
    return short[labels == largest].mean(axis=0)


def flame_without_noise(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    distances = np.maximum(np.array([[1.0 - cosine(a, b) for b in x] for a in x]), 0.0)
    np.fill_diagonal(distances, 0.0)
    model = HDBSCAN(
        min_cluster_size=len(x) // 2 + 1,
        min_samples=1,
        metric="precomputed",
        allow_single_cluster=True,
        copy=True,
    )
    labels = model.fit_predict(distances)
    return clipped(x, float(np.median(norms(x))))[labels == 0].mean(axis=0)


def sign_sgd(x: np.ndarray) -> np.ndarray:
    return np.array([np.sign(sum(np.sign(value) for value in column)) for column in x.astype(np.float64).T])


def rlr(x: np.ndarray, threshold: int) -> np.ndarray:
    x = x.astype(np.float64)
    rate = [1.0 if abs(np.sign(column).sum()) >= threshold else -1.0 for column in x.T]
    return np.array(rate) * x.mean(axis=0)


def fltrust(x: np.ndarray, root: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    scores = np.array([max(0.0, cosine(row, root)) for row in x])
    turned = np.array([row * np.linalg.norm(root) / max(np.linalg.norm(row), 1e-300) for row in x])
    return scores @ turned / scores.sum() if scores.sum() > 0 else np.zeros(x.shape[1])


def fools_gold(x: np.ndarray, sums: np.ndarray) -> np.ndarray:
    n = len(x)
    cs = np.array([[cosine(sums[i], sums[j]) if i != j else -np.inf for j in range(n)] for i in range(n)])
    v = cs.max(axis=1)
    pardoned = cs.copy()
    for i in range(n):
        for j in range(n):
            if i != j and v[j] > v[i]:
                pardoned[i, j] *= v[i] / v[j]
    a = np.clip(1.0 - pardoned.max(axis=1), 0.0, 1.0)
    a = np.clip(a / a.max(), 1e-9, 1.0 - 1e-9)
    a = np.clip(np.log(a / (1.0 - a)) + 0.5, 0.0, 1.0)
    return a @ x.astype(np.float64) / a.sum()


def afa(x: np.ndarray, good: np.ndarray, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = x.astype(np.float64)
    trusted = [i for i in range(len(x)) if beta_law.cdf(0.5, good[i], bad[i]) < 0.95] or list(range(len(x)))
    p, kept, xi = good / (good + bad), list(trusted), 2.0
    while True:
        mean = sum(p[i] * x[i] for i in kept) / sum(p[i] for i in kept)
        s = {i: cosine(mean, x[i]) for i in kept}
        values = list(s.values())
        median, spread = np.median(values), xi * np.std(values)
        if np.mean(values) < median:
            left = [i for i in kept if s[i] >= median - spread]
        else:
            left = [i for i in kept if s[i] <= median + spread]
        if len(left) in (len(kept), 0):
            break
        kept, xi = left, xi + 0.5
    good = good + np.array([float(i in kept) for i in range(len(x))])
    bad = bad + np.array([float(i in trusted and i not in kept) for i in range(len(x))])
    return sum(p[i] * x[i] for i in kept) / sum(p[i] for i in kept), good, bad


def lasa(x: np.ndarray, layers: tuple[int, ...]) -> np.ndarray:
    x = x.astype(np.float64)
    short = clipped(x, float(np.median(norms(x))))
    sparse = short.copy()
    for row in sparse:
        row[np.argsort(np.abs(row), kind="stable")[: int(0.3 * len(row))]] = 0.0
    result, at = [], 0
    for size in layers:
        part = sparse[:, at : at + size]
        lengths = norms(part)
        positive = np.array([np.mean(row[row != 0] > 0) if row.any() else 0.5 for row in part])
        ordinary = []
        for values, reach in ((lengths, 2.0), (positive, 1.0)):
            spread = values.std()
            ordinary.append(
                np.abs(values - np.median(values)) < reach * spread if spread > 1e-9 else values == values
            )
        both = ordinary[0] & ordinary[1]
        result.append(short[both if both.any() else slice(None), at : at + size].mean(axis=0))
        at += size
    return np.concatenate(result)


def sign_guard(x: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    middle = float(np.median(norms(x)))
    ordinary = {i for i, length in enumerate(norms(x)) if 0.1 * middle <= length <= 3.0 * middle}
    features = np.array([[np.mean(row > 0), np.mean(row == 0), np.mean(row < 0)] for row in x[:, drawn]])
    width = np.mean([sorted(norms(features - point))[(len(x) - 1) // 2] for point in features]) + 1e-9
    places = features.copy()
    for _ in range(300):
        moved = np.array([features[norms(features - place) <= width].mean(axis=0) for place in places])
        rests = np.abs(moved - places).max() <= 1e-3 * width
        places = moved
        if rests:
            break
    crowd = [int((norms(features - place) <= width).sum()) for place in places]
    peaks: list[np.ndarray] = []
    for i in sorted(range(len(x)), key=lambda i: -crowd[i]):
        if all(np.linalg.norm(places[i] - peak) > width for peak in peaks):
            peaks.append(places[i])
    joined = [int(np.argmin([np.linalg.norm(point - peak) for peak in peaks])) for point in features]
    largest = int(np.argmax(np.bincount(joined)))
    both = sorted(ordinary & {i for i, peak in enumerate(joined) if peak == largest} or ordinary)
    return clipped(x, middle)[both].mean(axis=0)


def nnm(x: np.ndarray, f: int) -> np.ndarray:
    x = x.astype(np.float64)
    return np.array([x[np.argsort(norms(x - row), kind="stable")[: len(x) - f]].mean(axis=0) for row in x])


def arc(x: np.ndarray, f: int) -> np.ndarray:
    x, n = x.astype(np.float64), len(x)
    k = int(2 * f * (n - f) / n)
    return clipped(x, sorted(norms(x))[n - 1 - k])
