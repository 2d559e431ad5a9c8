"""A bound on the Wasserstein-2 error, integrated along a run.

For an energy that is λ-convex along Wasserstein geodesics, and a flow whose velocity misses −g by
δ(t) = E|Jξ − g|²,

    W₂(ρ_θt, ρ_t) ≤ e,   e' = −λe + √δ,   e(0) = E₀

(S. Liu, W. Li, H. Zha & H. Zhou, "Neural parametric Fokker–Planck equations", SIAM J. Numer. Anal. 60 (2022)
1385–1449; the general case is Grönwall's lemma in the Wasserstein space, L. Ambrosio, N. Gigli & G. Savaré,
*Gradient Flows*, ch. 11). δ is that of the ξ really used, so the errors of the map, of finitely many
driving points and of the linear solver are inside. The inequality does not contain the error of the integrator
in time. That is measured beside it, as the rate at which a path through the computed θ departs from the
right-hand side, and added: a good estimate, but no bound. Nor does it contain the sampling error of δ, whose
standard error is carried along.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .energies import Energy
from .energies.convexity import quadratic_convexity
from .monitor.held_out import HeldOut
from .monitor.interpolant import KEEP, Interpolant, integrate
from .stepping.state import State

log = logging.getLogger("wgfode")

LEVELS = 3
"""How often the nodes between accepted steps are halved to reach the tolerance."""

SAFETY = 3.0
"""On the estimated errors of steps in time."""

__all__ = ["Certificate", "absent", "quadratic_convexity", "rate"]

Reading = dict[str, np.ndarray]


class Certificate:
    """e, its standard error and its integrator's part, advanced with the states of a run.

    √δ is read at every accepted step and in the middle of each, on a smooth path through θ and θ̇, and
    closer as far as `rtol` and `atol` ask for it. All readings share their held-out points, so their errors
    are taken as fully correlated: the standard error u of e obeys u' = −λu + se(√δ). `quadrature` sums
    the estimated errors of the integrals. `integrator` is the part of e that comes from steps in time.
    """

    def __init__(self, held_out: HeldOut, convexity: float, initial_error: float, rtol: float, atol: float):
        self.held_out, self.convexity, self.rtol, self.atol = held_out, convexity, rtol, atol
        self.bound, self.error, self.integrator, self.quadrature = initial_error, 0.0, 0.0, 0.0
        self.outputs: list[tuple[float, float, float]] = []
        self._knots: list[tuple[float, np.ndarray]] = []
        self._readings: list[tuple[int, Reading]] = []  # of the knots up to the last settling, with their segment

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
        readings = known + [self.held_out(theta, segment) for _, theta in knots[len(known) :]]
        upto = self._advance(knots, readings, begin, segment)
        new, self.outputs = upto(knots[-1][0]), [upto(t)[:3] for t in outputs]
        kept = min(len(knots), KEEP)
        # at once: Ctrl-C must not come between
        (self.bound, self.error, self.integrator, self.quadrature), self._knots, self._done, self._readings = (
            new, knots[-kept:], kept - 1, [(segment, reading) for reading in readings[-kept:]]
        )  # fmt: skip
        return [(t, reading) for (t, _), reading in zip(knots, readings, strict=True)][begin + 1 :]

    def _advance(
        self, knots: list[tuple[float, np.ndarray]], readings: list[Reading], begin: int, segment: int
    ) -> Callable[[float], tuple[float, float, float, float]]:
        """t ↦ (bound, error, integrator, quadrature) at t, from those at the knot `begin`."""
        times = np.array([t for t, _ in knots])
        velocities = np.array([reading["velocity"] for reading in readings], float)
        rates = np.array([rate(reading) for reading in readings[begin:]])
        span = times[begin:]

        def decay(t: Any) -> Any:
            return np.exp(-self.convexity * (times[-1] - t))

        old = decay(span[0]) * np.array([self.bound, self.error, self.integrator, self.quadrature])
        middles, widths = (span[1:] + span[:-1]) / 2, np.diff(span)
        upto, error, slips = (lambda t: np.full(2, np.nan)), np.nan, np.full(len(middles), np.nan)
        if np.isfinite(rates).all() and np.isfinite(velocities).all():
            path = Interpolant(times, np.array([theta for _, theta in knots], float), velocities)

            def sample(t: float) -> tuple[float, float]:
                return rate(self.held_out(path(t)[0], segment))

            halfway = []
            for i, t in enumerate(middles):
                theta, slope = path(t)
                reading = self.held_out(theta, segment)
                halfway.append(rate(reading))
                slips[i] = self.held_out.speed(theta, slope - reading["velocity"])
            nodes = np.sort(np.concatenate([span, middles]))
            values = np.empty((len(nodes), 2))
            values[::2], values[1::2] = rates, halfway
            if np.isfinite(values).all():
                upto, error = integrate(
                    nodes, values, decay, sample, lambda e: self.atol + self.rtol * (old[0] + e), LEVELS
                )

        def at(t: float) -> tuple[float, float, float, float]:
            # the error ε of a step spreads over it as a bump 6ε s(1−s)/h, whose height in the middle tells ε
            s = np.clip((t - span[:-1]) / widths, 0, 1)
            steps = SAFETY * float(np.sum(2 / 3 * s**2 * (3 - 2 * s) * widths * decay(middles) * slips))
            integral = upto(t)
            new = (old + np.array([integral[0] + steps, integral[1], steps, error])) / decay(t)
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
        "least eigenvalue of V's Hessian anywhere (wgfode.certificate.quadratic_convexity finds it for a quadratic V)"
    )


def rate(reading: dict[str, np.ndarray]) -> tuple[float, float]:
    """√δ and its standard error."""
    delta, error = float(reading["residual"]), float(reading["residual_error"])
    root = np.sqrt(delta)
    # the square root's derivative, or its modulus of continuity where δ is not told from 0
    return root, min(error / (2 * root), np.sqrt(error)) if root > 0 else np.sqrt(error)
