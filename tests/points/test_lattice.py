"""Equally spaced weighted points: smooth expectations, tails, generators."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from wgfode import InputError
from wgfode.points import Lattice, Sobol
from wgfode.points.lattice import generator
from wgfode.references import Barenblatt, Custom, Gaussian


@pytest.mark.parametrize(("dim", "n", "limit"), [(1, 64, 1e-7), (2, 1024, 1e-6), (3, 4096, 2e-4)])
def test_smooth_expectations(dim: int, n: int, limit: float) -> None:
    """E exp(a·z) = exp(|a|²/2), and the second moments; Sobol points are farther off by far."""
    a = 0.5 / np.arange(1, dim + 1)
    exact = np.exp((a**2).sum() / 2)
    for seed in range(3):
        z, weights = Lattice(n, seed).draw(Gaussian.standard(dim))
        error = abs(weights @ np.exp(z @ a) - exact)
        assert error < limit
        np.testing.assert_allclose((z * weights[:, None]).T @ z, np.eye(dim), atol=10 * limit)
        sobol, equal = Sobol(n, seed).draw(Gaussian.standard(dim))
        assert error < 0.2 * abs(equal @ np.exp(sobol @ a) - exact)


def test_tails_are_met() -> None:
    z, weights = Lattice(1000).draw(Gaussian([3.0], [[4.0]]))
    far = np.abs(z[:, 0] - 3) > 8
    assert far.sum() > 300
    assert weights[far].sum() == pytest.approx(2 * stats.norm.sf(4), rel=0.05)
    assert np.ptp(np.diff(np.sort(z[:, 0]))) < 1e-12


def test_points_stay_in_a_bounded_support() -> None:
    profile = Barenblatt(2, 2.0, 0.5)
    z, weights = Lattice(512).draw(profile)
    assert np.isfinite(profile.log_density(z)).all()
    np.testing.assert_allclose(weights @ z, 0, atol=1e-3)


def test_a_valley_between_two_modes_is_met() -> None:
    """Equally spaced normal scores would leave two or three of 500 points in it."""
    grid = np.linspace(-6, 6, 20001)
    cdf = (stats.norm.cdf(grid, -2, 0.5) + stats.norm.cdf(grid, 2, 0.5)) / 2

    def log_density(z: np.ndarray) -> np.ndarray:
        return np.logaddexp(*(stats.norm.logpdf(z[..., 0], mean, 0.5) for mean in (-2, 2))) - np.log(2)

    z, weights = Lattice(500).draw(Custom(1, lambda u: np.interp(u, cdf, grid), log_density))
    assert (np.abs(z) < 1).sum() > 70
    assert weights @ z[:, 0] ** 2 == pytest.approx(4.25, abs=1e-7)
    z, _ = Lattice(500).draw(Custom(1, lambda u: np.interp(u, cdf, grid)))
    assert (np.abs(z) < 1).sum() < 10


def test_generators_are_of_the_lattice() -> None:
    for n in (1, 2, 7, 64, 1000):
        for dim in (1, 2, 3):
            vector = generator(n, dim)
            assert len(vector) == dim
            assert n < 3 or len(np.unique(np.outer(np.arange(n), vector) % n, axis=0)) == n


def test_too_many_dimensions() -> None:
    with pytest.raises(InputError, match="Tailed"):
        Lattice(64).draw(Gaussian.standard(4))
