"""Every term of an energy: its force is the derivative of its value, and both frameworks agree."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from suites.subjects import compiled, examples, name_of

from wgfode import GaussHermite, Gaussian
from wgfode.backend import load
from wgfode.drive import Drive
from wgfode.maps import Affine
from wgfode.pushforward import Pushed, push

TERMS = examples("term")
every = pytest.mark.parametrize("index", range(len(TERMS)), ids=[name_of(one) for one in TERMS])
THETA = np.array([1.2, 0.3, -0.1, 0.8, 0.4, -0.2])
B, C = np.array([[0.3, -0.2], [0.1, 0.4]]), np.array([0.5, -0.3])


def pushed(backend: Any, theta: Any) -> Pushed:
    """A Gaussian at the images of a quadrature, which is exact for polynomials and almost so for ρ^m."""
    reference = Gaussian.standard(2)
    z, w = GaussHermite(24).draw(reference)
    return push(backend, Affine(2), reference, theta, Drive(backend.asarray(z), backend.asarray(w)), density=True)


@pytest.fixture
def with_energy(index: int) -> None:
    if not TERMS[index].has_energy:
        pytest.skip("the term has no energy")


@cache
def answers(index: int, name: str, dtype: str = "float64") -> tuple[float, np.ndarray]:
    """Value and gradient at `THETA`; for a term that has no value, any number in its place."""
    backend = load(name, dtype)

    def run(theta: Any) -> tuple[Any, Any]:
        rho = pushed(backend, theta)
        term = TERMS[index]
        return term.value(rho) if term.has_energy else backend.xp.sum(rho.x), term.gradient(rho)

    value, gradient = compiled(backend, run)(backend.asarray(THETA))
    assert str(value.dtype).endswith(dtype)
    assert str(gradient.dtype).endswith(dtype)
    return float(value), backend.to_numpy(gradient)


@every
@pytest.mark.usefixtures("with_energy")
def test_the_force_is_the_derivative_of_the_value(index: int) -> None:
    """Along the affine velocity u(x) = Bx + c, d/dt F = E[g·u]."""
    backend = load("torch")
    rho = pushed(backend, backend.asarray(THETA))
    u = backend.to_numpy(rho.x) @ B.T + C
    predicted = float((answers(index, "torch")[1] * u).sum(1) @ backend.to_numpy(rho.weights))

    def moved(h: float) -> float:
        A, b = THETA[:4].reshape(2, 2), THETA[4:]
        theta = np.concatenate([(A + h * B @ A).ravel(), b + h * (B @ b + C)])
        return float(TERMS[index].value(pushed(backend, backend.asarray(theta))))

    assert predicted == pytest.approx((moved(1e-4) - moved(-1e-4)) / 2e-4, rel=1e-5)


@every
@pytest.mark.usefixtures("with_energy")
def test_the_force_of_single_points(index: int) -> None:
    """A term that needs no density knows its points alone: any of them may move by itself."""
    term, backend = TERMS[index], load("torch")
    if term.pointwise:
        pytest.skip("its value depends on the density, which moves with the map")
    rho = pushed(backend, backend.asarray(THETA))
    u = backend.asarray(np.random.default_rng(0).standard_normal(tuple(rho.x.shape)))
    values = [float(term.value(replace(rho, x=rho.x + h * u))) for h in (1e-5, -1e-5)]
    predicted = float(rho.weights @ (term.gradient(rho) * u).sum(1))
    assert predicted == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6)


@every
def test_frameworks_agree(index: int) -> None:
    (value, gradient), (other, other_gradient) = answers(index, "torch"), answers(index, "jax")
    assert value == pytest.approx(other, rel=1e-12)
    np.testing.assert_allclose(gradient, other_gradient, rtol=1e-11, atol=1e-12)


@every
def test_single_precision_stays_single(index: int) -> None:
    (value, gradient), (single, single_gradient) = answers(index, "torch"), answers(index, "torch", "float32")
    assert single == pytest.approx(value, rel=1e-4)
    np.testing.assert_allclose(single_gradient, gradient, rtol=1e-3, atol=1e-3 * np.abs(gradient).max())
