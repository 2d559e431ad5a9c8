"""The blended estimator: its two forms are one expectation, and their mixture has the least variance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import wgfode as wgf
from wgfode import InputError
from wgfode.backend import Backend, load
from wgfode.blended import share
from wgfode.maps import Affine, Basis, Map, Residual, Ridge
from wgfode.rhs import RightHandSide


def quartic(x: Any) -> Any:
    return (x**4).sum(-1) / 4 + 0.3 * x[..., 0] * x[..., -1]


def square(rho: Any) -> Any:
    return rho**2


def bent(z: Any) -> Any:
    return z**2 / 10


def turned(z: Any) -> Any:
    return z[:, [1, 0]] * z[:, :1]


def flow(map_: Map, energy: Any, **parts: Any) -> wgf.GradientFlow:
    given = {"points": wgf.Lattice(20_000), "solver": wgf.Cholesky(1e-10), "estimator": "blended"}
    reference = wgf.Gaussian([1.0, 0.0], [[1.0, 0.3], [0.3, 0.5]])
    return wgf.GradientFlow(map_, energy, **({"reference": reference} | given | parts))


MAPS: list[Map] = [Ridge(2, 8, tolerance=1e-2), Affine(2), Affine(2, "lower_triangular"), Basis([bent, turned], 2)]
TERMS: dict[str, Any] = {
    "entropy": wgf.Entropy(),
    "porous medium": wgf.PorousMedium(2),
    "internal energy": wgf.InternalEnergy(square),
    "diffusion": wgf.Diffusion([[1.0, 0.3], [0.3, 0.5]]),
    "coefficient": wgf.coefficient(lambda args: args["D"]) * wgf.Entropy(),
}


@pytest.mark.parametrize("name", TERMS)
def test_by_parts(name: str) -> None:
    """E q·s = −E S : ∂_x q for every field of every map: points whose expectations are exact to 1e-6 or so."""
    backend = load("torch")
    for map_ in MAPS:
        problem = flow(map_, TERMS[name])
        rhs = RightHandSide(problem, backend, 1e-10, {"D": 0.7})
        theta = rhs.initial() + backend.asarray(0.01 * np.random.default_rng(0).standard_normal(problem.size))
        drive = rhs.drive()
        rho, tangent = rhs.pushed(theta, drive), rhs.tangent(theta, drive.z)
        [(c, term)] = problem.energy.terms
        strong = backend.to_numpy(drive.weights @ tangent.products(c * term.gradient(rho)))
        weak = backend.to_numpy(-c * drive.weights @ tangent.divergences(term.stress(rho)))
        np.testing.assert_allclose(weak, strong, rtol=0, atol=1e-5 * np.abs(strong).max(), err_msg=repr(map_))
        adjoint = tangent.adjoint(drive.weights[:, None] * c * term.gradient(rho))
        np.testing.assert_allclose(strong, backend.to_numpy(adjoint), rtol=1e-10, atol=1e-12)


def velocity(problem: wgf.GradientFlow, backend: Backend, theta: np.ndarray) -> np.ndarray:
    rhs = RightHandSide(problem, backend, 1e-10)
    found = backend.compile(lambda theta, drive: rhs.evaluate(theta, drive).velocity)(
        backend.asarray(theta), rhs.drive()
    )
    return backend.to_numpy(found)


def test_frameworks_agree() -> None:
    energy = wgf.Potential(quartic) + 0.5 * wgf.Entropy() + 0.2 * wgf.PorousMedium(2)
    problem = flow(Ridge(2, 6, tolerance=1e-3), energy, points=wgf.Sobol(128))
    theta = 0.02 * np.random.default_rng(0).standard_normal(problem.size)
    ours, theirs = (velocity(problem, load(name), theta) for name in ("torch", "jax"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9 * np.abs(ours).max())
    assert np.abs(ours - velocity(replace(problem, estimator="velocity"), load("torch"), theta)).max() > 1e-3


def test_no_sampling_error_where_the_force_is_in_the_tangent_space() -> None:
    """The weak form of 40 random points is far off; the mixture knows."""
    energy = wgf.Potential(lambda x: (x**2).sum(-1)) + wgf.Entropy()
    problem = flow(Affine(2), energy, points=wgf.MonteCarlo(40, seed=1))
    theta = problem.map.initial()
    exact, mixed, weak = (
        velocity(replace(problem, estimator=name), load("torch"), theta) for name in ("velocity", "blended", "energy")
    )
    np.testing.assert_allclose(mixed, exact, atol=1e-8)
    assert np.abs(weak - exact).max() > 1e-2


def test_the_share_has_the_least_variance() -> None:
    rng = np.random.default_rng(0)
    n = 100_000
    common, one, two = rng.standard_normal((3, n))
    a = np.stack([common + 2 * one, one, common, 0 * one], 1)
    b = np.stack([common + two, 3 * two, common, 0 * one], 1)
    beta = share(np, np.full(n, 1 / n), a, b)
    np.testing.assert_allclose(beta, [0.8, 0.1, 0.0, 0.0], atol=1e-2)
    assert share(np, np.full(n, 1 / n), 3 * a[:, :1], a[:, :1])[0] == 1.0  # b is a with less noise: all of it


def test_what_cannot_be_blended_is_named() -> None:
    energy = wgf.Potential(quartic) + wgf.Entropy()
    with pytest.raises(InputError, match="Residual"):
        flow(Residual(2, 3), energy)
    with pytest.raises(InputError, match="LSMR"):
        flow(Affine(2), energy, solver=wgf.LSMR())
    flow(Residual(2, 3), wgf.Potential(quartic))  # no density's part, so nothing to blend
