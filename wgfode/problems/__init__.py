"""Problems by name: those of wgfode, those of installed packages, and those in files of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError, choice
from . import file, installed
from .base import Problem
from .forms import double_well_potential, linear, quadratic, quartic_potential, ring_kernel
from .named import PROBLEMS


def names() -> list[str]:
    """The names of the problems: those of wgfode, then those of installed packages."""
    return list(dict.fromkeys([*PROBLEMS, *installed.entries()]))


def get(name: str) -> Problem:
    """The problem of that name, or in the file "FILE.py" or "FILE.py:name".

    Raises `InputError`, with the nearest names for an unknown one, and see `problems.file.load`.
    """
    if file.is_file(name):
        return file.load(name)
    known = choice("problem", name, names())
    return PROBLEMS[known]() if known in PROBLEMS else installed.load(known)


def of(attributes: Mapping[str, Any], at: str | None = None) -> Problem:
    """The problem of the run whose dataset has these attributes; `at` is where its file is now, if it has moved.

    Raises `InputError` where there is none, it is unknown here, or its file is not as it was then.
    """
    name, digest = attributes.get("problem"), attributes.get("problem_digest")
    if name is None:
        raise InputError("the dataset names no problem, as those of `wgfode run` do")
    if digest is None:
        known = get(str(name))
        if at is not None and (file.is_file(at) or get(at).name != known.name):
            raise InputError(f"the run was of {name!r}, not of {at!r}")
        return known
    if at is not None and not file.is_file(at):
        raise InputError(f"the run was of {name!r}, not of {at!r}")
    place, asked = file.split(str(attributes["problem_file"]) if at is None else at)
    own = str(name).rpartition(":")[2]
    if asked not in (None, own):
        raise InputError(f"the run was of {name!r}, not of {at!r}")
    return file.load(f"{place}:{own}", str(digest))


__all__ = [
    "PROBLEMS",
    "Problem",
    "double_well_potential",
    "get",
    "linear",
    "names",
    "of",
    "quadratic",
    "quartic_potential",
    "ring_kernel",
]
