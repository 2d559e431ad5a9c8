"""Runs cases on the integrators, compares each run with its references, and judges every figure by its bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from ..dataset import versions
from ..solve import solve
from .cases import Case, Limit, manufactured
from .compare import compare
from .convergence import Row, faults, study
from .convergence import cases as studies

INTEGRATORS = ("diffrax", "torchdiffeq")
"""Who steps in time, each with the same method."""
GRID_LIMIT = 1.5
"""How many times its expected L1 error a grid may have."""


@dataclass(frozen=True)
class Check:
    """A figure beside its bound: the largest over the output times that the bound speaks of.

    `floor` is its sampling floor and `reference_error` the reference's own, both at the time of the largest
    figure, NaN where they mean nothing. `seconds` is the wall time of the run.
    """

    case: str
    integrator: str
    against: str
    figure: str
    measured: float
    bound: float
    floor: float = np.nan
    reference_error: float = np.nan
    seconds: float = np.nan

    @property
    def passed(self) -> bool:
        """Whether the bound is kept; what is not a number does not keep it."""
        return bool(self.measured <= self.bound)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one case brought on one integrator ("grid" for the refinement of the grid alone).

    `figures` are the datasets of `compare` by reference, "exact" and "grid"; `grid` is the grid's own dataset.
    """

    case: str
    integrator: str
    checks: list[Check]
    run: xr.Dataset | None = None
    grid: xr.Dataset | None = None
    figures: dict[str, xr.Dataset] = field(default_factory=dict)
    refinement: list[Row] = field(default_factory=list)


def validate(
    cases: Sequence[Case], integrators: Sequence[str], tell: Callable[[str], None] = lambda text: None
) -> Iterator[Outcome]:
    """One outcome after another: every case on every integrator, and the refinement of its grid.

    `tell` is told what is being done. Raises `KeyboardInterrupt` where a run was interrupted.
    """
    for case in cases:
        exact = case.make_exact()
        if case.box is not None:
            tell(f"{case.name}: grid")
        grids = case.grids()
        for integrator in integrators:
            tell(f"{case.name}: {integrator}")
            # neither the certificate nor the stiffness changes the run; where W couples all points, or m is large,
            # they cost several times as much, and the certificate is for the cases that judge it
            run = solve(
                case.flow, case.times, integrator=integrator, rtol=case.rtol, atol=case.atol,
                evaluation=case.evaluation, certificate=case.certificate, stiffness=False,
                attributes={"problem": case.name},
            )  # fmt: skip
            if "interrupted" in run.attrs["status"]:
                raise KeyboardInterrupt
            yield judge(case, run, exact, grids)
        if grids is not None:
            tell(f"{case.name}: refinement of the grid")
            yield refine(case, grids[0])


def judge(case: Case, run: xr.Dataset, exact: Any, grids: tuple[xr.Dataset, xr.Dataset] | None) -> Outcome:
    """A run of `case` against its references."""
    figures = {}
    if exact is not None:
        figures["exact"] = compare(run, exact).assign(
            {name: ("time", function(run, exact)) for name, function in case.own.items()}
        )
    if grids is not None:
        figures["grid"] = compare(run, *grids)
    integrator, seconds = run.attrs["integrator"], float(run.attrs["wall_time"])
    # a run that stopped early has not reached what its bounds speak of
    left = len(case.times) - run.sizes["time"] if run.attrs["status"] == "completed" else np.inf
    checks = [Check(case.name, integrator, "run", "output times missed", left, 0.0, seconds=seconds)]
    checks += [_check(case.name, integrator, limit, run, figures, seconds) for limit in case.limits]
    return Outcome(case.name, integrator, checks, run, None if grids is None else grids[0], figures)


def _check(
    case: str, integrator: str, limit: Limit, run: xr.Dataset, figures: dict[str, xr.Dataset], seconds: float
) -> Check:
    name = _name(limit)
    if limit.against == "run":
        measured = float(run.attrs[limit.figure])
        return Check(case, integrator, "run", name, measured, limit.largest, seconds=seconds)
    found = figures[limit.against]
    found = found.isel(time=(found["time"].values >= limit.since) & (found["time"].values <= limit.until))
    values = np.abs(found[limit.figure].values)
    if not values.size:
        return Check(case, integrator, limit.against, name, np.nan, limit.largest, seconds=seconds)
    worst = int(np.where(np.isnan(values), np.inf, values).argmax())
    floor, own = (
        float(found[other].values[worst]) if other in found else np.nan
        for other in (f"{limit.figure}_floor", f"{limit.figure}_reference")
    )
    return Check(case, integrator, limit.against, name, float(values[worst]), limit.largest, floor, own, seconds)


def _name(limit: Limit) -> str:
    since = f", t ≥ {limit.since:g}" if limit.since > 0 else ""
    until = f", t ≤ {limit.until:g}" if np.isfinite(limit.until) else ""
    return limit.figure.replace("_", " ") + since + until


def refine(case: Case, grid: xr.Dataset) -> Outcome:
    """The faults of the grid solution, and the L1 errors of the grid's study on its coarser meshes."""
    found = [Check(case.name, "grid", "grid", "mass, sign, energy faults", len(faults(grid)), 0.0)]
    rows: list[Row] = []
    if case.study is not None:
        subject = studies()[case.study]
        rows = study(subject, subject.cells[:2])
        for row, good in zip(rows, subject.expected, strict=False):
            what, most = f"L1, {row.cells} cells", GRID_LIMIT * good
            found.append(Check(case.name, "grid", "exact", what, row.error, most, seconds=row.seconds))
    return Outcome(case.name, "grid", found, refinement=rows)


def sweeps(outcomes: Sequence[Outcome]) -> list[str]:
    """The study of manufactured flows, as far as it was run: errors against width, points, tolerance, in lines."""
    lines = []
    for integrator in dict.fromkeys(outcome.integrator for outcome in outcomes):
        errors = {
            outcome.case: float(outcome.figures["exact"]["true_error"].values[-1])
            for outcome in outcomes
            if outcome.integrator == integrator and "true_error" in outcome.figures.get("exact", ())
        }
        if found := manufactured.table(errors):
            lines += [f"true map error at the last time ({integrator})", *found]
    return lines


HEADER = (
    f"{'case':<24}{'integrator':<12}{'against':<8}{'figure':<26}"
    f"{'measured':>9}{'floor':>9}{'its own':>9}{'bound':>9}  {'':4}{'s':>7}"
)
"""Of the table that `line` makes the rows of; "its own" is the reference's own error."""


def line(check: Check) -> str:
    """A check as a row of the table."""
    numbers = (check.measured, check.floor, check.reference_error, check.bound)
    columns = "".join(f"{_number(number):>9}" for number in numbers)
    seconds = "" if np.isnan(check.seconds) else f"{check.seconds:.1f}"
    names = f"{check.case:<24}{check.integrator:<12}{check.against:<8}{check.figure:<26}"
    return f"{names}{columns}  {'ok' if check.passed else 'MISS':4}{seconds:>7}"


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.0f}" if value == 0 or (value >= 1 and float(value).is_integer()) else f"{value:.1e}"


def to_dataset(outcomes: Sequence[Outcome]) -> xr.Dataset:
    """The whole report: the judged figures along `check`, and every figure at every time along `row`.

    Both are long tables, because cases differ in their times. Variables of `check`: `measured`, `bound`, `floor`,
    `reference_error`, `seconds`, `passed` (1 or 0), with `check_case`, `check_integrator`, `check_against`,
    `check_figure`. Of `row`: `value`, with `row_case`, `row_integrator`, `row_against`, `row_figure`, `row_time`.
    """
    checks = [check for outcome in outcomes for check in outcome.checks]

    def column(name: str, kind: Any, long_name: str, units: str = "1") -> tuple[str, Any, dict[str, str]]:
        values = np.array([getattr(check, name) for check in checks], dtype=kind)
        return "check", values, {"long_name": long_name, "units": units}

    labels: dict[str, Any] = {
        f"check_{name}": column(name, str, name) for name in ("case", "integrator", "against", "figure")
    }
    judged = {
        "measured": column("measured", float, "largest figure over the times of its bound"),
        "bound": column("bound", float, "largest value allowed"),
        "floor": column("floor", float, "sampling floor of the figure"),
        "reference_error": column("reference_error", float, "error of the reference itself"),
        "seconds": column("seconds", float, "wall time of the run", "s"),
        "passed": column("passed", "int8", "whether the bound is kept"),
    }
    rows = [row for outcome in outcomes for row in _rows(outcome)]
    columns = list(zip(*rows, strict=True)) or [()] * 6
    for name, entries in zip(("case", "integrator", "against", "figure"), columns, strict=False):
        labels[f"row_{name}"] = ("row", np.array(entries, dtype=str))
    labels["row_time"] = ("row", np.array(columns[4], dtype=float), {"long_name": "flow time", "units": "1"})
    value = ("row", np.array(columns[5], dtype=float), {"long_name": "figure", "units": "1"})
    attributes = {"title": "validation of parametrized Wasserstein gradient flows", "versions": versions()}
    return xr.Dataset({**judged, "value": value}, coords=labels, attrs={"Conventions": "CF-1.11"} | attributes)


def _rows(outcome: Outcome) -> Iterator[tuple[str, str, str, str, float, float]]:
    """(case, integrator, against, figure, time, value) of all figures of an outcome."""
    for against, figures in outcome.figures.items():
        for name, variable in figures.items():
            for t, value in zip(figures["time"].values.tolist(), variable.values.tolist(), strict=True):
                yield outcome.case, outcome.integrator, against, str(name), t, value
