"""What `wgfode validate` runs: the named problems, and the flows that only a grid can check."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import choice
from .base import Box, Case, Limit
from .grid import GRID_CASES
from .named import NAMED, QUICK

__all__ = ["GRID_CASES", "NAMED", "QUICK", "Box", "Case", "Limit", "all_cases", "get"]


def all_cases() -> dict[str, Callable[[], Case]]:
    """The named problems, and the flows that only a grid can check."""
    return NAMED | GRID_CASES


def get(name: str) -> Case:
    """The case of that name; `InputError` with the nearest names for an unknown one."""
    known = all_cases()
    return known[choice("case", name, known)]()
