"""Energies: g against the variation of F, algebra, blocks, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wgfode as wgf
from wgfode import Entropy, InputError, Interaction, InternalEnergy, PorousMedium, Potential
from wgfode.backend import Backend, load
from wgfode.maps import Affine
from wgfode.problems import ring_kernel
from wgfode.pushforward import push


def quartic(x):
    return (x**4).sum(-1) + x[..., 0] * x[..., 1]


def squared_density(rho):
    return rho**2


THETA = np.array([1.2, 0.3, -0.1, 0.8, 0.4, -0.2])


def pushed(backend: Backend, theta: np.ndarray, n: int = 64):
    reference = wgf.Gaussian.standard(2)
    z, w = wgf.Sobol(n, seed=3).draw(reference)
    as_ = backend.asarray
    return push(backend, Affine(2), reference, as_(theta), as_(z), as_(w), density=True)


def value(energy, rho) -> float:
    return float(sum(c * t.value(rho) for c, t in energy.terms))


def gradient(energy, rho):
    return sum(c * t.gradient(rho) for c, t in energy.terms)


def test_a_given_U_is_the_porous_medium(backend: Backend) -> None:
    rho = pushed(backend, THETA)
    np.testing.assert_allclose(
        backend.to_numpy(InternalEnergy(squared_density).gradient(rho)),
        backend.to_numpy(PorousMedium(2).gradient(rho)),
        rtol=1e-11,
    )  # fmt: skip


@pytest.mark.parametrize("block", [1, 100, 1000, 10**7])
def test_interaction_does_not_depend_on_its_blocks(backend: Backend, block: int) -> None:
    rho = pushed(backend, THETA)
    small, whole = Interaction(ring_kernel, block=block), Interaction(ring_kernel)
    assert float(small.value(rho)) == pytest.approx(float(whole.value(rho)), rel=1e-13)
    np.testing.assert_allclose(backend.to_numpy(small.gradient(rho)), backend.to_numpy(whole.gradient(rho)), atol=1e-13)


def test_interaction_never_holds_more_than_a_block() -> None:
    """W is handed at most `block` numbers at a time."""
    seen: list[int] = []

    def watched(x):
        seen.append(int(np.prod(x.shape)))
        return (x**2).sum(-1)

    backend = load("torch")
    rho = pushed(backend, THETA, 256)
    block = 10 * 256 * 2
    energy = Interaction(watched, block=block)
    energy.value(rho)
    energy.gradient(rho)
    assert max(seen) <= block


def test_half_in_front_of_the_interaction(backend: Backend) -> None:
    """W = |x|²/2: ½E W(X−Y) = ½ tr C, and g = x − mean."""
    rho = pushed(backend, THETA)
    x, w = backend.to_numpy(rho.x), backend.to_numpy(rho.weights)
    centred = x - w @ x
    energy = Interaction(lambda y: 0.5 * (y**2).sum(-1))
    assert float(energy.value(rho)) == pytest.approx(0.5 * w @ (centred**2).sum(1), rel=1e-12)
    np.testing.assert_allclose(backend.to_numpy(energy.gradient(rho)), centred, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(a=st.floats(0.1, 10), b=st.floats(0.1, 10), c=st.floats(0.1, 10))
def test_algebra(a: float, b: float, c: float) -> None:
    rho = pushed(load("torch"), THETA, 16)
    one, two = Potential(quartic), Entropy()
    left = value(a * (b * one + c * two), rho)
    right = a * b * value(one, rho) + a * c * value(two, rho)
    assert left == pytest.approx(right, rel=1e-12)
    assert value(one + two, rho) == pytest.approx(value(two + one, rho), rel=1e-14)


def test_convexity_adds_up() -> None:
    assert (Potential(quartic, convexity=2.0) + 3 * Entropy()).convexity == 2.0
    assert (2 * Potential(quartic, convexity=-1.0) + Interaction(ring_kernel, convexity=-1.0)).convexity == -3.0
    assert (Potential(quartic, convexity=1.0) + Interaction(ring_kernel, convexity=5.0)).convexity == 1.0
    assert (Potential(quartic) + Entropy()).convexity is None
    assert (-1 * Potential(quartic, convexity=1.0)).convexity is None


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: -1 * Entropy(), "coefficient"),
        (lambda: 0 * Entropy(), "coefficient"),
        (lambda: Potential(quartic) + (-0.5) * PorousMedium(2), "coefficient"),
        (lambda: PorousMedium(1), "m must be > 1"),
        (lambda: PorousMedium(0.5), "m must be > 1"),
        (lambda: PorousMedium("two"), "m must be a number"),
        (lambda: Potential(3), "V must be a function"),
        (lambda: Interaction(None), "W must be a function"),
        (lambda: InternalEnergy(1), "U must be"),
        (lambda: Potential(quartic, convexity=float("nan")), "convexity"),
        (lambda: "x" * Entropy(), "factor"),
    ],
)
def test_bad_input_names_the_argument(make, named: str) -> None:
    with pytest.raises(InputError, match=named):
        make()
