"""Flows that only a grid can check: four kinds of energy, in one and in two dimensions.

Fokker–Planck, porous medium, aggregation, and a sum of all terms, none of which keeps its initial shape. The
functions are written for every array type, since the run and the grid are given the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ...energies import Energy, Entropy, Interaction, PorousMedium, Potential
from ...flow import GradientFlow
from ...maps import Affine, Residual
from ...points import Sobol
from ...problems import ring_kernel
from ...references import Barenblatt, Custom, Gaussian, Reference
from ...solvers import Cholesky
from .base import L1, Box, Case, Limit

Array = Any

TIMES = (0.0, 0.25, 0.5, 1.0)


def wells(x: Array) -> Array:
    """(x_0² − 1)²/4 + x_0/5 + Σ_{i>0} (x_i + x_0/2)²/2: uneven wells along a bent valley, (N, d) → (N,)."""
    first = x[:, 0]
    return (first**2 - 1) ** 2 / 4 + first / 5 + ((x[:, 1:] + 0.5 * x[:, :1]) ** 2).sum(-1) / 2


def bell_kernel(x: Array) -> Array:
    """1 − e^(−|x|²/2): an attraction that fades with the distance, (N, d) → (N,)."""
    return 1 - array_namespace(x).exp(-0.5 * (x**2).sum(-1))


ENERGIES: dict[str, Callable[[], Energy]] = {
    "fokker-planck": lambda: Potential(wells) + 0.2 * Entropy(),
    "porous-medium": lambda: PorousMedium(2),
    "aggregation": lambda: Interaction(bell_kernel),
    "sum": lambda: Potential(wells) + 0.1 * Entropy() + 0.3 * PorousMedium(2) + Interaction(ring_kernel),
}


BOXES = {"fokker-planck": (3.6, 128), "porous-medium": (3.0, 128), "aggregation": (2.4, 192), "sum": (3.0, 128)}
"""Half the side of the box, and the cells along an axis in 2-D."""


def bent_barenblatt(bend: float = 0.3) -> Custom:
    """The Barenblatt profile (m = 2, t = 0.2) under the shear x_0 ↦ x_0 + bend·x_1², in 2-D.

    Its pressure falls off linearly at the front, as that of a moving front does. From a normal density a front
    has to form where the mass is far below what points see, and the map folds there (by t = 0.6 in 2-D).
    """
    profile = Barenblatt(2, 2, 0.2)

    def shear(x: Array, by: float) -> Array:
        return array_namespace(x).stack([x[:, 0] + by * x[:, 1] ** 2, x[:, 1]], axis=1)

    def from_uniform(u: np.ndarray) -> np.ndarray:
        return shear(profile.from_uniform(u), bend)

    return Custom(2, from_uniform, lambda z: profile.log_density(shear(z, -bend)))


def case(kind: str, dim: int) -> Case:
    """The case of one kind of energy in `dim` = 1 or 2 dimensions."""
    mean, variances = np.array([0.3, -0.2])[:dim], np.array([0.2, 0.12])[:dim]
    reference: Reference = Gaussian(mean, np.diag(variances))
    if (kind, dim) == ("porous-medium", 2):
        reference = bent_barenblatt()
    width, spread = (20, 40)[dim - 1], float(np.sqrt(np.diag(reference.covariance).max()))
    residual = Residual(dim, width, init=("axis", "random")[dim - 1], centre=reference.mean.tolist(), spread=spread)
    flow = GradientFlow(
        map=Affine(dim) @ residual,
        energy=ENERGIES[kind](),
        reference=reference,
        points=Sobol(512, seed=0),
        solver=Cholesky(shift=1e-8),
    )
    half, cells = BOXES[kind]
    box = Box(((-half, half),) * dim, 400 if dim == 1 else cells)
    return Case(f"grid-{kind}-{dim}d", flow, TIMES, (Limit("grid", "l1", L1),), box, evaluation=2048)


def _make(kind: str, dim: int) -> Callable[[], Case]:
    return lambda: case(kind, dim)


GRID_CASES: dict[str, Callable[[], Case]] = {
    f"grid-{kind}-{dim}d": _make(kind, dim) for kind in ENERGIES for dim in (1, 2)
}
"""The cases by name; "grid-" keeps them apart from the named problems."""
