"""Sampling floors: how large a figure is when there is nothing to find, for so many points.

A figure at its floor says no more than that. The formulas count independent points; quasi-random points
(Sobol, the default of a run) do better, so that a figure below its floor may still be real.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError

Array = NDArray[np.float64]


def standard_error(values: ArrayLike, weights: ArrayLike) -> float:
    """The standard error of Σ wᵢ vᵢ over independent points, (N,) or (N, k) values (then the norm over k).

    √(Σ wᵢ² |vᵢ − v̄|²), which is the standard deviation over √N for equal weights; NaN where a value is infinite.
    """
    v, w = np.asarray(values, dtype=float), np.asarray(weights, dtype=float)
    v = v.reshape(len(v), -1)
    if not np.isfinite(v).all():
        return float("nan")
    return float(np.sqrt(w**2 @ ((v - w @ v) ** 2).sum(1)))


def effective_number(weights: ArrayLike) -> float:
    """1/Σ wᵢ²: how many equal points carry as much as these weighted ones (Kish, *Survey Sampling*, 1965)."""
    return float(1 / np.square(weights).sum())


def bures_floor(covariance: ArrayLike, n: float) -> float:
    """The root mean square of `bures` between n normal samples and their own law, covariance (d, d).

    From E|ΔC_ij|² = λ_i λ_j (1+δ_ij)/n and the second-order form of the Bures distance:

        floor² = (Σ λ_i + ½ Σ_ij λ_i λ_j (1+δ_ij)/(λ_i+λ_j)) / n,    (d + d(d+1)/4)/n for the unit matrix
    """
    rates = np.linalg.eigvalsh(np.asarray(covariance, dtype=float))
    twice = np.outer(rates, rates) * (1 + np.eye(len(rates)))
    return float(np.sqrt((rates.sum() + 0.5 * (twice / np.add.outer(rates, rates)).sum()) / n))


def quantile_floor(sample: Callable[[int], ArrayLike], repeats: int = 8) -> float:
    """The root mean square of `quantile_w2` between two independent samples of one law, over √2.

    `sample(seed)` gives (n,) numbers. √2 because a run has one sample, and is compared with the law.
    """
    pairs = [(sample(2 * i), sample(2 * i + 1)) for i in range(repeats)]
    return float(np.sqrt(np.mean([quantile_w2(a, b) ** 2 for a, b in pairs]) / 2))


def quantile_w2(
    a: ArrayLike, b: ArrayLike, weights_a: ArrayLike | None = None, weights_b: ArrayLike | None = None
) -> float:
    """The Wasserstein-2 distance of two weighted samples of numbers, (n,) and (m,): (∫(Q_a − Q_b)² du)^½.

    Weights default to equal ones, and are divided by their sum. Exact for the two discrete measures.
    Raises `InputError` where samples and weights are no vectors of one length.
    """
    (low_a, edges_a), (low_b, edges_b) = _steps("a", a, weights_a), _steps("b", b, weights_b)
    levels = np.union1d(edges_a, edges_b)
    widths = np.diff(levels, prepend=0.0)
    middle = levels - 0.5 * widths
    gap = low_a[_step(edges_a, middle)] - low_b[_step(edges_b, middle)]
    return float(np.sqrt(widths @ gap**2))


def _steps(name: str, sample: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array]:
    """The sorted sample, and the level up to which each of its values is the quantile."""
    values = np.asarray(sample, dtype=float)
    masses = np.full(values.shape, 1.0) if weights is None else np.asarray(weights, dtype=float)
    if values.ndim != 1 or values.size == 0 or masses.shape != values.shape:
        raise InputError(f"{name} must be numbers (n,) with as many weights, got {values.shape} and {masses.shape}")
    order = np.argsort(values, kind="stable")
    edges = np.cumsum(masses[order])
    return values[order], edges / edges[-1]


def _step(edges: Array, level: Array) -> NDArray[np.intp]:
    return np.minimum(np.searchsorted(edges, level), len(edges) - 1)
