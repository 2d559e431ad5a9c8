"""A run does not depend on units, origin or axes: x ↦ c + s Q x with the energy carried along gives the same run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace

import wgfode as wgf
from wgfode.arrays import like
from wgfode.backend import Backend
from wgfode.maps import Affine, Basis, Coupling, Map, NeuralODE, Planar, Residual, Ridge, Triangular
from wgfode.maps.base import push_by_autodiff
from wgfode.maps.frame import Frame
from wgfode.maps.whitened import Whitened
from wgfode.metrics import Projection
from wgfode.potentials import Polynomial, RandomFeatures
from wgfode.problems import quadratic
from wgfode.validation.exact import OrnsteinUhlenbeck

solve = partial(wgf.solve, integrator="torchdiffeq", stiffness=False, certificate=False, evaluation=64)
EXACT_METRIC = wgf.Wasserstein(Polynomial(2))


def cubic(x: Any) -> Any:
    return 0.1 * x**3


def moved(centre: float, scale: float, map: Map, dim: int = 1, **parts: Any) -> wgf.GradientFlow:
    """A double well in the first of `dim` coordinates and a bowl in the others, in other units about another origin."""

    def V(x: Any) -> Any:
        y = (x - centre) / scale
        return scale**2 * (((y[:, :1] ** 2 - 1) ** 2).sum(-1) / 4 + (y[:, 1:] ** 2).sum(-1) / 2)

    return wgf.GradientFlow(
        map=map,
        energy=wgf.Potential(V) + 0.1 * scale**2 * wgf.Entropy(),
        reference=wgf.Gaussian(np.full(dim, centre + 0.3 * scale), 0.09 * scale**2 * np.eye(dim)),
        **({"points": wgf.Sobol(64, seed=0), "solver": wgf.Eigh(shift=1e-8)} | parts),
    )


WELL = Affine(1) @ Residual(1, 8, init="axis")


@pytest.mark.parametrize(("centre", "scale"), [(30.0, 1.0), (3e3, 1.0), (0.0, 1e-6), (0.0, 1e6), (1e4, 1e3)], ids=str)
def test_a_double_well_in_any_units_about_any_origin(centre: float, scale: float) -> None:
    """3e3 is 1e4 spreads away. θ is the same up to rounding, times the condition that the filter leaves."""
    at_home, away = (solve(moved(c, s, WELL), [0.25], rtol=1e-4, atol=1e-6) for c, s in ((0.0, 1.0), (centre, scale)))
    for steps in ("accepted_steps", "rejected_steps", "rhs_evaluations"):
        assert at_home.attrs[steps] == away.attrs[steps]
    np.testing.assert_allclose(away.theta, at_home.theta, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose((away.x - centre) / scale, at_home.x, atol=1e-7)
    np.testing.assert_allclose(away.covariance / scale**2, at_home.covariance, rtol=1e-7)
    np.testing.assert_allclose(away.residual / scale**2, at_home.residual, rtol=1e-5)


@pytest.mark.parametrize(("spreads", "scale"), [(100.0, 1.0), (1e4, 1.0), (0.0, 1e-6), (0.0, 1e6), (-1e3, 1e-3)])
def test_an_affine_map_to_rounding(spreads: float, scale: float) -> None:
    A, start = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, -0.5])
    runs = []
    for c, s in ((0.0, 1.0), (spreads, scale)):
        flow = wgf.GradientFlow(
            map=Affine(2), energy=quadratic(A, np.full(2, c * s)) + s**2 * wgf.Entropy(),
            reference=wgf.Gaussian(s * (start + c), s**2 * np.eye(2)), points=wgf.Sobol(64),
        )  # fmt: skip
        runs.append(solve(flow, [0.2, 1.0]))
    at_home, away = runs
    assert at_home.attrs["accepted_steps"] == away.attrs["accepted_steps"]
    np.testing.assert_allclose(away.theta, at_home.theta, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(away.covariance / scale**2, at_home.covariance, rtol=1e-9, atol=1e-9)


MAPS: dict[str, tuple[Map, Any]] = {
    "affine": (Affine(2), wgf.Relaxed()),
    "planar": (Affine(2) @ Planar(2, 3), wgf.Relaxed()),
    "residual": (Affine(2) @ Residual(2, 4), wgf.Relaxed()),
    "triangular": (Triangular(2, 3, knots=3), EXACT_METRIC),
    "coupling": (Coupling(2, 2, width=3), EXACT_METRIC),
    "ridge": (Ridge(2, 6, tolerance=1e-2), wgf.Relaxed()),
    "neural ode": (NeuralODE(2, 3, steps=2), wgf.Relaxed()),
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("framework", ["torch", pytest.param("jax", marks=pytest.mark.slow)])
def test_every_map_and_both_metrics(name: str, framework: str) -> None:
    map, metric = MAPS[name]
    integrator = {"torch": "torchdiffeq", "jax": "diffrax"}[framework]
    parts = {"dim": 2, "metric": metric, "solver": wgf.Eigh(shift=1e-5)}
    at_home, away = (
        solve(moved(c, s, map, **parts), [0.1], integrator=integrator, rtol=1e-3, atol=1e-5)
        for c, s in ((0.0, 1.0), (-2e4, 1e3))
    )
    assert at_home.attrs["accepted_steps"] == away.attrs["accepted_steps"]
    np.testing.assert_allclose(away.theta, at_home.theta, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose((away.x + 2e4) / 1e3, at_home.x, atol=1e-8)


def test_the_blended_estimator() -> None:
    parts = {"estimator": "blended", "points": wgf.Lattice(128)}
    at_home, away = (
        solve(moved(c, s, Ridge(1, 8, tolerance=1e-3), **parts), [0.1], rtol=1e-4, atol=1e-6)
        for c, s in ((0.0, 1.0), (-2e4, 1e3))
    )
    assert at_home.attrs["accepted_steps"] == away.attrs["accepted_steps"]
    np.testing.assert_allclose((away.x + 2e4) / 1e3, at_home.x, atol=1e-8)


@pytest.mark.parametrize(("centre", "scale"), [(30.0, 1.0), (0.0, 1e-6), (0.0, 1e6)], ids=str)
def test_float32_at_its_level(centre: float, scale: float) -> None:
    options: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-5, "dtype": "float32"}
    map, solver = Affine(1) @ Residual(1, 4, init="axis"), wgf.Eigh(shift=1e-4)
    at_home, away = (
        solve(moved(c, s, map, solver=solver), [0.25], **options) for c, s in ((0.0, 1.0), (centre, scale))
    )
    np.testing.assert_allclose((away.x - centre) / scale, at_home.x, atol=3e-4)
    np.testing.assert_allclose(away.covariance / scale**2, at_home.covariance, rtol=1e-3)


def test_the_metric_norm_and_the_bound_are_free_of_units_too() -> None:
    """`error_norm="metric"` and the certificate's integral have absolute tolerances in the units of x."""
    runs = [
        wgf.solve(
            moved(c, s, Affine(1)), [0.2], integrator="torchdiffeq", stiffness=False, evaluation=64, rtol=1e-4,
            atol=1e-6, error_norm="metric", attributes={"s": s},
        )
        for c, s in ((0.0, 1.0), (1e3, 1e4))
    ]  # fmt: skip
    assert runs[0].attrs["accepted_steps"] == runs[1].attrs["accepted_steps"]


def anisotropic(deviations: np.ndarray, turn: np.ndarray, **parts: Any) -> tuple[wgf.GradientFlow, OrnsteinUhlenbeck]:
    """An Ornstein–Uhlenbeck flow along turned axes of very different extent, whose noise is felt in the smallest."""
    dim = len(deviations)
    A, start = (turn @ np.diag(v) @ turn.T for v in (np.linspace(0.5, 2, dim), deviations**2))
    A, start, noise = (A + A.T) / 2, (start + start.T) / 2, deviations.min() ** 2
    target, begin = turn @ -deviations, turn @ (3 * deviations)
    flow = wgf.GradientFlow(
        energy=quadratic(A, target) + noise * wgf.Entropy(),
        reference=wgf.Gaussian(begin, start),
        **({"map": Affine(dim), "points": wgf.Sobol(64, matched=True), "solver": wgf.Cholesky()} | parts),
    )
    return flow, OrnsteinUhlenbeck(target, A, noise, begin, start)


def worst_variance(flow: wgf.GradientFlow, exact: OrnsteinUhlenbeck, turn: np.ndarray, run: Any) -> float:
    """The largest relative error of a variance along a principal axis, over the times."""
    z, weights = wgf.Sobol(256, seed=9, matched=True).draw(flow.reference)
    errors = []
    for t, theta in zip(run.time.values.tolist(), run.theta.values, strict=True):
        x = flow.transport(theta, z) @ turn
        found = weights @ (x - weights @ x) ** 2
        errors.append(np.abs(found / np.diag(turn.T @ exact.covariance(t) @ turn) - 1).max())
    return max(errors)


@pytest.mark.parametrize("solver", [wgf.Cholesky(), wgf.Eigh(), wgf.LSMR()], ids=repr)
def test_components_of_very_different_extent(solver: Any) -> None:
    """1e-3 … 1e3 in one problem: every variance right."""
    flow, exact = anisotropic(np.array([1e-3, 1.0, 1e3]), np.eye(3), solver=solver)
    run = solve(flow, [0.2, 1.0], rtol=1e-8, atol=1e-10)
    assert worst_variance(flow, exact, np.eye(3), run) < 1e-6


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"map": Affine(3, "lower_triangular"), "metric": EXACT_METRIC}, {"rtol": 1e-7, "atol": 1e-9}),
        ({}, {"rtol": 1e-7, "atol": 1e-9, "method": "Kvaerno5"}),
        ({"solver": wgf.Nystrom(rank=8)}, {"rtol": 1e-6, "atol": 1e-8, "method": "Kvaerno3"}),
        ({}, {"method": "proximal", "step_size": 1e-3}),
    ],
    ids=["wasserstein", "Kvaerno5", "nystrom", "proximal"],
)
def test_components_of_very_different_extent_by_other_ways(changes: dict, options: dict) -> None:
    flow, exact = anisotropic(np.array([1e-3, 1.0, 1e3]), np.eye(3), **changes)
    run = solve(flow, [0.1], **options)
    assert run.attrs["status"] == "completed"
    # the proximal scheme is of first order
    assert worst_variance(flow, exact, np.eye(3), run) < (1e-3 if "step_size" in options else 1e-5)


@pytest.mark.parametrize("solver", [wgf.Cholesky(), wgf.Eigh()], ids=repr)
def test_turned_axes_of_different_extent(solver: Any) -> None:
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    flow, exact = anisotropic(np.array([1e-2, 1.0, 1e2]), turn, solver=solver)
    run = solve(flow, [0.2, 1.0], rtol=1e-8, atol=1e-10)
    assert worst_variance(flow, exact, turn, run) < 1e-6


def test_rotated_problems_agree_to_the_tolerance() -> None:
    """A radial and a turned energy, and a reference with axes of its own, turned together."""
    Q = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    A, start = np.diag([0.5, 1.0, 2.0]), np.diag([0.04, 1.0, 9.0])

    def flow(turn: np.ndarray) -> wgf.GradientFlow:
        def V(x: Any) -> Any:
            y = x @ like(turn, x)
            return 0.5 * ((y @ like(A, x)) * y).sum(-1)

        covariance = turn @ start @ turn.T
        return wgf.GradientFlow(
            map=Affine(3), energy=wgf.Potential(V) + wgf.Entropy(), points=wgf.Sobol(64, matched=True),
            reference=wgf.Gaussian(turn @ np.ones(3), (covariance + covariance.T) / 2),
        )  # fmt: skip

    one, other = flow(np.eye(3)), flow(Q)
    z = wgf.Sobol(64, seed=5).draw(one.reference)[0]
    thetas = [solve(f, [0.3], rtol=1e-8, atol=1e-10).theta.values[-1] for f in (one, other)]
    x, turned = one.transport(thetas[0], z), other.transport(thetas[1], z @ Q.T)
    np.testing.assert_allclose(turned, x @ Q.T, atol=1e-7)


# ---- the frame and the wrapped map

FRAME = Frame.of(np.array([3.0, -1.0]), np.array([[4.0, 1.9], [1.9, 1.0]]))
EVERY: list[Map] = [Affine(2), *(map for map, _ in MAPS.values()), Basis([cubic], 2), Affine(2) @ Basis([cubic], 2)]


@pytest.mark.parametrize("map", EVERY, ids=repr)
def test_it_starts_at_the_identity_exactly(backend: Backend, map: Map) -> None:
    """Bit by bit, compiled too, and far from the origin."""
    frame = Frame.of(FRAME.centre + 1e5, 1e-4 * FRAME.root @ FRAME.root.T)
    z = frame.point(np.random.default_rng(0).standard_normal((20, 2)))
    whitened = Whitened(map.within(frame), frame)
    image = backend.compile(lambda p: whitened.push(backend, p, backend.asarray(z), backend.asarray(z)))
    found = image(backend.asarray(whitened.initial()))
    np.testing.assert_array_equal(backend.to_numpy(found.x), z)
    np.testing.assert_allclose(backend.to_numpy(found.log_det), 0, atol=1e-13)
    np.testing.assert_allclose(backend.to_numpy(found.score), z, rtol=1e-9)


@pytest.mark.parametrize("map", EVERY, ids=repr)
def test_density_and_score_are_those_of_the_whole_map(backend: Backend, map: Map) -> None:
    whitened = Whitened(map.within(FRAME), FRAME)
    theta = backend.asarray(whitened.initial() + 0.1 * np.random.default_rng(1).standard_normal(map.size))
    z = backend.asarray(FRAME.point(np.random.default_rng(2).standard_normal((5, 2))))
    closed = backend.compile(lambda p: whitened.push(backend, p, z, -z))(theta)
    generic = backend.compile(lambda p: push_by_autodiff(backend, lambda y: whitened(p, y), z, -z))(theta)
    for one, other in zip(closed, generic, strict=True):
        np.testing.assert_allclose(backend.to_numpy(one), backend.to_numpy(other), rtol=1e-9, atol=1e-9)


def test_where_ridges_lie_is_said_in_the_coordinates_of_the_reference() -> None:
    frame = Frame.of(np.full(2, 1.25), 0.18 * np.eye(2))
    given = Residual(2, 5, centre=1.25, spread=0.18**0.5).within(frame)
    np.testing.assert_allclose(given.initial(), Residual(2, 5).within(frame).initial(), atol=1e-12)
    shifted = Residual(1, 5, init="axis", centre=3.0, spread=2.0)
    inside = shifted.within(Frame.of(np.array([1.0]), np.array([[4.0]]))).initial()
    *_, w, b = np.split(shifted.initial(), [5, 10])
    np.testing.assert_allclose(inside[5:10], 2 * w)
    np.testing.assert_allclose(inside[10:], b + w)


def test_given_functions_stay_functions_of_the_points() -> None:
    frame, z = FRAME, np.random.default_rng(0).standard_normal((4, 2))
    map = Basis([cubic, lambda z: array_namespace(z).sin(z)], 2)
    theta = np.array([0.3, -0.2])
    np.testing.assert_allclose(Whitened(map.within(frame), frame)(theta, z), map(theta, z), atol=1e-12)


@pytest.mark.parametrize(
    "map", [Affine(3), Affine(3, "lower_triangular"), Residual(3, 2), Planar(3, 2), Triangular(3, 2), Coupling(3, 3),
            NeuralODE(3, 2), Affine(3) @ Planar(3, 1) @ Basis([cubic], 3)],
    ids=repr,
)  # fmt: skip
def test_parameters_move_the_component_that_they_say(map: Map) -> None:
    """At the identity, where u = 0 lets nothing else through."""
    z, start = np.random.default_rng(0).standard_normal((6, 3)), map.initial()
    assert map.moves.shape == (map.size,)
    for parameter, component in enumerate(map.moves):
        shifted = map(start + 1e-6 * (np.arange(map.size) == parameter), z) - z
        others = np.delete(shifted, component, axis=1) if component >= 0 else np.zeros(1)
        assert np.abs(others).max() < 1e-10, parameter


def test_frames_of_awkward_densities() -> None:
    standard = replace(moved(0.0, 1.0, Affine(1)), reference=wgf.Gaussian.standard(1))
    assert standard.transport is standard.map  # at no cost
    graded = Frame.of(np.zeros(2), np.diag([1e-20, 1e20]))
    np.testing.assert_allclose(graded.root, np.diag([1e-10, 1e10]))
    np.testing.assert_allclose(graded.inverse, np.diag([1e10, 1e-10]))
    flat = Frame.of(np.zeros(3), np.array([[4.0, 4.0, 0], [4.0, 4.0, 0], [0, 0, 0]]))  # a line in space
    assert np.isfinite(flat.inverse).all()
    assert flat.root[2, 2] == pytest.approx((8 / 3) ** 0.5)
    with pytest.raises(wgf.InputError, match="finite mean"):
        Frame.of(np.zeros(1), np.array([[np.inf]]))


@pytest.mark.parametrize("degree", [2, 4])
def test_polynomials_project_alike_far_from_the_origin(backend: Backend, degree: int) -> None:
    rng = np.random.default_rng(0)
    x, weights, field = rng.standard_normal((80, 2)), np.full(80, 1 / 80), rng.standard_normal((80, 2))

    def projected(points: np.ndarray) -> np.ndarray:
        project = Projection(backend, Polynomial(degree), backend.asarray(points), backend.asarray(weights))
        return backend.to_numpy(project(backend.asarray(field)))

    np.testing.assert_allclose(projected(1e4 + 1e-3 * x), projected(x), atol=1e-7)
    joined = Polynomial(2) + RandomFeatures(5)
    assert joined.spanning(x, weights).shape == (80, 2, 10)
