"""Maps: identity starts, closed forms against automatic differentiation, torch against jax."""

from __future__ import annotations

import numpy as np
import pytest
from array_api_compat import array_namespace

from wgfode import InputError
from wgfode.backend import Backend, load
from wgfode.maps import Affine, Basis, Identity, Map, NeuralODE, Planar, Residual
from wgfode.maps.base import push_by_autodiff


def swirl(z):
    """A function R³ → R³ that mixes components."""
    xp = array_namespace(z)
    return xp.stack([xp.sin(z[:, 1]), z[:, 2] * z[:, 0], xp.tanh(z[:, 0])], axis=1)


def cubic(z):
    return z**3


MAPS: dict[str, Map] = {
    "affine": Affine(3),
    "lower": Affine(3, "lower_triangular"),
    "diagonal": Affine(3, "diagonal"),
    "basis": Basis([swirl, cubic], 3),
    "planar": Planar(3, layers=4),
    "planar-axis": Planar(3, layers=4, init="axis", centre=(1.0, 0.0, 2.0), spread=0.5),
    "residual": Residual(3, width=5),
    "neural-ode": NeuralODE(3, width=4, steps=3),
    "composed": Affine(3) @ Planar(3, layers=2) @ Basis([swirl], 3) @ Identity(3) @ Residual(3, width=3),
}


@pytest.fixture(params=MAPS)
def map_(request: pytest.FixtureRequest) -> Map:
    return MAPS[request.param]


def points(n: int = 7) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, 3))


def near(map_: Map, size: float = 0.15) -> np.ndarray:
    """Parameters near the identity, where every map is still injective."""
    return map_.initial() + size * np.random.default_rng(2).standard_normal(map_.size)


def test_starts_at_the_identity_exactly(map_: Map, backend: Backend) -> None:
    z = backend.asarray(points())
    theta = backend.asarray(map_.initial())
    assert theta.shape == (map_.size,)
    assert np.array_equal(backend.to_numpy(map_(theta, z)), points())


def test_closed_forms_agree_with_automatic_differentiation(map_: Map, backend: Backend) -> None:
    z, theta = backend.asarray(points()), backend.asarray(near(map_))
    score = -z
    closed = map_.push(backend, theta, z, score)
    generic = push_by_autodiff(backend, lambda p: map_(theta, p), z, score)
    for name, a, b in zip(closed._fields, closed, generic, strict=True):
        np.testing.assert_allclose(backend.to_numpy(a), backend.to_numpy(b), rtol=1e-9, atol=1e-10, err_msg=name)


def test_log_det_and_score_against_finite_differences(map_: Map) -> None:
    """An independent check of the generic path itself: numpy differences of map and log-density."""
    backend = load("torch")
    theta = backend.asarray(near(map_))

    def apply(z: np.ndarray) -> np.ndarray:
        return backend.to_numpy(map_(theta, backend.asarray(z)))

    def log_rho(z: np.ndarray) -> np.ndarray:
        image = map_.push(backend, theta, backend.asarray(z))
        return -0.5 * (z**2).sum(1) - backend.to_numpy(image.log_det)

    h, z = 1e-5, points(3)
    columns = [(apply(z + h * e) - apply(z - h * e)) / (2 * h) for e in np.eye(3)]
    jacobian = np.stack(columns, axis=2)
    gradient = np.stack([(log_rho(z + h * e) - log_rho(z - h * e)) / (2 * h) for e in np.eye(3)], axis=1)
    image = map_.push(backend, theta, backend.asarray(z), backend.asarray(-z))
    sign, log_det = np.linalg.slogdet(jacobian)
    np.testing.assert_allclose(backend.to_numpy(image.log_det * image.sign), sign * log_det, atol=1e-8)
    expected = np.linalg.solve(jacobian.transpose(0, 2, 1), gradient[..., None])[..., 0]
    np.testing.assert_allclose(backend.to_numpy(image.score), expected, atol=1e-7)


def test_torch_agrees_with_jax(map_: Map) -> None:
    images = []
    for name in ("torch", "jax"):
        b = load(name)
        image = map_.push(b, b.asarray(near(map_)), b.asarray(points()), b.asarray(-points()))
        images.append([b.to_numpy(part) for part in image])
    for a, b in zip(*images, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_sign_of_a_folded_map(backend: Backend) -> None:
    """A reflection has determinant −1, whichever path computes it."""
    theta = backend.asarray(np.concatenate([np.diag([-1.0, 1, 1]).ravel(), np.zeros(3)]))
    image = Affine(3).push(backend, theta, backend.asarray(points()))
    assert (backend.to_numpy(image.sign) == -1).all()


def test_one_dimensional_maps_stay_monotone_where_the_jacobian_is_positive(backend: Backend) -> None:
    map_ = Affine(1) @ Residual(1, width=6)
    z = np.linspace(-4, 4, 200)[:, None]
    theta = backend.asarray(near(map_, 0.1))
    image = map_.push(backend, theta, backend.asarray(z))
    assert (backend.to_numpy(image.sign) > 0).all()
    assert (np.diff(backend.to_numpy(image.x)[:, 0]) > 0).all()


def test_composition_is_written_outer_first(backend: Backend) -> None:
    shift, scale = Affine(3), Affine(3)
    theta = np.concatenate([np.eye(3).ravel(), np.ones(3), 2 * np.eye(3).ravel(), np.zeros(3)])
    x = (shift @ scale)(backend.asarray(theta), backend.asarray(points()))
    np.testing.assert_allclose(backend.to_numpy(x), 2 * points() + 1)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Affine(0), "dim"),
        (lambda: Affine(2, "upper"), "structure"),
        (lambda: Planar(2, layers=0), "layers"),
        (lambda: Residual(2, width=2, init="rnadom"), "random"),
        (lambda: Residual(2, width=2, scale=-1), "scale"),
        (lambda: Residual(2, width=2, centre=(1.0,)), "centre"),
        (lambda: Residual(2, width=2, spread=0), "spread"),
        (lambda: Basis([], 2), "functions"),
        (lambda: Basis([1], 2), r"functions\[0\]"),
        (lambda: NeuralODE(2, 3, steps=0), "steps"),
        (lambda: Affine(2) @ Planar(3, layers=1), r"\[2, 3\]"),
    ],
)
def test_bad_input_names_the_argument(make, named: str) -> None:
    with pytest.raises(InputError, match=named):
        make()
