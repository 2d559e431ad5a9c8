"""Points and weights that stand for the reference: E f(z) ≈ Σ wᵢ f(zᵢ).

The points are frozen while an integrator steps, since fresh noise in every call would drive an adaptive
step to zero. With `resample_every=Δ` time is cut into segments k = 0, 1, … that begin at kΔ, and each
has its own points, a function of (seed, k) alone. The segments' ends are jumps of the right-hand side:
`jump_times` hands them to the integrator.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InputError, real
from ..references.base import Reference

LARGEST = 10**6
"""The most points of a tensor grid, and the most jumps of a run."""


class Points:
    """A rule that draws weighted points from a reference."""

    resample_every: float | None = None
    random: bool = True
    """Whether another segment has other points."""
    seed: int | None = None
    """What random points are drawn from; None where nothing is random."""

    def with_seed(self, seed: int) -> Points:
        """The rule with other random numbers; itself where nothing is random."""
        return self if self.seed is None else replace(self, seed=seed)  # type: ignore[type-var]

    def size(self, dim: int) -> int:
        """The number of points in `dim` dimensions."""
        raise NotImplementedError

    def draw(self, reference: Reference, segment: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, d), float64, and weights (N,), which sum to 1, for a segment (any whole number)."""
        raise NotImplementedError

    def segment(self, t: Any) -> int:
        """The segment that holds the time t: the largest k with kΔ <= t, and 0 without resampling.

        kΔ means the float that kΔ rounds to in the dtype of t (float64 where t has none), so that
        `segment(k * Δ) == k` for all k, in float32 too, while the next float below kΔ is in segment
        k − 1: an integrator that stops just short of a jump sees the points of the side it is on.
        `segment(t0) + numpy.searchsorted(jump_times(t0, t1), t, side="right")` is the same number
        for t in [t0, t1).
        """
        every = self.resample_every
        if every is None:
            return 0
        dtype = _dtype(t)
        t = real("t", t)
        k = math.floor(t / every)
        while float(dtype((k + 1) * every)) <= t:
            k += 1
        while float(dtype(k * every)) > t:
            k -= 1
        return k

    def jump_times(self, t0: float, t1: float) -> np.ndarray:
        """The multiples of Δ strictly between t0 and t1 (in either order), float64, ascending.

        Raises `InputError` where there are more than a million.
        """
        if self.resample_every is None:
            return np.zeros(0)
        low, high = sorted((real("t0", t0), real("t1", t1)))
        if (high - low) / self.resample_every > LARGEST:
            raise InputError(
                f"resample_every={self.resample_every} makes more than {LARGEST} segments in [{low}, {high}]"
            )
        times = np.arange(self.segment(low) + 1, self.segment(high) + 1) * self.resample_every
        return times[times < high]


def _dtype(t: Any) -> Any:
    """float32 for a float32 number or array of any framework, else float64."""
    return np.float32 if str(getattr(t, "dtype", "")).endswith("float32") else np.float64
