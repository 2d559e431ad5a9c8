"""The command line: one function a command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import problems, storage
from .errors import InputError, WgfodeError, choice, positive
from .methods import METHODS
from .solve import INTEGRATORS, solve
from .table import table

if TYPE_CHECKING:
    import xarray as xr

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
"""Exit statuses beside 0: a run that stopped, an argument that is wrong, Ctrl-C."""

app = typer.Typer(
    name="wgfode",
    help="Wasserstein gradient flows as parameter ODEs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The command `wgfode`."""
    app()


def say(text: str) -> None:
    """A line for the user, on stderr: stdout is for results."""
    typer.echo(text, err=True)


@contextlib.contextmanager
def exit_status() -> Iterator[None]:
    """Errors that wgfode raises on purpose as one line and an exit status, without a traceback."""
    try:
        yield
    except WgfodeError as error:
        say(f"wgfode: {' '.join(str(error).split())}")
        raise typer.Exit(BAD_INPUT) from error
    except KeyboardInterrupt:
        say("wgfode: interrupted")
        raise typer.Exit(INTERRUPTED) from None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wgfode {metadata.version('wgfode')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command("list")
def list_() -> None:
    """List the named problems."""
    with exit_status():
        for name in problems.names():
            problem = problems.get(name)
            times = " ".join(f"{t:g}" for t in problem.times)
            typer.echo(f"{name}\n    {problem.description}")
            typer.echo(f"    dimension {problem.flow.dim}, {problem.flow.size} parameters, times {times}")


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A problem that `wgfode list` shows.")],
    integrator: Annotated[
        str, typer.Option(help=f"Who steps in time: {' or '.join(INTEGRATORS)}.")
    ] = INTEGRATORS[0],
    method: Annotated[str, typer.Option(help=f"The method: {', '.join(METHODS)}.")] = "Tsit5",
    rtol: Annotated[float | None, typer.Option(help="Relative tolerance. [default: the problem's]")] = None,
    atol: Annotated[float | None, typer.Option(help="Absolute tolerance. [default: the problem's]")] = None,
    step_size: Annotated[float | None, typer.Option(help="Fixed steps of this size, no tolerances.")] = None,
    until: Annotated[
        float | None, typer.Option(metavar="T", help="Last time. [default: the problem's]")
    ] = None,
    evaluation: Annotated[
        int, typer.Option(metavar="N", help="Held-out points behind the diagnostics.")
    ] = 4096,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the dataset here: .nc or .zarr.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw the problem's pictures here.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the driving points and of the held-out points.")] = 0,
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    device: Annotated[str | None, typer.Option(help="The framework's device, e.g. cpu or cuda.")] = None,
) -> None:
    """Run a named problem and print its result table."""
    with exit_status():
        problem = problems.get(name).with_seed(seed)
        times = _until(problem.times, until)
        if out is not None:
            storage.check(out, "--out")
        if plots is not None:
            _check_directory(plots, "--plots")
        dataset = solve(
            problem.flow,
            times,
            integrator=integrator,
            method=method,
            rtol=problem.rtol if rtol is None else rtol,
            atol=problem.atol if atol is None else atol,
            step_size=step_size,
            evaluation=evaluation,
            seed=seed,
            dtype=dtype,
            device=device,
            progress=True,
            attributes={"problem": problem.name, "title": problem.description, "points_seed": seed},
        )
        _hand_over(dataset, problem.exact, out, plots)


@app.command()
def validate(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Problems and grid cases. [default: all named problems]"),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="The named problems, and the flows that only a grid checks.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer points, coarser grids, and by default the cheap problems only.")
    ] = False,
    integrator: Annotated[
        list[str] | None, typer.Option(help="Who steps in time; may be given twice. [default: both]")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report here: .nc or .zarr.")] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw densities, errors and the grid's refinement here.")
    ] = None,
) -> None:
    """Compare runs with exact solutions and grids; exit status 1 where a bound is missed."""
    with exit_status():
        from .validation import cases, report

        chosen = [cases.get(name) for name in dict.fromkeys(names or _cases(all_, quick))]
        integrators = [choice("integrator", name, report.INTEGRATORS) for name in integrator or report.INTEGRATORS]
        if out is not None:
            storage.check(out, "--out")
        if plots is not None:
            _check_directory(plots, "--plots")
        typer.echo(report.HEADER)
        outcomes = []
        for outcome in report.validate([case.quick() if quick else case for case in chosen], integrators, say):
            outcomes.append(outcome)
            typer.echo("\n".join(map(report.line, outcome.checks)))
        if out is not None:
            say(f"report written to {storage.write(report.to_dataset(outcomes), out)}")
        if plots is not None:
            from .validation.pictures import draw

            say(f"{len(draw(outcomes, plots))} pictures drawn in {plots}")
        missed = sum(not check.passed for outcome in outcomes for check in outcome.checks)
        count = sum(len(outcome.checks) for outcome in outcomes)
        typer.echo(f"\n{count - missed} of {count} bounds kept")
        if missed:
            raise typer.Exit(FAILED)


def _cases(all_: bool, quick: bool) -> list[str]:
    """The names that are validated where none is given."""
    from .validation import cases

    return list(cases.all_cases() if all_ else cases.QUICK if quick else cases.NAMED)


def _until(times: tuple[float, ...], until: float | None) -> tuple[float, ...]:
    """The output times up to `until`, which is the last of them."""
    if until is None:
        return times
    positive("--until", until)
    return (*(t for t in times if t < until), until)


def _check_directory(directory: Path, name: str) -> None:
    """Make `directory`; raise `InputError` where that, or a file in it, is refused."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{name}={str(directory)!r} cannot be made: {error.strerror}") from error
    storage.probe(directory, f"{name}={str(directory)!r}")


def _hand_over(dataset: xr.Dataset, exact: Any, out: Path | None, plots: Path | None) -> None:
    """Write, print and draw what a run brought, then exit with the status it earned."""
    status = dataset.attrs["status"]
    interrupted = "interrupted" in status
    try:
        if out is not None:
            say(f"dataset written to {storage.write(dataset, out)}")
        else:
            say("dataset not written: give --out FILE to keep it")
    finally:  # a full disk must not take the result table too
        typer.echo(table(dataset, exact))
    if plots is not None and not interrupted:
        from .plots import draw

        say(f"{len(draw(dataset, plots))} pictures drawn in {plots}")
    if status != "completed":
        raise typer.Exit(INTERRUPTED if interrupted else FAILED)
