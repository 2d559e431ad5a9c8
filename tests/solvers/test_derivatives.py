"""The solvers under differentiation, jit and vmap."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from systems import SOLVERS, by_name, example, jit, relative_error, solve

from wgfode.backend import load
from wgfode.solvers import LSMR, MINRES, Cholesky, Eigh, NormalProblem, Nystrom, Solver


def natural(solver: Solver, backend: Any, theta: Any) -> tuple[Any, Any]:
    """ξ(θ) of (G(θ) + σ(θ)) ξ = b(θ), differentiated implicitly, and what the solver reports."""
    rng = np.random.default_rng(7)
    base, tilt, target = (jnp.asarray(rng.standard_normal(shape)) for shape in [(30, 8), (3, 30, 8), (30,)])
    matrix = base + jnp.einsum("k,kij->ij", jnp.sin(theta), tilt)
    problem = NormalProblem.from_matrix(backend, matrix, target * (1 + theta[0] ** 2))
    state = solver.init(problem, 1e-12)

    def found() -> tuple[Any, Any]:
        solution = solver.solve(state)
        return solution.xi, (solution.relative_residual, solution.steps)

    return backend.root(
        lambda xi: -problem.residual(xi, state.sigma),
        found,
        lambda _, b: solver.solve(state, b).xi,
        jnp.zeros(8),
    )


THETA = np.array([0.3, -0.2, 0.5])


@pytest.mark.parametrize(
    "solver", [Cholesky(shift=1e-2), Eigh(), MINRES(shift=1e-2), LSMR(shift=1e-2), Nystrom(shift=1e-2)], **by_name
)
def test_implicit_derivatives(solver):
    """Forward and reverse mode under jit and vmap, against central differences and each other."""
    backend = load("jax")

    def xi(theta):
        return natural(solver, backend, theta)[0]

    step = 1e-5
    points = np.concatenate([THETA + step * np.eye(3), THETA - step * np.eye(3)])
    values, (residuals, steps) = jit(jax.vmap(lambda theta: natural(solver, backend, theta)))(points)
    assert np.all(np.asarray(residuals) < 1e-11)
    assert steps.dtype == np.int32
    assert np.all((np.asarray(steps) > 0) == (not solver.direct))
    differences = np.asarray(values[:3] - values[3:]).T / (2 * step)
    close = partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-8)

    thetas = THETA + np.array([[0.0], [0.1]])
    first, second = jit(jax.vmap(jax.jacfwd(xi)))(thetas)
    close(first, differences)
    close(jit(jax.jacrev(xi))(THETA), differences)
    value, tangent = jit(lambda theta: jax.jvp(xi, (theta,), (jnp.ones(3),)))(thetas[1])
    close(value, jit(xi)(thetas[1]))
    close(tangent, second.sum(1))


def test_reports_beside_a_derivative():
    backend = load("jax")
    jacobian = jax.jacfwd(lambda theta: natural(MINRES(), backend, theta), has_aux=True)
    _, (residual, steps) = jit(jacobian)(THETA)
    assert residual < 1e-11
    assert steps > 0


@pytest.mark.parametrize("solver", [*SOLVERS, LSMR(shift=0)], ids=str)
def test_torch_differentiates_through_the_steps(solver):
    backend = load("torch")
    parts = (*example("regular"), example("regular", 1)[0])
    base, target, tilt = (backend.asarray(part) for part in parts)

    def xi(t):
        problem = NormalProblem.from_matrix(backend, base + torch.sin(t) * tilt, target)
        return solver.solve(solver.init(problem, 1e-13)).xi

    t, step = backend.asarray(0.3), 1e-5
    difference = (xi(t + step) - xi(t - step)) / (2 * step)
    _, tangent = torch.func.jvp(xi, (t,), (torch.ones_like(t),))
    assert relative_error(backend.to_numpy(tangent), backend.to_numpy(difference)) < 1e-6


def test_torch_and_jax_agree():
    matrix, target = example("ill")
    for solver in SOLVERS:
        ours, theirs = (solve(load(name), solver, matrix, target)[0] for name in ("torch", "jax"))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(ours).max())
