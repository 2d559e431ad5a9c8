"""Readings along a run: the dataset's diagnostics at any (t, θ), on one set of held-out points."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..drive import Drive
from ..flow import Segment
from ..stepping.integrator import BoundFlow

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
        self._held_out = f.rhs.placed(*f.rhs.flow.held_out(n, seed, tailed=True))
        self._defect = f.rhs.backend.compile(f.rhs.residual_of)
        self._own = f.rhs.placed(*f.rhs.flow.held_out(evaluation or n, seed))[0]
        self._smallest_jacobian = f.rhs.backend.compile(f.rhs.smallest_jacobian)

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
        z, weights = self._held_out
        drive = Drive(z, weights, backend.asarray(t), rhs.arguments())
        report = self._defect(backend.asarray(theta), backend.asarray(velocity), drive)
        return {name: backend.to_numpy(value) for name, value in report.items()}

    def smallest_jacobian(self, theta: Any) -> float:
        """The dataset's `min_jacobian` at θ (m,), or inf where the map has none."""
        if not self.f.rhs.flow.transport.has_density:
            return np.inf
        return float(self._smallest_jacobian(self.f.rhs.backend.asarray(theta), self._own))
