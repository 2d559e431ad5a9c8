"""What every finite-volume scheme shares: the discrete energy, and fluxes to rates.

A scheme is a semi-discrete gradient flow: the flux through the face between cells a and b has the sign of
ξ_a − ξ_b, ξ = U'(ρ) + V + W*ρ, and none passes the walls. Then mass is conserved to rounding and the discrete
energy Σ|cell|(U(ρ) + Vρ + ½ρ W*ρ) falls. A drift b enters as V does, with −h b·n in place of V_b − V_a, and a
diffusion matrix by an exchange between cells: mass and sign are kept, and no energy needs to fall.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from .convolution import Convolution
from .exchange import Exchange
from .mesh import Mesh
from .terms import Parts

Array = NDArray[np.float64]


class Scheme(ABC):
    """One right-hand side on one mesh at one time.

    Fields have the shape of the mesh; `conv` is W*ρ, computed once.
    """

    name: str

    def __init__(self, mesh: Mesh, parts: Parts) -> None:
        self.mesh, self.parts = mesh, parts
        self.potential = mesh.sample("V", parts.potential) if parts.potential else np.zeros(mesh.cells)
        self._against = mesh.against(parts.velocity) if parts.velocity else None
        self._convolution = Convolution(mesh, parts.kernel) if parts.kernel else None
        self._exchange = self.exchange()

    def convolve(self, rho: Array) -> Array | None:
        """W*ρ, or None where there is no interaction."""
        return self._convolution(rho) if self._convolution else None

    def exchange(self) -> Exchange | None:
        """The diffusion that the fluxes leave out: that of a matrix."""
        return None if self.parts.matrix is None else Exchange(self.mesh, self.parts.matrix)

    def rises(self, conv: Array | None) -> list[Array]:
        """ψ_b − ψ_a − h b·n over the inner faces, ψ = V + W*ρ, for every axis: what the fluxes run down."""
        psi = self.potential if conv is None else self.potential + conv
        out = []
        for axis in range(self.mesh.dim):
            a, b = sides(psi, axis)
            out.append(b - a if self._against is None else b - a + self._against[axis])
        return out

    def energy(self, rho: Array, conv: Array | None) -> float:
        """The discrete energy."""
        return sum(float(e.sum()) for e in self._energy_densities(rho, conv)) * self.mesh.volume

    def rounding(self, rho: Array, conv: Array | None) -> float:
        """How much of the energy is rounding: 1e-15 of the magnitudes of its terms."""
        size = sum(float(np.abs(e).sum()) for e in self._energy_densities(rho, conv))
        return 1e-15 * size * self.mesh.volume

    def _energy_densities(self, rho: Array, conv: Array | None) -> list[Array]:
        """The energy densities of V, W and U."""
        densities = [self.potential * rho]
        if conv is not None:
            densities.append(0.5 * rho * conv)
        if self.parts.internal:
            densities.append(self.parts.U(np.maximum(rho, 0.0)))
        return densities

    def rate(self, rho: Array, conv: Array | None) -> Array:
        """dρ/dt."""
        total = self.flux_rate(rho, conv)
        if self._exchange:
            self._exchange.add(total, rho)
        return total

    def leaving(self, rho: Array, conv: Array | None) -> float:
        """The largest rate at which mass leaves a cell, over its mass: 1/time."""
        left = self.flux_leaving(rho, conv)
        if self._exchange:
            left = left + self._exchange.leaving
        return float(left.max())

    def radius(self, rho: Array, conv: Array | None) -> float:
        """A bound on the spectral radius of the Jacobian of `rate`: 1/time."""
        return 2 * self.leaving(rho, conv)

    @abstractmethod
    def flux_rate(self, rho: Array, conv: Array | None) -> Array:
        """What the fluxes through the faces add to dρ/dt."""

    @abstractmethod
    def flux_leaving(self, rho: Array, conv: Array | None) -> Array:
        """What leaves each cell through its faces per time, over its mass: 1/time."""


def sides(field: Array, axis: int) -> tuple[Array, Array]:
    """The values on the lower and on the upper side of every inner face along an axis."""
    lower = [slice(None)] * field.ndim
    upper = [slice(None)] * field.ndim
    lower[axis], upper[axis] = slice(None, -1), slice(1, None)
    return field[tuple(lower)], field[tuple(upper)]


def collect(rate: Array, flux: Array, axis: int) -> None:
    """Move `flux` (density per time, through an axis's inner faces) from lower to upper cells, in place."""
    lower, upper = sides(rate, axis)
    lower -= flux
    upper += flux
