"""Mesh refinement: how far `solve_grid` is from exact cell averages, how fast that falls, the cost."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..energies import Diffusion, Drift, Energy, Entropy, Interaction, PorousMedium, Potential
from .exact import Barenblatt, LinearDrift, OrnsteinUhlenbeck, QuadraticAttraction, Ring, Solution, double_well
from .grid.mesh import cell_averages, coarsen, make_mesh
from .grid.solve import solve_grid

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """One refinement study.

    `density0` as in `solve_grid`; `exact` is ρ at `time`, (N, d) → (N,), or None where only refinement can
    tell. `expected` are the L1 errors and `seconds` the times (2 cores) of a good implementation at
    `cells`.
    """

    name: str
    energy: Energy
    density0: Callable[[Array], Array]
    exact: Callable[[Array], Array] | None
    box: Sequence[tuple[float, float]]
    time: float
    cells: tuple[int, ...]
    expected: tuple[float, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Row:
    """One grid of a study: cells along an axis, L1 error, wall and processor seconds, the dataset."""

    cells: int
    error: float
    seconds: float
    processor: float
    dataset: xr.Dataset


def study(case: Case, cells: Sequence[int] | None = None, reference: int | None = None, **options: Any) -> list[Row]:
    """`case` on one grid after another.

    Where the case has no exact solution, it is compared with the Richardson extrapolation of the grids
    `reference`/2 and `reference` (by default 2 · the largest of `cells`); `reference` must be a multiple of
    2 · every one of `cells`. `options` go to `solve_grid`.
    """
    counts = list(case.cells if cells is None else cells)
    runs = {n: _run(case, n, **options) for n in counts}

    def last(n: int) -> Array:
        return (runs[n] if n in runs else _run(case, n, **options)).dataset.density.values[-1]

    if case.exact is None:
        finest = reference or 2 * max(counts)
        limit = (4 * coarsen(last(finest), 2) - last(finest // 2)) / 3
        truths = {n: coarsen(limit, finest // 2 // n) for n in counts}
    else:
        truths = {n: cell_averages(case.exact, case.box, n) for n in counts}
    return [
        replace(run, error=float(np.abs(last(n) - truths[n]).sum()) * make_mesh(case.box, n).volume)
        for n, run in runs.items()
    ]


def order(rows: Sequence[Row]) -> float:
    """The observed order: the least-squares slope of log error against log N, with the sign changed."""
    return -float(np.polyfit(np.log([r.cells for r in rows]), np.log([r.error for r in rows]), 1)[0])


def faults(dataset: xr.Dataset) -> list[str]:
    """Which of mass, positivity and (where it must) falling energy a grid solution lacks, in words; [] where none."""
    out = []
    drift = float(np.abs(dataset.mass - dataset.mass[0]).max())
    if drift > 1e-12:
        out.append(f"mass changes by {drift:.1e}")
    lowest = float((dataset.minimum / dataset.density.max([d for d in dataset.density.dims if d != "time"])).min())
    if lowest < -1e-12:
        out.append(f"minimum is {lowest:.1e} of the maximum")
    if "energy_may_rise" in dataset.attrs:
        return out
    energy = dataset.energy_step.values
    if (rise := float(np.diff(energy).max(initial=0.0))) > 1e-12 * np.abs(energy).max():
        out.append(f"energy rises by {rise:.1e}")
    return out


def cases() -> dict[str, Case]:
    """The studies by name: Fokker–Planck, porous medium, aggregation, and sums, in 1-D and 2-D."""
    precision = np.linalg.inv([[0.625, -0.375], [-0.375, 0.625]])
    line_ou = OrnsteinUhlenbeck([0.0], [[1.0]], 1.0, [2.0], [[0.25]])
    plane_ou = OrnsteinUhlenbeck([1.0, 1.0], precision, 1.0, [0.0, 0.0], np.eye(2))
    turning = np.array([[1.0, -2.0], [1.5, 0.7]])
    spread = np.array([[0.5, 0.2], [0.2, 0.3]])
    swirl = LinearDrift([0.0, 0.0], turning, spread, [1.0, 0.5], [[0.4, 0.1], [0.1, 0.3]])
    well = double_well()
    ring = Ring()
    square = [(-2.5, 2.5)] * 2
    about = [(1.25 - 2.2, 1.25 + 2.2)] * 2
    line, plane = (200, 400, 800), (64, 128, 256)

    def tilted(x: Array) -> Array:
        return 0.5 * ((x - 1) @ precision * (x - 1)).sum(1)

    def mixed(x: Array) -> Array:
        return (x[:, 0] ** 2 - 1) ** 2 / 4 + x[:, 1] ** 2 / 2

    gaussian = OrnsteinUhlenbeck([0.3, 0.0], np.eye(2), 1.0, [0.3, 0.0], 0.18 * np.eye(2))
    all_terms = 0.1 * Entropy() + 0.3 * PorousMedium(2) + Potential(mixed) + Interaction(ring_kernel)
    table = [
        _case("ou-1d", Potential(half_square) + Entropy(), line_ou,
              [(-7, 7)], 0.5, line, (6.9e-4, 1.7e-4, 4.3e-5), (0.04, 0.04, 0.04)),
        _case("double-well-1d", well.functional, well,
              [(-3.6, 3.6)], 1.0, line, (6.2e-4, 1.6e-4, 3.9e-5), (0.05, 0.05, 0.05)),
        _case("barenblatt-1d-m2", PorousMedium(2), Barenblatt(1, 2, 0.2),
              [(-4, 4)], 1.0, line, (1.5e-4, 3.6e-5, 8.4e-6), (0.03, 0.1, 0.25)),
        _case("attraction-1d", Interaction(half_square), QuadraticAttraction(1.0, [0.3], [[0.36]]),
              [(-4, 4)], 1.0, line, (1.8e-3, 5.0e-4, 1.3e-4), (0.12, 0.12, 0.12)),
        _case("ou-2d", Potential(tilted) + Entropy(), plane_ou,
              [(-6, 6)] * 2, 0.5, plane, (8.7e-3, 2.2e-3, 5.5e-4), (0.04, 0.2, 1.3)),
        _case("barenblatt-2d-m2", PorousMedium(2), Barenblatt(2, 2, 0.2),
              square, 1.0, plane, (1.1e-3, 3.0e-4, 8.0e-5), (0.05, 0.2, 2.0)),
        _case("barenblatt-2d-m3", PorousMedium(3), Barenblatt(2, 3, 0.2),
              square, 1.0, plane, (2.5e-3, 8.5e-4, 2.8e-4), (0.05, 0.3, 3.0)),
        _case("ring-2d", Interaction(ring_kernel), ring,
              about, 0.5, plane, (5.0e-3, 1.4e-3, 3.9e-4), (0.2, 0.8, 5.2)),
        _case("ring-2d-diffusion", Interaction(ring_kernel) + 0.02 * Entropy(), ring,
              about, 1.0, plane, (7.9e-3, 2.0e-3, 5.0e-4), (0.2, 3.6, 12.0), exact=False),
        _case("rotating-ou-2d", Drift(lambda x: -x @ turning.T) + Diffusion(spread), swirl,
              [(-5, 5)] * 2, 0.5, plane, (7.9e-3, 2.3e-3, 6.4e-4), (0.3, 1.5, 20.0)),
        _case("all-terms-2d", all_terms, gaussian,
              [(-2.6, 2.6)] * 2, 0.5, (32, 64, 128), (), (), exact=False),
    ]  # fmt: skip
    return {case.name: case for case in table}


def half_square(x: Array) -> Array:
    """|x|²/2."""
    return 0.5 * (x**2).sum(1)


def ring_kernel(x: Array) -> Array:
    """|x|⁴/4 − |x|²/2."""
    r2 = (x**2).sum(1)
    return r2**2 / 4 - r2 / 2


def _case(
    name: str,
    energy: Energy,
    solution: Solution,
    box: Sequence[tuple[float, float]],
    time: float,
    cells: tuple[int, ...],
    expected: tuple[float, ...],
    seconds: tuple[float, ...],
    exact: bool = True,
) -> Case:
    truth = (lambda x: solution.density(time, x)) if exact else None
    return Case(name, energy, lambda x: solution.density(0, x), truth, box, time, cells, expected, seconds)


def _run(case: Case, n: int, **options: Any) -> Row:
    wall, processor = clock.perf_counter(), clock.process_time()
    dataset = solve_grid(case.energy, case.density0, case.box, n, [0.0, case.time], **options)
    return Row(n, np.nan, clock.perf_counter() - wall, clock.process_time() - processor, dataset)
