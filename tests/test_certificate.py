"""The certificate holds and is sharp; over-fitting, folds, failing solves and the energy identity are told."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

import wgfode as wgf
from wgfode import InputError
from wgfode.adapters.torchdiffeq import right_hand_side
from wgfode.arrays import like
from wgfode.certificate import Certificate, absent, quadratic_convexity
from wgfode.maps import Affine, Basis, Residual
from wgfode.monitor.held_out import HeldOut
from wgfode.monitor.interpolant import Interpolant, integrate
from wgfode.points.on_demand import Scheduled
from wgfode.stepping.state import State
from wgfode.validation.exact import OrnsteinUhlenbeck

QUICK: dict[str, Any] = {"integrator": "torchdiffeq", "rtol": 1e-5, "atol": 1e-7, "stiffness": False}


def quadratic(x):
    return (x**2).sum(-1)


def well(x):
    return (x**4).sum(-1) / 4 - (x**2).sum(-1) / 2


def flow(**changes):
    parts: dict[str, Any] = {
        "map": Affine(2),
        "energy": wgf.Potential(quadratic, convexity=2.0) + wgf.Entropy(),
        "reference": wgf.Gaussian([1.0, 0.0], [[1.0, 0.3], [0.3, 0.5]]),
        "points": wgf.Sobol(32),
    }
    return wgf.GradientFlow(**(parts | changes))


def shift(dim: int) -> Basis:
    """z + θ: a map that can only translate."""
    return Basis([lambda z, i=i: z * 0 + like(np.eye(dim)[i], z) for i in range(dim)], dim)


def test_the_path_is_of_degree_seven() -> None:
    times = np.array([0.0, 0.1, 0.4, 1.0, 1.3, 1.9])
    powers = np.arange(8)
    thetas = times[:, None] ** powers
    slopes = np.where(powers > 0, powers * times[:, None] ** np.maximum(powers - 1, 0), 0.0)
    path = Interpolant(times, thetas, slopes)
    for t in (0.05, 0.3, 0.7, 1.1, 1.89):
        theta, slope = path(t)
        np.testing.assert_allclose(theta, t**powers, atol=1e-12)
        np.testing.assert_allclose(slope, powers * t ** np.maximum(powers - 1, 0), atol=1e-11)


@pytest.mark.parametrize("levels", [0, 2, 6])
def test_the_integral_knows_its_error(levels: int) -> None:
    def f(t: float) -> tuple[float, float]:
        return np.cos(5 * t) + 2, 1.0

    times = np.linspace(0, 1, 5)
    upto, error = integrate(times, np.array([f(t) for t in times]), np.ones_like, f, lambda _: 1e-9, levels)
    for t in (1.0, 0.6):  # and on the way
        total = upto(t)
        assert abs(total[0] - (2 * t + np.sin(5 * t) / 5)) <= 3 * error
        assert total[1] == pytest.approx(t)
    if levels == 6:
        assert error < 1e-8


def test_the_bound_obeys_its_equation() -> None:
    """With only translations for a map, δ is a variance that stays: e' = −λe + √δ in closed form."""
    lam = 2.0
    problem = flow(map=shift(2), energy=wgf.Potential(quadratic, convexity=lam), points=wgf.Sobol(256))
    ds = wgf.solve(problem, [0.1, 0.5, 1.0], initial_error=0.3, evaluation=512, **QUICK)
    t, roots = ds.time.values, np.sqrt(ds.residual.values)
    np.testing.assert_allclose(roots, roots[0], rtol=1e-6)
    # the bound's own points: weighted, and as many
    f = right_hand_side(problem)
    reading = HeldOut(f, 512, 0)(0.0, f.initial())
    root = float(reading["residual"]) ** 0.5
    assert root == pytest.approx(roots[0], rel=0.05)
    grown = (1 - np.exp(-lam * t)) / lam
    np.testing.assert_allclose(ds.w2_bound, 0.3 * np.exp(-lam * t) + root * grown, rtol=1e-4)
    np.testing.assert_allclose(ds.w2_bound_error, float(reading["residual_error"]) / (2 * root) * grown, rtol=1e-4)
    # the true error: the exact flow contracts all of the spread, the map none of it
    spread = np.sqrt(1.5) * (1 - np.exp(-lam * t))
    assert (ds.w2_bound.values[1:] >= spread[1:]).all()
    assert ds.attrs["convexity"] == lam
    assert "w2_bound_absent" not in ds.attrs


@pytest.mark.parametrize(("rtol", "atol"), [(1e-3, 1e-5), (1e-6, 1e-8)])
def test_an_exact_map_is_left_with_the_integrators_error(rtol: float, atol: float) -> None:
    ds = wgf.solve(flow(), [0.2, 0.5], evaluation=128, **(QUICK | {"rtol": rtol, "atol": atol}))
    exact = OrnsteinUhlenbeck(np.zeros(2), 2 * np.eye(2), 1.0, np.array([1.0, 0.0]), np.array([[1.0, 0.3], [0.3, 0.5]]))
    for i, t in enumerate(ds.time.values):
        gap = ds.x.values[i] - exact.flow_map(float(t), ds.z.values)
        error = np.sqrt(ds.weight.values @ (gap**2).sum(1))
        assert error <= ds.w2_bound.values[i] + 1e-14
    assert ds.w2_bound.values[-1] < 30 * max(error, rtol * 1e-2)
    np.testing.assert_allclose(ds.w2_bound_integrator, ds.w2_bound, rtol=0.1, atol=1e-11)


def test_fixed_euler_steps_are_in_the_bound() -> None:
    steps: dict[str, Any] = {"method": "euler", "step_size": 0.05}
    ds = wgf.solve(flow(), [0.5], integrator="torchdiffeq", evaluation=128, stiffness=False, **steps)
    exact = OrnsteinUhlenbeck(np.zeros(2), 2 * np.eye(2), 1.0, np.array([1.0, 0.0]), np.array([[1.0, 0.3], [0.3, 0.5]]))
    gap = ds.x.values[-1] - exact.flow_map(0.5, ds.z.values)
    error = float(np.sqrt(ds.weight.values @ (gap**2).sum(1)))
    assert 1e-3 < error <= float(ds.w2_bound[-1]) < 10 * error


def test_the_bound_does_not_depend_on_the_output_times() -> None:
    problem = flow(map=shift(2))
    once = wgf.solve(problem, [1.0], evaluation=128, **QUICK)
    often = wgf.solve(problem, [0.05, 0.1, 0.9, 1.0], evaluation=128, **QUICK)
    assert float(once.w2_bound[-1]) == pytest.approx(float(often.w2_bound[-1]), rel=1e-4)


def test_the_certificate_does_not_touch_the_run() -> None:
    with_, without = (wgf.solve(flow(), [0.3], evaluation=32, certificate=c, **QUICK) for c in (True, False))
    np.testing.assert_array_equal(with_.theta, without.theta)
    assert "w2_bound" not in without
    assert without.attrs["w2_bound_absent"] == "certificate=False"


def test_an_unknown_convexity_says_so() -> None:
    ds = wgf.solve(flow(energy=wgf.Potential(quadratic) + wgf.Entropy()), [0.1], evaluation=32, **QUICK)
    assert "w2_bound" not in ds
    assert "quadratic_convexity" in ds.attrs["w2_bound_absent"]
    assert absent(wgf.Entropy() + wgf.PorousMedium(2)) is None
    assert "InternalEnergy" in (absent(wgf.InternalEnergy(lambda r: r**2)) or "")
    f = right_hand_side(flow())
    assert "wgfode.solve" in f.dataset([0.0], [f.initial()], evaluation=8).attrs["w2_bound_absent"]


def test_a_residual_that_is_not_finite_gives_no_bound(caplog: pytest.LogCaptureFixture) -> None:
    f = right_hand_side(flow())
    held_out = HeldOut(f, 16, 0)
    certificate = Certificate(held_out, 2.0, 0.0, 1e-6, 1e-8)
    start = f.initial().numpy()
    certificate.begin([(0.0, start)])
    certificate.follow(State(0.1, start * np.nan))
    certificate.settle()
    assert np.isnan(certificate.bound)
    assert "no bound after t=0" in caplog.text


@pytest.mark.parametrize("dim", [1, 3])
def test_the_convexity_of_a_quadratic(dim: int) -> None:
    A = np.random.default_rng(dim).normal(size=(dim, dim))
    A = A + A.T
    tuples = [[float(a) for a in row] for row in A]

    def V(x):
        return sum(0.5 * tuples[i][j] * x[:, i] * x[:, j] for i in range(dim) for j in range(dim)) + x[:, 0] - 3

    assert quadratic_convexity(V, dim) == pytest.approx(np.linalg.eigvalsh(A)[0])


def test_the_convexity_of_anything_else_is_refused() -> None:
    with pytest.raises(InputError, match="not quadratic"):
        quadratic_convexity(well, 2)
    with pytest.raises(InputError, match="not finite"):
        quadratic_convexity(lambda x: (x**2).sum(-1) * np.nan, 2)
    with pytest.raises(InputError, match="cannot be differentiated"):
        quadratic_convexity(lambda x: x.no_such_thing, 2)
    with pytest.raises(InputError, match="dim"):
        quadratic_convexity(quadratic, 0)


def test_the_convexity_with_functions_of_jax_alone() -> None:
    import jax.numpy as jnp

    assert quadratic_convexity(lambda x: jnp.sum(jnp.asarray(x) ** 2, -1), 2) == pytest.approx(2.0)


OVERFIT: dict[str, Any] = {
    "map": Residual(1, width=8),
    "reference": wgf.Gaussian.standard(1),
    "points": wgf.MonteCarlo(16, seed=1),
    "energy": wgf.Potential(well, convexity=-1.0) + 0.5 * wgf.Entropy(),
}


def test_over_fitting_is_told_in_time(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "wgfode"):
        ds = wgf.solve(flow(**OVERFIT), [0.02], evaluation=256, **(QUICK | {"rtol": 1e-3}))
    assert "over-fitting from t=" in caplog.text
    assert all(words in caplog.text for words in ("more points", "larger shift", "smaller map"))
    assert ds.attrs["overfitting"].startswith("from t=")
    assert (ds.residual > 2 * ds.residual_in_sample).any()


def test_enough_points_are_no_over_fitting(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "wgfode"):
        ds = wgf.solve(flow(**(OVERFIT | {"map": Affine(1), "points": wgf.Sobol(256)})), [0.2], evaluation=256, **QUICK)
    assert "over-fitting" not in caplog.text
    assert "overfitting" not in ds.attrs


@pytest.mark.parametrize("integrator", ["torchdiffeq", "diffrax"])
def test_resampling_when_it_is_time(integrator: str) -> None:
    arguments: dict[str, Any] = {"method": "Euler", "step_size": 0.005, "resample": "auto", "evaluation": 128}
    arguments |= {"integrator": integrator, "stiffness": False}  # fixed steps report at every output time
    ds = wgf.solve(flow(**OVERFIT), [0.02, 0.05, 0.1], **arguments)
    assert ds.attrs["status"] == "completed"
    times = [float(t) for t in ds.attrs["resampled_at"].split()]
    assert times
    assert times == sorted(set(times))
    assert 0 < times[0] < 0.1


def test_scheduled_points() -> None:
    points = Scheduled(wgf.MonteCarlo(4, seed=3))
    first = points.draw(wgf.Gaussian.standard(1), points.segment(0.7))[0]
    points.begins.append(0.5)
    assert [points.segment(t) for t in (0.0, 0.499, 0.5, 2.0)] == [0, 0, 1, 1]
    assert points.jump_times(0, 1).tolist() == [0.5]
    assert (points.draw(wgf.Gaussian.standard(1), 1)[0] != first).all()
    with pytest.raises(InputError, match="GaussHermite"):
        Scheduled(wgf.GaussHermite(3))
    with pytest.raises(InputError, match="resample_every"):
        wgf.solve(flow(points=wgf.Sobol(8, resample_every=0.1)), [0.1], resample="auto", **QUICK)


FOLDS: dict[str, Any] = {
    "map": Basis([lambda z: z**3], 1),
    "energy": wgf.Potential(lambda x: (x**4).sum(-1)) + 1e-6 * wgf.Entropy(),
    "reference": wgf.Gaussian.standard(1),
    "points": wgf.Sobol(64),
}


def test_a_fold_stops_or_warns(caplog: pytest.LogCaptureFixture) -> None:
    arguments: dict[str, Any] = {"evaluation": 128, "certificate": False} | QUICK
    stopped = wgf.solve(flow(**FOLDS), [0.5], **arguments)
    assert "lost injectivity" in stopped.attrs["status"]
    assert stopped.time.values[-1] < 0.5
    caplog.clear()
    warned = wgf.solve(flow(**FOLDS), [0.5], on_fold="warn", **arguments)
    assert warned.attrs["status"] == "completed"
    assert "lost injectivity" in caplog.text
    assert warned.attrs["injectivity"].startswith("lost at t=")
    assert warned.min_jacobian.values[-1] <= 0


def test_a_fold_keeps_what_came_before_it() -> None:
    """The steps of a report are judged one by one: rows up to the last good one are kept, whatever its size."""
    problem = flow(**FOLDS)
    arguments: dict[str, Any] = {"evaluation": 128, "certificate": False} | QUICK
    fold = wgf.solve(problem, [0.5], **arguments).time.values[-1]
    ds = wgf.solve(problem, np.linspace(0.0, 0.5, 101), **arguments)
    assert fold > 0
    assert (ds.min_jacobian.values > 0).all()
    assert ds.time.values[-1] == pytest.approx(fold, rel=1e-6)
    assert len(ds.time) > 100 * fold / 0.5
    assert float(ds.attrs["status"].split("t=")[1].split()[0]) > fold


@pytest.mark.parametrize("integrator", ["torchdiffeq", "diffrax"])
def test_a_failing_factorisation_is_counted(integrator: str, caplog: pytest.LogCaptureFixture) -> None:
    """The same direction twice: Ĝ is singular, and with no shift Cholesky cannot factorise it."""
    twice = Basis([lambda z: z, lambda z: z], 1)
    problem = flow(map=twice, energy=wgf.Potential(quadratic, convexity=2.0), reference=wgf.Gaussian.standard(1),
                   solver=wgf.Cholesky(shift=0.0))  # fmt: skip
    ds = wgf.solve(problem, [0.1], evaluation=32, **(QUICK | {"integrator": integrator}))
    assert ds.attrs["status"] == "completed"
    assert ds.linear_fallback.values.tolist() == [1, 1]
    count, total = ds.attrs["solver_fallbacks"].removesuffix(" readings").split(" of ")
    assert int(count) == int(total) == ds.attrs["accepted_steps"]
    assert "gave way to the smooth filter" in caplog.text
    assert float(ds.theta.sum("parameter")[-1]) == pytest.approx(np.exp(-0.2) - 1, abs=1e-5)


@pytest.mark.parametrize("solver", [kind(max_steps=1, rtol=1e-8) for kind in (wgf.MINRES, wgf.LSMR, wgf.CG)])
def test_a_stagnating_solve_says_so(solver: Any, caplog: pytest.LogCaptureFixture) -> None:
    # of an affine map nothing would be left to iterate on
    problem = flow(map=Residual(2, width=4), solver=solver)
    ds = wgf.solve(problem, [0.02], evaluation=32, **(QUICK | {"rtol": 1e-2, "certificate": False}))
    assert "stagnated: relative residual" in caplog.text
    assert "max_steps" in caplog.text
    assert "of" in ds.attrs["solver_stagnations"]
    assert float(ds.linear_residual[-1]) > 1e-8


def test_trouble_is_named_with_its_term_and_point() -> None:
    import torch

    def root(x):  # finite at the start, NaN beyond x = 1.5, where the drift goes
        sqrt = torch.sqrt if isinstance(x, torch.Tensor) else np.sqrt
        return 1e-3 * sqrt(1.5 - x[:, 0])

    problem = flow(map=shift(1), energy=wgf.Potential(lambda x: -5 * x[:, 0]) + wgf.Potential(root),
                   reference=wgf.Uniform([0.0], [1.0]), points=wgf.Sobol(8))  # fmt: skip
    ds = wgf.solve(problem, [1.0], evaluation=16, **QUICK)
    status = ds.attrs["status"]
    assert status.startswith("stopped at t=")
    assert "root" in status
    assert "is not finite at x=[1." in status
    assert "the image of z=[0." in status
    assert 0 < ds.time.values[-1] < 1
    assert np.isfinite(ds.x).all()


@pytest.mark.parametrize(("estimator", "tolerance"), [("energy", 1e-5), ("velocity", 0.02)])
def test_the_energy_identity(estimator: str, tolerance: float) -> None:
    """dF/dt = −θ̇ᵀĜθ̇ on the driving points: exactly for the energy estimator, to sampling for the velocity's."""
    problem = flow(estimator=estimator, points=wgf.Sobol(512), solver=wgf.Cholesky(shift=1e-12))
    h = 1e-3
    times = [0.02 - h, 0.02, 0.02 + h]
    ds = wgf.solve(problem, times, evaluation=64, certificate=False, **(QUICK | {"rtol": 1e-9, "atol": 1e-11}))
    rhs = (f := right_hand_side(problem)).rhs
    drive = rhs.drive()
    energy = [float(rhs.energy(rhs.backend.asarray(ds.theta.values[i]), drive)) for i in (1, 3)]
    slope = (energy[1] - energy[0]) / (2 * h)
    dissipation = float(f.diagnose(rhs.backend.asarray(ds.theta.values[2]), drive, drive)["dissipation"])
    assert slope == pytest.approx(-dissipation, rel=tolerance)
    # the dataset's figure is the same on held-out points
    assert float(ds.dissipation[2]) == pytest.approx(dissipation, rel=0.1)
