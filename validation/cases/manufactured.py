"""Every map family on one manufactured flow: the true error beside the bound, against width, points and tolerance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from ...flow import GradientFlow
from ...maps import Affine, Coupling, Map, NeuralODE, Planar, Residual, Triangular
from ...metrics import Metric, Relaxed, Wasserstein
from ...points import Tailed
from ...potentials import Polynomial
from ...solvers import Cholesky, Eigh, Solver
from ..manufactured import arch
from .base import Case, Limit

UNTIL = 0.5
REACHING = 2**14
"""Points on which the true error is taken."""
LARGEST = {2: 1e-3, 10: 1e-2}
"""What the best map of a dimension is held to."""


FAMILIES: dict[str, Callable[[int, int], Map]] = {
    "residual": lambda dim, width: Affine(dim) @ Residual(dim, width=width, init="axis"),
    "planar": lambda dim, width: Affine(dim) @ Planar(dim, layers=width, init="axis"),
    "triangular": lambda dim, width: Triangular(dim, width=width),
    "coupling": lambda dim, width: Coupling(dim, layers=2 if dim == 2 else 6, width=width),
    "neural-ode": lambda dim, width: Affine(dim) @ NeuralODE(dim, width=width, init="axis"),
}


@dataclass(frozen=True)
class Variant:
    """One run of the study."""

    family: str
    dim: int
    width: int
    points: int = 1024
    rtol: float = 1e-5

    @property
    def name(self) -> str:
        """Of its case."""
        return f"manufactured-{self.dim}d-{self.family}-{self.width}-{self.points}-{self.rtol:.0e}"

    def case(self) -> Case:
        """The case, whose bound must not be below the true error.

        Its points reach the tails: on as many Sobol points the error beyond them is five times as large.
        """
        solution = arch(self.dim, until=UNTIL)
        triangular = self.family == "triangular"
        metric: Metric = Wasserstein(Polynomial(2)) if triangular else Relaxed()
        solver: Solver = Eigh(shift=1e-5) if triangular else Cholesky(shift=1e-7)
        flow = GradientFlow(
            map=FAMILIES[self.family](self.dim, self.width), energy=solution.terms, reference=solution.reference,
            points=Tailed(self.points, seed=0), metric=metric, solver=solver,
        )  # fmt: skip
        limits = [Limit("exact", "over_bound", 1.0)]
        if self == BEST[self.dim]:
            limits.append(Limit("exact", "true_error", LARGEST[self.dim]))
        return Case(
            self.name, flow, (0.0, UNTIL / 2, UNTIL), tuple(limits), make_exact=lambda: solution, rtol=self.rtol,
            atol=self.rtol / 100, evaluation=1024, certificate=True,
            own={"true_error": partial(true_error, flow), "over_bound": partial(over_bound, flow)},
        )  # fmt: skip


def true_error(flow: GradientFlow, run: xr.Dataset, exact: Any) -> np.ndarray:
    """The map error, which is >= W2, on weighted points that reach the tails, at each time, (time,).

    Where a map was fitted to points, most of its squared error lies beyond them: a sample has it by one point or none.
    """
    z, weights = Tailed(REACHING, seed=1).draw(flow.reference)
    pairs = zip(run["time"].values.tolist(), run["theta"].values, strict=True)
    gaps = [flow.transport(theta, z) - exact.flow_map(t, z) for t, theta in pairs]
    return np.sqrt([weights @ (gap**2).sum(1) for gap in gaps])


def over_bound(flow: GradientFlow, run: xr.Dataset, exact: Any) -> np.ndarray:
    """The true error over the bound on W2, at each time; 0 at the start, (time,)."""
    errors = true_error(flow, run, exact)
    return np.divide(errors, run["w2_bound"].values, out=np.zeros_like(errors), where=run["time"].values > 0)


WIDTHS = {2: (4, 8, 16), 10: (20, 40)}
RTOL = {2: 1e-5, 10: 1e-4}
BEST = {dim: Variant("residual", dim, widths[-1], rtol=RTOL[dim]) for dim, widths in WIDTHS.items()}


def sweeps() -> dict[str, list[Variant]]:
    """What is varied, by its name: the width of every family, the points and the tolerance of one."""
    found = {
        f"{family}, {dim}-D: width": [Variant(family, dim, width, rtol=RTOL[dim]) for width in widths]
        for dim, widths in WIDTHS.items()
        for family in FAMILIES
    }
    found["residual, 2-D: points"] = [Variant("residual", 2, 16, points) for points in (128, 256, 1024)]
    found["residual, 2-D: rtol"] = [Variant("residual", 2, 16, rtol=rtol) for rtol in (1e-3, 1e-4, 1e-5)]
    return found


def table(errors: dict[str, float]) -> list[str]:
    """The lines of each sweep that was run in full, from the map errors at the last time by the cases' names.

    The order is the least-squares slope of log error against log setting: of the width and the points with its sign
    changed.
    """
    lines = []
    for title, variants in sweeps().items():
        if any(variant.name not in errors for variant in variants):
            continue
        setting = title.rpartition(" ")[2]
        values = [getattr(variant, setting) for variant in variants]
        found = [errors[variant.name] for variant in variants]
        slope = float(np.polyfit(np.log(values), np.log(found), 1)[0])
        steps = "  ".join(f"{value:g}: {error:.1e}" for value, error in zip(values, found, strict=True))
        lines.append(f"{title:<28}{steps:<44}  order {slope if setting == 'rtol' else -slope:.1f}")
    return lines


def _makers(variants: Sequence[Variant]) -> dict[str, Callable[[], Case]]:
    return {variant.name: variant.case for variant in variants}


MANUFACTURED: dict[str, Callable[[], Case]] = _makers([v for variants in sweeps().values() for v in variants])
"""The cases by name; all of them are `wgfode validate manufactured`."""
