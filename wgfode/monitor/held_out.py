"""Readings along a run: the dataset's diagnostics at any (t, θ), on one set of held-out points."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..drive import Drive
from ..flow import Segment
from ..stepping.integrator import BoundFlow

SPIKES = 0.01
"""The share of the mass that `missed` leaves out."""
LARGE = ("x", "log_density")
"""Reports of every point, which a reading leaves on the device."""


class HeldOut:
    """(t, θ) ↦ the diagnostics of `RightHandSide.diagnose` that are no fields, on n held-out points of `seed`.

    `evaluation` is the number of the dataset's own points, of the same seed: folds are judged on these.
    The points of readings are `Tailed`: the error of a fitted map lives where points are rare. The same compiled
    function makes the dataset's rows, so a reading costs no compilation where the number of points is the same.
    """

    def __init__(self, f: BoundFlow, n: int, seed: int, evaluation: int | None = None):
        self.f, self.n, self.seed = f, n, seed
        flow = f.rhs.flow
        self._held_out = f.rhs.placed(*flow.held_out(n, seed, tailed=True))
        self._defect = f.rhs.backend.compile(f.rhs.residual_of)
        self._evaluation = evaluation or n
        self._own = f.rhs.placed(*flow.held_out(self._evaluation, seed))[0]
        self._squared = f.rhs.backend.compile(f.rhs.squared_defect)
        self._jacobians = f.rhs.backend.compile(f.rhs.jacobians)

    def segment(self, t: float) -> Segment:
        """The segment of driving points that begins at or holds the time t."""
        return self.f.rhs.flow.segment(t)

    def __call__(self, t: float, theta: Any, segment: Segment | None = None) -> dict[str, np.ndarray]:
        """The reading at t and θ (m,); the points of `segment`, by default those of t, drive the flow."""
        rhs = self.f.rhs
        drive = rhs.drive(t, segment)
        report = self.f.diagnose(rhs.backend.asarray(theta), drive, drive.on(*self._held_out))
        return {name: rhs.backend.to_numpy(value) for name, value in report.items() if name not in LARGE}

    def defect(self, t: float, theta: Any, velocity: Any) -> dict[str, np.ndarray]:
        """`residual` and its error where θ (m,) moves with any velocity (m,): E|J θ̇ + g|², with no linear solve."""
        rhs, backend = self.f.rhs, self.f.rhs.backend
        z, weights, *known = self._held_out
        drive = Drive(z, weights, backend.asarray(t), rhs.arguments()).on(z, weights, *known)
        report = self._defect(backend.asarray(theta), backend.asarray(velocity), drive)
        return {name: backend.to_numpy(value) for name, value in report.items()}

    def missed(self, t: float, theta: Any) -> tuple[float, float]:
        """(δ, E|g|²) at t and θ (m,), both without the `SPIKES` of the mass where the defect is largest.

        The mean of g² may hang on single points where the density nearly folds; what a map cannot follow at all is
        not followed anywhere.
        """
        rhs, backend = self.f.rhs, self.f.rhs.backend
        z, weights, *known = self._held_out
        drive, theta = rhs.drive(t).on(z, weights, *known), backend.asarray(theta)
        velocity = self.f.at(t, theta).velocity
        defect, force = (backend.to_numpy(self._squared(theta, v, drive)) for v in (velocity, 0 * velocity))
        order, mass = np.argsort(defect), backend.to_numpy(weights)
        kept = order[np.cumsum(mass[order]) < 1 - SPIKES]
        return float(mass[kept] @ defect[kept]), float(mass[kept] @ force[kept])

    def jacobians(self, theta: Any) -> np.ndarray:
        """det of the map's space derivative at θ (m,) on the dataset's points, (n,); infinite where it has none."""
        backend = self.f.rhs.backend
        if not self.f.rhs.flow.transport.has_density:
            return np.full(self._evaluation, np.inf)
        found = backend.to_numpy(self._jacobians(backend.asarray(theta), self._own))
        return backend.devices.whole(found, self._evaluation)

    def smallest_jacobian(self, theta: Any) -> float:
        """The least of `jacobians`: where it is <= 0 injectivity is lost."""
        return float(self.jacobians(theta).min())
