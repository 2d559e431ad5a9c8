"""A stabilised explicit integrator with a guard: RKC2, for diffusion on grids.

Runge–Kutta–Chebyshev of order 2 with s stages is stable on [−0.65 s², 0] (Sommeijer, Shampine and Verwer
1998, J. Comput. Appl. Math. 88; their formulas and error estimate). Explicit stages of a flux form keep the
mass to rounding. A step is rejected where its error is too large, where a cell turns negative, or where the
energy rises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...errors import IntegrationError
from .scheme import Scheme

Array = NDArray[np.float64]

NEGATIVE = 5e-13  # a cell may fall to −NEGATIVE·max ρ
RISING = 1e-13  # the energy may rise by RISING·(its largest value so far), which is rounding
LONGEST = 0.65 * 400**2  # step · radius at which 400 stages are needed


@dataclass
class Record:
    """What an integrator did: the time and energy of every accepted step, and its counts."""

    times: list[float] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)
    rejected: int = 0
    evaluations: int = 0

    def add(self, t: float, energy: float) -> None:
        self.times.append(t)
        self.energies.append(energy)


def integrate(
    scheme: Scheme, rho: Array, times: Array, tolerance: float, visit: Callable[[float, Array], None]
) -> Record:
    """March `rho` from time 0 through `times`, calling visit(t, ρ) at each.

    `tolerance` bounds the L1 norm of the error estimate of a step. Raises `IntegrationError` where the
    guard leaves no step.
    """
    volume = scheme.mesh.volume
    record, t, patience = Record(), 0.0, 0
    conv = scheme.convolve(rho)
    rate, energy = scheme.rate(rho, conv), scheme.energy(rho, conv)
    scale, rounding = abs(energy), scheme.rounding(rho, conv)
    radius, age = scheme.radius(rho, conv), 0
    step = 4 / max(radius, 1e-3)
    record.add(t, energy)
    for target in times:
        while t < target:
            if age >= 5:
                radius, age = scheme.radius(rho, conv), 0
            step = min(step, LONGEST / max(radius, 1e-300))
            left = target - t
            h = left if left <= step else min(step, 0.5 * left)
            stages = max(2, 1 + int(np.sqrt(1.54 * h * radius + 1)))
            with np.errstate(over="ignore", invalid="ignore"):
                new = _step(scheme, rho, rate, h, stages)
                new_conv = scheme.convolve(new)
                new_rate, new_energy = scheme.rate(new, new_conv), scheme.energy(new, new_conv)
                error = volume * float(np.abs(0.8 * (rho - new) + 0.4 * h * (rate + new_rate)).sum())
            record.evaluations += stages
            sound = new.min() >= -NEGATIVE * new.max() and new_energy <= energy + max(RISING * scale, rounding)
            factor = 0.8 * (tolerance / max(error, 1e-300)) ** (1 / 3)
            if not (sound and error <= tolerance):
                record.rejected += 1
                step = h * (max(factor, 0.1) if sound else 0.5)
                radius, age, patience = scheme.radius(rho, conv), 0, 10
                if step < 1e-14 * max(target, 1.0):
                    raise IntegrationError(t, "no step keeps the density positive and the energy from rising")
                continue
            t = target if h == left else t + h
            rho, conv, rate, energy = new, new_conv, new_rate, new_energy
            scale = max(scale, abs(energy))
            record.add(t, energy)
            proposed = h * min(max(factor, 0.3), 1.0 if patience else 2.0)
            step = proposed if h == step else max(proposed, step)
            age, patience = age + 1, max(patience - 1, 0)
        visit(float(target), rho)
    return record


@lru_cache(maxsize=512)
def _coefficients(s: int) -> tuple[float, tuple[tuple[float, float, float, float], ...]]:
    """μ̃₁ and (μ, ν, μ̃, γ̃) of stages 2…s, from the Chebyshev polynomials and two derivatives at w₀."""
    w0 = 1 + 2 / (13 * s**2)
    T, dT, ddT = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for j in range(2, s + 1):
        T.append(2 * w0 * T[j - 1] - T[j - 2])
        dT.append(2 * T[j - 1] + 2 * w0 * dT[j - 1] - dT[j - 2])
        ddT.append(4 * dT[j - 1] + 2 * w0 * ddT[j - 1] - ddT[j - 2])
    w1 = dT[s] / ddT[s]
    b = [0.0, 0.0] + [ddT[j] / dT[j] ** 2 for j in range(2, s + 1)]
    b[0] = b[1] = b[2]
    a = [1 - b[j] * T[j] for j in range(s + 1)]
    rows = tuple(
        (
            2 * b[j] * w0 / b[j - 1],
            -b[j] / b[j - 2],
            2 * b[j] * w1 / b[j - 1],
            -a[j - 1] * 2 * b[j] * w1 / b[j - 1],
        )
        for j in range(2, s + 1)
    )
    return b[1] * w1, rows


def _step(scheme: Scheme, rho: Array, rate: Array, h: float, stages: int) -> Array:
    first, rows = _coefficients(stages)
    before, now = rho, rho + first * h * rate
    scratch = np.empty_like(rho)
    for mu, nu, mu_t, gamma_t in rows:
        new = scheme.rate(now, scheme.convolve(now))
        new *= mu_t * h
        for factor, term in ((mu, now), (nu, before), (1 - mu - nu, rho), (gamma_t * h, rate)):
            np.multiply(term, factor, out=scratch)
            new += scratch
        before, now = now, new
    return now
