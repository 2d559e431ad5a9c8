"""What the shell offers for a problem that is only begun."""

from __future__ import annotations

from pathlib import Path

from .. import problems


def complete(incomplete: str) -> list[str]:
    """The problems, folders and problem files that begin with `incomplete`."""
    folder, _, begin = incomplete.rpartition("/")
    try:
        held = sorted(Path(folder or ("/" if incomplete.startswith("/") else ".")).iterdir())
    except OSError:
        held = []
    here = [path for path in held if path.name.startswith(begin) and (begin or not path.name.startswith("."))]
    prefix = incomplete[: len(incomplete) - len(begin)]
    files = [f"{prefix}{path.name}{'/' * path.is_dir()}" for path in here if path.is_dir() or path.suffix == ".py"]
    return [name for name in problems.names() if name.startswith(incomplete)] + files
