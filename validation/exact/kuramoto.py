"""Noisy oscillators that pull each other into step, on the line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.stats import norm

from ...energies import Energy, Entropy, Interaction
from ...errors import positive, settle
from ..grid.distribution import Distribution
from ..grid.terms import Parts
from .marginal import Quantile1D
from .solution import Array, time

MODES = 40
"""Of the Fourier series: c_n falls faster than e^(−n)."""


def unrolled(coupling: float) -> Any:
    """W = K(1 − cos x), (N, 1) → (N,), of numpy arrays."""
    return lambda x: coupling * (1 - np.cos(x[:, 0]))


@dataclass(frozen=True, eq=False)
class Kuramoto(Quantile1D):
    """∂ρ/∂t = ∂(ρ ∂W*ρ) + D∂²ρ, W = K(1 − cos x), from N(0, `variance`) (Kuramoto 1975; Sakaguchi 1988).

    The order parameter r = E cos x is that of a Fourier method: c_n = E e^(inx) obeys
    c_n' = ½nK(c₁c_{n−1} − c̄₁c_{n+1}) − n²D c_n, on the line as on the circle. With r known, ∂W*ρ = K r(t) sin x, and
    density and map are those of the quantile solver in that potential. `coupling` K and `diffusivity` D are > 0.
    """

    functional: Energy = field(init=False)
    initial: Distribution = field(init=False)
    levels: int = 200
    coupling: float = 2.0
    diffusivity: float = 0.3
    variance: float = 2.25

    def __post_init__(self) -> None:
        K, D = positive("coupling", self.coupling), positive("diffusivity", self.diffusivity)
        start = norm(0.0, np.sqrt(positive("variance", self.variance)))
        settle(self, functional=Interaction(unrolled(K)) + D * Entropy(), initial=start)
        super().__post_init__()

    @lru_cache(maxsize=8)  # noqa: B019 - a solution is small and lives as long as its study
    def _orders(self, until: float) -> Any:
        """r as a function of t in [0, until]."""
        n = np.arange(1, MODES + 1)

        def rate(_: float, c: Array) -> Array:
            whole = np.concatenate([[1.0], c, [0.0]])
            return 0.5 * n * self.coupling * c[0] * (whole[:-2] - whole[2:]) - n**2 * self.diffusivity * c

        start = np.exp(-0.5 * self.variance * n**2)
        run = solve_ivp(rate, (0, until), start, method="Radau", rtol=1e-11, atol=1e-14, dense_output=True)
        return lambda t: float(run.sol(t)[0])

    def order(self, t: float) -> float:
        """r = E cos x at time t; E sin x = 0 by symmetry."""
        return self._orders(2.0 ** np.ceil(np.log2(max(time(t), 1.0))))(t)

    def _parts_at(self, t: float) -> Parts:
        pull = self.coupling * self.order(t)
        return replace(self._parts, kernel=None, potential=lambda x: -pull * np.cos(x[:, 0]))
