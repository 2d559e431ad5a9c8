"""D > 0 and no other pressure: the Scharfetter–Gummel flux.

J = (D/h)(B(δ)ρ_a − B(−δ)ρ_b), δ = (ψ_b − ψ_a)/D, B(δ) = δ/(e^δ − 1), ψ = V + W*ρ: the exact flux between
two cells where ψ is linear (Scharfetter and Gummel 1969; Chang and Cooper 1970). It is zero at the Gibbs
density e^(−ψ/D), positive for any cell Péclet number |δ|, and dissipates the energy with W too (Schlichting
and Seis 2022, IMA J. Numer. Anal. 42). With a drift δ = (ψ_b − ψ_a − h b·n)/D, and the rates stay positive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .mesh import Mesh
from .scheme import Scheme, collect, sides
from .terms import Parts

Array = NDArray[np.float64]


class ScharfetterGummel(Scheme):
    """∂ρ/∂t = ∇·(D∇ρ + ρ(∇ψ − b)). The rates are kept where ψ does not depend on ρ."""

    name = "Scharfetter-Gummel"

    def __init__(self, mesh: Mesh, parts: Parts) -> None:
        super().__init__(mesh, parts)
        self._fixed = None if parts.kernel else self._rates(self.rises(None))

    def _rates(self, rises: list[Array]) -> list[tuple[Array, Array]]:
        """(forth, back) for every axis: the rates of jumping through each face, 1/time."""
        out = []
        for rise, h in zip(rises, self.mesh.spacing, strict=True):
            forth, back = bernoulli(rise / self.parts.linear)
            scale = self.parts.linear / h**2
            out.append((scale * forth, scale * back))
        return out

    def flux_rate(self, rho: Array, conv: Array | None) -> Array:
        rates = self._fixed or self._rates(self.rises(conv))
        total = np.zeros_like(rho)
        for axis, (forth, back) in enumerate(rates):
            a, b = sides(rho, axis)
            collect(total, forth * a - back * b, axis)
        return total

    def flux_leaving(self, rho: Array, conv: Array | None) -> Array:
        leaving = np.zeros_like(rho)
        for axis, (forth, back) in enumerate(self._fixed or self._rates(self.rises(conv))):
            lower, upper = sides(leaving, axis)
            lower += forth
            upper += back
        return leaving


def bernoulli(delta: Array) -> tuple[Array, Array]:
    """(B(δ), B(−δ)), B(δ) = δ/(e^δ − 1), elementwise; B(−δ) = B(δ) + δ."""
    size = np.abs(delta)
    tiny = size < 1e-8
    small = np.where(tiny, 1 - 0.5 * size, size / np.expm1(np.where(tiny, 1.0, np.minimum(size, 700.0))))
    forward = small + np.maximum(-delta, 0.0)
    return forward, small + np.maximum(delta, 0.0)
