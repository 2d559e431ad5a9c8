"""A flow with the references and the bounds that its runs are held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from ...flow import GradientFlow
from ..grid import solve_grid

L1 = 2e-2
"""The largest L1 distance between a run and its references, wherever the map has a density."""
QUICK_POINTS = 1024
"""Held-out points of a quick validation."""


@dataclass(frozen=True)
class Limit:
    """The largest value that a figure may have at the output times in [since, until].

    `against` is "exact" or "grid", for a figure of `compare`, or "run", for a number in the dataset's attributes.
    """

    against: str
    figure: str
    largest: float
    since: float = 0.0
    until: float = np.inf


@dataclass(frozen=True)
class Box:
    """The grid beside a run: d pairs (low, high), cells along an axis, and the last time that cells of this size can
    resolve (an aggregation collapses onto a set of no volume, and no grid follows it there)."""

    sides: tuple[tuple[float, float], ...]
    cells: int
    until: float = np.inf


@dataclass(frozen=True, eq=False)
class Case:
    """A flow, its output times, and what its runs are compared with.

    `make_exact` gives the exact solution, or None; `box` is None where no grid can go. `study` names the case of
    `grid.convergence` that refines the grid on this problem. With `certificate` the runs carry their bound. `own` are
    figures beside those of `compare`, each from (run, exact solution) to (time,); they are judged with "exact".
    """

    name: str
    flow: GradientFlow
    times: tuple[float, ...]
    limits: tuple[Limit, ...]
    box: Box | None = None
    make_exact: Callable[[], Any] = lambda: None
    rtol: float = 1e-6
    atol: float = 1e-8
    evaluation: int = 4096
    study: str | None = None
    certificate: bool = False
    own: dict[str, Callable[[xr.Dataset, Any], np.ndarray]] = field(default_factory=dict)

    def grids(self) -> tuple[xr.Dataset, xr.Dataset] | None:
        """The problem solved on the box's cells, and on half of them; None where there is no box."""
        if self.box is None:
            return None
        times = [t for t in self.times if t <= self.box.until]

        def density0(x: np.ndarray) -> np.ndarray:
            return np.exp(self.flow.reference.log_density(x))

        fine, coarse = (
            solve_grid(self.flow.energy, density0, self.box.sides, cells, times)
            for cells in (self.box.cells, self.box.cells // 2)
        )
        return fine, coarse

    def quick(self) -> Case:
        """The same with fewer points and a coarser grid, under the same bounds."""
        box = None if self.box is None else replace(self.box, cells=self.box.cells // 2)
        return replace(self, box=box, evaluation=min(self.evaluation, QUICK_POINTS))
