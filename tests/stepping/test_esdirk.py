"""Implicit methods: orders, agreement of the frameworks, stiffness, the matrix-free path, failures."""

from __future__ import annotations

import logging
from typing import Any

import diffrax
import lineax
import numpy as np
import pytest
import torch

import wgfode as wgf
from wgfode.adapters import diffrax as diffrax_adapter
from wgfode.adapters import torchdiffeq as torch_adapter
from wgfode.backend import Backend, load
from wgfode.errors import InputError, IntegrationError
from wgfode.problems import quadratic
from wgfode.rhs import RightHandSide
from wgfode.solvers import Solution, Solver
from wgfode.solvers import State as SolverState
from wgfode.solvers.gcr import empty_space, gcr
from wgfode.stepping.adaptive import ImplicitSteps, Stepper
from wgfode.stepping.automatic import Automatic
from wgfode.stepping.esdirk import ImplicitStep, Step
from wgfode.stepping.integrator import states
from wgfode.stepping.methods import IMPLICIT, Method
from wgfode.stepping.stage import StageEquation
from wgfode.stepping.state import State
from wgfode.stepping.tableau import TABLEAUS
from wgfode.validation.exact import OrnsteinUhlenbeck


def ornstein_uhlenbeck(top: float, dim: int = 2, **settings: object) -> tuple[wgf.GradientFlow, OrnsteinUhlenbeck]:
    """An anisotropic problem with precision eigenvalues from 1 to `top`, and its solution."""
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(dim, dim)))[0]
    A = axes @ np.diag(np.geomspace(1, top, dim)) @ axes.T
    A, mean = (A + A.T) / 2, np.ones(dim)
    flow = wgf.GradientFlow(
        map=settings.pop("map", wgf.maps.Affine(dim)),  # type: ignore[arg-type]
        energy=quadratic(A, mean) + wgf.Entropy(),
        reference=wgf.Gaussian.standard(dim),
        points=wgf.Sobol(32, seed=0),
        **settings,  # type: ignore[arg-type]
    )
    return flow, OrnsteinUhlenbeck(mean, A, 1.0, np.zeros(dim), np.eye(dim))


def map_error(flow: wgf.GradientFlow, exact: Any, rhs: RightHandSide, t: float, theta: np.ndarray) -> float:
    z, weights = flow.held_out(256)
    as_ = rhs.backend.asarray
    x = rhs.backend.to_numpy(flow.transport(as_(theta), as_(z)))
    return float(np.sqrt(weights @ ((x - exact.flow_map(t, z)) ** 2).sum(1)))


@pytest.mark.parametrize("name", IMPLICIT)
def test_tableaus_have_their_order(name: str) -> None:
    tableau = TABLEAUS[name]
    A = tableau.lower + tableau.gamma * np.diag([0.0] + [1.0] * (tableau.stages - 1))
    b, c, e = A[-1], A.sum(1), np.array(tableau.error)
    conditions = [(b.sum(), 1), (b @ c, 1 / 2), (b @ c**2, 1 / 3), (b @ A @ c, 1 / 6)]
    conditions += [(b @ c**3, 1 / 4), (b @ (c * (A @ c)), 1 / 8), (b @ A @ c**2, 1 / 12), (b @ A @ A @ c, 1 / 24)]
    conditions += [(b @ c**4, 1 / 5), (b @ A @ A @ A @ c, 1 / 120)]
    reach = {1: 1, 2: 2, 3: 4, 4: 8, 5: 10}
    for value, wanted in conditions[: reach[tableau.order]]:
        assert value == pytest.approx(wanted, abs=1e-10)
    for value in [e.sum(), e @ c, e @ c**2, e @ c**3][: max(1, tableau.order - 1)]:
        assert value == pytest.approx(0, abs=1e-10)
    # stiffly accurate and A-stable with R(∞) = 0: L-stable
    inner = A[1:, 1:]
    at_infinity = 1 - b[1:] @ np.linalg.solve(inner, np.ones(len(inner)))
    first = A[1:, 0]
    if not first.any():
        assert at_infinity == pytest.approx(0, abs=1e-10)


def test_gcr_solves_and_remembers(backend: Backend) -> None:
    rng = np.random.default_rng(1)
    matrix = backend.asarray(np.eye(30) + 0.1 * rng.normal(size=(30, 30)))
    rhs = [backend.asarray(rng.normal(size=30)) for _ in range(2)]
    space = empty_space(backend, 30, 40)
    x, space, left = gcr(backend, lambda v: matrix @ v, rhs[0], space, rtol=1e-10, max_steps=40)
    assert float(left) < 1e-9
    np.testing.assert_allclose(backend.to_numpy(matrix @ x), backend.to_numpy(rhs[0]), atol=1e-8)
    used = float(space.count)
    _, space, _ = gcr(backend, lambda v: matrix @ v, rhs[0], space, rtol=1e-8, max_steps=40)
    assert float(space.count) == used  # nothing new to learn
    _, space, left = gcr(backend, lambda v: matrix @ v, rhs[1], space, rtol=1e-10, max_steps=40)
    assert float(left) < 1e-9
    assert float(space.count) <= 2 * used


@pytest.mark.parametrize("name", ["ImplicitEuler", "Kvaerno3"])
def test_order_of_convergence(name: str) -> None:
    flow, exact = ornstein_uhlenbeck(4.0)
    from wgfode.backend import load

    rhs, errors = RightHandSide(flow, load("torch"), 1e-12), []
    for h in (0.05, 0.025):
        how = Method(name, 1e-9, 1e-9, step_size=h)
        last = list(states(ImplicitSteps(rhs, how), State(0.0, flow.map.initial()), np.array([0.2]), 1000))[-1]
        errors.append(map_error(flow, exact, rhs, 0.2, last.theta))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(TABLEAUS[name].order, abs=0.4)


@pytest.mark.parametrize("integrator", ["diffrax", "torchdiffeq"])
def test_stiff_run(integrator: str) -> None:
    flow, exact = ornstein_uhlenbeck(1e4)
    ds = wgf.solve(flow, [0.01, 2.0], integrator=integrator, method="kvaerno5", rtol=1e-5, atol=1e-7,
                   evaluation=256, stiffness=True)  # fmt: skip
    assert ds.attrs["status"] == "completed"
    assert ds.attrs["method"] == "Kvaerno5"
    assert ds.attrs["accepted_steps"] < 80
    assert ds.attrs["rhs_evaluations"] > ds.attrs["accepted_steps"]
    for i, t in enumerate(ds.time.values):
        assert np.sqrt(((ds.x.values[i] - exact.flow_map(t, ds.z.values)) ** 2).sum(1).mean()) < 1e-5
    assert ds.stiffness.values[-1] == pytest.approx(2e4, rel=0.05)  # of the variance's equation
    assert "stiff: Kvaerno5 is a good choice" in ds.attrs["recommendation"]


def test_solvers_and_linear_algebra_agree() -> None:
    """Direct and iterative metric solves; M factorised and matrix-free, with and without a preconditioner."""
    from wgfode.backend import load

    ends = []
    cases = [(wgf.Eigh(), "dense"), (wgf.Cholesky(), "krylov"), (wgf.LSMR(), "krylov"), (wgf.MINRES(), "dense")]
    for solver, linear in cases:
        flow, _ = ornstein_uhlenbeck(100.0, solver=solver)
        rhs = RightHandSide(flow, load("torch"), 1e-8)
        stepper = Stepper(rhs, Method("Kvaerno3", 1e-6, 1e-8), linear)
        drive, theta = rhs.drive(), rhs.initial()
        k = stepper.start(theta, drive)
        theta, _, _, converged, _, products = stepper.step(theta, k, rhs.backend.asarray(0.005), drive)
        assert bool(converged)
        assert (float(products) > 0) == (linear == "krylov")
        ends.append(theta.numpy())
    for end in ends[1:]:
        np.testing.assert_allclose(end, ends[0], atol=1e-5)


@pytest.mark.parametrize("matrix_free", [False, True], ids=["LU", "GMRES"])
def test_diffrax_methods_with_our_root_finder(matrix_free: bool) -> None:
    flow, exact = ornstein_uhlenbeck(1e4)
    f = diffrax_adapter.right_hand_side(flow, tolerance=1e-9)
    inner = lineax.GMRES(rtol=1e-3, atol=1e-9) if matrix_free else None

    def run(solver: Any) -> tuple[int, Any]:
        found = diffrax.diffeqsolve(
            f.term, solver, 0.0, 1.0, None, f.initial(), max_steps=2000,
            stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-8),
        )  # fmt: skip
        return int(found.stats["num_rejected_steps"]), found.ys[-1]

    rejected, theta = run(diffrax_adapter.implicit("Kvaerno5", linear_solver=inner))
    assert map_error(flow, exact, f.rhs, 1.0, theta) < 1e-6
    assert rejected < 10
    # why there is one of our own; when this fails for a new diffrax, adapters/diffrax/root_finder.py can go
    theirs = diffrax.with_stepsize_controller_tols(diffrax.VeryChord)
    if matrix_free:
        with pytest.raises(TypeError):
            run(diffrax.Kvaerno5(root_finder=theirs(linear_solver=inner)))
    else:
        assert run(diffrax.Kvaerno5())[0] > 3 * rejected


def test_a_map_with_a_singular_metric() -> None:
    """Planar layers start with G singular: Newton's method on the residual itself would need steps of 1e-6."""
    planar = wgf.maps.Affine(2) @ wgf.maps.Planar(2, layers=3)
    flow, exact = ornstein_uhlenbeck(1e4, map=planar, solver=wgf.Cholesky(1e-6))
    ds = wgf.solve(flow, [0.5], integrator="torchdiffeq", method="Kvaerno5", rtol=1e-4, atol=1e-6,
                   error_norm="metric", evaluation=256, stiffness=False)  # fmt: skip
    assert ds.attrs["status"] == "completed"
    assert ds.attrs["accepted_steps"] + ds.attrs["rejected_steps"] < 80
    assert np.sqrt(((ds.x.values[-1] - exact.flow_map(0.5, ds.z.values)) ** 2).sum(1).mean()) < 1e-3


def test_torch_runs_resume_exactly_and_with_resampling() -> None:
    from dataclasses import replace

    from wgfode.backend import load

    flow, _ = ornstein_uhlenbeck(100.0)
    flow = replace(flow, points=wgf.Sobol(32, seed=0, resample_every=0.1))
    rhs = RightHandSide(flow, load("torch"), 1e-8)
    how, stops = Method("Kvaerno3", 1e-4, 1e-6), np.array([0.1, 0.2])
    steps = ImplicitSteps(rhs, how)
    steps.chunk = 3
    whole = list(states(steps, State(0.0, flow.map.initial()), stops, how.max_steps))
    again = list(states(steps, whole[1], stops, how.max_steps))
    np.testing.assert_array_equal(whole[-1].theta, again[-1].theta)
    assert whole[-1].accepted == again[-1].accepted
    assert {0.1, 0.2} <= {state.time for state in whole}


@pytest.mark.parametrize("integrator", ["diffrax", "torchdiffeq"])
def test_error_norm_of_the_metric_with_explicit_methods(integrator: str) -> None:
    flow, exact = ornstein_uhlenbeck(4.0)
    ds = wgf.solve(flow, [0.5], integrator=integrator, method="Tsit5", rtol=1e-5, atol=1e-7,
                   error_norm="metric", evaluation=256, stiffness=False)  # fmt: skip
    error = np.sqrt(((ds.x.values[-1] - exact.flow_map(0.5, ds.z.values)) ** 2).sum(1).mean())
    assert error < 1e-4
    assert ds.attrs["accepted_steps"] < 60


def test_auto_chooses_and_switches() -> None:
    mild, _ = ornstein_uhlenbeck(2.0)
    ds = wgf.solve(mild, [0.5], integrator="torchdiffeq", method="AUTO", rtol=1e-4, atol=1e-6,
                   evaluation=64, stiffness=True)  # fmt: skip
    assert ds.attrs["methods"] == "t=0: Tsit5"
    assert ds.attrs["recommendation"].startswith("not stiff")
    stiff, _ = ornstein_uhlenbeck(1e4)
    ds = wgf.solve(stiff, [0.5], integrator="torchdiffeq", method="auto", rtol=1e-3, atol=1e-5, evaluation=64)
    assert ds.attrs["methods"].startswith("t=0: Kvaerno5")
    assert ds.attrs["status"] == "completed"


def test_auto_goes_on_as_if_it_had_never_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """From any state, with the notes up to there; that it switches is forced by a threshold that falls."""
    from wgfode.backend import load
    from wgfode.stepping import automatic

    flow, _ = ornstein_uhlenbeck(1e3)
    rhs = RightHandSide(flow, load("torch"), 1e-8)
    monkeypatch.setattr(automatic, "LOOK", 8)
    monkeypatch.setattr(automatic, "choose", lambda rhs, radius, span, now=None: "Kvaerno5" if span < 0.4 else "Tsit5")
    f = torch_adapter.right_hand_side(flow)
    how, stops = Method("auto", 1e-3, 1e-5), np.array([0.1, 0.5])

    def run(state: State, notes: list[str]) -> list[tuple[State, list[str]]]:
        steps = Automatic(rhs, lambda method: torch_adapter.integrator(f, method), how, float(stops[-1]), notes)
        return [(state, list(notes)) for state in states(steps, state, stops, how.max_steps)]

    whole = run(State(0.0, flow.map.initial()), [])
    assert len(whole[-1][1]) == 2
    for state, notes in whole[:-1]:
        again = run(state, notes)
        np.testing.assert_array_equal(again[-1][0].theta, whole[-1][0].theta)
        assert again[-1][1] == whole[-1][1]


def test_torch_odeint_and_its_guards() -> None:
    from wgfode.adapters.torchdiffeq import odeint, right_hand_side

    flow, exact = ornstein_uhlenbeck(100.0)
    f = right_hand_side(flow)
    t = torch.tensor([0.0, 0.1, 0.3], dtype=torch.float64)
    rows = odeint(f, f.initial(), t, method="kencarp4", rtol=1e-5, atol=1e-7)
    assert rows.shape == (3, flow.size)
    assert map_error(flow, exact, f.rhs, 0.3, rows[-1].numpy()) < 1e-4
    own = odeint(f, f.initial(), t, method="dopri5", rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(own[-1], rows[-1], atol=1e-4)
    with pytest.raises(InputError, match="Kvaerno5"):
        odeint(f, f.initial(), t, method="kvarno5")
    with pytest.raises(InputError, match="unknown options"):
        odeint(f, f.initial(), t, method="Kvaerno5", options={"frist_step": 1.0})
    with pytest.raises(InputError, match="increasing"):
        odeint(f, f.initial(), t.flip(0), method="Kvaerno5")
    with pytest.raises(IntegrationError, match="max_steps=2"):
        odeint(f, f.initial(), t, method="Kvaerno5", options={"max_num_steps": 2})
    with pytest.raises(IntegrationError):
        odeint(f, f.initial(), t, method="dopri5", options={"max_num_steps": 1})


def test_scipy_solver_of_torchdiffeq_cannot_fail_in_silence() -> None:
    from wgfode.adapters.torchdiffeq import odeint, right_hand_side

    flow, _ = ornstein_uhlenbeck(2.0)
    f = right_hand_side(flow)
    sick = f.forward

    def dies(t: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        return sick(t, theta) * (float("nan") if float(t) > 0.15 else 1.0)

    f.forward = dies  # type: ignore[method-assign]
    t = torch.tensor([0.0, 0.1, 0.2, 0.3], dtype=torch.float64)
    with pytest.raises(IntegrationError, match="scipy_solver"):
        odeint(f, f.initial(), t, method="scipy_solver", options={"solver": "RK45"})


class Dense(Solver):
    """A user's own solver of (G + σ) ξ = b, with an absolute σ; it says that it is a shift."""

    name, shifted, differentiable = "Dense", True, False

    def __init__(self, sigma: float = 1e-4) -> None:
        self.sigma, self.others = sigma, 0

    def init(self, problem: Any, tolerance: float, near: Any = None) -> SolverState:
        return SolverState(problem, problem.backend.asarray(self.sigma))

    def solve(self, state: Any, b: Any = None, start: Any = None) -> Solution:
        self.others += b is not None
        problem, xp = state.problem, state.problem.backend.xp
        b = problem.rhs if b is None else b
        shifted = state.gram + state.sigma * problem.backend.asarray(np.eye(problem.size))
        xi = xp.linalg.solve(shifted, b[:, None])[:, 0]
        left = xp.linalg.vector_norm(problem.residual(xi, state.sigma, b)) / xp.linalg.vector_norm(b)
        return Solution(xi, left, xp.zeros_like(left, dtype=xp.int32))


def one_step(name: str, linear: str, solver: Solver) -> Step:
    """A step of an implicit method, away from the start, as numpy."""
    backend = load(name)
    flow, _ = ornstein_uhlenbeck(100.0, solver=solver)
    rhs = RightHandSide(flow, backend, 1e-10)
    step = ImplicitStep(StageEquation(rhs, linear), TABLEAUS["Kvaerno3"])

    def run(theta: Any, h: Any, drive: Any) -> Any:
        velocity, xp = step.start(theta, drive), backend.xp
        return tuple(step(theta, velocity, h, drive, lambda v: 1e4 * xp.max(xp.abs(v))))

    arguments = map(backend.asarray, (flow.map.initial() + 0.1, 0.01))
    return Step(*map(backend.to_numpy, backend.compile(run)(*arguments, rhs.drive())))


@pytest.mark.parametrize(("name", "linear"), [("torch", "dense"), ("torch", "krylov"), ("jax", "krylov")])
def test_a_shift_of_a_users_own_takes_the_fast_path(name: str, linear: str) -> None:
    """M = G + σ + γh ∂_θR: no product with M solves for a b, as −γh Df = γh G⁺∂_θR would."""
    solver = Dense()
    ours, theirs = one_step(name, linear, solver), one_step("torch", "dense", wgf.Cholesky(1e-12))
    assert solver.others == 0
    assert ours.converged
    assert theirs.converged
    np.testing.assert_allclose(ours.theta, theirs.theta, atol=1e-3)


def test_a_run_with_a_shift_of_a_users_own() -> None:
    settings: dict[str, Any] = {"integrator": "torchdiffeq", "method": "Kvaerno5", "rtol": 1e-3, "atol": 1e-4,
                                "evaluation": 64, "stiffness": False, "certificate": False}  # fmt: skip
    solver = Dense(1e-9)
    runs = [wgf.solve(ornstein_uhlenbeck(100.0, solver=one)[0], [0.02], **settings)
            for one in (solver, wgf.Cholesky(1e-9))]  # fmt: skip
    assert [run.attrs["status"] for run in runs] == ["completed"] * 2
    assert solver.others == 0
    np.testing.assert_allclose(runs[0].theta, runs[1].theta, atol=1e-6)


def test_bad_input(caplog: pytest.LogCaptureFixture) -> None:
    flow, _ = ornstein_uhlenbeck(100.0)
    with pytest.raises(InputError, match="Kvaerno5"):
        wgf.solve(flow, [1.0], method="Kvearno5")
    with pytest.raises(InputError, match="float32"):
        wgf.solve(flow, [1.0], method="Kvaerno5", rtol=1e-8, dtype="float32")
    with pytest.raises(InputError, match="error_norm"):
        wgf.solve(flow, [1.0], error_norm="metrics")
    with pytest.raises(InputError, match=r"not available with torchdiffeq|no error estimate"):
        wgf.solve(flow, [1.0], integrator="torchdiffeq", method="Radau")

    class Black(wgf.Eigh):
        name, differentiable = "Black", False

    stubborn, _ = ornstein_uhlenbeck(100.0, solver=Black())
    with pytest.raises(InputError, match="not differentiable"):
        wgf.solve(stubborn, [1.0], integrator="torchdiffeq", method="Kvaerno5")
    with caplog.at_level(logging.CRITICAL, "wgfode"):
        ds = wgf.solve(flow, [1.0], integrator="torchdiffeq", method="Kvaerno5", max_steps=3, evaluation=64,
                       stiffness=False)  # fmt: skip
    assert "max_steps=3" in ds.attrs["status"]
    assert ds.time.values[-1] > 0


def test_fixed_steps_that_fail_say_so(caplog: pytest.LogCaptureFixture) -> None:
    flow, _ = ornstein_uhlenbeck(100.0, map=wgf.maps.Affine(2) @ wgf.maps.Planar(2, layers=3))
    with caplog.at_level(logging.CRITICAL, "wgfode"):
        ds = wgf.solve(flow, [4.0], integrator="torchdiffeq", method="Kvaerno3", step_size=2.0, evaluation=64,
                       stiffness=False)  # fmt: skip
    assert ds.attrs["status"] == "completed" or ds.attrs["status"].startswith("stopped at t=")
    assert np.isfinite(ds.theta.values).all()
