"""The segments of a run: in each a map of its own goes on from where the one before has come to rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import IntegrationError, Reason
from ..flow import GradientFlow
from ..maps.frame import Frame
from ..monitor.held_out import HeldOut
from ..references.carried import Carried, Layer
from ..rhs import RightHandSide
from ..stepping.integrator import BoundFlow, Integrator

Array = Any

MISSES = 0.8
"""Defect of a map that has begun anew, as a share of E|g|², beyond which the run stops."""
LITTLE = 1e-4
"""That, as a share of the largest that the run has met, below which hardly anything is left to follow."""


@dataclass(frozen=True)
class Segment:
    """What a run steps between two restarts, and what is read of it."""

    f: BoundFlow
    integrator: Integrator
    held_out: HeldOut
    begin: float = 0.0

    @property
    def flow(self) -> GradientFlow:
        """The flow from here on, of which the reference is the density at `begin`."""
        return self.f.rhs.flow

    def check(self, theta: np.ndarray, largest: float) -> None:
        """Raise where the map, begun anew at θ (m,), follows little; `largest` is the largest E|g|² of the run."""
        missed, force = self.held_out.missed(self.begin, theta)
        if missed > MISSES * force > LITTLE * largest:
            raise unfollowed(self.begin, f"{missed / force:.0%} of E|g|² is no motion of such a map")


@dataclass
class Segments:
    """The segments of a run, in order; `make` makes that of a flow which begins at a time."""

    made: list[Segment]
    make: Callable[[GradientFlow, float], Segment]

    @property
    def now(self) -> Segment:
        """The present one."""
        return self.made[-1]

    @property
    def ends(self) -> list[tuple[float, np.ndarray]]:
        """(t, θ) at which those before the present one ended."""
        layers = self.now.flow.reference.layers
        return [(after.begin, layer.theta) for after, layer in zip(self.made[1:], layers, strict=True)]

    def following(self, t: float, theta: np.ndarray) -> Segment:
        """The one whose map begins anew where the present one has come to θ at time t."""
        return self.make(anew(self.now.f.rhs, t, theta), t)


def anew(rhs: RightHandSide, t: float, theta: np.ndarray) -> GradientFlow:
    """The flow that goes on from ρ_θ at time t, with the user's map as the identity there.

    The map is laid over the images of the driving points, whitened by their own mean and covariance.
    """
    flow, backend = rhs.flow, rhs.backend
    drive, layer = rhs.drive(t), Layer(flow.transport, theta, backend)
    x, weights = (backend.to_numpy(part).astype(float) for part in (layer.call(drive.z), drive.weights))
    mean = weights @ x
    covariance = (weights[:, None] * (x - mean)).T @ (x - mean)
    reference = Carried(mean, covariance, flow.reference.origin, (*flow.reference.layers, layer))
    return replace(flow, reference=reference, map=flow.map.over(Frame.of(mean, covariance).whiten(x), weights))


def unfollowed(time: float, why: str) -> IntegrationError:
    """What ends a run whose map begins anew, and still does not follow."""
    return IntegrationError(
        time,
        f"no map of this family follows the flow from here: {why}. Either the flow tears the density apart or draws it "
        "together to points in finite time, which no map follows, or the family lacks a motion that the flow has",
        Reason.unfollowed,
    )
