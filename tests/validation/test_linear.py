"""Linear drifts with matrix diffusion: exact moments, and runs that must meet them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov

import wgfode as wgf
from wgfode.errors import InputError
from wgfode.maps import Affine
from wgfode.problems import linear
from wgfode.validation.compare import compare
from wgfode.validation.exact import Forced, Kuramoto, LinearDrift, OrnsteinUhlenbeck, kinetic_oscillator
from wgfode.validation.grid import solve_grid

C0 = [[0.8, 0.3], [0.3, 0.5]]
B = np.array([[1.0, -2.0], [1.5, 0.7]])
CASES = {
    "rotating": LinearDrift([0.4, -0.2], B, [[0.5, 0.2], [0.2, 0.3]], [1.0, 2.0], C0),
    "unstable": LinearDrift([0.0, 0.0], -0.5 * B, [[0.5, 0.0], [0.0, 0.0]], [1.0, 2.0], C0),
    "kinetic": kinetic_oscillator(0.5, 1.3, [2.0, 0.0], C0),
    "frictionless": kinetic_oscillator(0.0, 1.0, [2.0, 0.0], C0),
    "no noise": LinearDrift([0.0, 0.0], B, np.zeros((2, 2)), [1.0, 2.0], C0),
}
every = pytest.mark.parametrize("solution", CASES.values(), ids=CASES)


@every
def test_moment_equations(solution: LinearDrift) -> None:
    """m' = −B(m − μ), C' = −BC − CBᵀ + 2D."""
    t, h = 1.7, 1e-5
    m, C = solution.mean(t), solution.covariance(t)
    slope = (solution.mean(t + h) - solution.mean(t - h)) / (2 * h)
    np.testing.assert_allclose(slope, -solution.matrix @ (m - solution.mean_target), atol=1e-8)
    slope = (solution.covariance(t + h) - solution.covariance(t - h)) / (2 * h)
    np.testing.assert_allclose(slope, 2 * solution.diffusion - solution.matrix @ C - C @ solution.matrix.T, atol=1e-8)
    np.testing.assert_allclose(solution.covariance(0.0), C0)


@every
def test_the_map_carries_the_density_along_its_velocity(solution: LinearDrift) -> None:
    t, h, z = 0.9, 1e-5, np.random.default_rng(0).standard_normal((10, 2)) + 1
    M = solution.flow_map(t, np.eye(2)) - solution.flow_map(t, np.zeros((2, 2)))
    np.testing.assert_allclose(M.T @ C0 @ M, solution.covariance(t), atol=1e-10)
    x = solution.flow_map(t, z)
    score = -np.linalg.solve(solution.covariance(t), (x - solution.mean(t)).T).T
    velocity = -(x - solution.mean_target) @ solution.matrix.T - score @ solution.diffusion
    np.testing.assert_allclose(
        (solution.flow_map(t + h, z) - solution.flow_map(t - h, z)) / (2 * h), velocity, atol=1e-7
    )
    gap = solution.log_density(t, x) + np.linalg.slogdet(M)[1] - solution.log_density(0.0, z)
    np.testing.assert_allclose(gap, 0, atol=1e-9)


def test_a_symmetric_drift_is_ornstein_uhlenbeck() -> None:
    A = [[1.5, 0.4], [0.4, 0.6]]
    one = LinearDrift([1.0, 1.0], A, 0.7 * np.eye(2), [0.2, -0.3], C0)
    other = OrnsteinUhlenbeck([1.0, 1.0], A, 0.7, [0.2, -0.3], C0)
    z = one.sample(0.0, 10, 0)
    np.testing.assert_allclose(z, other.sample(0.0, 10, 0))
    np.testing.assert_allclose(one.flow_map(1.3, z), other.flow_map(1.3, z), atol=1e-10)
    np.testing.assert_allclose(one.log_density(1.3, z), other.log_density(1.3, z), atol=1e-10)


@pytest.mark.parametrize("t", [60.0, 1e4])
def test_the_equilibrium(t: float) -> None:
    """Lyapunov's equation, and far beyond the time at which e^(Bᵀt) overflows."""
    solution = CASES["rotating"]
    wanted = solve_continuous_lyapunov(B, 2 * solution.diffusion)
    np.testing.assert_allclose(solution.covariance(t), wanted, rtol=1e-12)
    np.testing.assert_allclose(CASES["kinetic"].covariance(t), 1.3 * np.eye(2), atol=1e-6)


def test_it_has_no_energy() -> None:
    with pytest.raises(NotImplementedError):
        CASES["rotating"].energy(1.0)


BAD = {
    "matrix": ({"matrix": np.eye(3)}, r"matrix must be finite and of shape \(2, 2\)"),
    "diffusion": ({"diffusion": [[1.0, 2.0], [2.0, 1.0]]}, "positive semidefinite"),
    "asymmetric": ({"diffusion": [[1.0, 2.0], [0.0, 5.0]]}, "symmetric"),
    "covariance0": ({"covariance0": np.zeros((2, 2))}, "positive definite"),
    "mean_target": ({"mean_target": [0.0]}, "length 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    change, named = BAD[case]
    given = {"mean_target": [0, 0], "matrix": B, "diffusion": np.eye(2), "mean0": [1.0, 2.0], "covariance0": C0}
    with pytest.raises(InputError, match=named):
        LinearDrift(**given | change)


# ---- runs


TIGHT: dict[str, Any] = {"method": "Tsit5", "rtol": 1e-9, "atol": 1e-11, "evaluation": 64} | {
    name: False for name in ("stiffness", "progress")
}


def moments(flow: wgf.GradientFlow, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of an affine image of a normal reference, from the map itself: no sampling."""
    corner = np.concatenate([np.zeros((1, flow.dim)), np.eye(flow.dim)])
    images = flow.transport(theta, corner)
    M = (images[1:] - images[0]).T
    return images[0] + M @ flow.reference.mean, M @ flow.reference.covariance @ M.T


def held_to(solution: LinearDrift, flow: wgf.GradientFlow, ds: Any, limit: float) -> None:
    found = compare(ds, solution)
    assert found["map_error"].values[-1] > 0
    assert found["map_error"].max() <= limit
    for i, t in enumerate(ds["time"].values.tolist()):
        mean, covariance = moments(flow, ds["theta"].values[i])
        np.testing.assert_allclose(mean, solution.mean(t), atol=limit)
        np.testing.assert_allclose(covariance, solution.covariance(t), atol=limit)


@pytest.mark.parametrize("integrator", ["torchdiffeq", pytest.param("diffrax", marks=pytest.mark.slow)])
def test_ornstein_uhlenbeck_with_rotation_in_10d(integrator: str) -> None:
    rng = np.random.default_rng(7)
    G, R, K = rng.standard_normal((3, 10, 10))
    S, D = 0.3 * np.eye(10) + G @ G.T / 10, K[:, :7] @ K[:, :7].T / 10  # noise in seven directions
    mean0, mu, C = rng.standard_normal(10), rng.standard_normal(10), 0.2 * np.eye(10) + G.T @ G / 20
    solution = LinearDrift(mu, S + R - R.T, D, mean0, C)
    flow = wgf.GradientFlow(
        map=Affine(10), energy=linear(S + R - R.T, mu) + wgf.Diffusion(D), reference=wgf.Gaussian(mean0, C),
        points=wgf.Sobol(256, seed=0),
    )  # fmt: skip
    bound = integrator == "torchdiffeq"
    ds = wgf.solve(flow, [0.1, 0.2], integrator=integrator, certificate=bound, **TIGHT)
    held_to(solution, flow, ds, 1e-7)
    if bound:
        assert ds.attrs["convexity"] == pytest.approx(np.linalg.eigvalsh(S)[0])
        assert (ds["w2_bound"].values >= compare(ds, solution)["map_error"].values)[1:].all()


@pytest.mark.parametrize("integrator", ["torchdiffeq", "diffrax"])
def test_the_kinetic_oscillator(integrator: str) -> None:
    problem = wgf.problems.get("kinetic-oscillator")
    bound = integrator == "torchdiffeq"
    ds = wgf.solve(problem.flow, problem.times[:3], integrator=integrator, certificate=bound, **TIGHT)
    held_to(problem.exact, problem.flow, ds, 1e-7)
    if bound:
        assert ds.attrs["convexity"] == pytest.approx(0.0, abs=1e-15)
        assert (ds["w2_bound"].values >= compare(ds, problem.exact)["map_error"].values)[1:].all()


# ---- a target that moves


KURAMOTO = Kuramoto()
MOVING = Forced([0.2, -0.1], B, [[0.5, 0.2], [0.2, 0.3]], [1.0, 2.0], C0, [1.0, 0.5], [-0.4, 2.0], 2.5)


def test_a_moving_target() -> None:
    """m' = −B(m − β(t)); the covariance is that of a target at rest, and so is all at frequency 0."""
    t, h = 1.7, 1e-5
    np.testing.assert_allclose(MOVING.mean(0.0), [1.0, 2.0], atol=1e-14)
    slope = (MOVING.mean(t + h) - MOVING.mean(t - h)) / (2 * h)
    target = MOVING.mean_target + np.cos(2.5 * t) * MOVING.cosine + np.sin(2.5 * t) * MOVING.sine
    np.testing.assert_allclose(slope, -B @ (MOVING.mean(t) - target), atol=1e-8)
    np.testing.assert_allclose(MOVING.covariance(t), CASES["rotating"].covariance(t))
    still = replace(MOVING, frequency=0.0, mean_target=[-0.6, -0.7])
    np.testing.assert_allclose(still.mean(t), CASES["rotating"].mean(t), atol=1e-13)
    with pytest.raises(InputError, match="cosine must be a vector of length 2"):
        replace(MOVING, cosine=[1.0])


@pytest.mark.parametrize("integrator", ["torchdiffeq", pytest.param("diffrax", marks=pytest.mark.slow)])
def test_a_potential_that_goes_round_in_2d(integrator: str) -> None:
    problem = wgf.problems.get("ou-time-dependent-2d")
    ds = wgf.solve(
        problem.flow, [0.5], integrator=integrator, certificate=False, **TIGHT | {"rtol": 1e-7, "atol": 1e-9}
    )  # fmt: skip
    held_to(problem.exact, problem.flow, ds, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("integrator", ["torchdiffeq", "diffrax"])
def test_a_potential_that_goes_round_for_long(integrator: str) -> None:
    problem = wgf.problems.get("ou-time-dependent-2d")
    more = TIGHT | {"rtol": problem.rtol, "atol": problem.atol}
    held_to(
        problem.exact, problem.flow, wgf.solve(problem.flow, problem.times, integrator=integrator, **more), 1e-6
    )  # fmt: skip


def test_particles_in_a_moving_trap() -> None:
    """The quadratic form of `moving-trap-100d` is that of its particles, up to a constant of x."""
    problem = wgf.problems.get("moving-trap-100d")
    V = problem.flow.energy.terms[0][1].V  # type: ignore[attr-defined]
    x = np.random.default_rng(0).standard_normal((4, 50, 2))
    t, alpha = 0.3, 0.5
    trap = np.array([np.cos(np.pi * t), np.sin(np.pi * t)])
    pairs = ((x[:, :, None] - x[:, None]) ** 2).sum((1, 2, 3))
    wanted = 0.5 * ((x - trap) ** 2).sum((1, 2)) - alpha / 200 * pairs
    np.testing.assert_allclose(V(x.reshape(4, 100), t), wanted, rtol=1e-12)
    assert problem.exact.covariance(0.7)[0, 2] < 0  # neighbours repel each other, and so do their fluctuations
    ds = wgf.solve(
        replace(problem.flow, points=wgf.Sobol(128, seed=0)), [0.1], integrator="torchdiffeq", certificate=False,
        **TIGHT | {"rtol": 1e-6, "atol": 1e-8},
    )  # fmt: skip
    assert compare(ds, problem.exact)["map_error"].values[-1] <= 1e-5


@pytest.mark.parametrize(("t", "order"), [(0.25, 0.38324), (0.5, 0.44640), (1.0, 0.57877), (2.0, 0.79410)])
def test_kuramoto(t: float, order: float) -> None:
    """The order parameter by Fourier, and that of the particles which the quantile solver moves."""
    assert KURAMOTO.order(t) == pytest.approx(order, abs=6e-6)
    assert KURAMOTO._grids[0].average(np.cos(KURAMOTO.positions(t)[1])) == pytest.approx(KURAMOTO.order(t), abs=2e-6)


def test_kuramoto_on_the_grid() -> None:
    """Which is given W and nothing of the order parameter."""
    problem = wgf.problems.get("kuramoto")
    start = problem.flow.reference
    ds = solve_grid(
        problem.flow.energy, lambda x: np.exp(start.log_density(x)), [(-9, 9)], 400, [0.5, 1.0, 2.0]
    )  # fmt: skip
    found = (ds["density"] * np.cos(ds["x"])).sum("x").values * 18 / 400
    assert found == pytest.approx([KURAMOTO.order(t) for t in (0.5, 1.0, 2.0)], abs=5e-4)
