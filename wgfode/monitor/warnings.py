"""What a run says in time: a map that cannot follow, over-fitting, and linear solves that fall short."""

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
FOLLOWS = 0.2
"""The defect as a share of the motion beyond which a run says that its map does not follow."""
ENOUGH = 10
"""Equations a parameter beyond which more points do not help against over-fitting."""


class Warnings:
    """Judges the readings of a run, and logs a warning when something begins to go wrong.

    `backward` is when an internal energy first had U'' < 0, or None. `overfits` is when the velocity first fitted
    the driving points better than others, or None; `strays` when its defect √δ first was more than `FOLLOWS` of the
    motion, or None, and `worst` the largest such share. `fallbacks` counts the readings at which Cholesky gave way to
    the smooth filter, `stagnations` those at which an iterative solve fell short of its tolerance, both out of
    `readings`.
    """

    def __init__(self, rhs: RightHandSide):
        self.rhs = rhs
        self.overfits: float | None = None
        self.backward: float | None = None
        self.strays: float | None = None
        self.largest = self.worst = 0.0
        self._spent = self._moved = 0.0  # ∫δ dt and ∫E|g|² dt
        self._before: tuple[float, float, float] | None = None  # t, δ and E|g|² of the reading before
        self.readings = self.fallbacks = self.stagnations = 0

    def __call__(self, time: float, reading: dict[str, np.ndarray]) -> bool:
        """Judge a reading; whether the residuals have parted."""
        self.readings += 1
        self.largest = max(self.largest, float(reading["force"]))
        self._solver(time, reading)
        if self.backward is None and float(reading.get("least_diffusivity", 0.0)) < 0:
            self.backward = time
            log.warning(
                "from t=%.4g the density is where U'' < 0: a backward diffusion, which is ill-posed; what follows "
                "depends on the points and on the map", time,
            )  # fmt: skip
        self._following(time, reading)
        return self._overfitting(time, reading)

    def _following(self, time: float, reading: dict[str, np.ndarray]) -> None:
        """Compare δ with the motion: the largest E|g|² so far, and ∫δ dt with ∫E|g|² dt.

        Both stay small near an equilibrium, where δ/E|g|² itself says nothing; the integrals see a map that is
        stuck after a short and violent start.
        """
        sure, force = _sure(reading), float(reading["force"])
        if self._before is not None:
            t, sure_before, force_before = self._before
            self._spent += (time - t) * (sure + sure_before) / 2
            self._moved += (time - t) * (force + force_before) / 2
        self._before = time, sure, force
        spent = self._spent / self._moved if self._moved > 0 else 0.0
        share = max(sure / self.largest if self.largest > 0 else 0.0, spent) ** 0.5
        self.worst = max(self.worst, share)
        if not share > FOLLOWS or self.strays is not None:
            return
        self.strays = time
        fitted = float(reading["residual_in_sample"]) < _delta(reading) / PARTED
        log.warning(
            "from t=%.4g the map does not follow the flow: the velocity's defect √E|Jξ − g|² is %.2g of the motion. %s",
            time, share,
            "It fits the driving points and not others: see what is said of over-fitting" if fitted else
            f"{self.rhs.flow.map!r} has no such motion: use a richer map (composed with Residual or Planar layers; "
            "more width or layers) or, for a triangular or coupling map, metric=Wasserstein(potentials)",
        )  # fmt: skip

    def _overfitting(self, time: float, reading: dict[str, np.ndarray]) -> bool:
        out, inside = float(reading["residual"]), float(reading["residual_in_sample"])
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
                "on held-out ones (%d equations for %d parameters). %s%s",
                time, inside, n, out, n * flow.dim, flow.size, _advice(n * flow.dim / flow.size),
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
        steps, tolerance = int(reading["linear_steps"]), self.rhs.tolerance
        if solver.stagnates(residual, steps, self.rhs.flow.size, tolerance):
            self.stagnations += 1
            if self.stagnations == 1:
                log.warning(
                    "at t=%.4g %s stagnated: relative residual %.3g after %d steps, with a goal of %.3g. "
                    "A larger shift, more steps (max_steps) or a looser rtol help (now %r); "
                    "w2_bound has the error inside",
                    time, solver.name, residual, steps, solver.goal(tolerance), solver,
                )  # fmt: skip

    def attributes(self) -> dict[str, Any]:
        """What the dataset's attributes say; only what happened."""
        found: dict[str, Any] = {}
        if self.strays is not None:
            found["defect"] = (
                f"up to {self.worst:.2g} of the motion, above {FOLLOWS:g} from t={self.strays:.6g}: "
                "the map does not follow the flow"
            )
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


def _delta(reading: dict[str, np.ndarray]) -> float:
    """δ: with the exact metric, what moves no mass is no defect."""
    return float(reading.get("residual_projected", reading["residual"]))


def _sure(reading: dict[str, np.ndarray]) -> float:
    """What of δ is more than sampling error."""
    return max(_delta(reading) - SIGMAS * float(reading["residual_error"]), 0.0)


def _advice(equations: float) -> str:
    """What helps a run that over-fits, with this many equations a parameter; docs/trust.md has the measurements."""
    more = "more points, " if equations < ENOUGH else ""
    return (
        f"What helps: {more}a smaller map, or a larger shift of the solver (100 times the present one); fresh points "
        "(resample='auto', or resample_every of the points) help where the map is not near a fold already"
    )
