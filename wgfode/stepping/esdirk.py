"""One step of an ESDIRK method, its stages solved by a chord Newton iteration.

The linearisation M = G + σ + γh ∂_θR is taken once a step, at its beginning, for all stages (they share γ). The
iteration and its stopping rule are those of E. Hairer & G. Wanner, *Solving Ordinary Differential
Equations II*, §IV.8: the increment, as a displacement γh δk, is measured in units of the step's tolerance, and
its contraction rate tells what is left. An increment at the rounding level of k ends the iteration
as well: below it there is only noise, and a rate that cannot be measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..drive import Drive
from ..solvers.gcr import Space, empty_space, gcr
from ..solvers.iterative import norm
from .stage import StageEquation
from .tableau import Tableau

Array = Any

KAPPA = 0.02
"""What may be left of a stage's error, in units of the step's tolerance."""
ITERATIONS = 20
"""Most Newton iterations of a stage; beyond them the step is repeated with a smaller h."""
PATIENCE = 100
"""The same for fixed steps."""
FORCING = 1e-2
"""The relative residual of each linear solve: an inexact Newton method corrects what a solve leaves."""
KRYLOV_STEPS = 200
"""Most products with M in one linear solve."""


class Step(NamedTuple):
    """What a step of size h came to."""

    theta: Array
    """θ at the end, (m,)."""
    velocity: Array
    """k of the last stage, the first stage of the next step, (m,)."""
    error: Array
    """The local error's estimate, (m,)."""
    stages: Array
    """All kᵢ, (stages, m)."""
    converged: Array
    """Whether every stage was solved; if not, the step must be repeated with a smaller h."""
    evaluations: Array
    """Residuals evaluated (a real number, as it shares loops with arrays)."""
    products: Array
    """Products with M, 0 where it is factorised."""


@dataclass(frozen=True)
class ImplicitStep:
    """θ(t) → θ(t+h) by `tableau`; a pure function of arrays, for either framework."""

    equation: StageEquation
    tableau: Tableau
    iterations: int = ITERATIONS
    """Most Newton iterations of a stage. Where h cannot be made smaller (fixed steps), let it be large."""

    def start(self, theta: Array, drive: Drive) -> Array:
        """k₁ = f(t, θ), (m,), where no earlier step has left it."""
        return self.equation.at(theta, drive).velocity

    def __call__(
        self,
        theta: Array,
        velocity: Array,
        h: Array,
        drive: Drive,
        measure: Callable[[Array], Array],
    ) -> Step:
        """One step from θ (m,) with k₁ = `velocity`, at the time of `drive`.

        `measure` gives the size of a displacement δθ (m,) in units of the tolerance.
        """
        backend, tableau = self.equation.rhs.backend, self.tableau
        xp = backend.xp
        lower, error = backend.asarray(tableau.lower), backend.asarray([*tableau.error])
        nodes = drive.t + h * backend.asarray(tableau.nodes)
        gh = tableau.gamma * h
        here = self.equation.at(theta, drive)
        solve = self._linear_solver(here, velocity, gh)
        count = backend.asarray([float(i) for i in range(tableau.stages)])
        zero, one = 0 * h, 0 * h + 1

        def stage(state: tuple) -> tuple:
            i, K, k, space, _, evaluations = state[0], state[1], state[2], Space(*state[3:6]), state[6], state[7]
            now = backend.xp.where(count == i, xp.ones_like(count), xp.zeros_like(count))
            base = theta + h * ((now @ lower) @ K)
            k, space, converged, used = self._newton(here, now @ nodes, base, k, gh, space, solve, measure)
            K = xp.where((count == i)[:, None], k[None], K)
            return i + 1, K, k, *space, converged, evaluations + used

        def proceed(state: tuple) -> Array:
            return (state[0] < tableau.stages) & (state[6] > 0)

        K = xp.where((count == 0)[:, None], velocity[None], xp.zeros_like(velocity)[None])
        space = empty_space(backend, theta.shape[0], self.equation.capacity)
        # from k = 0 the first iterate is that of the linearly implicit method: safe where h is no small step
        guess = velocity if any(tableau.rows[0]) else 0 * velocity
        final = backend.while_loop(proceed, stage, (one, K, guess, *space, one, zero))
        K, k, converged, evaluations = final[1], final[2], final[6], final[7]
        weights_last = lower[-1]
        end = theta + h * (weights_last @ K + tableau.gamma * k)
        return Step(end, k, h * (error @ K), K, converged > 0, evaluations, final[5])

    def _linear_solver(self, here: Any, k: Array, gh: Array) -> Callable[[Array, Space], tuple[Array, Space]]:
        """(r, space) ↦ (M⁻¹r, the grown space)."""
        if self.equation.dense:
            inverse = self.equation.inverse(here, k, gh)
            return lambda r, space: (inverse(r), space)
        product = self.equation.product(here, k, gh)
        precondition = self.equation.preconditioner(here)
        metric = self.equation.metric

        def solve(r: Array, space: Space) -> tuple[Array, Space]:
            # M x = (G + σ)r from x = r: what is left, −γh ∂_θR[r], is the stiff part. Directions that hardly
            # move the map would be lost in the residual (G + σ)r; in r itself they are exact
            x, space, _ = gcr(
                here.rhs.backend, product, metric(here, r) - product(r), space,
                rtol=FORCING, max_steps=KRYLOV_STEPS, precondition=precondition,
            )  # fmt: skip
            return r + x, space

        return solve

    def _newton(
        self, here: Any, t: Array, base: Array, k: Array, gh: Array, space: Space, solve: Callable, measure: Callable
    ) -> tuple[Array, Space, Array, Array]:
        """(k, space, 1 if converged else 0, residuals evaluated) of k = f(t, base + γhk), from a first guess."""
        backend = here.rhs.backend
        xp = backend.xp
        unit = float(xp.finfo(k.dtype).eps)
        zero, one = 0 * gh, 0 * gh + 1
        # outcome: 0 go on, 1 converged, 2 diverged

        def iterate(state: tuple) -> tuple:
            k, previous, used, _ = state[:4]
            delta, grown = solve(self.equation.defect(here, t, base + gh * k, k), Space(*state[4:]))
            k = k - delta
            size = measure(gh * delta)
            known = used > 0
            rate = xp.where(known, size / xp.where(previous > 0, previous, one), one / 2)
            left = xp.where(rate < 1, rate / (1 - xp.minimum(rate, 0.999 * one)), 1000 * one) * size
            rounding = norm(xp, delta) <= 100 * unit * norm(xp, k)
            converged = (left <= KAPPA) | rounding | (size <= 0.01 * KAPPA)
            diverged = ~xp.isfinite(size) | (known & (rate > 2))
            outcome = xp.where(diverged, 2 * one, xp.where(converged, one, zero))
            return k, size, used + 1, outcome, *grown

        def proceed(state: tuple) -> Array:
            return (state[3] == 0) & (state[2] < self.iterations)

        k, _, used, outcome, *rest = backend.while_loop(proceed, iterate, (k, zero, zero, zero, *space))
        return k, Space(*rest), xp.where(outcome == 1, one, zero), used
