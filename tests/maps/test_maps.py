"""Maps: what single ones promise beyond `suites/test_maps.py`."""

from __future__ import annotations

import numpy as np
import pytest

from wgfode import InputError
from wgfode.backend import Backend
from wgfode.maps import Affine, Basis, Map, NeuralODE, Planar, Residual


def points(n: int = 7) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, 3))


def near(map_: Map, size: float = 0.15) -> np.ndarray:
    """Parameters near the identity, where every map is still injective."""
    return map_.initial() + size * np.random.default_rng(2).standard_normal(map_.size)


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
