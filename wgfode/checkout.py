"""A checkout's own `wgfode/`, which hides an installed one from whoever runs python beside it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

BESIDE = ("adapters", "validation")
"""Folders beside this one in a checkout, which an installation puts inside."""


def check(package: str, place: Path) -> None:
    """Raise `ImportError` where the package at `place` is that of a checkout, and no installation adds what is beside.

    Without it the first import of `wgfode.adapters` fails with the bare "No module named", though a whole wgfode may
    be installed.
    """
    if not all((place.parent / name).is_dir() for name in BESIDE):
        return
    missing = [name for name in BESIDE if importlib.util.find_spec(f"{package}.{name}") is None]
    if missing:
        raise ImportError(
            f"python has found the checkout's {package}/ in {place.parent} instead of an installed {package}: run "
            f"python from another folder, or `pip install -e .` here ({package}.{missing[0]} is not in this folder)"
        )
