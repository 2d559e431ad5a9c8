"""`wgfode show` and `wgfode plot`: a dataset as a table and as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from .common import exact_of, exit_status, read_dataset, say
from .table import table

if TYPE_CHECKING:
    import xarray as xr

File = Annotated[Path, typer.Argument(metavar="FILE", help="The dataset of a run: .nc or .zarr.")]


def show(file: File) -> None:
    """Print the result table of a dataset."""
    with exit_status():
        dataset = read_run(file)
        typer.echo(table(dataset, exact_of(dataset)))


def plot(
    file: File,
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Draw the pictures here.")] = None,
    film: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the run as a film: .gif or .mp4.")] = None,
) -> None:
    """Draw the pictures of a dataset, its film, or both."""
    with exit_status():
        if directory is None and film is None:
            raise InputError("plot needs DIR, for pictures, or --film FILE")
        from .. import plots

        dataset = read_run(file)
        if directory is not None:
            say(f"{len(plots.draw(dataset, directory))} pictures drawn in {directory}")
        if film is not None:
            say(f"film written to {plots.film(dataset, film)}")


def read_run(file: Path) -> xr.Dataset:
    """The dataset of a run at `file`; `InputError` for what is none."""
    dataset = read_dataset(file, "FILE")
    if missing := [name for name in ("time", "theta", "residual") if name not in dataset]:
        raise InputError(f"FILE={str(file)!r} is not the dataset of a run: it has no {', '.join(missing)}")
    return dataset
