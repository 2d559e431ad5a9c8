"""`wgfode show` and `wgfode plot`: a dataset as a table and as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import exact_of, exit_status, read_dataset, say
from .table import table

File = Annotated[Path, typer.Argument(metavar="FILE", help="The dataset of a run: .nc or .zarr.")]


def show(file: File) -> None:
    """Print the result table of a dataset."""
    with exit_status():
        dataset = read_dataset(file, "FILE")
        typer.echo(table(dataset, exact_of(dataset)))


def plot(file: File, directory: Annotated[Path, typer.Argument(metavar="DIR", help="Draw the pictures here.")]) -> None:
    """Draw the pictures of a dataset."""
    with exit_status():
        from ..plots import draw

        say(f"{len(draw(read_dataset(file, 'FILE'), directory))} pictures drawn in {directory}")
