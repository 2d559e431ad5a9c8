"""Tail-aware points: weights, unbiasedness, and what they are for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import wgfode as wgf
from wgfode import InputError
from wgfode.points import Sobol, Tailed
from wgfode.references import Barenblatt, Gaussian, Uniform

SEEDS = range(20)


def tail(y: np.ndarray) -> np.ndarray:
    """What a map leaves over: nothing in the middle, ever more outside."""
    return np.maximum(np.abs(y) - 2.5, 0.0) ** 6


def estimates(rule: type, dim: int, f, n: int = 1024) -> np.ndarray:
    reference = Gaussian.standard(dim)
    return np.array([weights @ f(z) for z, weights in (rule(n, seed).draw(reference) for seed in SEEDS)])


@pytest.mark.parametrize("dim", [1, 2, 10, 30])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 64])
def test_any_number_of_points_in_any_dimension(n: int, dim: int) -> None:
    z, weights = Tailed(n, seed=3).draw(Gaussian.standard(dim))
    assert z.shape == (n, dim)
    assert np.isfinite(z).all()
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert weights.max() <= 2.5 / n + (n < 10)
    np.testing.assert_array_equal(Tailed(n, seed=3).draw(Gaussian.standard(dim))[0], z)


@pytest.mark.parametrize("dim", [1, 2, 10, 30])
def test_moments_are_those_of_the_reference(dim: int) -> None:
    for f, exact in ((lambda y: y[:, 0], 0.0), (lambda y: (y**2).mean(1), 1.0), (lambda y: (y**4).mean(1), 3.0)):
        found = estimates(Tailed, dim, f)
        assert abs(found.mean() - exact) < 5 * found.std() / len(SEEDS) ** 0.5 + 1e-3
        assert found.std() < 0.15


@pytest.mark.parametrize("dim", [1, 10, 30])
def test_what_lives_in_a_coordinates_tail_is_met(dim: int) -> None:
    exact = dim * integrate.quad(lambda y: tail(y) * stats.norm.pdf(y), -12, 12, points=[-2.5, 2.5])[0]
    weighted, equal = (estimates(rule, dim, lambda y: tail(y).sum(1)) for rule in (Tailed, Sobol))
    assert np.abs(weighted - exact).mean() < 0.1 * exact
    assert weighted.mean() == pytest.approx(exact, rel=0.06)
    assert np.abs(equal - exact).mean() > 3 * np.abs(weighted - exact).mean()


@pytest.mark.parametrize("dim", [2, 10, 30])
def test_what_lives_in_the_radius_is_met(dim: int) -> None:
    def value(r):
        return np.maximum(r - np.sqrt(dim) - 2, 0.0) ** 4

    exact = integrate.quad(lambda r: value(r) * stats.chi.pdf(r, dim), np.sqrt(dim) + 2, np.sqrt(dim) + 12)[0]
    weighted, equal = (estimates(rule, dim, lambda y: value(np.sqrt((y**2).sum(1)))) for rule in (Tailed, Sobol))
    assert weighted.mean() == pytest.approx(exact, rel=0.05)
    assert np.abs(equal - exact).mean() > 3 * np.abs(weighted - exact).mean()


@pytest.mark.parametrize("reference", [
    Barenblatt(2, 2, 0.2), Uniform([-1.0, 0.0], [1.0, 3.0]), Gaussian([100.0, 3.0], [[2.0, 0.9], [0.9, 1.0]]),
])  # fmt: skip
def test_any_reference_that_transports_uniforms(reference) -> None:
    z, weights = Tailed(4096).draw(reference)
    spread = np.sqrt(np.diag(reference.covariance))
    np.testing.assert_allclose((weights @ z - reference.mean) / spread, 0, atol=0.05)
    centred = z - weights @ z
    np.testing.assert_allclose((centred.T * weights) @ centred / np.outer(spread, spread),
                               reference.covariance / np.outer(spread, spread), atol=0.1)  # fmt: skip
    assert np.isfinite(reference.log_density(z)).all()


def test_they_drive_a_flow_too() -> None:
    flow = wgf.GradientFlow(wgf.maps.Affine(1), wgf.Potential(lambda x: x[:, 0] ** 2), Gaussian.standard(1), Tailed(64))
    ds = wgf.solve(flow, [0.5], integrator="torchdiffeq", evaluation=64, stiffness=False, certificate=False)
    assert float(ds.theta[-1, 0]) == pytest.approx(np.exp(-1), abs=1e-4)


@pytest.mark.parametrize("arguments", [{"n": 0}, {"n": 2.5}, {"n": 8, "seed": -1}, {"n": 8, "resample_every": 0.0}])
def test_bad_arguments(arguments: dict) -> None:
    with pytest.raises(InputError, match=r"n must|seed must|resample_every must"):
        Tailed(**arguments)


def test_segments_have_their_own_points() -> None:
    rule = Tailed(16, resample_every=0.5)
    first, second = (rule.draw(Gaussian.standard(2), segment)[0] for segment in (0, 1))
    assert not np.array_equal(first, second)
