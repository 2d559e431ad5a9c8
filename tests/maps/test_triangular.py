"""Triangular and coupling maps: what is their own."""

from __future__ import annotations

import numpy as np
import pytest

from wgfode.backend import Backend
from wgfode.errors import InputError
from wgfode.maps import Affine, Coupling, Map, Triangular
from wgfode.maps.base import space_jacobian

MAPS = [
    Triangular(1, 3),
    Triangular(2, 4),
    Triangular(4, 3, knots=4, centre=(0.0, 1.0, -1.0, 2.0), spread=0.7),
]


def draw(backend: Backend, map: Map, size: float = 0.3, n: int = 40) -> tuple:
    """Parameters away from the identity, and points."""
    rng = np.random.default_rng(1)
    theta = backend.asarray(map.initial() + size * rng.standard_normal(map.size))
    return theta, backend.asarray(1.5 * rng.standard_normal((n, map.dim)))


@pytest.mark.parametrize("map", MAPS, ids=repr)
def test_a_triangular_map_is_triangular_and_increasing_for_large_parameters(backend: Backend, map: Map) -> None:
    theta, z = draw(backend, map, size=2.0)
    jacobian = backend.compile(lambda p: space_jacobian(backend, lambda points: map(p, points), z))(theta)
    jacobian = backend.to_numpy(jacobian)
    assert (np.triu(jacobian, 1) == 0).all()
    assert (np.diagonal(jacobian, axis1=1, axis2=2) > 0).all()


def test_it_holds_every_lower_triangular_affine_map(backend: Backend) -> None:
    map, affine = Triangular(3, 2), Affine(3, structure="lower_triangular")
    factor, shift = np.array([[1.5, 0, 0], [0.4, 0.5, 0], [-1.0, 2.0, 0.8]]), np.array([1.0, -2.0, 0.5])
    theta = map.initial()
    theta[:3] = shift
    theta[3 : 3 + 3 * 7] = np.repeat(np.log(np.diag(factor)), 7)  # equal levels: a constant slope
    theta[24:27] = factor[np.tril_indices(3, -1)]
    z = draw(backend, map)[1]
    entries = np.concatenate([factor[np.tril_indices(3)], shift])
    expected = affine(backend.asarray(entries), z)
    np.testing.assert_allclose(
        backend.to_numpy(map(backend.asarray(theta), z)), backend.to_numpy(expected), rtol=1e-12, atol=1e-12
    )


def test_coupling_layers_move_each_coordinate() -> None:
    map = Coupling(5, 4, seed=2)
    for kept, changed in map.halves:
        assert sorted([*kept, *changed]) == list(range(5))
    assert set(map.halves[0][1]) == set(map.halves[1][0])
    assert set(map.halves[2][0]) != set(map.halves[0][0])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Triangular(0, 3), "dim"),
        (lambda: Triangular(2, 0), "width"),
        (lambda: Triangular(2, 3, knots=0), "knots"),
        (lambda: Triangular(2, 3, centre=(1.0, 2.0, 3.0)), "centre"),
        (lambda: Triangular(2, 3, spread=-1.0), "spread"),
        (lambda: Coupling(1, 2), "dim must be >= 2"),
        (lambda: Coupling(2, 0), "layers"),
    ],
)
def test_bad_input(make: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make()  # type: ignore[operator]
