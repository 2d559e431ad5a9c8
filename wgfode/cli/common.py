"""What the commands share: exit statuses, lines for the user, places to write to, datasets to read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .. import problems, storage
from ..errors import InputError, WgfodeError

if TYPE_CHECKING:
    import xarray as xr

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
"""Exit statuses beside 0: a run that stopped, an argument that is wrong, Ctrl-C."""


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


def check_directory(directory: Path, name: str) -> None:
    """Make `directory`; raise `InputError` where that, or a file in it, is refused."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{name}={str(directory)!r} cannot be made: {error.strerror}") from error
    storage.probe(directory, f"{name}={str(directory)!r}")


def read_dataset(path: str | Path, name: str) -> xr.Dataset:
    """The dataset at `path`, in memory; `InputError`, beginning with `name`, where there is none that can be read."""
    import xarray as xr

    try:
        with xr.open_dataset(path) as dataset:
            return dataset.load()
    except Exception as error:  # each of the engines that try has errors of its own
        why = f"{type(error).__name__}: {error}"
        raise InputError(f"{name}={str(path)!r} cannot be read as a dataset: {why}") from error


def exact_of(dataset: xr.Dataset) -> Any:
    """The exact solution of the dataset's problem, or None where none is known."""
    problem = dataset.attrs.get("problem")
    return problems.get(problem).exact if problem in problems.names() else None
