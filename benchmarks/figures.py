"""The figures that the README quotes: each run against its exact solution, as the maximum over the output times.

    python benchmarks/figures.py                 every row (several minutes)
    python benchmarks/figures.py ring-diffrax    the rows named
    python benchmarks/figures.py --list          the rows' names

The named problems are held to the bounds of `wgfode validate`; more rows are other maps for the same problems.
Exit status 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import Any

import wgfode as wgf
from wgfode.maps import Affine, Planar, Residual
from wgfode.validation import cases
from wgfode.validation.cases import Case, Limit
from wgfode.validation.report import INTEGRATORS, judge


def exact_only(name: str) -> Case:
    """The case of a named problem, without its grid."""
    case = cases.get(name)
    return replace(case, box=None, limits=tuple(limit for limit in case.limits if limit.against != "grid"))


def variant(name: str, *limits: Limit, options: dict[str, Any] | None = None, **flow: Any) -> Case:
    """A named problem with parts of its flow changed, and its own bounds."""
    case = exact_only(name)
    return replace(case, flow=replace(case.flow, **flow), limits=limits, **(options or {}))


CASES = {
    "10d-affine": variant(
        "fokker-planck-10d",
        Limit("exact", "map_error", 1e-6),
        map=Affine(10),
        points=wgf.Sobol(200, seed=0),
        options={"rtol": 1e-8, "atol": 1e-10},
    ),
    "10d-affine-planar": exact_only("fokker-planck-10d"),
    "ring": exact_only("aggregation-ring"),
    "porous-affine": exact_only("porous-medium-2d"),
    "double-well": exact_only("double-well-1d"),
    "ou-2d": exact_only("ornstein-uhlenbeck-2d"),
    "10d-planar": variant(
        "fokker-planck-10d",
        Limit("exact", "kl", 1e-3, since=0.1),
        Limit("exact", "kl", 5e-5, since=2.0),
        map=Planar(10, layers=20),
    ),
    "porous-residual": variant(
        "porous-medium-2d",
        Limit("exact", "map_error", 1e-2),
        Limit("exact", "front_error", 1e-2),
        map=Residual(2, width=40, spread=0.5),
        points=wgf.Sobol(2048, seed=0),
        solver=wgf.Cholesky(shift=1e-8),
    ),
    "30d": exact_only("fokker-planck-30d"),
}
ON_DIFFRAX_ONLY = ("10d-planar", "porous-residual", "30d")

ROWS = {
    f"{name}-{integrator}": (case, integrator)
    for name, case in CASES.items()
    for integrator in (INTEGRATORS[:1] if name in ON_DIFFRAX_ONLY else INTEGRATORS)
}


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
        case, integrator = ROWS[name]
        options: dict[str, Any] = {"rtol": case.rtol, "atol": case.atol, "evaluation": case.evaluation}
        ds = wgf.solve(case.flow, case.times, integrator=integrator, certificate=False, stiffness=False, **options)
        a = ds.attrs
        for check in judge(case, ds, case.make_exact(), None).checks:
            missed += not check.passed
            print(
                f"{name:32} {check.figure:34} {check.measured:10.2e} {check.bound:8.0e} "
                f"{'ok' if check.passed else 'MISS':4} {a['accepted_steps']:4d}+{a['rejected_steps']:<3d} "
                f"{a['wall_time']:6.1f}",
                flush=True,
            )
        if a["status"] != "completed":
            print(f"{name:32} {a['status']}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
