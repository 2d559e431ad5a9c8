"""MINRES of C. C. Paige and M. A. Saunders, "Solution of sparse indefinite systems of linear equations",
SIAM J. Numer. Anal. 12 (1975) 617–629."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .iterative import Krylov, KrylovState, Pass, divide, norm, rounding_unit
from .problem import NormalProblem

Array = Any


@dataclass(frozen=True)
class MINRES(Krylov[KrylovState]):
    """(G + σ) ξ = b by MINRES, matrix-free; see `Krylov` for the settings.

    With a singular G, `shift` = 0, no `start` and b in the range of G it gives the solution of least norm.
    Where b is not in the range it stops at a least-squares solution, and the residual says what is left.
    """

    name = "MINRES"

    def init(self, problem: NormalProblem, tolerance: float, near: KrylovState | None = None) -> KrylovState:
        """See `Solver.init`: σ, the goal, and what is eliminated."""
        return self.reduced(problem, tolerance)

    def iterate(self, known: KrylovState, begin: Pass) -> tuple[Array, Array]:
        _, xi, residual, goal, steps, budget = begin
        problem, sigma, xp = known.problem, known.sigma, known.problem.backend.xp
        unit = rounding_unit(xp, xi)

        def proceed(state: tuple) -> Array:
            steps, _, phi, ended = state[:4]
            return (xp.abs(phi) > goal) & (steps < budget) & ~ended

        def step(state: tuple) -> tuple:
            steps, x, phi, _, size, v_old, v, beta, w_old, w, c_old, s_old, c, s = state
            # Lanczos: β₊v₊ = (G+σ)v − αv − βv₋
            p = problem.apply_gram(v) + sigma * v - beta * v_old
            alpha = xp.sum(v * p)
            p = p - alpha * v
            beta_new = norm(xp, p)
            # the two last plane rotations, applied to the new column (β, α, β₊) of the tridiagonal T
            epsilon, delta_bar = s_old * beta, c_old * beta
            delta, gamma_bar = c * delta_bar + s * alpha, c * alpha - s * delta_bar
            # the new rotation, which turns (γ̄, β₊) into (γ, 0)
            gamma = xp.hypot(gamma_bar, beta_new)
            c_new, s_new = divide(xp, gamma_bar, gamma), divide(xp, beta_new, gamma)
            w_new = divide(xp, v - delta * w - epsilon * w_old, gamma)
            x_new, phi_new = x + c_new * phi * w_new, -s_new * phi
            # What is left of b in the kernel of G shows as a huge step that hardly reduces |r| = |φ|: no step
            # is taken whose rounding error exceeds both its gain and the goal
            size = xp.maximum(size, beta + xp.abs(alpha) + beta_new)  # of T, hence of G+σ
            rounding = unit * size * norm(xp, x_new)
            harmful = rounding > xp.maximum(goal, xp.abs(phi) - xp.abs(phi_new))
            x = xp.where(harmful, x, x_new)
            ended = harmful | (xp.abs(phi_new) <= rounding)
            v_new = divide(xp, p, beta_new)
            return (
                steps + 1, x, phi_new, ended, size, v, v_new, beta_new, w, w_new, c, s, c_new, s_new,
            )  # fmt: skip

        phi = norm(xp, residual)
        v, none = divide(xp, residual, phi), 0 * residual
        zero, one = xp.zeros_like(phi), xp.ones_like(phi)
        state = (steps, xi, phi, phi < 0, zero, none, v, zero, none, none, one, zero, one, zero)
        steps, xi, *_ = problem.backend.while_loop(proceed, step, state)
        return xi, steps
