"""Conjugate gradients, stopped when the velocity is right.

The error that a flow feels is that of the velocity field, |A(ξ − ξ*)| against |g|, and conjugate gradients make the
energy norm |ξ − ξ*|_{G+σ} ≥ |A(ξ − ξ*)| as small as k products with G allow. The residual |b − (G+σ)ξ| says little of
it: on one spectrum a relative residual of 1e-4 is a velocity error of 1e-3, on another of 4e-2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .base import Solution
from .iterative import ROUNDING, Krylov, KrylovState, divide, norm, rounding_unit
from .problem import NormalProblem, relative

Array = Any

ENERGY = 10.0
"""Velocity error, in units of the relative residual that the other solvers reach, where `rtol` is None: a tenth of an
integrator's relative tolerance."""
LOOSE = 10.0
"""The bound over the error, at most, where the iteration converges steadily."""
DELAY = 8
"""The fewest steps that are looked back on: one or two may do little before others do much."""


@dataclass(frozen=True)
class CG(Krylov[KrylovState]):
    """(G + σ) ξ = b by conjugate gradients on products with A and Aᵀ; see `Krylov` for the other settings.

    It stops when the energy norm of ξ − ξ* is at most `rtol` |y| (None: ten times the `tolerance` given to `init`), or
    `rtol` |Kξ| with |Kξ|² = ξᵀ(G + σ)ξ where only b is known. Two figures tell that norm.

    - What the later half of the steps, `DELAY` at least, has taken from its square (M. R. Hestenes & E. Stiefel 1952;
      Z. Strakoš & P. Tichý, Electron. Trans. Numer. Anal. 13 (2002) 56–80). It is below the error at the middle, by
      the error now: right to a factor of two while the iteration converges, and too small on a plateau.
    - The Gauss–Radau bound with σ, below which G + σ has no eigenvalue (G. Meurant & P. Tichý, Numer. Algorithms 62
      (2013) 163–191). It is never below the error, but for rounding; seen in this package's maps, 3 to `LOOSE` times
      the error in regular convergence, and more on plateaus. So the error is taken to be a `LOOSE`-th of it at least.
    """

    name = "CG"

    def init(self, problem: NormalProblem, tolerance: float, near: KrylovState | None = None) -> KrylovState:
        """See `Solver.init`: σ, the goal, and what is eliminated."""
        return self.reduced(problem, tolerance)

    def goal(self, tolerance: float) -> float:
        """The velocity error to reach, relative."""
        return min(ENERGY * tolerance, 0.1) if self.rtol is None else self.rtol

    def stagnates(self, residual: float, steps: int, size: int, tolerance: float) -> bool:
        """See `Solver.stagnates`."""
        return not np.isfinite(residual) or steps >= self.budget(size)

    def solve(self, state: KrylovState, b: Array | None = None, start: Array | None = None) -> Solution:
        """See `Solver.solve`. Raises `InputError` where `start` is not (m,)."""
        problem, sigma, xp = state.problem, state.sigma, state.problem.backend.xp
        rhs = self.checked(problem, b, start)
        target, elimination = problem.target if b is None else None, state.elimination
        # |y|², or the part of |Kξ|² that the iteration does not know
        scale = 0 * xp.sum(rhs) if target is None else problem.squared(target)
        if elimination is None:
            xi, steps = self._iterate(state, problem, rhs, start, scale, target is not None)
            return Solution(xi, relative(xp, problem.residual(xi, sigma, rhs), rhs), steps)
        if target is None:
            scale = elimination.energy(rhs)
        start = None if start is None else elimination.rest * start
        xi, steps = self._iterate(
            state, elimination.reduced(), elimination.force(rhs), start, scale, target is not None
        )
        xi = elimination.recovered(xi, rhs)
        return Solution(xi, relative(xp, problem.residual(xi, sigma, rhs), rhs), steps)

    def _iterate(
        self, state: KrylovState, problem: NormalProblem, rhs: Array, start: Array | None, scale: Array, whole: bool
    ) -> tuple[Array, Array]:
        """(ξ, steps); the error is measured by √`scale`, the `whole` of it, or by what ξ adds to its square."""
        sigma, xp, backend = state.sigma, problem.backend.xp, problem.backend
        budget = self.budget(problem.size)
        unit, places = rounding_unit(xp, rhs), backend.asarray(np.arange(budget))
        floor = ROUNDING * unit * norm(xp, state.problem.rhs)
        bounded = self.shift > 0

        def proceed(now: tuple) -> Array:
            steps, xi, r, _, rho, gains, radau, curved = now
            full = scale if whole else scale + xp.sum(xi * (rhs - r))
            count = xp.astype(steps, gains.dtype)
            delay = xp.maximum(count / 2, 0 * count + DELAY)
            # a gain of 0 stands for one that rounding made negative: the sum then tells nothing
            later = xp.sum(xp.where(places >= count - delay, gains, 0 * gains))
            error = xp.where(count >= DELAY, later, 0 * later + float("inf"))
            if bounded:
                bound = radau * rho
                error = xp.minimum(bound, xp.maximum(error, bound / LOOSE**2))
            open_ = (error > state.rtol**2 * full) & (norm(xp, r) > floor)
            return open_ & (steps < budget) & curved

        def step(now: tuple) -> tuple:
            steps, xi, r, p, rho, gains, radau, _ = now
            q = problem.apply(p)
            curvature = problem.squared(q) + sigma * xp.sum(p * p)
            alpha = divide(xp, rho, curvature)
            r = r - alpha * (problem.adjoint(q) + sigma * p)
            after = xp.sum(r * r)
            beta = divide(xp, after, rho)
            gains = xp.where(places == xp.astype(steps, gains.dtype), alpha * rho, gains)
            if bounded:
                ahead = xp.maximum(radau - alpha, unit**0.5 * radau)  # their difference is known no better
                radau = divide(xp, ahead, sigma * ahead + beta)
            return steps + 1, xi + alpha * p, r, r + beta * p, after, gains, radau, curvature > 0

        xi = 0 * rhs if start is None else start + 0 * rhs
        residual = rhs if start is None else problem.residual(xi, sigma, rhs)
        rho = xp.sum(residual * residual)
        none = xp.zeros_like(rho, dtype=xp.int32)
        radau = divide(xp, xp.ones_like(sigma), sigma)
        begin = (none, xi, residual, residual, rho, 0 * places, radau, rho == rho)
        steps, xi, *_ = backend.while_loop(proceed, step, begin)
        return xi, steps
