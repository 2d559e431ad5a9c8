"""The semi-implicit scheme: first order in h, trained and training-free, and what happens when a step fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import wgfode as wgf
from wgfode.backend import load
from wgfode.maps import Affine, Residual
from wgfode.potentials import Polynomial
from wgfode.rhs import RightHandSide
from wgfode.stepping import bilevel
from wgfode.stepping.integrator import states
from wgfode.stepping.methods import Method
from wgfode.stepping.proximal import ProximalStep
from wgfode.stepping.state import State

QUIET: dict[str, Any] = {"evaluation": 64, "certificate": False, "stiffness": False}


def problem(name: str = "ornstein-uhlenbeck-2d", metric: Any = None) -> tuple[wgf.GradientFlow, Any]:
    """A quadratic example of the source with an affine map, and its exact solution."""
    named = wgf.problems.get(name)
    metric = metric or wgf.Wasserstein(Polynomial(2))
    return replace(named.flow, map=Affine(named.flow.dim), points=wgf.Sobol(64), metric=metric), named.exact


def errors(run: Any, flow: wgf.GradientFlow, exact: Any) -> np.ndarray:
    """(mean error, covariance error) of the parameters' own moments at the times after 0, (times, 2)."""
    found = []
    for t, theta in zip(run["time"].values.tolist(), run["theta"].values, strict=True):
        A, b = flow.map.matrix(theta)  # type: ignore[attr-defined]
        found.append((np.linalg.norm(b - exact.mean(t)), np.linalg.norm(A @ A.T - exact.covariance(t))))
    return np.array(found[1:])


@pytest.mark.parametrize("metric", [wgf.Wasserstein(Polynomial(2)), wgf.Relaxed()], ids=["G", "relaxed"])
def test_first_order_and_the_right_clock(metric: Any) -> None:
    flow, exact = problem(metric=metric)
    options = QUIET | {"integrator": "torchdiffeq", "method": "proximal"}
    rows = [errors(wgf.solve(flow, [0.1, 0.3], step_size=h, **options), flow, exact) for h in (0.1, 0.05, 0.025)]
    orders = np.log2(np.array(rows[:-1]) / np.array(rows[1:]))
    assert (orders[-1] > 0.85).all()
    assert (orders < 1.2).all()
    assert (rows[-1] < 0.03).all()


def test_the_step_solves_its_equation(backend: Any) -> None:
    flow, _ = problem()
    rhs = RightHandSide(flow, backend, 1e-10)
    step, points, h = ProximalStep(rhs), rhs.drive(), 0.2
    begin = flow.map.initial()
    theta, evaluations, _ = step(begin, h, 0.0, points)
    here, new = backend.asarray(begin), backend.asarray(theta)
    gram = backend.to_numpy(rhs.problem(here, points).form_gram())
    force = backend.to_numpy(step.gradient(new, new, points))  # affine in θ: J is the same everywhere
    np.testing.assert_allclose(gram @ (theta - begin) + h * force, 0, atol=1e-4 * np.abs(h * force).max() + 1e-6)
    assert evaluations > 3


def test_iterative_solvers_serve_too() -> None:
    flow, _ = problem(metric=wgf.Wasserstein(Polynomial(2), form="matrix_free"))
    options = QUIET | {"integrator": "torchdiffeq", "method": "proximal", "step_size": 0.05}
    direct, iterative = (
        wgf.solve(replace(flow, solver=solver), [0.1], **options)
        for solver in (wgf.Cholesky(shift=1e-8), wgf.LSMR(rtol=1e-10, shift=1e-8))
    )
    np.testing.assert_allclose(direct["theta"].values, iterative["theta"].values, atol=1e-5)


@pytest.mark.parametrize("metric", [wgf.Wasserstein(Polynomial(2)), wgf.Relaxed()], ids=["G", "relaxed"])
def test_single_precision(metric: Any) -> None:
    """Newton's method asks for no more than float32 holds."""
    flow, _ = problem(metric=metric)
    options = QUIET | {"integrator": "torchdiffeq", "method": "proximal", "step_size": 0.05}
    single, double = (wgf.solve(flow, [0.3], dtype=dtype, **options) for dtype in ("float32", "float64"))
    assert single.attrs["status"] == "completed"
    np.testing.assert_allclose(single["theta"].values[-1], double["theta"].values[-1], atol=1e-4)


def test_the_last_newton_step_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    from wgfode.stepping import proximal

    flow, _ = problem()
    rhs = RightHandSide(flow, load("torch"), 1e-10)
    begin, points = flow.map.initial(), rhs.drive()
    free, evaluations, _ = ProximalStep(rhs)(begin, 0.05, 0.0, points)
    for steps in range(1, proximal.NEWTON_STEPS):
        monkeypatch.setattr(proximal, "NEWTON_STEPS", steps)
        try:
            found = ProximalStep(rhs)(begin, 0.05, 0.0, points)
        except wgf.IntegrationError as error:
            assert float(str(error).split("residual ")[1].split()[0]) > proximal.NEWTON_TOLERANCE  # noqa: PT017
        else:
            np.testing.assert_array_equal(found[0], free)
            assert found[1] == evaluations
            break


def test_a_step_that_fails_keeps_the_trajectory() -> None:
    flow = wgf.GradientFlow(
        map=Affine(1) @ Residual(1, 10),
        energy=wgf.Potential(lambda x: ((x**2 - 1) ** 2).sum(-1)) + 0.05 * wgf.Entropy(),
        reference=wgf.Gaussian([0.1], [[1.0]]), points=wgf.Sobol(128),
    )  # fmt: skip
    run = wgf.solve(flow, [0.05, 20.05], integrator="torchdiffeq", method="proximal", step_size=20.0, **QUIET)
    assert "proximal step of size h=20" in run.attrs["status"]
    assert "smaller step_size" in run.attrs["status"]
    assert run["time"].values.tolist() == [0.0, 0.05]
    assert np.isfinite(run["theta"].values).all()


@pytest.mark.parametrize("method", ["proximal", "bilevel"])
def test_they_need_a_step_size(method: str) -> None:
    with pytest.raises(wgf.InputError, match="give step_size"):
        wgf.solve(problem()[0], [0.1], method=method)


def test_psi_is_alive_at_the_start() -> None:
    network = bilevel.Network(10, seed=0)
    x = np.random.default_rng(0).standard_normal((200, 10))
    size = np.sqrt((network.gradient(np, network.start, x) ** 2).sum(1).mean())
    assert 0.1 < size < 10


def test_psi_has_the_gradient_it_says(backend: Any) -> None:
    network = bilevel.Network(3, width=5, seed=1)
    shapes = network.shapes
    phi = np.random.default_rng(1).standard_normal(sum(int(np.prod(shape)) for shape in shapes))
    x = np.random.default_rng(2).standard_normal((4, 3))
    sizes = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    a, A, c, second, first, b = (part.reshape(shape) for part, shape in zip(np.split(phi, sizes), shapes, strict=True))

    def psi(points: Any) -> Any:
        xp, as_ = backend.xp, backend.asarray
        hidden = xp.tanh(xp.tanh(points @ as_(first.T) + as_(b)) @ as_(second.T))
        return xp.sum(points @ as_(a) + 0.5 * xp.sum(points * (points @ as_(A.T)), axis=1) + hidden @ as_(c))

    expected = backend.to_numpy(backend.grad(psi)(backend.asarray(x)))
    np.testing.assert_allclose(network.gradient(np, phi, x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_trained_step_is_the_training_free_one(name: str) -> None:
    backend = load(name)
    flow, _ = problem()
    rhs = RightHandSide(flow, backend, 1e-10)
    points, begin, h = rhs.drive(), flow.map.initial(), 0.1
    free, _, _ = ProximalStep(rhs)(begin, h, 0.0, points)
    trained, evaluations, _ = bilevel.BilevelStep(rhs)(begin, h, 0.0, points)
    assert np.linalg.norm(trained - free) < 1e-3 * np.linalg.norm(free - begin)
    assert evaluations == bilevel.FIRST * (1 + bilevel.INNER)


def test_the_bilevel_scheme_goes_on_from_its_state(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bilevel, "FIRST", 40)
    monkeypatch.setattr(bilevel, "OUTER", 20)
    flow, _ = problem()
    rhs, method, stops = RightHandSide(flow, backend, 1e-10), Method("bilevel", step_size=0.05), np.array([0.2])
    steps = bilevel.integrator(rhs, method)
    undisturbed = list(states(steps, State(0.0, flow.map.initial()), stops, method.max_steps))
    *_, resumed = states(steps, undisturbed[1], stops, method.max_steps)
    np.testing.assert_array_equal(resumed.theta, undisturbed[-1].theta)
    assert resumed.evaluations == undisturbed[-1].evaluations  # warm: no first step again


def test_a_dead_psi_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bilevel, "INNER_RATE", 1e-12)
    monkeypatch.setattr(bilevel, "FIRST", 30)
    flow, _ = problem()
    rhs = RightHandSide(flow, load("torch"), 1e-10)
    step = bilevel.BilevelStep(rhs)
    step.network.start = 1e-6 * step.network.start  # the small initialisation of the trap
    with pytest.raises(wgf.IntegrationError, match="ψ is dead"):
        step(flow.map.initial(), 0.1, 0.0, rhs.drive())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "until"), [("ornstein-uhlenbeck-2d", 1.0), ("fokker-planck-10d", 0.3)])
def test_the_bilevel_scheme_is_of_first_order(name: str, until: float) -> None:
    flow, exact = problem(name)
    flow = replace(flow, points=wgf.Sobol(256))
    options = QUIET | {"integrator": "diffrax", "method": "bilevel"}
    rows = [
        errors(wgf.solve(flow, [0.1, until], step_size=h, **options), flow, exact)[:, 0] for h in (0.1, 0.05, 0.025)
    ]
    orders = np.log2(np.array(rows[:-1]) / np.array(rows[1:]))
    assert (np.abs(orders - 1) < 0.3).all()
