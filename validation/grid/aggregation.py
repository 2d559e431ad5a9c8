"""No internal energy: upwind finite volumes of second order for ∂ρ/∂t = ∇·(ρ∇ψ), ψ = V + W*ρ.

J = u⁺ρ_E + u⁻ρ_W with u = −(ψ_b − ψ_a)/h and ρ_E, ρ_W from slopes under the MC limiter (Carrillo, Chertock
and Huang 2015, Commun. Comput. Phys. 17, with U = 0): ρ_E, ρ_W >= 0, so that the semi-discrete energy
falls. Time by SSP-RK3 (Shu and Osher 1988) with steps that take at most a part of any cell's mass;
practically empty cells do not limit the step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...errors import IntegrationError
from .rkc import NEGATIVE, RISING, Record
from .scheme import Scheme, collect, sides

Array = NDArray[np.float64]

PART = 0.6  # the part of a cell's mass that may leave it in one step
EMPTY = 1e-14  # cells below EMPTY·max ρ do not limit the step


class Upwind(Scheme):
    """∂ρ/∂t = ∇·(ρ∇ψ) with limited linear reconstruction."""

    name = "Carrillo-Chertock-Huang upwind"

    def fluxes(self, rho: Array, conv: Array | None) -> list[Array]:
        """Flux over h through the inner faces, for every axis: density per time."""
        psi = self.drift(conv)
        out = []
        for axis, h in enumerate(self.mesh.spacing):
            half = 0.5 * _mc_slopes(rho, axis)
            (a, b), (half_a, half_b) = sides(rho, axis), sides(half, axis)
            psi_a, psi_b = sides(psi, axis)
            u = (psi_a - psi_b) / h**2
            out.append(u * np.where(u > 0, a + half_a, b - half_b))
        return out

    def rate(self, rho: Array, conv: Array | None) -> Array:
        total = np.zeros_like(rho)
        for axis, flux in enumerate(self.fluxes(rho, conv)):
            collect(total, flux, axis)
        return total

    def radius(self, rho: Array, conv: Array | None) -> float:
        """The largest part of a cell's mass that leaves it per time, over the cells that hold mass."""
        leaving = np.zeros_like(rho)
        for axis, flux in enumerate(self.fluxes(rho, conv)):
            lower, upper = sides(leaving, axis)
            lower += np.maximum(flux, 0.0)
            upper += np.maximum(-flux, 0.0)
        full = rho > EMPTY * rho.max()
        return float((leaving[full] / rho[full]).max())


def integrate_ssp(scheme: Scheme, rho: Array, times: Array, visit: Callable[[float, Array], None]) -> Record:
    """March `rho` from time 0 through `times` by SSP-RK3, calling visit(t, ρ) at each.

    A step that leaves a cell negative or lets the energy rise is halved. Raises `IntegrationError` where
    none is left.
    """
    record, t = Record(), 0.0
    conv = scheme.convolve(rho)
    energy = scheme.energy(rho, conv)
    scale, rounding, limit = abs(energy), scheme.rounding(rho, conv), np.inf
    record.add(t, energy)
    for target in times:
        while t < target:
            speed = scheme.radius(rho, conv)
            h = min(target - t, limit, PART / speed if speed > 0 else np.inf)
            if h < target - t < 2 * h:
                h = 0.5 * (target - t)
            while True:
                new = _ssp_step(scheme, rho, conv, h)
                new_conv = scheme.convolve(new)
                new_energy = scheme.energy(new, new_conv)
                record.evaluations += 3
                rise = new_energy - energy
                if new.min() >= -NEGATIVE * new.max() and rise <= max(RISING * scale, rounding):
                    break
                record.rejected += 1
                h = limit = 0.5 * h
                if h < 1e-14 * max(target, 1.0):
                    raise IntegrationError(t, "no step keeps the density positive and the energy from rising")
            t, limit = target if h == target - t else t + h, 1.1 * limit
            rho, conv, energy = new, new_conv, new_energy
            scale = max(scale, abs(energy))
            record.add(t, energy)
        visit(float(target), rho)
    return record


def _ssp_step(scheme: Scheme, rho: Array, conv: Array | None, h: float) -> Array:
    one = rho + h * scheme.rate(rho, conv)
    two = 0.75 * rho + 0.25 * (one + h * scheme.rate(one, scheme.convolve(one)))
    return (rho + 2 * (two + h * scheme.rate(two, scheme.convolve(two)))) / 3


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
