"""`wgfode validate`: runs against exact solutions and grids."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import storage
from ..errors import choice
from ..run.integrators import installed
from .common import FAILED, check_directory, exit_status, say


def validate(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Problems, grid cases, or manufactured: every map on one exact flow. [default: all problems]",
        ),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="The named problems, and the flows that only a grid checks.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer points, coarser grids, and by default the cheap problems only.")
    ] = False,
    integrator: Annotated[
        list[str] | None, typer.Option(help="Who steps in time; may be given twice. [default: all that are installed]")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report here: .nc or .zarr.")] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw densities, errors and the grid's refinement here.")
    ] = None,
) -> None:
    """Compare runs with exact solutions and grids; exit status 1 where a bound is missed."""
    with exit_status():
        from ..validation import cases, report

        chosen = cases.chosen(names or default_cases(all_, quick))
        integrators = [choice("integrator", name, report.INTEGRATORS) for name in integrator or default_integrators()]
        if out is not None:
            storage.check(out, "--out")
        if plots is not None:
            check_directory(plots, "--plots")
        typer.echo(report.HEADER)
        outcomes, interrupted = [], False
        try:
            for outcome in report.validate([case.quick() if quick else case for case in chosen], integrators, say):
                outcomes.append(outcome)
                typer.echo("\n".join(map(report.line, outcome.checks)))
        except KeyboardInterrupt:  # what is there already took its time, and is kept
            interrupted = True
        if out is not None:
            say(f"report written to {storage.write(report.to_dataset(outcomes), out)}")
        if plots is not None and not interrupted:
            from ..plots.report import draw

            say(f"{len(draw(outcomes, plots))} pictures drawn in {plots}")
        if lines := report.sweeps(outcomes):
            typer.echo("\n" + "\n".join(lines))
        missed = sum(not check.passed for outcome in outcomes for check in outcome.checks)
        count = sum(len(outcome.checks) for outcome in outcomes)
        typer.echo(f"\n{count - missed} of {count} bounds kept")
        if interrupted:
            raise KeyboardInterrupt
        if missed:
            raise typer.Exit(FAILED)


def default_integrators() -> list[str]:
    """Of the two that are compared, those that are installed; both where none is: the run then says what is missing."""
    from ..validation.report import INTEGRATORS

    return [name for name in INTEGRATORS if name in installed()] or list(INTEGRATORS)


def default_cases(all_: bool, quick: bool) -> list[str]:
    """The names that are validated where none is given."""
    from ..validation import cases

    return list(cases.all_cases() if all_ else cases.QUICK if quick else cases.NAMED)
