"""Reference densities: exact moments and masses, scores, and the same numbers in every framework."""

import math
from itertools import pairwise

import array_api_compat
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from wgfode.errors import InputError
from wgfode.references import Barenblatt, Custom, Gaussian, Smoothed, Uniform

COV = np.array([[2.0, 0.6, 0.1], [0.6, 1.0, -0.3], [0.1, -0.3, 0.5]])


def laplace_quantile(u):
    return np.where(u < 0.5, np.log(2 * u), -np.log(2 - 2 * u))


def laplace_log_density(z):
    xp = array_api_compat.array_namespace(z)
    return -xp.sum(xp.abs(z), axis=-1) - z.shape[-1] * math.log(2)


REFERENCES = {
    "standard": Gaussian.standard(2),
    "gaussian": Gaussian([1.0, -2.0, 0.5], COV),
    "uniform": Uniform([-1.0, 2.0], [3.0, 2.5]),
    "barenblatt": Barenblatt(3, m=2.0, t=0.7, centre=[0.3, -0.2, 1.0]),
    "barenblatt-1d": Barenblatt(1, m=3.0, t=2.0),
    "barenblatt-small-m": Barenblatt(2, m=1.05, t=1.0),
    "smoothed": Smoothed(Uniform([-1.0, 2.0], [3.0, 2.5]), 0.3),
    "custom": Custom(2, laplace_quantile, laplace_log_density),
}
every = pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES.keys())


@pytest.fixture(autouse=True)
def _x64():
    with jax.enable_x64(True):
        yield


def test_custom_moments_come_from_its_samples():
    laplace = REFERENCES["custom"]
    np.testing.assert_allclose(laplace.mean, 0, atol=1e-3)
    np.testing.assert_allclose(laplace.covariance, 2 * np.eye(2), atol=1e-2)


@every
def test_samples_lie_where_the_density_is_even_in_float32(reference):
    corner = np.array([[0.0] * reference.dim, [1.0] * reference.dim, [0.5] * reference.dim])
    u = np.concatenate([corner, np.random.default_rng(0).random((500, reference.dim))])
    z = reference.from_uniform(u)
    assert z.shape == u.shape
    assert z.dtype == np.float64
    assert np.all(np.isfinite(z))
    assert np.all(np.isfinite(reference.log_density(z)))
    assert np.all(np.isfinite(reference.log_density(z[3:].astype(np.float32))))
    np.testing.assert_array_equal(z, reference.from_uniform(u))


@pytest.mark.parametrize("name", ["standard", "uniform", "barenblatt", "barenblatt-small-m"])
def test_gradients_outside_the_support_are_not_nan(name):
    reference = REFERENCES[name]
    z = 50.0 * np.ones((2, reference.dim))
    gradient = jax.grad(lambda x: reference.log_density(x).sum())(jnp.asarray(z))
    assert np.all(np.isfinite(gradient))
    np.testing.assert_allclose(gradient, reference.score(z))
    if name != "standard":
        np.testing.assert_array_equal(reference.log_density(z), -np.inf)
        np.testing.assert_array_equal(reference.score(z), 0)


def test_gaussian_matches_scipy():
    reference = REFERENCES["gaussian"]
    z = np.random.default_rng(0).normal(size=(10, 3))
    expected = stats.multivariate_normal(reference.mean, COV).logpdf(z)
    np.testing.assert_allclose(reference.log_density(z), expected, rtol=1e-12)
    root = reference.from_normal(np.eye(3)) - reference.mean
    np.testing.assert_allclose(root @ root.T, COV, atol=1e-14)
    np.testing.assert_allclose(root, root.T, atol=1e-14)


def test_standard_gaussian_is_the_plain_normal_transport():
    u = np.random.default_rng(0).random((20, 4))
    np.testing.assert_array_equal(Gaussian.standard(4).from_uniform(u), stats.norm.ppf(u))


# MATH: C for mass 1
TABLE = {
    2.0: {1: 0.3605623926, 2: 0.1994711402, 5: 0.0823528107, 10: 0.0458032355},
    3.0: {1: 0.1837762985, 2: 0.0889431666, 5: 0.0367839581, 10: 0.0224172747},
}


@pytest.mark.parametrize(("m", "d"), [(m, d) for m in TABLE for d in TABLE[m]])
def test_barenblatt_constants(m, d):
    assert pytest.approx(TABLE[m][d], abs=5e-11) == Barenblatt(d, m, 1.0).C


@settings(max_examples=40, deadline=None)
@given(d=st.integers(1, 12), m=st.floats(1.1, 8), t=st.floats(0.05, 20))
def test_barenblatt_mass_and_spread_by_quadrature(d, m, t):
    reference = Barenblatt(d, m, t)
    sphere = 2 * math.pi ** (d / 2) / math.gamma(d / 2)
    radius = reference.radius
    x = np.zeros((1, d))

    def shell(angle, power):  # r = R sin(angle) tames the singular edge
        r = radius * math.sin(angle)
        x[0, 0] = r
        density = math.exp(reference.log_density(x)[0])
        return sphere * density * r ** (d - 1 + power) * radius * math.cos(angle)

    mass = integrate.quad(shell, 0, math.pi / 2, args=(0,), epsabs=1e-11)[0]
    second = integrate.quad(shell, 0, math.pi / 2, args=(2,), epsabs=1e-11 * radius**2)[0]
    assert mass == pytest.approx(1, abs=1e-7)
    assert second == pytest.approx(np.trace(reference.covariance), rel=1e-7)


def test_barenblatt_solves_the_porous_medium_equation():
    d, m, t, h = 2, 2.5, 0.8, 1e-4
    x = np.array([[0.1, 0.2], [-0.3, 0.15], [0.0, 0.4]])

    def density(time, points):
        return np.exp(Barenblatt(d, m, time).log_density(points))

    rate = (density(t + h, x) - density(t - h, x)) / (2 * h)
    shifts = [s * h * np.eye(d)[j] for j in range(d) for s in (1, -1)]
    laplacian = (sum(density(t, x + s) ** m for s in shifts) - 2 * d * density(t, x) ** m) / h**2
    np.testing.assert_allclose(rate, laplacian, rtol=1e-5)


def test_barenblatt_radii_follow_the_beta_law_and_scale_with_time():
    u = np.random.default_rng(5).random((4000, 3))
    early, late = Barenblatt(3, 2.0, 0.5), Barenblatt(3, 2.0, 2.0)
    z = early.from_uniform(u)
    fraction = np.sum(z**2, axis=1) / early.radius**2
    assert stats.kstest(fraction, stats.beta(1.5, early.p + 1).cdf).pvalue > 0.01
    np.testing.assert_allclose(late.from_uniform(u), z * 4**early.beta, rtol=1e-12)


def test_references_are_values():
    assert Gaussian([0.0, 0.0], np.eye(2)) == Gaussian.standard(2)
    assert hash(Gaussian([0.0, 0.0], np.eye(2))) == hash(Gaussian.standard(2))
    assert Gaussian.standard(2) != Gaussian.standard(3)
    assert Gaussian.standard(2) != Gaussian([0.0, 0.0], 2 * np.eye(2))
    assert Barenblatt(2, 2, 1) == Barenblatt(2, 2.0, 1.0, centre=[0, 0])
    assert Barenblatt(2, 2, 1) != "something else"
    with pytest.raises(ValueError, match="read-only"):
        Gaussian.standard(2).mean[0] = 1.0
    with pytest.raises(AttributeError):
        Gaussian.standard(2).mean = np.ones(2)
    with pytest.raises(AttributeError):
        REFERENCES["custom"].dim = 3


def test_custom_score_is_used_and_samples_are_checked():
    plain = Custom(1, laplace_quantile, laplace_log_density, score=lambda z: -np.sign(z))
    np.testing.assert_array_equal(plain.score(np.array([[2.0], [-1.0]])), [[-1.0], [1.0]])
    with pytest.raises(InputError, match="from_uniform must return shape"):
        Custom(2, lambda u: u[:, 0], laplace_log_density).from_uniform(np.full((4, 2), 0.5))
    with pytest.raises(InputError, match="result of from_uniform must be finite"):
        Custom(2, lambda u: u * np.nan, laplace_log_density).from_uniform(np.full((4, 2), 0.5))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), r"cov must be positive definite.* -1\b"),
        (
            lambda: Gaussian([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]]),
            r"cov must be symmetric.*smallest eigenvalue",
        ),
        (lambda: Gaussian([0.0, 0.0], [[1.0, 1.0], [1.0, 1.0]]), "cov is singular.*needs a density"),
        (lambda: Gaussian([0.0], np.zeros((1, 1))), "cov is singular"),
        (lambda: Gaussian([0.0, 0.0], np.eye(3)), r"cov must have shape \(2, 2\)"),
        (lambda: Gaussian([0.0, np.nan], np.eye(2)), "mean must be finite"),
        (lambda: Gaussian([], np.eye(0)), "mean must have shape"),
        (lambda: Gaussian("abc", np.eye(2)), "mean must be an array of numbers"),
        (lambda: Gaussian.standard(0), "dim must be"),
        (lambda: Uniform([0.0, 1.0], [1.0, 1.0]), r"low\[1\]=1.0"),
        (lambda: Uniform([0.0], [1.0, 1.0]), "same shape"),
        (lambda: Uniform(0.0, np.inf), "high must be finite"),
        (lambda: Smoothed(Uniform(0.0, 1.0), 0.0), "width must be > 0"),
        (lambda: Smoothed(Gaussian.standard(1), 0.1), "reference of Smoothed must be Uniform"),
        (lambda: Smoothed(3.0, 0.1), "reference of Smoothed must be Uniform"),
        (lambda: Barenblatt(0, 2.0, 1.0), "dim must be"),
        (lambda: Barenblatt(1, 1.0, 1.0), "m must be > 1"),
        (lambda: Barenblatt(1, 2.0, 0.0), "t must be > 0"),
        (lambda: Barenblatt(2, 2.0, 1.0, centre=[0.0]), "centre must have shape"),
        (lambda: Custom(1, None, laplace_log_density), "from_uniform must be a function"),
        (lambda: Custom(1, laplace_quantile, laplace_log_density, score=3), "score must be a function"),
        (lambda: Gaussian.standard(2).from_uniform(np.full((3, 3), 0.5)), r"u must have shape \(N, 2\)"),
        (lambda: Gaussian.standard(2).from_uniform(np.full((3, 2), 1.5)), r"u must lie in \(0, 1\)"),
        (lambda: Gaussian.standard(2).log_density(np.zeros((3, 3))), r"z must have shape \(N, 2\)"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_mistakes_are_named(build, message):
    with pytest.raises(InputError, match=message):
        build()


@pytest.mark.parametrize("cov", [[[1.7e308]], [[1.0, 1.7e308], [-1.7e308, 1.0]], [[1.7e308] * 2] * 2])
def test_covariances_near_the_largest_number(cov):
    """Found by hypothesis: cov + covᵀ overflowed. A definite one is taken, any other refused by name."""
    if len(cov) == 1:
        assert Gaussian([0.0], cov).covariance[0, 0] == cov[0][0]
    else:
        with pytest.raises(InputError, match="cov"):
            Gaussian([0.0, 0.0], cov)


@settings(max_examples=30, deadline=None)
@given(width=st.floats(-3, 3), half=st.floats(-3, 3), centre=st.floats(-100, 100))
def test_smoothed_boxes_by_quadrature_and_inversion(width, half, centre):
    """Mass and variance by quadrature, and samples that are the quantiles of the density."""
    width, half = 10.0**width, 10.0**half
    reference = Smoothed(Uniform(centre - half, centre + half), width)
    u = np.array([1e-12, 1e-3, 0.2, 0.5, 0.7, 1 - 1e-9])
    z = reference.from_uniform(u[:, None])[:, 0]
    ends = centre + np.array([-half, half])

    def density(x, power=0):
        return (x - centre) ** power * np.exp(reference.log_density(np.array([x])))

    edge = half + 9 * width
    inner = [
        e + s * k * width for e in ends for s in (-1, 1) for k in (0, 1, 4, 8) if abs(e + s * k * width - centre) < edge
    ]
    cuts = sorted({centre - edge, *inner, centre + edge})

    def integral(power, until=np.inf):
        pieces = pairwise(cuts)
        return sum(integrate.quad(density, a, min(b, until), args=(power,))[0] for a, b in pieces if a < until)

    assert integral(0) == pytest.approx(1, abs=1e-9)
    assert integral(2) == pytest.approx(reference.covariance[0, 0], rel=1e-7)
    for quantile, mass in zip(z[1:5], u[1:5], strict=True):
        assert integral(0, quantile) == pytest.approx(mass, abs=1e-7)
    assert (np.diff(z) > 0).all()


def test_smoothed_boxes_far_out_in_both_tails():
    reference = Smoothed(Uniform(-1.0, 1.0), 0.1)
    z = np.array([[-5.0], [5.0], [1.7], [-1.7]])
    for points in (z, torch.as_tensor(z), jnp.asarray(z)):
        log_density, score = (np.asarray(f(points)) for f in (reference.log_density, reference.score))
        assert np.isfinite(log_density).all()
        np.testing.assert_allclose(log_density[[0, 2]], log_density[[1, 3]], rtol=1e-12)
        # a normal tail that begins at the edge: its score is the hazard at 40 widths, 40 + 1/40 − …
        np.testing.assert_allclose(score[:2, 0], [400.2497, -400.2497], rtol=1e-6)
