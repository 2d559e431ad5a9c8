"""What a run says in time: over-fitting, and linear solves that fall short."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from ..rhs import RightHandSide

log = logging.getLogger("wgfode")

PARTED = 2.0
"""Held-out over in-sample residual beyond which a run overfits its driving points."""
FLOOR = 1e-4
"""The held-out residual that matters, as a share of the largest E|g|² that the run has met."""
SIGMAS = 1.5
"""By how many standard errors the two residuals must differ."""
SLACK = 2.0
"""Relative residual of a linear solve over the one it was to reach, beyond which it stagnates."""


class Warnings:
    """Judges the readings of a run, and logs a warning when something begins to go wrong.

    `backward` is when an internal energy first had U'' < 0, or None. `overfits` is when the velocity first fitted
    the driving points better than others, or None. `fallbacks` counts the readings at which Cholesky gave way to
    the smooth filter, `stagnations` those at which an iterative solve fell short of its tolerance, both out of
    `readings`.
    """

    def __init__(self, rhs: RightHandSide):
        self.rhs = rhs
        self.overfits: float | None = None
        self.backward: float | None = None
        self.largest = 0.0
        self.readings = self.fallbacks = self.stagnations = 0

    def __call__(self, time: float, reading: dict[str, np.ndarray]) -> bool:
        """Judge a reading; whether the residuals have parted."""
        self.readings += 1
        self._solver(time, reading)
        if self.backward is None and float(reading.get("least_diffusivity", 0.0)) < 0:
            self.backward = time
            log.warning(
                "from t=%.4g the density is where U'' < 0: a backward diffusion, which is ill-posed; what follows "
                "depends on the points and on the map", time,
            )  # fmt: skip
        return self._overfitting(time, reading)

    def _overfitting(self, time: float, reading: dict[str, np.ndarray]) -> bool:
        out, inside = float(reading["residual"]), float(reading["residual_in_sample"])
        self.largest = max(self.largest, float(reading["force"]))
        parted = (
            out > PARTED * inside
            and out > FLOOR * self.largest
            and out - inside > SIGMAS * float(reading["residual_error"])
        )
        if parted and self.overfits is None:
            self.overfits = time
            flow = self.rhs.flow
            n = flow.points.size(flow.dim)
            log.warning(
                "over-fitting from t=%.4g: the velocity's defect E|Jξ − g|² is %.3g on the %d driving points and %.3g "
                "on held-out ones. Use more points (now %d equations for %d parameters), resample "
                "(resample='auto', or resample_every of the points), or take a smaller map%s",
                time, inside, n, out, n * flow.dim, flow.size,
                "" if flow.estimator == "velocity" else ", or estimator='velocity', which overfits far less",
            )  # fmt: skip
        return parted

    def _solver(self, time: float, reading: dict[str, np.ndarray]) -> None:
        solver, residual = self.rhs.solver, float(reading["linear_residual"])
        if int(reading["linear_fallback"]):
            self.fallbacks += 1
            if self.fallbacks == 1:
                log.warning(
                    "at t=%.4g the Gram matrix is singular to rounding, and %s gave way to the smooth filter of Eigh "
                    "(linear residual %.3g); the dataset counts how often", time, solver.name, residual,
                )  # fmt: skip
        goal = solver.goal(self.rhs.tolerance)
        if goal is not None and not residual <= SLACK * goal:
            self.stagnations += 1
            if self.stagnations == 1:
                log.warning(
                    "at t=%.4g %s stagnated: relative residual %.3g after %d steps, where %.3g was asked. "
                    "A larger shift, more steps (max_steps) or a looser rtol help (now %r); "
                    "w2_bound has the error inside",
                    time, solver.name, residual, int(reading["linear_steps"]), goal, solver,
                )  # fmt: skip

    def attributes(self) -> dict[str, Any]:
        """What the dataset's attributes say; only what happened."""
        found: dict[str, Any] = {}
        if self.overfits is not None:
            found["overfitting"] = f"from t={self.overfits:.6g}"
        if self.backward is not None:
            found["backward_diffusion"] = f"from t={self.backward:.6g}"
        for name, count in (("solver_fallbacks", self.fallbacks), ("solver_stagnations", self.stagnations)):
            if count:
                found[name] = f"{count} of {self.readings} readings"
        return found

    def carried(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {name: value for name, value in vars(self).items() if name != "rhs"}

    def restore(self, carried: dict[str, Any]) -> None:
        """The reverse of `carried`."""
        vars(self).update(carried)
