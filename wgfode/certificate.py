"""A bound on the Wasserstein-2 error, integrated along a run.

For an energy that is λ-convex along Wasserstein geodesics, and a flow whose velocity misses −g by
δ(t) = E|Jξ − g|²,

    W₂(ρ_θt, ρ_t) ≤ e,   e' = −λe + √δ,   e(0) = E₀

(S. Liu, W. Li, H. Zha & H. Zhou, "Neural parametric Fokker–Planck equations", SIAM J. Numer. Anal. 60 (2022)
1385–1449; the general case is Grönwall's lemma in the Wasserstein space, L. Ambrosio, N. Gigli & G. Savaré,
*Gradient Flows*, ch. 11). With a drift b in place of a gradient λ is its monotonicity, (b(x)−b(y))·(x−y) ≤ −λ|x−y|²:
two solutions driven by the same noise contract at that rate, whatever the constant diffusion matrix. The bound holds
for every smooth path θ(t), whatever made it, with ξ = −θ̇ the slope of that path. The path taken is one through the
computed θ, so the errors of the map, of finitely many driving points, of the linear solver and of the integrator in
time are all inside, and none of them is estimated. What the bound does not contain is the sampling error of δ, whose
standard error is carried along. The error of its integral in time is estimated and added.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .energies import Energy
from .energies.convexity import quadratic_convexity
from .flow import Segment
from .monitor.held_out import HeldOut
from .monitor.interpolant import KEEP, Interpolant, integrate
from .stepping.state import State

log = logging.getLogger("wgfode")

INNER = (0.25, 0.5, 0.75)
"""Where √δ is read within a step. In the middle alone a step's error may hide: the path's departure changes sign."""

LEVELS = 1
"""How often the distances between these are halved to reach the tolerance."""

CLOSE = 1e-2
"""Relative error of the bound's integral below which nothing is gained, however tight the run's tolerance."""

__all__ = ["Certificate", "absent", "quadratic_convexity", "rate"]

Reading = dict[str, np.ndarray]


class Certificate:
    """e, its standard error and its integrator's part, advanced with the states of a run.

    The path passes through every accepted θ with its own θ̇. √δ is read there, where θ̇ is the right-hand side, and
    within each step, where it is the slope of the path and no linear problem is solved; and closer as far as
    `rtol` and `atol` ask for it. All readings share their held-out points, so their errors are taken as fully
    correlated: the standard error u of e obeys u' = −λu + se(√δ). `quadrature` sums the estimated errors of the
    integrals, and is inside e. `integrator` is the part of e that is seen only between accepted steps: the path's
    departure from the right-hand side.
    """

    def __init__(self, held_out: HeldOut, convexity: float, initial_error: float, rtol: float, atol: float):
        self.held_out, self.convexity, self.rtol, self.atol = held_out, convexity, rtol, atol
        self.bound, self.error, self.integrator, self.quadrature = initial_error, 0.0, 0.0, 0.0
        self.outputs: list[tuple[float, float, float]] = []
        self._knots: list[tuple[float, np.ndarray]] = []
        self._readings: list[tuple[Segment, Reading]] = []  # of the knots up to the last settling, with their segment

    def begin(self, knots: list[tuple[float, np.ndarray]]) -> None:
        """Start from the last of some (t, θ); the ones before only shape the path."""
        self._knots, self._done, self._readings = list(knots), len(knots) - 1, []

    def follow(self, state: State) -> None:
        """Take note of a state and of the steps before it."""
        ahead = self._knots[-1][0]
        self._knots += [knot for knot in (*state.knots, (state.time, state.theta)) if knot[0] > ahead]

    def settle(self, outputs: Sequence[float] = ()) -> list[tuple[float, Reading]]:
        """Advance the bound to the last state; all since the last settling lies in one segment of points.

        `outputs` are times since then, for which `outputs` will hold the bound, its error and its integrator's part.
        Returns (t, reading) of the accepted steps since then.
        """
        self.outputs = [(self.bound, self.error, self.integrator)] * len(outputs)
        if self._done == len(self._knots) - 1:
            return []
        segment = self.held_out.segment(self._knots[self._done][0])
        # the path has a kink where the points change
        first = next(i for i, (t, _) in enumerate(self._knots) if self.held_out.segment(t) == segment)
        knots, begin = self._knots[first:], self._done - first
        known = [reading for of, reading in self._readings[first:] if of == segment]
        if len(known) != begin + 1:
            known = []
        readings = known + [self.held_out(t, theta, segment) for t, theta in knots[len(known) :]]
        upto = self._advance(knots, readings, begin)
        new, self.outputs = upto(knots[-1][0]), [upto(t)[:3] for t in outputs]
        kept = min(len(knots), KEEP)
        # at once: Ctrl-C must not come between
        (self.bound, self.error, self.integrator, self.quadrature), self._knots, self._done, self._readings = (
            new, knots[-kept:], kept - 1, [(segment, reading) for reading in readings[-kept:]]
        )  # fmt: skip
        return [(t, reading) for (t, _), reading in zip(knots, readings, strict=True)][begin + 1 :]

    def _advance(
        self, knots: list[tuple[float, np.ndarray]], readings: list[Reading], begin: int
    ) -> Callable[[float], tuple[float, float, float, float]]:
        """t ↦ (bound, error, integrator, quadrature) at t, from those at the knot `begin`."""
        times = np.array([t for t, _ in knots])
        velocities = np.array([reading["velocity"] for reading in readings], float)
        rates = np.array([rate(reading) for reading in readings[begin:]])
        span = times[begin:]

        def decay(t: Any) -> Any:
            return np.exp(-self.convexity * (times[-1] - t))

        old = decay(span[0]) * np.array([self.bound, self.error, self.integrator, self.quadrature])
        widths = np.diff(span)
        upto, error, steps = (lambda t: np.full(2, np.nan)), np.nan, np.full(len(widths), np.nan)
        if np.isfinite(rates).all() and np.isfinite(velocities).all():
            path = Interpolant(times, np.array([theta for _, theta in knots], float), velocities)

            def sample(t: float) -> tuple[float, float]:
                return rate(self.held_out.defect(t, *path(t)))

            inner = span[:-1, None] + widths[:, None] * np.array(INNER)
            between = np.array([[sample(t) for t in row] for row in inner])  # (steps, inner, 2)
            if np.isfinite(between).all():
                nodes = np.append(np.column_stack([span[:-1], inner]).ravel(), span[-1])
                values = np.concatenate([rates[:-1, None], between], axis=1).reshape(-1, 2)
                close = max(self.rtol, CLOSE)
                upto, error = integrate(
                    nodes, np.append(values, rates[-1:], axis=0), decay, sample,
                    lambda e: CLOSE * self.atol + close * (old[0] + e), LEVELS,
                )  # fmt: skip
                # above the chord between accepted steps; as Boole's rule has it, which gives the ends of a step 7/90
                chord = rates[:-1, :1] + np.diff(rates[:, 0])[:, None] * np.array(INNER)
                bumps = np.maximum(between[:, :, 0] - chord, 0.0) @ np.array([32, 12, 32]) / 90
                steps = widths * decay(span[1:] - widths / 2) * bumps

        def at(t: float) -> tuple[float, float, float, float]:
            integral = upto(t)
            # a bump s(1−s) spread over each step
            s = np.clip((t - span[:-1]) / widths, 0, 1)
            part = np.minimum(np.sum(s**2 * (3 - 2 * s) * steps), integral[0])
            new = (old + np.array([integral[0] + error, integral[1], part, error])) / decay(t)
            return tuple(map(float, new))  # type: ignore[return-value]

        if np.isfinite(self.bound) and not np.isfinite(at(times[-1])[0]):
            log.warning("no bound after t=%.6g: the residual on held-out points is not finite", span[0])
        return at

    @property
    def knots(self) -> list[tuple[float, np.ndarray]]:
        """The (t, θ) with which `begin` goes on as if nothing had happened."""
        return self._knots[: self._done + 1]

    def carried(self) -> dict[str, float]:
        """What else a checkpoint keeps."""
        return {name: getattr(self, name) for name in ("bound", "error", "integrator", "quadrature")}

    def restore(self, carried: dict[str, float]) -> None:
        """The reverse of `carried`."""
        vars(self).update(carried)


def absent(energy: Energy) -> str | None:
    """Why there is no bound for `energy`, or None where there is one."""
    if energy.modulus is not None:
        return None
    unknown = [repr(term) for coefficient, term in energy.terms
               if term.modulus_times(coefficient) is None]  # fmt: skip
    return (
        f"no λ of displacement convexity is known for {', '.join(unknown)}: give Potential(V, convexity=λ), λ the "
        "least eigenvalue of V's Hessian anywhere (wgfode.certificate.quadratic_convexity finds it for a quadratic V), "
        "or Drift(b, monotonicity=λ), with (b(x)−b(y))·(x−y) <= −λ|x−y|²"
    )


def rate(reading: dict[str, np.ndarray]) -> tuple[float, float]:
    """√δ and its standard error."""
    delta, error = float(reading["residual"]), float(reading["residual_error"])
    root = np.sqrt(delta)
    # the square root's derivative, or its modulus of continuity where δ is not told from 0
    return root, min(error / (2 * root), np.sqrt(error)) if root > 0 else np.sqrt(error)
