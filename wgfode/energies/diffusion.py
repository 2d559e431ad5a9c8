"""Linear diffusion that depends on the direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import kind, like, traced
from ..checks import Trial
from ..errors import InputError, settle, shown
from ..pushforward import Pushed
from .base import Term

Array = Any


@dataclass(frozen=True)
class Diffusion(Term):
    """∂ρ/∂t = ∇·(D∇ρ) for a constant symmetric positive semidefinite `matrix` D (d, d): adds D∇log ρ to g.

    D may be singular: noise then acts in some directions alone, as in underdamped Langevin. D = c·I is `c * Entropy()`,
    which has an energy; of any other D the velocity is no Wasserstein gradient, and there is none.

    **A D that depends on x** is refused. ∇·∇·(D(x)ρ) and ∇·(D(x)∇ρ) are different equations, the first with the
    velocity −∇·D beside −D∇log ρ; and two solutions driven by the same noise need not contract, so that no
    certificate would hold.

    Raises `InputError` for what is no such matrix.
    """

    matrix: tuple[tuple[float, ...], ...]
    name = "diffusion"
    pointwise = True
    has_energy = False

    if TYPE_CHECKING:  # what is accepted, against what is kept

        def __init__(self, matrix: ArrayLike) -> None: ...

    def __post_init__(self) -> None:
        settle(self, matrix=tuple(map(tuple, _semidefinite(self.matrix).tolist())))

    @property
    def dim(self) -> int:
        """d."""
        return len(self.matrix)

    def allow(self, coefficient: float) -> None:
        if not coefficient > 0:
            raise InputError(
                f"the coefficient of {self!r} must be > 0 (a backward diffusion is ill-posed), got {coefficient}"
            )

    def modulus_times(self, coefficient: float) -> float | None:
        return 0.0  # the same noise moves both of two solutions

    def try_functions(self, trial: Trial) -> None:
        d = trial.points.shape[1]
        if d != self.dim:
            raise InputError(f"matrix of Diffusion has shape {(self.dim,) * 2}, and the flow has dimension {d}")

    def gradient(self, rho: Pushed) -> Array:
        return rho.score @ like(self.matrix, rho.score)

    def stress(self, rho: Pushed) -> Array:
        return like(self.matrix, rho.score)

    def __repr__(self) -> str:
        return f"Diffusion({np.array2string(np.array(self.matrix), separator=', ', threshold=64)})".replace("\n", "")


def _semidefinite(value: Any) -> np.ndarray:
    """`value` as a symmetric positive semidefinite matrix, (d, d), else an `InputError`."""
    if callable(value):
        raise InputError(
            "matrix of Diffusion must be a constant (d, d) matrix, got a function: a diffusion that depends on x is "
            "not supported, since ∇·∇·(D(x)ρ) and ∇·(D(x)∇ρ) differ by the drift ∇·D, and no bound would hold"
        )
    if traced(value):
        raise InputError(f"matrix of Diffusion is {kind(value)}: its derivative would be lost here")
    try:
        matrix = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"matrix of Diffusion must hold numbers, got {shown(value)}") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        hint = "; for D = c·I write c * Entropy()" if matrix.ndim == 0 else ""
        raise InputError(f"matrix of Diffusion must have a shape (d, d), got {matrix.shape}{hint}")
    if not np.isfinite(matrix).all():
        raise InputError(f"matrix of Diffusion must be finite, got {shown(matrix)}")
    largest = np.abs(matrix).max()
    asymmetry = 2 * float(np.abs(matrix / 2 - matrix.T / 2).max())  # halved: sums of large numbers may overflow
    if asymmetry > 1e-10 * largest:
        raise InputError(f"matrix of Diffusion must be symmetric, but differs from its transpose by {asymmetry:.6g}")
    matrix = matrix / 2 + matrix.T / 2
    least = np.linalg.eigvalsh(matrix)[0]
    if least < -len(matrix) * 10 * np.finfo(float).eps * largest:
        raise InputError(
            f"matrix of Diffusion must be positive semidefinite (a backward diffusion is ill-posed), but its least "
            f"eigenvalue is {least:.6g}"
        )
    return matrix
