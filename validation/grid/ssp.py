"""SSP-RK3 (Shu and Osher 1988) with steps that take at most a part of any cell's mass.

Each stage is a mean of Euler steps, so that what one of those keeps (a positive density, the mass) the whole keeps.
It takes any scheme, also one that changes in time and one whose spectrum is not real, as that of a drift.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...errors import IntegrationError
from .rkc import NEGATIVE, RISING, Record
from .scheme import Scheme

Array = NDArray[np.float64]

PART = 0.6  # the part of a cell's mass that may leave it in one step


def integrate_ssp(
    scheme_at: Callable[[float], Scheme],
    rho: Array,
    times: Array,
    visit: Callable[[float, Array], None],
    dissipates: bool,
) -> Record:
    """March `rho` from time 0 through `times`, calling visit(t, ρ) at each.

    `scheme_at(t)` is the scheme of one time. A step that leaves a cell negative is halved, and one that lets the energy
    rise where the scheme `dissipates` it. Raises `IntegrationError` where none is left.
    """
    record, t = Record(), 0.0
    scheme = scheme_at(t)
    conv = scheme.convolve(rho)
    energy = scheme.energy(rho, conv)
    scale, rounding, limit = abs(energy), scheme.rounding(rho, conv), np.inf
    record.add(t, energy)
    for target in times:
        while t < target:
            speed = scheme.leaving(rho, conv)
            h = min(target - t, limit, PART / speed if speed > 0 else np.inf)
            if h < target - t < 2 * h:
                h = 0.5 * (target - t)
            while True:
                end = target if h == target - t else t + h
                new_scheme = scheme_at(end)
                new = _step((scheme, new_scheme, scheme_at(t + 0.5 * h)), rho, conv, h)
                new_conv = new_scheme.convolve(new)
                new_energy = new_scheme.energy(new, new_conv)
                record.evaluations += 3
                falls = not dissipates or new_energy - energy <= max(RISING * scale, rounding)
                if new.min() >= -NEGATIVE * new.max() and falls:
                    break
                record.rejected += 1
                h = limit = 0.5 * h
                if h < 1e-14 * max(target, 1.0):
                    raise IntegrationError(t, "no step keeps the density positive and the energy from rising")
            t, limit = end, 1.1 * limit
            scheme, rho, conv, energy = new_scheme, new, new_conv, new_energy
            scale = max(scale, abs(energy))
            record.add(t, energy)
        visit(float(target), rho)
    return record


def _step(schemes: tuple[Scheme, Scheme, Scheme], rho: Array, conv: Array | None, h: float) -> Array:
    """One step; `schemes` are those at its beginning, end and middle, the times of the stages."""
    first, second, third = schemes
    one = rho + h * first.rate(rho, conv)
    two = 0.75 * rho + 0.25 * (one + h * second.rate(one, second.convolve(one)))
    return (rho + 2 * (two + h * third.rate(two, third.convolve(two)))) / 3
