"""Any internal energy, alone or with V and W: the entropic-mean mobility.

J = −M (ξ_b − ξ_a)/h, ξ = U'(ρ) + ψ, ψ = V + W*ρ, with M = (P(b) − P(a))/(U'(b) − U'(a)), P = ρU' − U: the
mean for which M ΔU' = ΔP, so that the internal part is the plain two-point flux −ΔP/h, and the energy still
falls (a two-point ΔP with separately upwinded drift does not dissipate). M is limited by 2ρ upwind, so that
an empty cell loses nothing. The mean is the logarithmic one for the entropy, and the arithmetic one for ρ²
(Jüngel, *Entropy Methods for Diffusive PDEs*, 2016, ch. 4, on discrete gradient flows with such means).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .scheme import Scheme, collect, sides

Array = NDArray[np.float64]


class EntropicMean(Scheme):
    """∂ρ/∂t = ΔP(ρ) + ∇·(ρ(∇ψ − b)), for any U with P' >= 0."""

    name = "entropic mean"

    def flux_rate(self, rho: Array, conv: Array | None) -> Array:
        rho = np.maximum(rho, 0.0)
        total = np.zeros_like(rho)
        pressure = self.parts.pressure(rho)
        if self.parts.potential is None and self.parts.velocity is None and conv is None:
            for axis, h in enumerate(self.mesh.spacing):
                low, high = sides(pressure, axis)
                collect(total, (low - high) / h**2, axis)
            return total
        enthalpy, rises = self.parts.enthalpy(rho), self.rises(conv)
        for axis, h in enumerate(self.mesh.spacing):
            (a, b), (low, high) = sides(rho, axis), sides(pressure, axis)
            inner_a, inner_b = sides(enthalpy, axis)
            inner = inner_b - inner_a
            force = inner + rises[axis]
            mobility = 0.5 * (a + b)
            apart = np.abs(b - a) > 1e-5 * mobility
            np.divide(high - low, inner, out=mobility, where=apart)
            np.minimum(mobility, 2 * np.where(force < 0, a, b), out=mobility)
            mobility *= force
            mobility /= -(h**2)
            collect(total, mobility, axis)
        return total

    def flux_leaving(self, rho: Array, conv: Array | None) -> Array:
        """By diffusion and drift; empty pairs do not count."""
        rho = np.maximum(rho, 0.0)
        diffusivity, rises = self.parts.diffusivity(rho), self.rises(conv)
        leaving = np.zeros_like(rho)
        for axis, h in enumerate(self.mesh.spacing):
            (a, b), (low, high) = sides(rho, axis), sides(diffusivity, axis)
            rate = np.where(np.maximum(a, b) > 0, np.maximum(low, high) + np.abs(rises[axis]), 0.0) / h**2
            below, above = sides(leaving, axis)
            below += rate
            above += rate
        return leaving
