"""Every map: identity start, derivatives, densities and scores, both frameworks, both precisions."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
from suites.subjects import compiled, examples, name_of

from wgfode.backend import Backend, load
from wgfode.maps import Map
from wgfode.maps.base import push_by_autodiff

MAPS = examples("map")
every = pytest.mark.parametrize("index", range(len(MAPS)), ids=[name_of(one) for one in MAPS])
close = np.testing.assert_allclose
N = 5


def inputs(map_: Map) -> tuple[np.ndarray, ...]:
    """θ near the identity, points (N, d), a direction (m,) and a field (N, d)."""
    rng = np.random.default_rng(1)
    theta = map_.initial() + 0.15 * rng.standard_normal(map_.size)
    z, field = rng.standard_normal((2, N, map_.dim))
    return theta, z, rng.standard_normal(map_.size), field


@cache
def answers(index: int, name: str, dtype: str = "float64", start: bool = False) -> dict[str, Any]:
    """What a map says of its points: one compilation a map and framework."""
    map_, backend = MAPS[index], load(name, dtype)
    theta, z, v, field = inputs(map_)
    run = evaluation(index, name, dtype)
    found = run(*map(backend.asarray, (map_.initial() if start else theta, z, v, field)))
    assert all(str(part.dtype).endswith(dtype) for part in found.values())
    return {key: backend.to_numpy(part) for key, part in found.items()}


@cache
def evaluation(index: int, name: str, dtype: str) -> Any:
    map_, backend = MAPS[index], load(name, dtype)

    def run(theta: Any, z: Any, v: Any, field: Any) -> dict[str, Any]:
        x, forward, reverse = backend.linearize(lambda p: map_(p, z), theta)
        found = {"x": x, "moved": forward(v), "pulled": reverse(field)}
        image = map_.push(backend, theta, z, -z)
        return found | {f"push_{key}": part for key, part in image._asdict().items()}

    return compiled(backend, run)


def skip_elsewhere(index: int, *names: str) -> None:
    """Skip a map of one framework where another is needed."""
    if any(MAPS[index].framework not in (None, name) for name in names):
        pytest.skip(f"a model of {MAPS[index].framework}")


@every
def test_it_starts_at_the_identity_exactly(index: int, backend: Backend) -> None:
    skip_elsewhere(index, backend.name)
    map_ = MAPS[index]
    found, (_, z, _, _) = answers(index, backend.name, start=True), inputs(map_)
    assert map_.initial().shape == (map_.size,)
    np.testing.assert_array_equal(found["x"], z)
    np.testing.assert_array_equal(found["push_x"], z)
    close(found["push_log_det"], 0, atol=1e-14)
    close(found["push_score"], -z, atol=1e-13)


@every
def test_derivatives_in_the_parameters(index: int, backend: Backend) -> None:
    """J v and w·J are of one J, which is that of central differences."""
    skip_elsewhere(index, backend.name)
    map_, found = MAPS[index], answers(index, backend.name)
    theta, z, v, field = inputs(map_)
    close((found["moved"] * field).sum(), found["pulled"] @ v, rtol=1e-11, atol=1e-12)
    home, h = load(map_.framework or "torch"), 1e-6
    there, back = (
        home.to_numpy(map_(home.asarray(theta + s * h * v), home.asarray(z))) for s in (1, -1)
    )  # fmt: skip
    close(found["moved"], (there - back) / (2 * h), atol=1e-7)


@every
def test_the_closed_form_is_that_of_autodiff(index: int) -> None:
    """(In torch; that jax has the same numbers is tested below.)"""
    name = MAPS[index].framework or "torch"
    backend, found = load(name), answers(index, name)
    theta, z = map(backend.asarray, inputs(MAPS[index])[:2])
    generic = push_by_autodiff(backend, lambda points: MAPS[index](theta, points), z, -z)
    for key, part in generic._asdict().items():
        close(found[f"push_{key}"], backend.to_numpy(part), rtol=1e-9, atol=1e-10, err_msg=key)


@every
def test_density_and_score_against_finite_differences(index: int) -> None:
    """Independently of automatic differentiation: differences of the map and of the log-density, in numpy."""
    map_, name = MAPS[index], MAPS[index].framework or "torch"
    backend = load(name)
    theta, z, _, _ = inputs(map_)
    at, as_ = backend.asarray(theta), backend.asarray

    def log_rho(points: np.ndarray) -> np.ndarray:
        return -0.5 * (points**2).sum(1) - backend.to_numpy(map_.push(backend, at, as_(points)).log_det)

    h, basis = 1e-5, np.eye(map_.dim)
    moved = [[backend.to_numpy(map_(at, as_(z + s * h * e))) for s in (1, -1)] for e in basis]
    jacobian = np.stack([(there - back) / (2 * h) for there, back in moved], axis=2)
    gradient = np.stack([(log_rho(z + h * e) - log_rho(z - h * e)) / (2 * h) for e in basis], axis=1)
    found, (sign, log_det) = answers(index, name), np.linalg.slogdet(jacobian)
    np.testing.assert_array_equal(found["push_sign"], sign)
    close(found["push_log_det"], log_det, atol=1e-8)
    close(found["push_score"], np.linalg.solve(jacobian.transpose(0, 2, 1), gradient[..., None])[..., 0], atol=1e-7)


@every
def test_frameworks_agree(index: int) -> None:
    skip_elsewhere(index, "torch", "jax")
    ours, theirs = answers(index, "torch"), answers(index, "jax")
    for key, part in ours.items():
        close(part, theirs[key], rtol=1e-12, atol=1e-12, err_msg=key)


@every
def test_single_precision_stays_single(index: int) -> None:
    name = MAPS[index].framework or "torch"
    single, double = answers(index, name, "float32"), answers(index, name)
    for key, part in double.items():
        close(single[key], part, rtol=2e-4, atol=2e-4, err_msg=key)
    skip_elsewhere(index, "jax")
    backend, map_ = load("jax", "float32"), MAPS[index]
    shapes = jax.eval_shape(evaluation(index, "jax", "float32"), *map(backend.asarray, inputs(map_)))
    assert {str(part.dtype) for part in shapes.values()} == {"float32"}
