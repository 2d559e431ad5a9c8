"""The whole problem as one frozen value, checked when it is built."""

from __future__ import annotations

import html
import warnings
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .backend.protocol import Backend
from .checks import Trial
from .energies import Energy
from .errors import InputError, choice, real, settle, shown
from .maps.base import Map
from .maps.frame import Frame
from .maps.whitened import Whitened
from .metrics import Metric, Relaxed
from .points import Points, Sobol, Tailed
from .pushforward import reference_score
from .references import Reference, stein
from .solvers import Auto, Solver

HELD_OUT = 1_000_003
"""Added to seeds of evaluation points, so that they share no stream with the driving points."""

TRIED = 64
"""The most points on which the functions of an energy are tried; never as many as dimensions."""


class Segment(NamedTuple):
    """A piece of time in which the right-hand side does not jump."""

    points: int
    """The segment of the points."""
    piece: int
    """How many of the flow's `jumps` are past."""


def before(t: float, dtype: str) -> float:
    """A time just short of t, also for stages that round to `dtype`."""
    return t - 8 * float(np.finfo(dtype).eps) * abs(t)


@dataclass(frozen=True)
class GradientFlow:
    """The Wasserstein gradient flow of `energy`, on the densities that `map` makes of `reference`.

    - `map`: what T_θ is in coordinates in which the reference has mean 0 and covariance 1, e.g.
      `Affine(10) @ Planar(10, layers=20)`; `transport` is T_θ itself;
    - `energy`: F(ρ), e.g. `Potential(V) + D * Entropy()`;
    - `reference`: λ, which is also the initial density where the map starts at the identity, else that is T_θ0#λ;
    - `points`: the points at which expectations over λ are taken;
    - `metric`: `Relaxed()` (Ĝ) or `Wasserstein(potentials)` (G);
    - `solver`: how the linear problem is solved; `Auto()` picks by size;
    - `estimator`: "velocity" (least squares against g; the default) or "energy" (∇_θ of the sampled
      energy, the literature's; it overfits the log-determinant on frozen points) or "blended" (`wgfode.blended`:
      the velocity's and the energy's form of the density's part, mixed with least variance; for maps whose fields have
      cheap divergences: Ridge, Affine, Basis);
    - `jumps`: times at which functions that name `t` jump. A step of `solve` ends just before each and the next begins
      after it; times outside of a run do nothing.

    Raises `InputError`, naming the argument, for anything that does not fit together: dimensions,
    an entropy with a map or reference that has no density, or with a reference whose score is not that of its
    samples (a jump; another law), a term or a solver that the estimator cannot serve, potentials and drifts of the
    wrong shape or not finite on sample points, a diffusion matrix of another size, an asymmetric W, a U that is not
    convex.
    """

    map: Map
    energy: Energy
    reference: Reference
    points: Points = field(default_factory=lambda: Sobol(1024, seed=0, matched=True))
    metric: Metric = field(default_factory=Relaxed)
    solver: Solver = field(default_factory=Auto)
    estimator: str = "velocity"
    jumps: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("map", Map), ("energy", Energy), ("reference", Reference), ("points", Points),
                           ("metric", Metric), ("solver", Solver)):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise InputError(f"{name} must be a wgfode {kind.__name__}, got {shown(value)}")
        estimator = choice("estimator", self.estimator, ("velocity", "energy", "blended"))
        settle(self, estimator=estimator, jumps=_jumps(self.jumps))
        if self.jumps and "t" not in self.energy.names:
            raise InputError(f"jumps={self.jumps} are of functions that name t, and none of {self.energy!r} does")
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
        if self.estimator == "energy" and (without := [t for _, t in self.energy.terms if not t.has_energy]):
            raise InputError(
                f"estimator='energy' is the gradient of the sampled energy, and {', '.join(map(repr, without))} has "
                "none: use estimator='velocity'"
            )
        if self.estimator == "blended" and self.energy.needs_density and not self.map.has_divergences:
            raise InputError(
                f"estimator='blended' needs the divergences of the map's tangent fields, which {self.map!r} does not "
                "know: use Ridge, Affine or Basis, or estimator='velocity'"
            )
        if self.estimator != "velocity" and self.solver.needs_target:
            raise InputError(
                f"solver {self.solver!r} solves the least-squares problem of estimator='velocity'; with "
                f"estimator={self.estimator!r} only ∇F is known: use MINRES, Cholesky, Eigh or Auto"
            )
        if warning := self.metric.check(self.dim, len(self.points.draw(self.reference.origin)[0])):
            warnings.warn(warning, stacklevel=3)
        self.check()

    def check(self, backend: Backend | None = None, args: Any = None) -> None:
        """Try the functions of the energy and of the reference on sample points, as `backend` will use them.

        Without a backend (when a flow is built) on numpy arrays, and what takes none is left for later; so are
        functions that name `args`, where none are given. Raises `InputError`, see `checks.Trial` and
        `references.stein`.
        """
        if backend is not None and self.map.framework not in (None, backend.name):
            other = {"torch": "torchdiffeq", "jax": "diffrax"}[str(self.map.framework)]
            raise InputError(
                f"map {self.map!r} is a model of {self.map.framework} and cannot run on {backend.name}: use "
                f"integrator={other!r} (wgfode.adapters.{other}), or bring the model over to {backend.name}"
            )
        if self.reference.layers:
            return  # the flow of its origin was tried
        if self.energy.needs_density:
            _check_reference(self.reference, backend)
        sample = self.points.draw(self.reference)[0][: TRIED if self.dim != TRIED else TRIED - 1]
        densities = _densities(self.reference, sample, backend) if self.energy.needs_density else None
        self.energy.check(Trial(sample, densities, backend, 0.0 if backend is None else backend.asarray(0.0), args))
        if backend is not None:
            seen = self.frame.whiten(sample) if self.map.starts_at_identity else sample
            self.map.check(backend, seen, self.energy.needs_density)

    def _repr_html_(self) -> str:
        """The parts of the flow as a table, in notebooks."""
        shown_ = {item.name: getattr(self, item.name) for item in fields(self)}
        shown_ |= {"dimension": self.dim, "parameters": self.size}
        rows = (
            f"<tr><th style='text-align: left'>{name}</th><td><code>{html.escape(str(value))}</code></td></tr>"
            for name, value in shown_.items()
        )
        return f"<table><caption>{type(self).__name__}</caption>{''.join(rows)}</table>"

    @property
    def dim(self) -> int:
        """d."""
        return self.map.dim

    @property
    def size(self) -> int:
        """m, the number of parameters."""
        return self.map.size

    def jump_times(self, t0: float, t1: float) -> np.ndarray:
        """Where the right-hand side jumps strictly between two times: at `jumps`, and where the points change."""
        low, high = sorted((t0, t1))
        return np.union1d(self.points.jump_times(t0, t1), [t for t in self.jumps if low < t < high])

    def segment(self, t: Any) -> Segment:
        """The piece of time that holds t, between two jumps: it begins with the first."""
        return Segment(self.points.segment(t), int(np.searchsorted(self.jumps, float(t), side="right")))

    def within(self, t: float, segment: Segment) -> float:
        """t, or the last time of its segment where it is the segment's end: functions are asked on this side of it."""
        if segment.piece == len(self.jumps) or t < self.jumps[segment.piece]:
            return t
        return before(self.jumps[segment.piece], "float64")

    @cached_property
    def frame(self) -> Frame:
        """The whitened coordinates of the reference."""
        return Frame.of(self.reference.mean, self.reference.covariance)

    @cached_property
    def transport(self) -> Map:
        """T_θ: `transport(theta, z)` takes points of the reference (N, d) to those of ρ_θ.

        It is `map` on whitened coordinates (`maps.whitened`): `map` itself for a reference of mean 0 and covariance 1,
        and for a map that starts at a given one.
        """
        if self.frame.plain or not self.map.starts_at_identity:
            return self.map
        # what a map is told of the reference's own coordinates stands for the same whitened ones where it begins anew
        origin = Frame.of(self.reference.origin.mean, self.reference.origin.covariance)
        return Whitened(self.map.within(origin), self.frame)

    def held_out(self, n: int, seed: int = 0, *, tailed: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """n evaluation points (n, d) and weights (n,), independent of the ones that drive the flow.

        They are of the reference's origin, where maps have carried it.

        With `tailed` they reach into the tails (`points.Tailed`), which what is read on the way needs.
        """
        rule: Points = Tailed(n, seed=seed + HELD_OUT) if tailed else Sobol(n, seed=seed + HELD_OUT)
        return rule.draw(self.reference.origin)


@lru_cache(maxsize=32)
def _settled(reference: Reference) -> bool:
    """Whether the score of `reference` could be tested on numpy arrays; raises `InputError` where it is wrong."""
    score = stein.numpy_score(reference)
    if score is not None:
        stein.check(reference, score)
    return score is not None


def _check_reference(reference: Reference, backend: Backend | None) -> None:
    if _settled(reference) or backend is None:
        return
    stein.check(
        reference, lambda z: backend.to_numpy(reference_score(backend, reference, backend.asarray(z))).astype(float)
    )


def _densities(reference: Reference, z: np.ndarray, backend: Backend | None) -> np.ndarray | None:
    """λ at points z (N, d), or None where its log density takes no numpy arrays and no framework is bound."""
    try:
        there = z if backend is None else backend.asarray(z)
        found = (reference.log_density if backend is None else backend.compile(reference.log_density))(there)
        return np.exp(np.asarray(found if backend is None else backend.to_numpy(found), dtype=float))
    except Exception as error:
        if backend is None:
            return None
        raise InputError(f"the reference's log_density failed: {type(error).__name__}: {error}") from error


def _jumps(value: Any) -> tuple[float, ...]:
    """`value` as increasing times, else an `InputError`."""
    try:
        jumps = tuple(real("jumps", t) for t in value)
    except TypeError:
        raise InputError(f"jumps must be a sequence of times, got {shown(value)}") from None
    if any(b <= a for a, b in pairwise(jumps)):
        raise InputError(f"jumps must be strictly increasing, got {jumps}")
    return jumps
