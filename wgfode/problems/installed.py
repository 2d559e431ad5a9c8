"""Problems of installed packages: entry points of the group "wgfode.problems".

In the package's pyproject.toml:

    [project.entry-points."wgfode.problems"]
    my-problem = "my_package:problem"

where `problem` is a `Problem`, or a function without arguments that makes one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InputError, shown
from .base import Problem

if TYPE_CHECKING:
    from importlib import metadata

GROUP = str(__package__)
"""The group of entry points, "wgfode.problems"."""


def entries() -> dict[str, metadata.EntryPoint]:
    """The entry points by name, without importing them."""
    from importlib import metadata  # here: it brings email and zipfile, and every start would wait for them

    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}


def load(name: str) -> Problem:
    """The problem of that name; `InputError` where its package fails or hands out something else."""
    entry = entries()[name]
    try:
        value = entry.load()
        problem = value() if callable(value) else value
    except Exception as error:
        raise InputError(f"problem {name!r} ({entry.value}) fails: {type(error).__name__}: {error}") from error
    if not isinstance(problem, Problem):
        raise InputError(f"problem {name!r} ({entry.value}) must be a wgf.problems.Problem, got {shown(problem)}")
    return replace(problem, name=name)
