"""What `wgfode validate` runs: the named problems, flows that only a grid can check, every map on one exact flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...errors import choice
from .base import Box, Case, Limit
from .grid import GRID_CASES
from .manufactured import MANUFACTURED
from .named import NAMED, QUICK

__all__ = ["GRID_CASES", "MANUFACTURED", "NAMED", "QUICK", "Box", "Case", "Limit", "all_cases", "chosen", "get"]

STUDIES = {"manufactured": MANUFACTURED}
"""Names that stand for many cases."""


def all_cases() -> dict[str, Callable[[], Case]]:
    """The named problems, and the flows that only a grid can check."""
    return NAMED | GRID_CASES


def get(name: str) -> Case:
    """The case of that name; `InputError` with the nearest names for an unknown one."""
    known = all_cases() | MANUFACTURED
    return known[choice("case", name, known)]()


def chosen(names: Sequence[str]) -> list[Case]:
    """The cases of these names, once each; "manufactured" stands for all of that study. Raises `InputError`."""
    known = all_cases() | MANUFACTURED
    found = [choice("case", name, [*known, *STUDIES]) for name in names]
    single = dict.fromkeys(part for name in found for part in STUDIES.get(name, (name,)))
    return [known[name]() for name in single]
