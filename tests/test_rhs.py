"""The right-hand side: torch against jax, dense against matrix-free, estimators, equivariance, energy decay."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import wgfode as wgf
from wgfode import problems
from wgfode.backend import Backend, load
from wgfode.maps import Affine, Planar, Residual
from wgfode.monitor.fault import explain
from wgfode.potentials import Polynomial
from wgfode.problems.forms import Quadratic
from wgfode.rhs import RightHandSide

# without what these tests do not look at, and jax would compile
solve = partial(wgf.solve, stiffness=False, certificate=False)
SMALL = {"fokker-planck-30d": 64}  # points; the other problems take 256


def small(name: str) -> wgf.GradientFlow:
    flow = problems.get(name).flow
    return replace(flow, points=wgf.Sobol(SMALL.get(name, 256), seed=0))


def near_start(flow: wgf.GradientFlow, size: float = 0.02) -> np.ndarray:
    return flow.map.initial() + size * np.random.default_rng(5).standard_normal(flow.size)


def velocity(flow: wgf.GradientFlow, backend: Backend, theta: np.ndarray, tolerance: float = 1e-13) -> np.ndarray:
    rhs = RightHandSide(flow, backend, tolerance)
    evaluate = backend.compile(rhs.evaluate)
    return backend.to_numpy(evaluate(backend.asarray(theta), rhs.drive()).velocity)


@pytest.mark.parametrize("name", problems.names())
def test_torch_agrees_with_jax(name: str) -> None:
    """1e-10 relative in float64; with a shift that leaves the linear problem well-posed."""
    large = name in ("fokker-planck-30d", "moving-trap-100d")
    solver = wgf.MINRES(rtol=1e-13, shift=1e-3) if large else wgf.Cholesky(shift=1e-4)
    flow = replace(small(name), solver=solver)
    theta = near_start(flow)
    a, b = (velocity(flow, load(framework), theta) for framework in ("torch", "jax"))
    assert np.linalg.norm(a - b) <= 1e-10 * np.linalg.norm(a)


SHIFT = 1e-2
FREE = [wgf.MINRES(rtol=1e-12, shift=SHIFT), wgf.LSMR(rtol=1e-12, shift=SHIFT), wgf.Nystrom(1e-12, None, SHIFT, 8)]
METRICS = {
    "relaxed": wgf.Relaxed(),
    "filtered": wgf.Wasserstein(Polynomial(2), form="dense"),
    "blended": wgf.Wasserstein(Polynomial(2), form="matrix_free"),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_solvers_with_one_shift_are_one_right_hand_side(backend: Backend, metric: Any, dtype: str) -> None:
    """Where Ĝ is singular (∂/∂w = 0 at the start of a Residual map), σ decides: it must be one number for all."""
    backend = load(backend.name, dtype)
    map_, mean = Residual(2, width=4, centre=3.0), np.array([3.0, 2.0])
    flow = replace(gaussian_flow(A2, np.zeros(2), mean, map_), points=wgf.Sobol(64, seed=0), metric=metric)

    solvers = [wgf.Cholesky(SHIFT), *FREE]
    sides = [RightHandSide(replace(flow, solver=solver), backend, 1e-12) for solver in solvers]

    def everything(theta: Any, drive: Any) -> Any:
        xp, problem = backend.xp, sides[0].problem(theta, drive)
        gram = problem.form_gram()
        known = xp.stack([problem.mean_diagonal(), xp.mean(xp.linalg.diagonal(gram)), xp.linalg.eigvalsh(gram)[-1]])
        return known, xp.stack([rhs.evaluate(theta, drive).velocity for rhs in sides])

    drive = sides[0].drive()
    start = backend.asarray(map_.initial())
    known, found = map(backend.to_numpy, backend.compile(everything)(start, drive))
    np.testing.assert_allclose(known[0], known[1], rtol=1e-13 if dtype == "float64" else 1e-6)
    size = np.linalg.norm(found[0])
    # a residual of 2e-6, which is what float32 holds, divided by σ against the largest eigenvalue
    limit = 1e-9 if dtype == "float64" else 2e-6 * known[2] / (SHIFT * known[0])
    assert size > 0.1
    for other in found[1:]:
        assert np.linalg.norm(other - found[0]) <= limit * size


@pytest.mark.parametrize("solver", FREE, ids=repr)
def test_matrix_free_agrees_with_dense(backend: Backend, solver: Any) -> None:
    flow = replace(small("double-well-1d"), map=Affine(1) @ Residual(1, width=3, centre=0.3, spread=0.3))
    theta = near_start(flow)
    free, dense = (velocity(replace(flow, solver=one), backend, theta) for one in (solver, wgf.Cholesky(SHIFT)))
    np.testing.assert_allclose(free, dense, rtol=0, atol=1e-9 * np.abs(dense).max())


def test_energy_estimator_is_the_gradient_of_the_sampled_energy(backend: Backend) -> None:
    flow = replace(small("ornstein-uhlenbeck-2d"), estimator="energy", solver=wgf.Cholesky(shift=1e-12))
    rhs = RightHandSide(flow, backend, 1e-10)
    theta, drive = near_start(flow, 0.1), rhs.drive()
    xi = -velocity(flow, backend, theta)
    gram = backend.to_numpy(rhs.problem(backend.asarray(theta), drive).form_gram())
    h = 1e-5

    def energy(parameters: np.ndarray) -> float:
        return float(rhs.energy(backend.asarray(parameters), drive))

    differences = [(energy(theta + h * e) - energy(theta - h * e)) / (2 * h) for e in np.eye(flow.size)]
    np.testing.assert_allclose(gram @ xi, differences, rtol=1e-6, atol=1e-8)


def test_estimators_agree_with_exact_expectations(backend: Backend) -> None:
    """Gauss–Hermite makes every expectation of the Gaussian problem exact, so the two estimators are one."""
    flow = replace(small("ornstein-uhlenbeck-2d"), points=wgf.GaussHermite(4), solver=wgf.Cholesky(shift=0.0))
    theta = near_start(flow, 0.1)
    one, two = (velocity(replace(flow, estimator=e), backend, theta) for e in ("velocity", "energy"))
    np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-11)


def test_velocity_estimator_has_no_sampling_error_where_g_is_in_the_tangent_space(backend: Backend) -> None:
    """200 points or 5: an affine map and a quadratic potential give the same θ̇."""
    flow = small("ornstein-uhlenbeck-2d")
    theta = near_start(flow, 0.1)
    few, many = (velocity(replace(flow, points=wgf.MonteCarlo(n, seed=1)), backend, theta) for n in (5, 400))
    np.testing.assert_allclose(few, many, rtol=1e-8, atol=1e-9)


def gaussian_flow(A: np.ndarray, mu: np.ndarray, mean: np.ndarray, map_: Any = None) -> wgf.GradientFlow:
    V = Quadratic(tuple(map(tuple, A.tolist())), tuple(mu.tolist()))
    return wgf.GradientFlow(
        map=map_ or Affine(2),
        energy=wgf.Potential(V) + wgf.Entropy(),
        reference=wgf.Gaussian(mean, np.eye(2)),
        points=wgf.Sobol(128, seed=0),
    )


A2 = np.array([[2.0, 0.5], [0.5, 1.0]])
START = np.array([1.0, -0.5])


def test_translation_equivariance() -> None:
    """Problem and start shifted together: the points move as before, shifted."""
    shift = np.array([3.0, -2.0])
    runs = [
        solve(gaussian_flow(A2, s, START + s), [0.2, 0.5], integrator="torchdiffeq", evaluation=64)
        for s in (np.zeros(2), shift)
    ]
    np.testing.assert_allclose(runs[0].x + shift, runs[1].x, atol=1e-5)
    np.testing.assert_allclose(runs[0].energy, runs[1].energy, atol=1e-6)


def test_rotation_equivariance() -> None:
    """Problem and start rotated together: mean and covariance are rotated (the sample points are not)."""
    c, s = np.cos(0.7), np.sin(0.7)
    R = np.array([[c, -s], [s, c]])
    runs = [
        solve(gaussian_flow(Q @ A2 @ Q.T, np.zeros(2), Q @ START), [0.2, 0.5], integrator="torchdiffeq", rtol=1e-9,
                  atol=1e-11, evaluation=64)
        for Q in (np.eye(2), R)
    ]  # fmt: skip
    theta = [run.theta.values for run in runs]
    for i in range(3):
        (A0, b0), (A1, b1) = ((t[i, :4].reshape(2, 2), t[i, 4:]) for t in theta)
        # T1 = R ∘ T0 ∘ R⁻¹, since the references N(m, I) and N(Rm, I) are each other's images
        np.testing.assert_allclose(A1, R @ A0 @ R.T, atol=1e-8)
        np.testing.assert_allclose(b1, R @ b0, atol=1e-8)


@pytest.mark.parametrize("estimator", ["velocity", "energy"])
def test_energy_never_rises_and_mass_is_constant(estimator: str) -> None:
    # the "energy" estimator overfits the log-determinant of a nonlinear map on frozen points until it folds
    map_ = Affine(2) if estimator == "energy" else Affine(2) @ Planar(2, layers=2)
    flow = gaussian_flow(A2, np.zeros(2), START, map_)
    flow = replace(flow, estimator=estimator, points=wgf.Sobol(512, seed=0))
    ds = solve(flow, np.linspace(0.1, 2, 8), integrator="torchdiffeq", rtol=1e-5, evaluation=2048)
    assert ds.attrs["status"] == "completed"
    energy = ds.energy.values
    assert (np.diff(energy) <= 1e-6 * np.abs(energy).max()).all()
    assert float(ds.weight.sum()) == pytest.approx(1, abs=1e-12)


def test_float32_is_kept(backend: Backend) -> None:
    other = load(backend.name, dtype="float32")
    flow = replace(small("ornstein-uhlenbeck-2d"), solver=wgf.Cholesky(shift=1e-5))
    v = velocity(flow, other, near_start(flow), 1e-6)
    assert v.dtype == np.float32
    np.testing.assert_allclose(v, velocity(flow, backend, near_start(flow)), rtol=2e-3, atol=2e-3)


def test_explain_names_the_term_and_the_point() -> None:
    def cliff(x):
        return (x**2).sum(-1) + 1e-300 * (x[..., 0] ** 400)

    flow = gaussian_flow(A2, np.zeros(2), START)
    flow = replace(flow, energy=wgf.Potential(cliff) + wgf.Entropy())
    rhs = RightHandSide(flow, load("torch"), 1e-8)
    theta = flow.map.initial()
    assert explain(rhs, 0.0, theta) == ""
    theta[0] = 50.0
    assert "Potential" in explain(rhs, 0.0, theta)
