"""No pressure, or a diffusion matrix: upwind finite volumes of second order for ∂ρ/∂t = ∇·(ρ(∇ψ − b)), ψ = V + W*ρ.

J = u⁺ρ_E + u⁻ρ_W with u = −(ψ_b − ψ_a)/h + b·n and ρ_E, ρ_W from slopes under the MC limiter (Carrillo, Chertock
and Huang 2015, Commun. Comput. Phys. 17, with U = 0): ρ_E, ρ_W >= 0, so that the semi-discrete energy
falls. Beside a diffusion matrix the entropy too is an exchange between cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .exchange import Exchange
from .scheme import Scheme, collect, sides

Array = NDArray[np.float64]

EMPTY = 1e-14  # cells below EMPTY·max ρ do not limit the step


class Upwind(Scheme):
    """∂ρ/∂t = ∇·(ρ(∇ψ − b)) with limited linear reconstruction."""

    name = "Carrillo-Chertock-Huang upwind"

    def exchange(self) -> Exchange | None:
        parts = self.parts
        return None if parts.matrix is None else Exchange(self.mesh, parts.matrix + parts.linear * np.eye(2))

    def fluxes(self, rho: Array, conv: Array | None) -> list[Array]:
        """Flux over h through the inner faces, for every axis: density per time."""
        out = []
        for axis, (rise, h) in enumerate(zip(self.rises(conv), self.mesh.spacing, strict=True)):
            half = 0.5 * _mc_slopes(rho, axis)
            (a, b), (half_a, half_b) = sides(rho, axis), sides(half, axis)
            u = -rise / h**2
            out.append(u * np.where(u > 0, a + half_a, b - half_b))
        return out

    def flux_rate(self, rho: Array, conv: Array | None) -> Array:
        total = np.zeros_like(rho)
        for axis, flux in enumerate(self.fluxes(rho, conv)):
            collect(total, flux, axis)
        return total

    def flux_leaving(self, rho: Array, conv: Array | None) -> Array:
        """Of the cells that hold mass."""
        leaving = np.zeros_like(rho)
        for axis, flux in enumerate(self.fluxes(rho, conv)):
            lower, upper = sides(leaving, axis)
            lower += np.maximum(flux, 0.0)
            upper += np.maximum(-flux, 0.0)
        full = rho > EMPTY * rho.max()
        return np.divide(leaving, rho, out=np.zeros_like(rho), where=full)


def _mc_slopes(rho: Array, axis: int) -> Array:
    """Differences per cell under the monotonised-central limiter, θ = 2; zero in the cells at the walls."""
    a, b = sides(rho, axis)
    back, forth = sides(b - a, axis)
    size = np.minimum(2 * np.minimum(np.abs(back), np.abs(forth)), 0.5 * np.abs(back + forth))
    slopes = np.zeros_like(rho)
    inner = [slice(None)] * rho.ndim
    inner[axis] = slice(1, -1)
    slopes[tuple(inner)] = np.where(back * forth > 0, np.copysign(size, forth), 0.0)
    return slopes
