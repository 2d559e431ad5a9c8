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


def plot(file: File, directory: Annotated[Path, typer.Argument(metavar="DIR", help="Draw the pictures here.")]) -> None:
    """Draw the pictures of a dataset."""
    with exit_status():
        from ..plots import draw

        say(f"{len(draw(read_run(file), directory))} pictures drawn in {directory}")


def read_run(file: Path) -> xr.Dataset:
    """The dataset of a run at `file`; `InputError` for what is none."""
    dataset = read_dataset(file, "FILE")
    if missing := [name for name in ("time", "theta", "residual") if name not in dataset]:
        raise InputError(f"FILE={str(file)!r} is not the dataset of a run: it has no {', '.join(missing)}")
    return dataset
