"""The derivative of the right-hand side against finite differences of an exactly solved one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wgfode as wgf
from wgfode.backend import Backend
from wgfode.derivative import Linearization
from wgfode.rhs import RightHandSide


def right_hand_side(backend: Backend, solver: Any, estimator: str = "velocity") -> tuple[RightHandSide, Any]:
    """A nonlinear problem with a regular metric, and a θ away from the identity."""
    flow = wgf.GradientFlow(
        map=wgf.maps.Affine(1) @ wgf.maps.Residual(1, width=2),
        energy=wgf.Potential(lambda x: ((x**2 - 1) ** 2).sum(-1) / 4) + 0.3 * wgf.Entropy(),
        reference=wgf.Gaussian.standard(1),
        points=wgf.Sobol(32, seed=0),
        solver=solver,
        estimator=estimator,
    )
    rhs = RightHandSide(flow, backend, 1e-13)
    return rhs, backend.asarray(flow.map.initial() + 0.2 * np.random.default_rng(0).normal(size=flow.size))


ITERATIVE = pytest.param(wgf.MINRES(shift=1e-3), marks=pytest.mark.slow)
"""(Its loops take jax long to compile, three deep.)"""


@pytest.mark.parametrize("solver", [wgf.Eigh(1e-13), wgf.Cholesky(1e-4), ITERATIVE])
def test_jvp_vjp_and_jacobian(backend: Backend, solver: Any) -> None:
    rhs, theta = right_hand_side(backend, solver)
    rng, points = np.random.default_rng(1), rhs.drive()
    v, u = rng.normal(size=(2, theta.shape[0]))

    def products(theta: Any, v: Any, u: Any) -> tuple[Any, Any, Any]:
        here = Linearization(rhs, theta, points)
        return here.jvp(v), here.vjp(u), here.jacobian()

    found = backend.compile(products)(theta, backend.asarray(v), backend.asarray(u))
    jv, vj, jacobian = map(backend.to_numpy, found)

    # the shift σ follows the mean diagonal of G, which a derivative at fixed σ leaves out: hold it here too
    sigma = Linearization(rhs, theta, points).sigma

    def exact(theta: np.ndarray) -> np.ndarray:
        problem = rhs.problem(backend.asarray(theta), points)
        gram = backend.to_numpy(problem.form_gram()) + float(sigma) * np.eye(len(theta))
        return -np.linalg.solve(gram, backend.to_numpy(problem.rhs))

    at, step = backend.to_numpy(theta), 1e-4
    columns = []
    for e in np.eye(len(at)):
        points_ = [exact(at + s * step * e) for s in (-2, -1, 1, 2)]
        columns.append((points_[0] - 8 * points_[1] + 8 * points_[2] - points_[3]) / (12 * step))
    wanted = np.stack(columns, axis=1)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(jacobian, wanted, atol=1e-6 * scale)
    np.testing.assert_allclose(jv, wanted @ v, atol=1e-6 * scale)
    np.testing.assert_allclose(vj, wanted.T @ u, atol=1e-6 * scale)


def test_jax_differentiates_the_solve_itself() -> None:
    """jvp and vjp through `RightHandSide.evaluate` are the same, by the custom root."""
    import jax

    from wgfode.backend import load

    rhs, theta = right_hand_side(load("jax"), wgf.Cholesky(1e-4))
    points = rhs.drive()
    v = jax.numpy.asarray(np.random.default_rng(2).normal(size=theta.shape[0]))

    @jax.jit
    def both(theta: Any) -> tuple[Any, ...]:
        f = lambda p: rhs.evaluate(p, points).velocity  # noqa: E731
        here = Linearization(rhs, theta, points)
        return jax.jvp(f, (theta,), (v,))[1], here.jvp(v), jax.vjp(f, theta)[1](v)[0], here.vjp(v)

    forward, jvp, reverse, vjp = both(theta)
    np.testing.assert_allclose(forward, jvp, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(reverse, vjp, rtol=1e-7, atol=1e-9)
