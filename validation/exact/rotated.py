"""A solution in turned coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...errors import InputError, settle
from .solution import Array, Solution, points


@dataclass(frozen=True, eq=False)
class Rotated(Solution):
    """The solution of the problem whose axes are the columns of `rotation`: x = Q y, y as in `solution`.

    With V(Qᵀx) in place of V, and the initial density turned likewise. `rotation` Q (d, d) is orthogonal.
    Raises `InputError` where it is not, or has another dimension.
    """

    solution: Solution
    rotation: Any

    def __post_init__(self) -> None:
        Q, d = np.asarray(self.rotation, dtype=float), self.solution.dim
        if Q.shape != (d, d) or not np.allclose(Q.T @ Q, np.eye(d), atol=1e-12):
            raise InputError(f"rotation must be an orthogonal matrix of shape ({d}, {d}), got\n{Q}")
        settle(self, rotation=Q)

    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.solution.dim

    def mean(self, t: float) -> Array:
        return self.rotation @ self.solution.mean(t)

    def covariance(self, t: float) -> Array:
        return self.rotation @ self.solution.covariance(t) @ self.rotation.T

    def log_density(self, t: float, x: ArrayLike) -> Array:
        return self.solution.log_density(t, self._points(x) @ self.rotation)

    def energy(self, t: float) -> float:
        return self.solution.energy(t)

    def flow_map(self, t: float, z: ArrayLike) -> Array:
        return self.solution.flow_map(t, points("z", z, self.dim) @ self.rotation) @ self.rotation.T

    def _sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        return self.solution._sample_initial(n, rng) @ self.rotation.T
