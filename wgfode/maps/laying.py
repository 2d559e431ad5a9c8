"""Where frozen ridges tanh(wᵀz + b) are laid over weighted points, and how their span is orthonormalised."""

from __future__ import annotations

import numpy as np

CANDIDATES = 64
"""Directions tried for each that is kept."""
OVERLAP = 3.0
"""The width of a ridge over the spacing of its neighbours: wider ridges are nearly dependent, narrower ones leave gaps.

On the velocities of an Ornstein–Uhlenbeck flow from two bumps 2 … 5 are within a factor of 3."""
WINDOW = 2
"""Neighbours on either side whose spacing counts."""


def laid(z: np.ndarray, weights: np.ndarray, width: int, init: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions w (width, d) and offsets b (width,) of ridges over points z (N, d) with weights (N,).

    Each direction has its own regular set of levels: one half at quantiles of the projected points, where the mass is,
    and one half evenly over their range, where the map must hold it together. A ridge is as steep as its neighbours
    of that direction are close. With `init` "axis" all directions are coordinate axes; with "even" (d > 1) there are
    some width^(1−1/d), the axes among them and the others as far from one another as can be.
    """
    d = z.shape[1]
    count = d if init == "axis" else max(d, round(width ** (1 - 1 / d)))
    e = separated(min(count, width), d, seed)
    w, b = np.empty((width, d)), np.empty(width)
    for j, direction in enumerate(e):
        own = np.arange(j, width, len(e))
        levels, steepness = levels_over(z @ direction, weights, len(own))
        w[own] = steepness[:, None] * direction
        b[own] = -steepness * levels
    return w, b


def levels_over(p: np.ndarray, weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` levels over projections p (N,), ascending, and the steepness of a ridge at each."""
    order = np.argsort(p)
    low, high = p[order[0]], p[order[-1]]
    mass = np.cumsum(weights[order]) - weights[order] / 2
    at_mass, apart = (count + 1) // 2, count // 2
    quantiles = np.interp((np.arange(at_mass) + 0.5) / at_mass, mass, p[order])
    even = low + (np.arange(apart) + 0.5) / max(apart, 1) * (high - low)
    levels = np.sort(np.concatenate([quantiles, even]))
    index = np.arange(count)
    before, after = np.maximum(index - WINDOW, 0), np.minimum(index + WINDOW, count - 1)
    spacing = (levels[after] - levels[before]) / np.maximum(after - before, 1)
    extent = (high - low) / count
    return levels, 1 / (OVERLAP * np.where(spacing > 1e-3 * extent, spacing, extent))


def separated(count: int, dim: int, seed: int) -> np.ndarray:
    """`count` unit vectors (count, d): the axes, then each the one of many that is farthest from those before it."""
    axes = np.eye(dim)[:count]
    if count <= dim:
        return axes
    tried = np.random.default_rng(seed).standard_normal((CANDIDATES * count, dim))
    tried /= np.linalg.norm(tried, axis=1, keepdims=True)
    kept = list(axes)
    nearest = np.abs(tried @ axes.T).max(1)  # a direction and its opposite are one
    for _ in range(count - dim):
        kept.append(tried[np.argmin(nearest)])
        nearest = np.maximum(nearest, np.abs(tried @ kept[-1]))
    return np.array(kept)


def orthonormal(features: np.ndarray, weights: np.ndarray, tolerance: float) -> np.ndarray:
    """R (F, r) with which features ψ (N, F) are orthonormal, Σ_n weights_n (ψR)ᵀ(ψR) = 1.

    Directions whose singular value is at most `tolerance` of the largest are left out.
    """
    _, values, right = np.linalg.svd(np.sqrt(weights)[:, None] * features, full_matrices=False)
    kept = values > tolerance * values[0]
    return right[kept].T / values[kept]
