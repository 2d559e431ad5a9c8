"""The tangent operator: every map's factors against automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest
from array_api_compat import array_namespace

from wgfode import maps
from wgfode.backend import Backend, load
from wgfode.maps import Affine, Basis, Coupling, Identity, Map, NeuralODE, Planar, Residual, Ridge, Triangular
from wgfode.maps.base import space_jacobian
from wgfode.maps.frame import Frame
from wgfode.maps.whitened import Whitened
from wgfode.tangent import Tangent


def swirl(z):
    """A function R³ → R³ that mixes components."""
    xp = array_namespace(z)
    return xp.stack([xp.sin(z[:, 1]), z[:, 2] * z[:, 0], xp.tanh(z[:, 0])], axis=1)


def cubic(z):
    return z**3


FRAME = Frame(np.array([1.0, -2.0, 0.5]), np.array([[2.0, 0, 0], [0.3, 0.5, 0], [-1.0, 0.2, 1.5]]))
SINGLE: list[Map] = [
    Affine(3),
    Affine(3, "lower_triangular"),
    Affine(3, "diagonal"),
    Basis([swirl, cubic], 3),
    Coupling(3, layers=3, width=4),
    Identity(3) @ Affine(3),
    NeuralODE(3, width=2, steps=2),
    Planar(3, layers=4),
    Residual(3, width=5),
    Ridge(3, width=5),
    Triangular(3, width=2, knots=2),
]
CHAINS: list[Map] = [
    Affine(3) @ Planar(3, layers=4),
    Planar(3, layers=4) @ Affine(3),
    Affine(3) @ Residual(3, width=5) @ Affine(3),
    Affine(3, "diagonal") @ Planar(3, layers=2) @ Affine(3, "lower_triangular"),
    Residual(3, width=4) @ Planar(3, layers=3) @ Basis([swirl], 3),
    Planar(3, layers=2) @ Coupling(3, layers=2, width=3) @ Affine(3, "diagonal"),
    Affine(3) @ NeuralODE(3, width=2, steps=2),
    Whitened(Affine(3) @ Planar(3, layers=3), FRAME),
    Whitened(Residual(3, width=3) @ Affine(3), FRAME),
    Whitened(Ridge(3, width=4), FRAME),
    Planar(3, layers=2) @ Ridge(3, width=3, init="axis") @ Residual(3, width=2),
]
TOLERANCE = 1e-13
N = 9


def far(map_: Map) -> np.ndarray:
    """Parameters away from the identity."""
    return map_.initial() + 0.4 * np.random.default_rng(0).standard_normal(map_.size)


def agree(backend: Backend, actual, expected: np.ndarray, what: str) -> None:
    error = np.abs(backend.to_numpy(actual) - expected).max()
    assert error <= TOLERANCE * np.abs(expected).max(), f"{what}: {error:.1e}"


def checked(map_: Map, backend: Backend, sizes: np.ndarray | None = None) -> None:
    """Every product of a `Tangent` against the rows of J by reverse mode, at weights that differ."""
    rng = np.random.default_rng(1)
    theta, z, weights, xi, w = map(
        backend.asarray,
        (
            far(map_),
            rng.standard_normal((N, 3)),
            rng.random(N),
            rng.standard_normal(map_.size),
            rng.normal(size=(N, 3)),
        ),
    )

    def products(theta):
        here = Tangent(backend, map_, theta, z, 1.0 if sizes is None else sizes)
        return (
            here.rows(z), here.x, here.apply(xi), here.adjoint(w), here.gram(weights), here.mean_diagonal(weights),
            here.kernel(weights),
        )  # fmt: skip

    found = backend.compile(products)(theta)
    J, x = (backend.to_numpy(part) for part in found[:2])
    p = backend.to_numpy(weights)
    np.testing.assert_allclose(x, backend.to_numpy(map_(theta, z)), rtol=1e-13)
    gram = np.einsum("n,nim,nik->mk", p, J, J)
    rooted = (np.sqrt(p)[:, None, None] * J).reshape(-1, map_.size)
    expected = {
        "Jξ": J @ backend.to_numpy(xi),
        "Jᵀw": np.einsum("nim,ni->m", J, backend.to_numpy(w)),
        "Gram": gram,
        "mean diagonal": np.array(np.trace(gram) / map_.size),
        "kernel": rooted @ rooted.T,
    }
    for (what, value), actual in zip(expected.items(), found[2:], strict=True):
        agree(backend, actual, value, what)


@pytest.mark.parametrize("map_", [*SINGLE, *CHAINS], ids=repr)
def test_products_agree_with_automatic_differentiation(map_: Map) -> None:
    checked(map_, load("torch"))


@pytest.mark.parametrize(
    "map_",
    [
        Affine(3) @ Planar(3, layers=3),
        Planar(3, layers=2) @ Coupling(3, layers=2, width=3) @ Affine(3, "lower_triangular"),
        NeuralODE(3, width=2, steps=1),
    ],
    ids=repr,
)
def test_parameters_of_their_own_sizes(map_: Map) -> None:
    checked(map_, load("torch"), np.random.default_rng(5).uniform(0.1, 10.0, map_.size))


def test_jax_too() -> None:
    """The formulas are torch's: one chain of constant and varying outputs, with the layers scanned."""
    checked(Affine(3) @ Residual(3, width=2) @ Planar(3, layers=2), load("jax"))


def test_no_map_is_forgotten() -> None:
    known = {kind for kind in vars(maps).values() if isinstance(kind, type) and issubclass(kind, Map)}
    tried = {type(part) for map_ in SINGLE for part in getattr(map_, "maps", [map_])}
    assert known - {Map, maps.Compose, maps.Custom} == tried  # a function of one's own has no factors


@pytest.mark.parametrize("map_", [*SINGLE, *CHAINS], ids=repr)
def test_a_map_knows_the_jacobian_that_maps_inside_it_need(map_: Map) -> None:
    backend = load("torch")
    theta = backend.asarray(far(map_))
    rng = np.random.default_rng(2)
    z, outer = backend.asarray(rng.standard_normal((5, 3))), backend.asarray(rng.standard_normal((5, 3, 3)))
    for before in (None, outer[0], outer):
        factors = map_.factors(backend, theta, z, before)
        if factors is None:
            assert any(isinstance(part, NeuralODE | Triangular) for part in getattr(map_, "maps", [map_]))
            return
        expected = backend.to_numpy(space_jacobian(backend, lambda points: map_(theta, points), z))
        if before is not None:
            expected = backend.to_numpy(before) @ expected
        agree(backend, factors.through(), expected, "outer · ∂_zT")


def test_blocks_of_points_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the points do not fit at once, each block has factors of its own."""
    backend = load("torch")
    for map_ in (Affine(3) @ Planar(3, layers=3), Affine(3) @ NeuralODE(3, width=2, steps=1)):
        z = backend.asarray(np.random.default_rng(3).standard_normal((50, 3)))
        weights = backend.asarray(np.full(50, 0.02))
        here = Tangent(backend, map_, backend.asarray(far(map_)), z)
        whole = here.gram(weights)
        monkeypatch.setattr("wgfode.tangent.BLOCK", 7 * (here.factors.tables if here.factors else 3 * map_.size))
        agree(backend, here.gram(weights), backend.to_numpy(whole), repr(map_))
        monkeypatch.undo()


def test_the_gram_matrix_is_differentiable(backend: Backend) -> None:
    """Implicit methods differentiate G(θ)k along θ: the factors' derivative against the rows'."""
    map_ = Affine(2) @ Planar(2, layers=2)
    rng = np.random.default_rng(4)
    z, k, v = (backend.asarray(rng.standard_normal(shape)) for shape in ((6, 2), (map_.size,), (map_.size,)))
    theta = backend.asarray(far(map_))

    def by_factors(theta):
        here = Tangent(backend, map_, theta, z)
        return here.adjoint(here.apply(k))

    def by_rows(theta):
        J = Tangent(backend, map_, theta, z).rows(z).reshape((-1, map_.size))
        return J.T @ (J @ k)

    derivative = backend.compile(lambda f_theta: backend.jvp(by_factors, f_theta, v)[1])(theta)
    expected = backend.compile(lambda f_theta: backend.jvp(by_rows, f_theta, v)[1])(theta)
    agree(backend, derivative, backend.to_numpy(expected), "∂_θ(G k)")
