"""What `wgfode validate` runs: the named problems, with the references and the bounds that they are held to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from .. import problems
from ..errors import choice
from ..flow import GradientFlow
from .grid import solve_grid

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
    `grid.convergence` that refines the grid on this problem. `own` are figures beside those of `compare`, each
    from (run, exact solution) to (time,); they are judged with "exact".
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


def named(name: str, limits: Sequence[Limit], **more: Any) -> Case:
    """The case of a named problem."""
    problem = problems.get(name)
    known: dict[str, Any] = {"make_exact": lambda: problem.exact, "rtol": problem.rtol, "atol": problem.atol}
    return Case(name, problem.flow, problem.times, tuple(limits), **(known | more))


def ring_error(run: xr.Dataset, exact: Any) -> np.ndarray:
    """How far the rms distance from the centre is from the ring's radius 1/√3, at each time, (time,)."""
    squares = ((run["x"].values - np.asarray(exact.centre)) ** 2).sum(2) @ run["weight"].values
    return np.abs(np.sqrt(squares) - 1 / np.sqrt(3))


DENSITIES = (Limit("exact", "l1", L1), Limit("grid", "l1", L1))


NAMED: dict[str, Callable[[], Case]] = {
    "ornstein-uhlenbeck-2d": lambda: named(
        "ornstein-uhlenbeck-2d",
        [Limit("exact", "map_error", 1e-6), *DENSITIES],
        box=Box(((-6, 6),) * 2, 128),
        study="ou-2d",
    ),
    "double-well-1d": lambda: named(
        "double-well-1d",
        [Limit("exact", "map_error", 2e-3), Limit("grid", "w2", 2e-3), *DENSITIES],
        box=Box(((-3.6, 3.6),), 400),
        study="double-well-1d",
    ),
    "porous-medium-2d": lambda: named(
        "porous-medium-2d",
        [Limit("exact", "map_error", 1e-6), Limit("exact", "front_error", 1e-6), *DENSITIES],
        box=Box(((-2.5, 2.5),) * 2, 128),
        study="barenblatt-2d-m2",
    ),
    "aggregation-ring": lambda: named(
        "aggregation-ring",
        [
            Limit("exact", "map_error", 1e-2, until=4.0),
            Limit("exact", "ring_error", 2e-3, since=10.0),
            # later the density is a thin layer, about the ring, which maps that are 4e-3 apart move past each other
            Limit("exact", "l1", L1, until=2.0),
            Limit("grid", "l1", L1),
        ],
        box=Box(((-0.95, 3.45),) * 2, 128, until=1.0),
        study="ring-2d",
        own={"ring_error": ring_error},
    ),
    "fokker-planck-10d": lambda: named(
        "fokker-planck-10d",
        [
            Limit("exact", "kl", 1e-4, since=0.1),
            Limit("exact", "kl", 1e-5, since=2.0),
            Limit("exact", "l1", L1),
            Limit("run", "accepted_steps", 60),
        ],
        evaluation=2**14,
    ),
    "fokker-planck-30d": lambda: named(
        "fokker-planck-30d",
        [Limit("exact", "kl", 5e-3, since=0.3), Limit("exact", "variance_error", 1e-2)],
    ),
}
"""The named problems; each case is made when it is asked for."""

QUICK = ("ornstein-uhlenbeck-2d", "double-well-1d", "porous-medium-2d")
"""What `wgfode validate --quick` runs where no name is given."""


def all_cases() -> dict[str, Callable[[], Case]]:
    """The named problems, and the flows that only a grid can check."""
    from .grid_cases import GRID_CASES

    return NAMED | GRID_CASES


def get(name: str) -> Case:
    """The case of that name; `InputError` with the nearest names for an unknown one."""
    known = all_cases()
    return known[choice("case", name, known)]()
