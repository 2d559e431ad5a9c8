"""Readings along a run: the dataset's diagnostics at any (t, θ), on one set of held-out points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..adapters.base import AdaptedRightHandSide

LARGE = ("x", "log_density")
"""Reports of every point, which a reading leaves on the device."""


class HeldOut:
    """θ ↦ the diagnostics of `RightHandSide.diagnose` that are no fields, on n held-out points of `seed`.

    The same compiled function makes the dataset's rows, so a reading costs no compilation.
    """

    def __init__(self, f: AdaptedRightHandSide, n: int, seed: int):
        self.f, self.n, self.seed = f, n, seed
        self._held_out = tuple(f.rhs.backend.asarray(part) for part in f.rhs.flow.held_out(n, seed))

    def segment(self, t: float) -> int:
        """The segment of driving points that begins at or holds the time t."""
        return self.f.rhs.flow.points.segment(t)

    def __call__(self, theta: Any, segment: int) -> dict[str, np.ndarray]:
        """The reading at θ (m,), the flow driven by the points of `segment`."""
        rhs = self.f.rhs
        report = self.f.diagnose(rhs.backend.asarray(theta), *rhs.points_of(segment), *self._held_out)
        return {name: rhs.backend.to_numpy(value) for name, value in report.items() if name not in LARGE}

    def speed(self, theta: Any, direction: Any) -> float:
        """(E|J(θ) direction|²)^½: how fast the mass moves where θ moves in a direction (m,)."""
        as_ = self.f.rhs.backend.asarray
        z, weights = self._held_out
        moved = self.f.moved(as_(theta), z, as_(direction))
        return float((weights @ (moved**2).sum(-1)) ** 0.5)
