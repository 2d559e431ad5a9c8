"""A smooth path through the steps of a run, and integrals along it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

SHAPE = 4
"""Knots that shape the path in an interval: degree 7, beyond the order of the integrators."""
KEEP = 4
"""Knots of the past that are worth keeping for it."""
NEAR, FAR = 0.05, 20.0
"""Between which distances, in units of the interval, other knots help: too near or too far they amplify rounding."""


class Interpolant:
    """θ(t) through knots: times (K,), parameters (K, m) and their derivatives (K, m).

    In each interval it is the Hermite interpolant of its ends and of the two best knots around, so it passes
    through every θ with its own θ̇.
    """

    def __init__(self, times: np.ndarray, thetas: np.ndarray, derivatives: np.ndarray):
        self.times, self.thetas, self.derivatives = times, thetas, derivatives
        self._interval: tuple[int, scipy.interpolate.KroghInterpolator] | None = None

    def __call__(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        """(θ, θ̇) at t, each (m,)."""
        last = len(self.times) - 1
        i = min(max(int(np.searchsorted(self.times, t, side="right")) - 1, 0), last - 1)
        if self._interval is None or self._interval[0] != i:
            # in units of the interval: powers of small time differences would underflow
            scale = self.times[i + 1] - self.times[i]
            near = nearest(self.times, i)
            nodes = np.repeat((self.times[near] - self.times[i]) / scale, 2)
            values = np.stack([self.thetas[near], scale * self.derivatives[near]], axis=1)
            self._interval = i, scipy.interpolate.KroghInterpolator(nodes, values.reshape(len(nodes), -1))
        i, interpolant = self._interval
        scale = self.times[i + 1] - self.times[i]
        value, slope = interpolant.derivatives((t - self.times[i]) / scale, der=2)
        return value, slope / scale


def nearest(times: np.ndarray, i: int, shape: int = SHAPE) -> list[int]:
    """The knots that shape interval i: its ends, and the nearest of those that are neither too near nor too far."""
    distance = (times - times[i]) / (times[i + 1] - times[i])
    chosen = [i, i + 1]
    for k in np.argsort(np.abs(distance - 0.5)):
        gaps = np.abs(distance[k] - distance[chosen])
        if len(chosen) < shape and gaps.min() >= NEAR and gaps.max() <= FAR:
            chosen.append(int(k))
    return sorted(chosen)


def integrate(
    times: np.ndarray,
    values: np.ndarray,
    weight: Callable[[np.ndarray], np.ndarray],
    sample: Callable[[float], tuple[float, ...]],
    tolerance: Callable[[float], float],
    levels: int,
) -> tuple[Callable[[float], np.ndarray], float]:
    """∫ weight · values dt from the first of times (n,), values (n, k): t ↦ the k integrals up to t.

    Also returns the error of the first one over the whole span.

    A cubic spline is integrated. Its error is estimated from what leaving out every second node changes; while
    that is above `tolerance(integral)`, `sample(t)` adds the k values in the middle of each interval,
    `levels` times at most.
    """

    def antiderivative(kept: np.ndarray) -> Callable[[float], np.ndarray]:
        nodes = times[kept]
        return scipy.interpolate.CubicSpline(nodes, weight(nodes)[:, None] * values[kept]).antiderivative()

    for level in range(levels + 1):
        last = len(times) - 1
        upto = antiderivative(np.arange(last + 1))
        fine, coarse = upto(times[-1]), antiderivative(np.union1d(np.arange(0, last, 2), [last]))(times[-1])
        # the rule of fourth order errs by a 15th of the change; of few nodes the coarse one is of lower order
        error = float(abs(fine - coarse)[0]) / (15 if last >= 6 else 3)
        if error <= tolerance(float(fine[0])) or level == levels:
            break
        middles = (times[1:] + times[:-1]) / 2
        new = np.array([sample(t) for t in middles])
        if not np.isfinite(new).all():
            break
        together = np.concatenate([times, middles])
        order = np.argsort(together, kind="stable")
        times, values = together[order], np.concatenate([values, new])[order]
    return lambda t: np.maximum(upto(t), 0.0), error
