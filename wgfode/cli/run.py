"""`wgfode run`: a named problem, one of a file, or the run of a dataset once more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from .. import problems, storage
from ..backend import first
from ..errors import InputError, Reason, positive
from ..run.settings import Settings
from ..solve import solve
from .common import FAILED, INTERRUPTED, check_directory, exit_status, read_dataset, say
from .completion import complete
from .options import with_options
from .table import table

if TYPE_CHECKING:
    import xarray as xr


@with_options
def run(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE.py[:name]",
            help="A problem that `wgfode list` shows, or the flow of a file; `wgfode new` writes one.",
            autocompletion=complete,
        ),
    ] = None,
    until: Annotated[float | None, typer.Option(metavar="T", help="Last time. [default: the problem's]")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the dataset here: .nc or .zarr.")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw the problem's pictures here.")] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Repeat the run of a dataset, with its settings and seeds."),
    ] = None,
    **options: Any,
) -> None:
    """Run a problem, named or in a file, and print its result table."""
    with exit_status():
        given = {key: value for key, value in options.items() if value is not None}
        problem, kept = begun(name, from_)
        if "seed" in given:
            problem = problem.with_seed(given["seed"])
        times = output_times(tuple(kept.pop("times", problem.times)), until)
        if out is not None:
            storage.check(out, "--out")
        if plots is not None:
            check_directory(plots, "--plots")
        place = given.pop("checkpoint", None) or default_checkpoint(problem.name, out, given.get("resume", False))
        dataset = solve(
            problem.flow,
            times,
            **({"rtol": problem.rtol, "atol": problem.atol, "args": problem.args} | kept | given),
            progress=True,
            checkpoint=place,
            attributes=problem.attributes,
        )
        if not first(str(dataset.attrs["backend"])):
            return
        hand_over(dataset, problem.exact, out, plots)
        if place is not None and options["checkpoint"] is None:  # it has done its duty
            place.unlink(missing_ok=True)


def begun(name: str | None, file: Path | None) -> tuple[problems.Problem, dict[str, Any]]:
    """(problem, arguments of `solve`) that a command begins with: those of the run in `file`, where one is given."""
    if file is None:
        if name is None:
            raise InputError(
                "run needs NAME, a problem that `wgfode list` shows, FILE.py with a flow of your own "
                "(`wgfode new FILE.py` writes one), or --from FILE"
            )
        return problems.get(name), {}
    dataset = read_dataset(file, "--from")
    kept, attributes = Settings.read(dataset), dataset.attrs
    try:
        problem = problems.of(attributes, name)
    except InputError as error:
        raise InputError(f"--from={str(file)!r}: {error}") from error
    if "times" not in kept:
        raise InputError(f"--from={str(file)!r} is not the dataset of a run of wgfode.solve: it has no output times")
    seed = attributes.get("points_seed")
    if seed is None and problem.flow.points.seed is not None:
        raise InputError(f"--from={str(file)!r} does not say its points_seed, as datasets of `wgfode run` do")
    return problem if seed is None else problem.with_seed(int(np.asarray(seed))), kept


def default_checkpoint(name: str, out: Path | None, resume: bool) -> Path | None:
    """Where checkpoints go when the user does not say: beside the dataset, or here where the run is to be resumable."""
    if out is not None:
        return out.with_name(out.name + ".checkpoint")
    return Path(f"{name.replace(':', '-')}.checkpoint") if resume else None


def output_times(times: tuple[float, ...], until: float | None) -> tuple[float, ...]:
    """The output times up to `until`, which is the last of them."""
    if until is None:
        return times
    positive("--until", until)
    return (*(t for t in times if t < until), until)


def hand_over(dataset: xr.Dataset, exact: Any, out: Path | None, plots: Path | None) -> None:
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
