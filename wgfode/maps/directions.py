"""Named starting directions for the ridge functions tanh(wᵀz + b) of planar and residual maps."""

from __future__ import annotations

import numpy as np

from ..errors import choice, positive

STARTS = ("random", "axis")


def check(init: str, scale: float) -> tuple[str, float]:
    """The known spelling of `init` and `scale` > 0; `InputError` otherwise."""
    return choice("init", init, STARTS), positive("scale", scale)


def directions(init: str, width: int, dim: int, scale: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions w (width, dim) and offsets b (width,).

    - "random": w of length about `scale`, uniform on the sphere; b spread over the ridge so that
      its steepest point lies within two standard deviations of a standard Gaussian. For problems
      whose coordinates are coupled.
    - "axis": w along the coordinate axes in turn, lengths and signs varied, b as above. For
      problems that are separable or nearly so; in high dimension random directions cannot resolve
      single coordinates.
    """
    rng = np.random.default_rng(seed)
    lengths = scale * np.exp(rng.uniform(-0.5, 0.5, width))
    if init == "random":
        w = rng.standard_normal((width, dim))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
    else:
        w = np.eye(dim)[np.arange(width) % dim]
    # the ridge's centre −b/|w|, on a randomly shifted grid: every direction gets several levels
    levels = (rng.permutation(width) + rng.uniform(size=width)) / width
    if init == "axis":
        turns = np.arange(width) // dim
        per_axis = np.bincount(np.arange(width) % dim, minlength=dim)[np.arange(width) % dim]
        levels = (turns + 0.5) / per_axis
    centres = 4.0 * levels - 2.0
    return w * lengths[:, None], -centres * lengths
