"""Points: weights, streams, quadrature, and time cut into segments."""

import math
import warnings

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgfode.errors import InputError
from wgfode.points import GaussHermite, MonteCarlo, Sobol
from wgfode.references import Barenblatt, Gaussian, Uniform

REFERENCE = Gaussian([1.0, -1.0], [[2.0, 0.5], [0.5, 1.0]])
drawn = pytest.mark.parametrize("kind", [MonteCarlo, Sobol])


@drawn
def test_points_are_a_function_of_seed_and_segment(kind):
    z, weights = kind(100, seed=7).draw(REFERENCE, 3)
    assert z.shape == (100, 2)
    assert z.dtype == np.float64
    np.testing.assert_allclose(weights, 1 / 100)
    assert weights.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_array_equal(z, kind(100, seed=7, resample_every=0.1).draw(REFERENCE, 3)[0])
    others = [kind(100, seed=7).draw(REFERENCE, k)[0] for k in (-3, -1, 0, 1, 2, 4, 5, 6)]
    others += [kind(100, seed=s).draw(REFERENCE, 3)[0] for s in (0, 3, 8, 2**40)]
    assert all(np.all(z != other) for other in others)


@drawn
def test_more_points_begin_with_the_fewer(kind):
    few, many = kind(13, seed=1).draw(REFERENCE)[0], kind(1000, seed=1).draw(REFERENCE)[0]
    np.testing.assert_array_equal(few, many[:13])


@settings(max_examples=30, deadline=None)
@given(n=st.integers(6, 300), segment=st.integers(-5, 5), seed=st.integers(0, 99))
@drawn
def test_matched_points_have_the_reference_s_mean_and_covariance(kind, n, segment, seed):
    reference = Gaussian([1e3, 0.0, -1.0], [[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1e-6]])
    z, weights = kind(n, seed=seed, matched=True).draw(reference, segment)
    np.testing.assert_allclose(weights @ z, reference.mean, atol=1e-10)
    centred = z - reference.mean
    np.testing.assert_allclose((weights[:, None] * centred).T @ centred, reference.cov, atol=1e-9)


@pytest.mark.parametrize("seed", range(60))
def test_one_matched_point_more_than_dimensions_is_enough(seed):
    z, weights = Sobol(32, seed=seed, matched=True).draw(Gaussian.standard(31))
    np.testing.assert_allclose((weights[:, None] * z).T @ z, np.eye(31), atol=1e-11)
    np.testing.assert_allclose(weights @ z, 0, atol=1e-9)


def test_matched_points_are_near_the_others():
    plain, matched = (Sobol(1024, seed=0, matched=matched).draw(REFERENCE)[0] for matched in (False, True))
    assert 0 < np.abs(plain - matched).max() < 0.02


def test_points_of_a_bounded_reference_stay_in_its_support():
    reference = Barenblatt(2, 2.0, 1.0)
    plain, matched = (Sobol(64, matched=matched).draw(reference)[0] for matched in (False, True))
    np.testing.assert_array_equal(plain, matched)


def test_segments_are_independent():
    draws = np.array([MonteCarlo(4000, seed=0).draw(Gaussian.standard(1), k)[0][:, 0] for k in range(8)])
    correlation = np.corrcoef(draws) - np.eye(8)
    assert np.abs(correlation).max() < 4.5 / math.sqrt(4000)


def test_sobol_beats_monte_carlo_and_is_quiet_for_any_n():
    reference = Gaussian.standard(5)

    def error(kind, n):
        means = [kind(n, seed=s).draw(reference)[0].mean(axis=0) for s in range(8)]
        return math.sqrt(np.mean(np.square(means)))

    assert error(Sobol, 1024) < error(MonteCarlo, 1024) / 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (1, 2, 3, 1000, 1025):
            assert Sobol(n).draw(reference)[0].shape == (n, 5)
        assert error(Sobol, 1000) < error(MonteCarlo, 1000) / 5


def test_sobol_points_of_the_cube_are_balanced():
    z, _ = Sobol(64, seed=2).draw(Uniform(np.zeros(6), np.ones(6)))
    counts = np.apply_along_axis(np.bincount, 0, np.floor(64 * z).astype(int), minlength=64)
    np.testing.assert_array_equal(counts, 1)


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_gauss_hermite_is_exact_for_polynomials(dim):
    order = 6
    z, weights = GaussHermite(order).draw(Gaussian.standard(dim))
    assert len(z) == len(weights) == GaussHermite(order).size(dim) == order**dim
    assert weights.sum() == pytest.approx(1, abs=1e-14)
    for degree in range(2 * order):
        exact = 0 if degree % 2 else math.prod(range(1, degree, 2))
        np.testing.assert_allclose(weights @ z**degree, exact, rtol=1e-11, atol=1e-9)


def test_gauss_hermite_has_the_reference_s_moments():
    z, weights = GaussHermite(3).draw(REFERENCE)
    np.testing.assert_allclose(weights @ z, REFERENCE.mean, atol=1e-14)
    centred = z - REFERENCE.mean
    np.testing.assert_allclose(centred.T @ (centred * weights[:, None]), REFERENCE.cov, atol=1e-13)
    np.testing.assert_array_equal(z, GaussHermite(3).draw(REFERENCE, 5)[0])


def test_gauss_hermite_of_high_order_is_finite():
    z, weights = GaussHermite(400).draw(Gaussian.standard(1))
    assert np.all(np.isfinite(z))
    assert weights @ z[:, 0] ** 4 == pytest.approx(3, rel=1e-11)


def test_without_resampling_there_is_one_segment():
    for points in (MonteCarlo(4), Sobol(4), GaussHermite(2)):
        assert points.segment(123.4) == 0
        assert points.jump_times(0.0, 10.0).size == 0
    assert MonteCarlo(5).size(3) == Sobol(5).size(3) == 5


@settings(max_examples=300, deadline=None)
@given(every=st.floats(1e-4, 1e3), k=st.integers(-(10**6), 10**6))
def test_segments_begin_at_the_multiples_in_double(every, k):
    points = MonteCarlo(1, resample_every=every)
    edge = k * every
    assert points.segment(edge) == k
    assert points.segment(np.nextafter(edge, -np.inf)) == k - 1
    assert points.segment(edge + every / 2) == k


@settings(max_examples=300, deadline=None)
@given(every=st.floats(1e-4, 1e3), k=st.integers(-(10**5), 10**5))
def test_segments_begin_at_the_multiples_in_single(every, k):
    points = MonteCarlo(1, resample_every=every)
    edge = np.float32(k * every)
    assert points.segment(edge) == k
    assert points.segment(np.nextafter(edge, np.float32(-np.inf))) == k - 1


@pytest.mark.parametrize("array", [np.float32, lambda t: torch.tensor(t), lambda t: jnp.asarray(t, "float32")])
def test_segments_of_single_precision_arrays(array):
    points = Sobol(1, resample_every=0.1)
    assert [points.segment(array(k * 0.1)) for k in range(200)] == list(range(200))


@settings(max_examples=100, deadline=None)
@given(every=st.floats(1e-2, 10), t0=st.floats(-20, 20), length=st.floats(0, 50))
def test_jump_times_are_the_edges_inside(every, t0, length):
    points, t1 = MonteCarlo(1, resample_every=every), t0 + length
    jumps = points.jump_times(t0, t1)
    np.testing.assert_array_equal(jumps, points.jump_times(t1, t0))
    assert np.all((jumps > t0) & (jumps < t1))
    assert np.all(np.diff(jumps) > 0)
    assert jumps.size in (
        points.segment(t1) - points.segment(t0),
        points.segment(t1) - points.segment(t0) - 1,
        0,
    )
    for t in np.concatenate([np.linspace(t0, t1, 9)[:-1], jumps]):
        if t < t1:
            assert points.segment(t) == points.segment(t0) + np.searchsorted(jumps, t, side="right")


def test_jump_times_leave_out_the_ends():
    points = MonteCarlo(1, resample_every=0.5)
    np.testing.assert_array_equal(points.jump_times(0.0, 2.0), [0.5, 1.0, 1.5])
    np.testing.assert_array_equal(points.jump_times(0.2, 0.4), [])
    np.testing.assert_array_equal(points.jump_times(0.5, 0.5), [])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MonteCarlo(0), "n must be"),
        (lambda: Sobol(2.5), "n must be"),
        (lambda: Sobol(True), "n must be"),
        (lambda: Sobol(4, seed=-1), "seed must be"),
        (lambda: Sobol(4, seed=1.5), "seed must be"),
        (lambda: MonteCarlo(4, seed=None), "seed must be"),
        (lambda: MonteCarlo(4, resample_every=0), "resample_every must be > 0"),
        (lambda: MonteCarlo(4, resample_every=-1), "resample_every must be > 0"),
        (lambda: MonteCarlo(4, resample_every=1e-9).jump_times(0, 1), "more than 1000000 segments"),
        (lambda: Sobol(4, matched=1), "matched must be True or False, got 1"),
        (lambda: Sobol(3, matched=True).draw(Gaussian.standard(3)), "n=3 in 3 dimensions"),
        (lambda: GaussHermite(0), "order must be"),
        (lambda: GaussHermite(4).draw(Barenblatt(2, 2.0, 1.0)), "Gaussian reference, got Barenblatt"),
        (lambda: GaussHermite(10).draw(Gaussian.standard(7)), "makes 10000000 points"),
        (lambda: GaussHermite(20).draw(Gaussian.standard(100)), "points, more than 1000000"),
        (lambda: Sobol(1).draw(Uniform(np.zeros(22000), np.ones(22000))), "at most 21201 dimensions"),
    ],
)
def test_mistakes_are_named(build, message):
    with pytest.raises(InputError, match=message):
        build()
