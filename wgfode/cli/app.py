"""The command line: one function a command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import problems, storage
from ..errors import InputError, Reason, WgfodeError, choice, positive
from ..run import settings as rerun
from ..solve import INTEGRATORS, solve
from ..stepping.methods import METHODS
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
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A problem that `wgfode list` shows.")] = None,
    integrator: Annotated[str, typer.Option(help=f"Who steps in time: {' or '.join(INTEGRATORS)}.")] = INTEGRATORS[0],
    method: Annotated[str, typer.Option(help=f"The method: {', '.join(METHODS)}.")] = "Tsit5",
    rtol: Annotated[float | None, typer.Option(help="Relative tolerance. [default: the problem's]")] = None,
    atol: Annotated[float | None, typer.Option(help="Absolute tolerance. [default: the problem's]")] = None,
    step_size: Annotated[float | None, typer.Option(help="Fixed steps of this size, no tolerances.")] = None,
    until: Annotated[float | None, typer.Option(metavar="T", help="Last time. [default: the problem's]")] = None,
    evaluation: Annotated[int, typer.Option(metavar="N", help="Held-out points behind the diagnostics.")] = 4096,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the dataset here: .nc or .zarr.")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw the problem's pictures here.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the driving points and of the held-out points.")] = 0,
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    device: Annotated[str | None, typer.Option(help="The framework's device, e.g. cpu or cuda.")] = None,
    resample: Annotated[
        str | None, typer.Option(help="auto: fresh driving points when the run overfits the old ones.")
    ] = None,
    on_fold: Annotated[str, typer.Option(help="stop or warn when the map loses injectivity.")] = "stop",
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write checkpoints here. [default: beside --out, until the run is complete]"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint, if there is one.")] = False,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Repeat the run of a dataset, with its settings and seeds."),
    ] = None,
) -> None:
    """Run a named problem and print its result table."""
    with exit_status():
        given = {
            "integrator": integrator, "method": method, "rtol": rtol, "atol": atol, "step_size": step_size,
            "evaluation": evaluation, "seed": seed, "dtype": dtype, "device": device, "resample": resample,
            "on_fold": on_fold,
        }  # fmt: skip
        name, seed, kept = _settings(context, name, seed, from_)
        problem = problems.get(name).with_seed(seed)
        times = _until(tuple(kept.pop("times", problem.times)), until)
        if out is not None:
            storage.check(out, "--out")
        if plots is not None:
            _check_directory(plots, "--plots")
        tolerances = {"rtol": problem.rtol, "atol": problem.atol}
        chosen = tolerances | {key: value for key, value in given.items() if value is not None} | kept
        place = checkpoint or _default_checkpoint(name, out, resume)
        dataset = solve(
            problem.flow,
            times,
            **chosen,
            progress=True,
            checkpoint=place,
            resume=resume,
            attributes={"problem": problem.name, "title": problem.description, "points_seed": seed},
        )
        _hand_over(dataset, problem.exact, out, plots)
        if place is not None and checkpoint is None:  # it has done its duty
            place.unlink(missing_ok=True)


def _settings(
    context: typer.Context, name: str | None, seed: int, file: Path | None
) -> tuple[str, int, dict[str, Any]]:
    """(problem, seed of its points, other settings): those of `file`, except for options that were given."""
    if file is None:
        if name is None:
            raise InputError("run needs NAME, a problem that `wgfode list` shows, or --from FILE")
        return name, seed, {}
    problem, points_seed, kept = rerun.settings(file)
    if name is not None and problems.get(name).name != problem:
        raise InputError(f"NAME={name!r}, but --from={str(file)!r} is a run of {problem!r}")
    options = {key for key in kept if _is_given(context, key)}
    if _is_given(context, "seed"):
        points_seed = seed
    return problem, points_seed, {key: value for key, value in kept.items() if key not in options}


def _is_given(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _default_checkpoint(name: str, out: Path | None, resume: bool) -> Path | None:
    """Where checkpoints go when the user does not say: beside the dataset, or here where the run is to be resumable."""
    if out is not None:
        return out.with_name(out.name + ".checkpoint")
    return Path(f"{name}.checkpoint") if resume else None


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
        from ..validation import cases, report

        chosen = [cases.get(name) for name in dict.fromkeys(names or _cases(all_, quick))]
        integrators = [choice("integrator", name, report.INTEGRATORS) for name in integrator or report.INTEGRATORS]
        if out is not None:
            storage.check(out, "--out")
        if plots is not None:
            _check_directory(plots, "--plots")
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
        missed = sum(not check.passed for outcome in outcomes for check in outcome.checks)
        count = sum(len(outcome.checks) for outcome in outcomes)
        typer.echo(f"\n{count - missed} of {count} bounds kept")
        if interrupted:
            raise KeyboardInterrupt
        if missed:
            raise typer.Exit(FAILED)


def _cases(all_: bool, quick: bool) -> list[str]:
    """The names that are validated where none is given."""
    from ..validation import cases

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
    interrupted = dataset.attrs.get("stop_reason") == Reason.interrupted.value
    try:
        if out is not None:
            say(f"dataset written to {storage.write(dataset, out)}")
        else:
            say("dataset not written: give --out FILE to keep it")
    finally:  # a full disk must not take the result table too
        typer.echo(table(dataset, exact))
    if plots is not None and not interrupted:
        from ..plots import draw

        say(f"{len(draw(dataset, plots))} pictures drawn in {plots}")
    if status != "completed":
        raise typer.Exit(INTERRUPTED if interrupted else FAILED)
