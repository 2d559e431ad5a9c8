"""The drift for which a path of maps is the exact flow, and its solution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import ArrayLike

from ...arrays import like
from ...energies import Diffusion, Drift, Energy
from ...errors import InputError, choice, settle
from ...points import Sobol
from ...references import Gaussian, Reference
from ..exact.solution import Array, Solution, points, time
from .coupling import Coupled
from .paths import Arch, Banana, Carried, Chain, Path, Rotation, SinhArcsinh

POINTS = 2**14
"""Quasi-random points from which `mean` and `covariance` are taken."""


@dataclass(frozen=True, eq=False)
class Manufactured(Solution):
    """ρ_t = T(t, ·)#λ, the exact solution of ∂ρ/∂t = −∇·(ρb) + ∇·(D∇ρ) for the drift

        b(x, t) = ∂_tT(t, T⁻¹(t, x)) + D∇log ρ_t(x)

    whose Lagrangian map is T. `path` is T with T(0, z) = z, `reference` is λ (with a score in closed form), and
    `diffusion` D is a symmetric positive semidefinite matrix (d, d), or a number for that times the identity.
    `monotonicity` is the drift's, at all times of a run, where it is known: with it runs have a bound.
    `mean` and `covariance` are means over 2^14 quasi-random points, and no closed forms; all else is exact.
    Raises `InputError` where dimensions differ and for a bad diffusion.
    """

    path: Path
    reference: Reference
    diffusion: Any = 0.0
    monotonicity: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, Path):
            raise InputError(f"path must be a Path of wgfode.validation.manufactured, got {self.path!r}")
        if not isinstance(self.reference, Reference) or self.reference.dim != self.path.dim:
            raise InputError(f"reference must be one of dimension {self.path.dim}, as the path, got {self.reference!r}")
        if self.reference.score(np.asarray(self.reference.mean)[None]) is None:
            raise InputError(f"reference must have a score in closed form, and {self.reference!r} has none")
        given = np.asarray(self.diffusion, dtype=float)
        matrix = Diffusion(given * np.eye(self.path.dim) if given.ndim == 0 else given).matrix
        if len(matrix) != self.path.dim:
            raise InputError(f"diffusion must be of dimension {self.path.dim}, as the path, got {len(matrix)}")
        settle(self, diffusion=np.array(matrix))

    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.path.dim

    @property
    def terms(self) -> Energy:
        """What drives the flow: the drift, and the diffusion where there is one."""
        drift = Drift(self.drift, self.monotonicity)
        return drift + Diffusion(self.diffusion) if self.diffusion.any() else drift

    def _carried(self, t: Any, z: Any) -> Carried:
        xp = array_namespace(z)
        return self.path.carry(t, Carried(z, xp.zeros_like(z), self.reference.score(z), xp.zeros_like(z[:, 0])))

    def drift(self, x: Any, t: Any) -> Any:
        """b at points x (N, d) of any array type, (N, d)."""
        here = self._carried(t, self.path.inverse(t, x))
        return here.velocity + here.score @ like(self.diffusion, x)

    def velocity(self, t: float, x: ArrayLike) -> Array:
        """b − D∇log ρ, which moves the density without noise, (N, d) → (N, d)."""
        return self._carried(time(t), self.path.inverse(t, self._points(x))).velocity

    def flow_map(self, t: float, z: ArrayLike) -> Array:
        return self._carried(time(t), points("z", z, self.dim)).x

    def log_density(self, t: float, x: ArrayLike) -> Array:
        z = self.path.inverse(time(t), self._points(x))
        return self.reference.log_density(z) - self._carried(t, z).log_det

    @lru_cache(maxsize=64)  # noqa: B019 - a solution lives as long as its study
    def _moments(self, t: float) -> tuple[Array, Array]:
        z, weights = Sobol(POINTS, seed=0).draw(self.reference)
        x = self.flow_map(t, z)
        mean = weights @ x
        return mean, (x - mean).T * weights @ (x - mean)

    def mean(self, t: float) -> Array:
        return self._moments(time(t))[0]

    def covariance(self, t: float) -> Array:
        return self._moments(time(t))[1]

    def _sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        return self.reference.from_uniform(rng.random((n, self.dim)))


FAMILIES: dict[str, Callable[[int], Path]] = {
    "banana": lambda dim: Chain((Banana(dim), Rotation(dim))),
    "skew": lambda dim: Chain((SinhArcsinh(dim), Rotation(dim, 0.5))),
    "coupling": Coupled,
    "arch": Arch,
    "bent": lambda dim: Chain((SinhArcsinh(dim), Banana(dim))),
    "mixed": lambda dim: Chain((SinhArcsinh(dim), Rotation(dim), Coupled(dim))),
}
"""Paths by name, for `manufactured`."""


def manufactured(family: str, dim: int, diffusion: Any = 0.1) -> Manufactured:
    """The solution from the standard normal along a path of `FAMILIES` in `dim` dimensions."""
    return Manufactured(FAMILIES[choice("family", family, FAMILIES)](dim), Gaussian.standard(dim), diffusion)
