"""LSMR of D. C.-L. Fong and M. A. Saunders, "LSMR: an iterative algorithm for sparse least-squares problems",
SIAM J. Sci. Comput. 33 (2011) 2950–2971."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .base import Solution
from .iterative import Krylov, KrylovState, Pass, divide, norm, rounding_unit
from .minres import MINRES
from .problem import NormalProblem

Array = Any


@dataclass(frozen=True)
class LSMR(Krylov[KrylovState]):
    """min_ξ |Aξ − y|² + σ|ξ|² by LSMR on K = [A; √σ], matrix-free; see `Krylov` for the settings.

    In exact arithmetic it is MINRES on the normal equations, but it never squares the condition of A. With a
    singular G, `shift` = 0 and no `start` it gives the solution of least norm. Where only b is known it
    solves (G + σ) ξ = b by MINRES.
    """

    name = "LSMR"
    needs_target = True

    def init(self, problem: NormalProblem, tolerance: float, near: KrylovState | None = None) -> KrylovState:
        """See `Solver.init`: σ, the goal, and what is eliminated."""
        return self.reduced(problem, tolerance)

    def solve(self, state: KrylovState, b: Array | None = None, start: Array | None = None) -> Solution:
        """See `Solver.solve`. Raises `InputError` where `start` is not (m,)."""
        if b is not None or state.problem.target is None:
            return MINRES(self.rtol, self.max_steps, self.shift).solve(state, b, start)
        return super().solve(state, b, start)

    def iterate(self, known: KrylovState, begin: Pass) -> tuple[Array, Array]:
        target, xi, _, goal, steps, budget = begin
        problem, xp = known.problem, known.problem.backend.xp
        unit = rounding_unit(xp, xi)
        root = self.shift**0.5 * xp.sqrt(known.mean_diagonal)  # √σ, with a derivative at shift = 0

        # Vectors of the range of K are pairs. The explicit second half, instead of the paper's λ, is what
        # lets the iteration start anywhere: K(ξ + d) ≈ (y, 0) is K d ≈ (y − Aξ, −√σ ξ)
        def bidiagonalize(v: Array, u: tuple, alpha: Array) -> tuple:
            """One step of Golub and Kahan: β₊u₊ = Kv − αu, then α₊v₊ = Kᵀu₊ − β₊v."""
            u, beta = normalized(problem.apply(v) - alpha * u[0], root * v - alpha * u[1])
            w = problem.adjoint(u[0]) + root * u[1] - beta * v
            alpha = norm(xp, w)
            return divide(xp, w, alpha), u, alpha, beta

        def normalized(top: Array, bottom: Array) -> tuple[tuple, Array]:
            length = xp.sqrt(problem.squared(top) + xp.sum(bottom * bottom))
            return (divide(xp, top, length), divide(xp, bottom, length)), length

        def proceed(state: tuple) -> Array:
            steps, _, zeta_bar, size = state[:4]
            reachable = xp.maximum(goal, unit * size * length)
            return (xp.abs(zeta_bar) > reachable) & (steps < budget)  # |Kᵀr| = |ζ̄|

        def step(state: tuple) -> tuple:
            steps, x, zeta_bar, size, v, top, bottom, alpha, alpha_bar = state[:9]
            rho_old, rho_bar_old, c_bar, s_bar, h, h_bar = state[9:]
            v, u, alpha, beta = bidiagonalize(v, (top, bottom), alpha)
            size = xp.maximum(size, xp.hypot(alpha, beta))  # of B, hence of K
            # the rotation P_k of the bidiagonal B_k
            rho = xp.hypot(alpha_bar, beta)
            theta, alpha_bar = divide(xp, beta, rho) * alpha, divide(xp, alpha_bar, rho) * alpha
            # the rotation P̄_k of R_kᵀ
            theta_bar, diagonal = s_bar * rho, c_bar * rho
            rho_bar = xp.hypot(diagonal, theta)
            c_bar, s_bar = divide(xp, diagonal, rho_bar), divide(xp, theta, rho_bar)
            zeta, zeta_bar = c_bar * zeta_bar, -s_bar * zeta_bar
            h_bar = h - divide(xp, theta_bar * rho, rho_old * rho_bar_old) * h_bar
            x = x + divide(xp, zeta, rho * rho_bar) * h_bar
            h = v - divide(xp, theta, rho) * h
            vectors = (v, *u, alpha, alpha_bar)
            return steps + 1, x, zeta_bar, size, *vectors, rho, rho_bar, c_bar, s_bar, h, h_bar

        length = xp.sqrt(problem.squared(target))  # the rounding error of b − AᵀAξ is some ε |A| |y|
        u, beta = normalized(target - problem.apply(xi), -root * xi)
        w = problem.adjoint(u[0]) + root * u[1]
        alpha = norm(xp, w)
        v, one = divide(xp, w, alpha), xp.ones_like(alpha)
        state = (steps, xi, alpha * beta, alpha, v, *u, alpha, alpha, one, one, one, 0 * one, v, 0 * v)
        steps, xi, *_ = problem.backend.while_loop(proceed, step, state)
        return xi, steps
