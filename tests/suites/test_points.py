"""Every rule of points: weights, reproducibility, streams of segments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from suites.subjects import examples, name_of

from wgfode.references import Gaussian

REFERENCE = Gaussian([1.0, -1.0], [[2.0, 0.5], [0.5, 1.0]])
every = pytest.mark.parametrize("points", examples("points"), ids=name_of)


@every
def test_weights_sum_to_one(points: Any) -> None:
    z, weights = points.draw(REFERENCE)
    assert z.dtype == weights.dtype == np.float64
    assert z.shape == (points.size(2), 2)
    assert weights.shape == (points.size(2),)
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(weights @ z, REFERENCE.mean, atol=0.7)  # 3 standard errors of the coarsest


@every
def test_points_are_a_function_of_the_segment(points: Any) -> None:
    draws = {segment: points.draw(REFERENCE, segment)[0] for segment in (-2, 0, 1, 3)}
    for segment, z in draws.items():
        np.testing.assert_array_equal(z, points.draw(REFERENCE, segment)[0])
    for segment in (-2, 1, 3):
        same = draws[segment] == draws[0]
        assert not same.any() if points.random else same.all()


@every
def test_segments_and_their_ends_agree(points: Any) -> None:
    jumps = points.jump_times(0.0, 2.2)
    assert ((jumps > 0) & (jumps < 2.2)).all()
    for t in (0.0, 0.3, 0.5, 1.7):
        assert points.segment(t) - points.segment(0.0) == np.searchsorted(jumps, t, side="right")
