"""Linear drifts that are no gradients, with any constant diffusion matrix: the solution stays normal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.linalg import expm

from ...errors import InputError, settle
from .gaussian import Normal
from .solution import Array, symmetric, time, vector


@dataclass(frozen=True, eq=False)
class LinearDrift(Normal):
    """dx = −B(x − μ)dt + √(2D)dW from N(m₀, C₀), B any matrix (Risken, *The Fokker–Planck Equation*, §6.5):

        m(t) = μ + e^(−Bt)(m₀ − μ),    C(t) = e^(−Bt) C₀ e^(−Bᵀt) + 2 ∫₀ᵗ e^(−Bs) D e^(−Bᵀs) ds

    `flow_map` follows the velocity −B(x − μ) + D C⁻¹(x − m), which moves the density without noise. There is no energy.

    `mean_target` μ (d,), `matrix` B (d, d) (its symmetric part contracts, its antisymmetric part rotates), `diffusion`
    D (d, d) symmetric positive semidefinite, `mean0` m₀ (d,), `covariance0` C₀ (d, d) positive definite.
    Raises `InputError` for other shapes and values.
    """

    mean_target: Any
    matrix: Any
    diffusion: Any
    mean0: Any
    covariance0: Any

    def __post_init__(self) -> None:
        mean0 = vector("mean0", self.mean0)
        dim = mean0.size
        B = np.asarray(self.matrix, dtype=float)
        if B.shape != (dim, dim) or not np.isfinite(B).all():
            raise InputError(f"matrix must be finite and of shape ({dim}, {dim}), got\n{B}")
        D = symmetric("diffusion", self.diffusion, dim, definite=False)
        if (least := float(np.linalg.eigvalsh(D)[0])) < -1e-13 * np.abs(D).max():
            raise InputError(f"diffusion must be positive semidefinite, its smallest eigenvalue is {least:.3g}")
        settle(
            self, mean0=mean0, mean_target=vector("mean_target", self.mean_target, dim), matrix=B, diffusion=D,
            covariance0=symmetric("covariance0", self.covariance0, dim, definite=True),
        )  # fmt: skip

    def mean(self, t: float) -> Array:
        return self.mean_target + self._moments(time(t))[0] @ (self.mean0 - self.mean_target)

    def covariance(self, t: float) -> Array:
        decay, noise = self._moments(time(t))
        return decay @ self.covariance0 @ decay.T + noise

    def _velocity(self, t: float) -> Array:
        return np.linalg.solve(self.covariance(t), self.diffusion).T - self.matrix

    @lru_cache(maxsize=512)  # noqa: B019 - a solution is small and lives as long as its study
    def _moments(self, t: float) -> tuple[Array, Array]:
        """e^(−Bt) and 2∫₀ᵗ e^(−Bs) D e^(−Bᵀs) ds, (d, d) each.

        Of a short time by the exponential of a block matrix (Van Loan, IEEE Trans. Automat. Control 23 (1978)), and
        from there by doubling: that matrix holds e^(+Bᵀt) too, which over a long time would take all digits.
        """
        d, B = self.dim, self.matrix
        doublings = max(0, int(np.ceil(np.log2(max(float(np.linalg.norm(B, 2)) * t, 1.0)))))
        block = expm(np.block([[-B, 2 * self.diffusion], [np.zeros((d, d)), B.T]]) * (t / 2**doublings))
        decay = block[:d, :d]
        noise = block[:d, d:] @ decay.T
        for _ in range(doublings):
            decay, noise = decay @ decay, noise + decay @ noise @ decay.T
        return decay, (noise + noise.T) / 2


def kinetic_oscillator(friction: float, temperature: float, mean0: Any, covariance0: Any) -> LinearDrift:
    """Underdamped Langevin in the well q²/2, of unit mass: dq = p dt, dp = −(q + γp)dt + √(2γT)dW.

    `friction` γ and `temperature` T = 1/β >= 0; the noise acts on the momentum alone. `mean0` (2,) and `covariance0`
    (2, 2) are of (q, p).
    """
    B = [[0.0, -1.0], [1.0, friction]]
    return LinearDrift([0.0, 0.0], B, np.diag([0.0, friction * temperature]), mean0, covariance0)
