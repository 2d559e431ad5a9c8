"""The figures that the README quotes: each run against its exact solution, as the maximum over the output times.

    python benchmarks/figures.py                 every row (several minutes)
    python benchmarks/figures.py ring-diffrax    the rows named
    python benchmarks/figures.py --list          the rows' names

Exit status 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

import wgfode as wgf
from wgfode.maps import Affine, Planar, Residual
from wgfode.problems import Problem

Figure = tuple[str, float, float]
"""(what, measured, bound)"""


@dataclass(frozen=True)
class Row:
    """One run and the figures that it is judged by."""

    problem: str
    integrator: str
    judge: Callable[[xr.Dataset, Any], list[Figure]]
    changes: dict[str, Any]
    options: dict[str, Any]


def map_error(ds: xr.Dataset, exact: Any) -> np.ndarray:
    """(E|T_θ(z) − T_exact(z)|²)^½ at each time, over the held-out points."""
    weights = ds.weight.values
    errors = [ds.x.values[i] - exact.flow_map(float(t), ds.z.values) for i, t in enumerate(ds.time.values)]
    return np.array([np.sqrt(weights @ (e**2).sum(axis=1)) for e in errors])


def kl(ds: xr.Dataset, exact: Any) -> np.ndarray:
    """KL(ρ_θ‖ρ_t) at each time, through the log-determinant, over the held-out points."""
    gaps = [ds.log_density.values[i] - exact.log_density(float(t), ds.x.values[i]) for i, t in enumerate(ds.time.values)]
    return np.array([ds.weight.values @ gap for gap in gaps])


def judge_map(bound: float, until: float = np.inf) -> Callable[[xr.Dataset, Any], list[Figure]]:
    """The largest map error up to a time."""
    return lambda ds, exact: [("map error", float(map_error(ds, exact)[ds.time.values <= until].max()), bound)]


def judge_kl(throughout: float, last: float, steps: int | None = None) -> Callable[[xr.Dataset, Any], list[Figure]]:
    """The largest |KL| over the times after 0, and that at the end."""

    def judge(ds: xr.Dataset, exact: Any) -> list[Figure]:
        values = np.abs(kl(ds, exact))
        found = [("KL, t >= 0.1", float(values[1:].max()), throughout), ("KL, t = 2", float(values[-1]), last)]
        return found if steps is None else [*found, ("accepted steps", float(ds.attrs["accepted_steps"]), steps)]

    return judge


def judge_ring(ds: xr.Dataset, exact: Any) -> list[Figure]:
    """The map error to t = 4 and the ring's radius at t = 10."""
    radius = np.linalg.norm(ds.x.values[-1] - np.asarray(exact.centre), axis=1)
    rms = float(np.sqrt(ds.weight.values @ radius**2))
    return [*judge_map(1e-2, until=4.0)(ds, exact), ("|rms radius − 0.577| at t = 10", abs(rms - 0.577), 0.002)]


def judge_30d(ds: xr.Dataset, exact: Any) -> list[Figure]:
    """Joint KL and every coordinate's variance."""
    variances = np.diagonal(ds.covariance.values, axis1=1, axis2=2)
    truth = np.stack([np.diag(exact.covariance(float(t))) for t in ds.time.values])
    return [
        ("joint KL", float(np.abs(kl(ds, exact))[1:].max()), 5e-3),
        ("relative variance error", float(np.abs(variances / truth - 1).max()), 1e-2),
    ]


def judge_porous(bound: float) -> Callable[[xr.Dataset, Any], list[Figure]]:
    """The map error, and the front's radius as the image of a circle just inside the reference's front."""

    def judge(ds: xr.Dataset, exact: Any) -> list[Figure]:
        r0 = np.linalg.norm(ds.z.values, axis=1)
        outermost = int(r0.argmax())
        ratios = [
            np.linalg.norm(ds.x.values[i][outermost]) / np.linalg.norm(exact.flow_map(float(t), ds.z.values[[outermost]]))
            for i, t in enumerate(ds.time.values)
        ]
        front = float(np.abs(np.array(ratios) - 1).max())
        return [*judge_map(bound)(ds, exact), ("relative front radius error", front, bound)]

    return judge


AFFINE_10D = {"map": Affine(10), "points": wgf.Sobol(200, seed=0)}
PLANAR_10D = {"map": Planar(10, layers=20)}
RESIDUAL_POROUS = {
    "map": Residual(2, width=40, spread=0.5),
    "points": wgf.Sobol(2048, seed=0),
    "solver": wgf.Cholesky(shift=1e-8),
}
HELD_OUT = {"evaluation": 2**14}

ROWS: dict[str, Row] = {}
for name in ("diffrax", "torchdiffeq"):
    tight = {"rtol": 1e-8, "atol": 1e-10}
    ROWS[f"10d-affine-{name}"] = Row("fokker-planck-10d", name, judge_map(1e-6), AFFINE_10D, tight)
    ROWS[f"10d-affine-planar-{name}"] = Row("fokker-planck-10d", name, judge_kl(1e-4, 1e-5, 60), {}, HELD_OUT)
    ROWS[f"ring-{name}"] = Row("aggregation-ring", name, judge_ring, {}, {})
    ROWS[f"porous-affine-{name}"] = Row("porous-medium-2d", name, judge_porous(1e-6), {}, {})
    ROWS[f"double-well-{name}"] = Row("double-well-1d", name, judge_map(2e-3), {}, {})
    ROWS[f"ou-2d-{name}"] = Row("ornstein-uhlenbeck-2d", name, judge_map(1e-6), {}, {})
ROWS["10d-planar-diffrax"] = Row("fokker-planck-10d", "diffrax", judge_kl(1e-3, 5e-5), PLANAR_10D, HELD_OUT)
ROWS["porous-residual-diffrax"] = Row("porous-medium-2d", "diffrax", judge_porous(1e-2), RESIDUAL_POROUS, {})
ROWS["30d-diffrax"] = Row("fokker-planck-30d", "diffrax", judge_30d, {}, {})


def run(row: Row) -> tuple[xr.Dataset, list[Figure]]:
    """The run and its figures."""
    problem: Problem = wgf.problems.get(row.problem)
    options: dict[str, Any] = {"rtol": problem.rtol, "atol": problem.atol} | row.options
    flow = replace(problem.flow, **row.changes)
    ds = wgf.solve(flow, problem.times, integrator=row.integrator, **options)
    return ds, row.judge(ds, problem.exact)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to run (default: all)")
    parser.add_argument("--list", action="store_true", help="print the rows' names")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(ROWS))
        return 0
    unknown = set(arguments.rows) - set(ROWS)
    if unknown:
        parser.error(f"unknown rows {sorted(unknown)}; known: {', '.join(ROWS)}")
    missed = 0
    print(f"{'row':32} {'figure':34} {'measured':>10} {'bound':>8}      steps      s")
    for name in arguments.rows or ROWS:
        ds, figures = run(ROWS[name])
        a = ds.attrs
        for what, value, bound in figures:
            good = value <= bound and a["status"] == "completed"
            missed += not good
            print(
                f"{name:32} {what:34} {value:10.2e} {bound:8.0e} {'ok' if good else 'MISS':4} "
                f"{a['accepted_steps']:4d}+{a['rejected_steps']:<3d} {a['wall_time']:6.1f}",
                flush=True,
            )
        if a["status"] != "completed":
            print(f"{name:32} {a['status']}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
