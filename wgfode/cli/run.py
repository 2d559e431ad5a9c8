"""`wgfode run`: a named problem, or the run of a dataset once more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from .. import problems, storage
from ..errors import InputError, Reason, positive
from ..run.settings import Settings
from ..solve import solve
from .common import FAILED, INTERRUPTED, check_directory, exit_status, read_dataset, say
from .options import with_options
from .table import table

if TYPE_CHECKING:
    import xarray as xr


@with_options
def run(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A problem that `wgfode list` shows.")] = None,
    until: Annotated[float | None, typer.Option(metavar="T", help="Last time. [default: the problem's]")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the dataset here: .nc or .zarr.")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw the problem's pictures here.")] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Repeat the run of a dataset, with its settings and seeds."),
    ] = None,
    **options: Any,
) -> None:
    """Run a named problem and print its result table."""
    with exit_status():
        given = {key: value for key, value in options.items() if value is not None}
        name, points_seed, kept = recorded(name, from_)
        points_seed = given.get("seed", points_seed)
        problem = problems.get(name).with_seed(points_seed)
        times = output_times(tuple(kept.pop("times", problem.times)), until)
        if out is not None:
            storage.check(out, "--out")
        if plots is not None:
            check_directory(plots, "--plots")
        place = given.pop("checkpoint", None) or default_checkpoint(problem.name, out, given.get("resume", False))
        dataset = solve(
            problem.flow,
            times,
            **({"rtol": problem.rtol, "atol": problem.atol} | kept | given),
            progress=True,
            checkpoint=place,
            attributes={"problem": problem.name, "title": problem.description, "points_seed": points_seed},
        )
        hand_over(dataset, problem.exact, out, plots)
        if place is not None and options["checkpoint"] is None:  # it has done its duty
            place.unlink(missing_ok=True)


def recorded(name: str | None, file: Path | None) -> tuple[str, int, dict[str, Any]]:
    """(problem, seed of its points, arguments of `solve`) that a command begins with: those of the run in `file`."""
    if file is None:
        if name is None:
            raise InputError("run needs NAME, a problem that `wgfode list` shows, or --from FILE")
        return name, 0, {}
    dataset = read_dataset(file, "--from")
    kept, attributes = Settings.read(dataset), dataset.attrs
    missing = [key for key in ("problem", "points_seed") if key not in attributes] + ["times"] * ("times" not in kept)
    if missing:
        raise InputError(
            f"--from={str(file)!r} is not the dataset of a named problem's run: it has no {', '.join(missing)}"
        )
    problem = str(attributes["problem"])
    if name is not None and problems.get(name).name != problem:
        raise InputError(f"NAME={name!r}, but --from={str(file)!r} is a run of {problem!r}")
    return problem, int(np.asarray(attributes["points_seed"])), kept


def default_checkpoint(name: str, out: Path | None, resume: bool) -> Path | None:
    """Where checkpoints go when the user does not say: beside the dataset, or here where the run is to be resumable."""
    if out is not None:
        return out.with_name(out.name + ".checkpoint")
    return Path(f"{name}.checkpoint") if resume else None


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
