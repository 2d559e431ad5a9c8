"""Progress of a long run, on stderr."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

from ..stepping.state import State


@contextlib.contextmanager
def spoken(first: bool) -> Iterator[None]:
    """Warnings and other words of the `first` of several processes alone: all of them find the same."""

    def silent(_: logging.LogRecord) -> bool:
        return False

    log = logging.getLogger("wgfode")
    if not first:
        log.addFilter(silent)
    try:
        yield
    finally:
        log.removeFilter(silent)


@contextlib.contextmanager
def reporter(show: bool, end: float) -> Iterator[Callable[[State], None]]:
    """A function that is told each state; with `show`, a bar over the time interval [0, end]."""
    if not show:
        yield lambda state: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("t={task.fields[t]:.3g}"),
        BarColumn(),
        TextColumn("{task.fields[steps]} steps, {task.fields[rejected]} rejected"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=end, t=0.0, steps=0, rejected=0)

        def report(state: State) -> None:
            bar.update(task, completed=state.time, t=state.time, steps=state.accepted, rejected=state.rejected)

        yield report
