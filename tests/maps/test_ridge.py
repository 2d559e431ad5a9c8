"""Frozen ridges: orthonormal where they are laid, one metric at every θ, and exact solutions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import wgfode as wgf
from wgfode import InputError
from wgfode.backend import Backend, load
from wgfode.maps import Affine, Basis, Map, Residual, Ridge
from wgfode.maps.frame import Frame
from wgfode.maps.laying import laid, separated
from wgfode.maps.ridge import standard_points
from wgfode.maps.whitened import Whitened
from wgfode.problems import get
from wgfode.rhs import RightHandSide
from wgfode.tangent import Tangent

RNG = np.random.default_rng(3)
QUICK: dict[str, Any] = {"integrator": "torchdiffeq", "evaluation": 64, "stiffness": False, "certificate": False}


def bumps(dim: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds of points of unequal weights, whitened."""
    z = np.concatenate([RNG.normal(-2, 0.5, (n // 2, dim)), RNG.normal(2, 0.7, (n - n // 2, dim))])
    weights = RNG.uniform(0.2, 1.0, n)
    weights /= weights.sum()
    frame = Frame.of(weights @ z, np.cov(z.T, aweights=weights, ddof=0).reshape(dim, dim))
    return frame.whiten(z), weights


@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("init", ["even", "axis"])
def test_features_are_orthonormal_where_they_are_laid(dim: int, init: str, backend: Backend) -> None:
    z, weights = bumps(dim)
    ridge = Ridge(dim, 20, init=init, tolerance=1e-5).over(z, weights)
    assert 1 + dim < ridge.rank <= 21 + dim
    theta = backend.asarray(0.3 * RNG.standard_normal(ridge.size))
    gram = Tangent(backend, ridge, theta, backend.asarray(z)).gram(backend.asarray(weights))
    np.testing.assert_allclose(backend.to_numpy(gram), np.eye(ridge.size), atol=1e-9)


def test_the_points_of_a_standard_normal_law() -> None:
    for dim in (1, 2):
        z, weights = standard_points(dim, 8)
        np.testing.assert_allclose(weights @ z, 0, atol=1e-3)
        np.testing.assert_allclose((z * weights[:, None]).T @ z, np.eye(dim), atol=1e-2)


FRAME = Frame(np.array([3.0, -1.0]), np.array([[2.0, 0], [0.9, 0.4]]))
LINEAR: list[Map] = [
    Ridge(2, 6), Affine(2), Affine(2, "lower_triangular"), Basis([np.sin], 2), Whitened(Ridge(2, 5), FRAME)
]  # fmt: skip


@pytest.mark.parametrize("map_", LINEAR, ids=repr)
def test_a_constant_tangent_is_one(map_: Map) -> None:
    """What a map says of itself, against differences of finite size, which see every curvature."""
    assert map_.constant_tangent
    map_ = replace(map_, functions=[lambda z: z**2]) if isinstance(map_, Basis) else map_
    backend, z = load("torch"), RNG.standard_normal((7, 2))
    start, one, two = map_.initial(), *RNG.standard_normal((2, map_.size))

    def at(theta: np.ndarray) -> np.ndarray:
        return backend.to_numpy(map_(backend.asarray(theta), backend.asarray(z)))

    np.testing.assert_allclose(at(start + one + two) - at(start + one), at(start + two) - at(start), atol=1e-10)


def test_others_are_not_taken_for_constant() -> None:
    assert not any(map_.constant_tangent for map_ in (Residual(2, 3), Affine(2) @ Affine(2), Affine(2) @ Ridge(2, 3)))


@pytest.mark.parametrize("solver", [wgf.Eigh(), wgf.Cholesky(), wgf.Cholesky(shift=1e-3)], ids=repr)
def test_a_stored_factor_gives_the_same_velocity(solver: Any, backend: Backend) -> None:
    flow = replace(get("ornstein-uhlenbeck-2d").flow, map=Ridge(2, 6), points=wgf.Sobol(128), solver=solver)
    rhs = RightHandSide(flow, backend, 1e-10)
    theta = rhs.initial() + backend.asarray(0.02 * RNG.standard_normal(flow.size))
    run = backend.compile(lambda theta, drive: rhs.evaluate(theta, drive)[:2])
    drive = rhs.drive()
    assert drive.factor is not None
    (stored, left), (made, left_too) = run(theta, drive), run(theta, drive._replace(factor=None))
    np.testing.assert_allclose(backend.to_numpy(stored), backend.to_numpy(made), rtol=1e-7, atol=1e-9)
    assert abs(float(left) - float(left_too)) < 1e-8


def test_each_segment_of_points_has_its_own_factor() -> None:
    flow = replace(get("ornstein-uhlenbeck-2d").flow, points=wgf.Sobol(64, resample_every=0.5))
    rhs = RightHandSide(flow, load("torch"), 1e-10)
    first, second = (rhs.drive(t) for t in (0.1, 0.6))
    assert not np.allclose(first.factor.matrix, second.factor.matrix)
    assert first.on(second.z, second.weights).factor is None


def test_directions_and_levels() -> None:
    directions = separated(8, 2, 0)
    gaps = np.abs(directions @ directions.T) - np.eye(8)
    assert np.arccos(gaps.max()) > 0.5 * np.pi / 8  # evenly spread they are π/8 apart
    z, weights = bumps(1)
    w, b = laid(z, weights, 40, "even", 0)
    levels = np.sort(-b / w[:, 0])
    np.testing.assert_allclose(levels[[0, -1]], [z.min(), z.max()], atol=0.2)
    assert np.mean(np.abs(np.abs(levels) - 1) < 0.5) > 0.6  # where the two bumps are


def test_an_ornstein_uhlenbeck_flow_is_exact() -> None:
    """Its map is affine, which is in the span of the features, whatever else is."""
    flow = wgf.GradientFlow(
        Ridge(1, 12), wgf.Potential(lambda x: 0.5 * ((x - 1) ** 2).sum(-1)) + 0.5 * wgf.Entropy(),
        wgf.Gaussian([3.0], [[2.0]]), wgf.Sobol(256),
    )  # fmt: skip
    ds = wgf.solve(flow, [0.3, 1.0], rtol=1e-8, atol=1e-10, **QUICK)
    t = ds.time.values
    sd = np.sqrt(0.5 + 1.5 * np.exp(-2 * t))
    np.testing.assert_allclose(ds.x[:, :, 0], 1 + 2 * np.exp(-t)[:, None]
                               + (sd / sd[0])[:, None] * (ds.z.values[:, 0] - 3), atol=1e-6)  # fmt: skip


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Ridge(2, 0), "width"),
        (lambda: Ridge(2, 3, init="random"), "init"),
        (lambda: Ridge(2, 3, tolerance=0), "tolerance"),
        (lambda: Ridge(2, 30).over(*bumps(2, 30)), "30 points"),
        (lambda: Ridge(2, 3).over(*bumps(1)), "z and weights"),
        (lambda: Ridge(1, 3).over(np.full((9, 1), np.nan), np.ones(9)), "finite"),
        (lambda: Ridge(1, 30).check(load("torch", "float32"), np.zeros((1, 1)), True), "tolerance"),
    ],
)
def test_bad_input_names_the_argument(make: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        make()
