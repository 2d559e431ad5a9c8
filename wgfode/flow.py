"""The whole problem as one frozen value, checked when it is built."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .checks import Trial
from .energies import Energy
from .errors import InputError, choice, settle
from .maps.base import Map
from .maps.frame import Frame
from .maps.whitened import Whitened
from .metrics import Metric, Relaxed
from .points import Points, Sobol
from .references import Reference
from .solvers import Auto, Solver

HELD_OUT = 1_000_003
"""Added to seeds of evaluation points, so that they share no stream with the driving points."""


@dataclass(frozen=True)
class GradientFlow:
    """The Wasserstein gradient flow of `energy`, on the densities that `map` makes of `reference`.

    - `map`: what T_θ is in coordinates in which the reference has mean 0 and covariance 1, e.g.
      `Affine(10) @ Planar(10, layers=20)`; `transport` is T_θ itself;
    - `energy`: F(ρ), e.g. `Potential(V) + D * Entropy()`;
    - `reference`: λ, which is also the initial density, since maps start at the identity;
    - `points`: the points at which expectations over λ are taken;
    - `metric`: `Relaxed()` (Ĝ) or `Wasserstein(potentials)` (G);
    - `solver`: how the linear problem is solved; `Auto()` picks by size;
    - `estimator`: "velocity" (least squares against g; the default) or "energy" (∇_θ of the sampled
      energy, the literature's; it overfits the log-determinant on frozen points).

    Raises `InputError`, naming the argument, for anything that does not fit together: dimensions,
    an entropy with a map or reference that has no density, a solver that the estimator cannot serve,
    potentials of the wrong shape or not finite on sample points, an asymmetric W.
    """

    map: Map
    energy: Energy
    reference: Reference
    points: Points = field(default_factory=lambda: Sobol(1024, seed=0, matched=True))
    metric: Metric = field(default_factory=Relaxed)
    solver: Solver = field(default_factory=Auto)
    estimator: str = "velocity"

    def __post_init__(self) -> None:
        for name, kind in (("map", Map), ("energy", Energy), ("reference", Reference), ("points", Points),
                           ("metric", Metric), ("solver", Solver)):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise InputError(f"{name} must be a wgfode {kind.__name__}, got {value!r}")
        settle(self, estimator=choice("estimator", self.estimator, ("velocity", "energy")))
        if self.map.dim != self.reference.dim:
            raise InputError(f"map has dimension {self.map.dim} and reference has dimension {self.reference.dim}")
        if self.map.size == 0:
            raise InputError(f"map {self.map!r} has no parameters, so nothing can flow")
        if self.energy.needs_density:
            for name in ("map", "reference"):
                if not getattr(self, name).has_density:
                    raise InputError(
                        f"energy {self.energy!r} needs the density of the pushed reference, and {name} "
                        f"{getattr(self, name)!r} has none"
                    )
        if self.estimator == "energy" and self.solver.needs_target:
            raise InputError(
                f"solver {self.solver!r} solves the least-squares problem of estimator='velocity'; with "
                "estimator='energy' only ∇F is known: use MINRES, Cholesky, Eigh or Auto"
            )
        sample, _ = self.points.draw(self.reference)
        if warning := self.metric.check(self.dim, len(sample)):
            warnings.warn(warning, stacklevel=3)
        self.energy.check(Trial(sample[:64]))

    @property
    def dim(self) -> int:
        """d."""
        return self.map.dim

    @property
    def size(self) -> int:
        """m, the number of parameters."""
        return self.map.size

    @cached_property
    def frame(self) -> Frame:
        """The whitened coordinates of the reference."""
        return Frame.of(self.reference.mean, self.reference.covariance)

    @cached_property
    def transport(self) -> Map:
        """T_θ: `transport(theta, z)` takes points of the reference (N, d) to those of ρ_θ.

        It is `map` on whitened coordinates (`maps.whitened`): `map` itself for a reference of mean 0 and covariance 1.
        """
        return self.map if self.frame.plain else Whitened(self.map.within(self.frame), self.frame)

    def held_out(self, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """n evaluation points (n, d) and weights (n,), independent of the ones that drive the flow."""
        return Sobol(n, seed=seed + HELD_OUT).draw(self.reference)
