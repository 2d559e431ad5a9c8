"""The command line `wgfode`: each command is one function, in its own file."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import problems
from ..errors import InputError
from ..version import __version__
from .common import exit_status, say
from .new import new
from .run import run
from .show import plot, show
from .validate import validate

app = typer.Typer(
    name="wgfode",
    help="Wasserstein gradient flows as parameter ODEs.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The command `wgfode`."""
    app()


def print_version(wanted: bool) -> None:
    """The version, where it is wanted, and no more."""
    if wanted:
        typer.echo(f"wgfode {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Wasserstein gradient flows as parameter ODEs."""


def list_() -> None:
    """List the named problems, those of installed packages included."""
    with exit_status():
        for name in problems.names():
            try:
                problem = problems.get(name)
            except InputError as error:  # of an installed package: the others are there all the same
                say(f"wgfode: {error}")
                continue
            times = " ".join(f"{t:g}" for t in problem.times)
            typer.echo(f"{name}\n    {problem.description}")
            typer.echo(f"    dimension {problem.flow.dim}, {problem.flow.size} parameters, times {times}")


app.command("list")(list_)
for command in (run, new, validate, show, plot):
    app.command()(command)
