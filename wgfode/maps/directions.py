"""Named starting directions for the ridge functions tanh(wᵀz + b) of planar and residual maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, choice, positive, whole

STARTS = ("random", "axis")


def check(dim: int, centre: Any, spread: float, seed: int, **others: Any) -> dict[str, Any]:
    """The arguments (also `init`, `scale`) by name, in their known form; `InputError` names the one that is wrong."""
    at = np.asarray(centre, dtype=float)
    at = np.full(dim, at) if at.ndim == 0 else at
    if at.shape != (dim,) or not np.isfinite(at).all():
        raise InputError(f"centre must be a finite number or {dim} of them, got {centre!r}")
    known = {"centre": tuple(at.tolist()), "spread": positive("spread", spread), "seed": whole("seed", seed, 0)}
    if others:
        known |= {"init": choice("init", others["init"], STARTS), "scale": positive("scale", others["scale"])}
    return known


def directions(
    init: str, width: int, dim: int, scale: float, centre: tuple[float, ...], spread: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Directions w (width, dim) and offsets b (width,), for points at about `centre` with standard deviation `spread`.

    The ridges' steepest places lie within two spreads of the centre, and |w|·spread is about `scale`.

    - "random": directions uniform on the sphere. For problems whose coordinates are coupled.
    - "axis": along the coordinate axes in turn, each with its own regular set of levels. For problems
      that are separable or nearly so; in high dimension random directions cannot resolve single coordinates.
    """
    rng = np.random.default_rng(seed)
    lengths = scale / spread * np.exp(rng.uniform(-0.5, 0.5, width))
    index = np.arange(width)
    if init == "random":
        w = rng.standard_normal((width, dim))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        levels = (rng.permutation(width) + rng.uniform(size=width)) / width
    else:
        w = np.eye(dim)[index % dim]
        per_axis = np.bincount(index % dim, minlength=dim)[index % dim]
        levels = (index // dim + 0.5) / per_axis
    w = w * lengths[:, None]
    return w, -w @ np.asarray(centre) - (4.0 * levels - 2.0) * spread * lengths
