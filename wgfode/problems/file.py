"""Problems in files of the user's own: `my.py`, or `my.py:name` where a file holds several."""

from __future__ import annotations

import hashlib
import re
import sys
import traceback
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ..errors import InputError, choice, shown
from ..flow import GradientFlow
from .base import Problem

T = TypeVar("T")

ADDRESS = re.compile(r"(?P<file>.+\.py)(:(?P<name>\w*))?")
PREFERRED = ("problem", "flow")
"""What is run of a file when no name is given and several would do, the first that is there."""
HOW = "`wgfode new FILE.py` writes one to begin with"


def is_file(address: str) -> bool:
    """Whether `address` names a problem file."""
    return ADDRESS.fullmatch(address) is not None


def split(address: str) -> tuple[str, str | None]:
    """The file of "FILE.py" or "FILE.py:name", and the name where there is one; `InputError` for another ending."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(f"a problem file ends in .py, got {address!r}")
    return match["file"], match["name"] or None


def load(address: str, digest: str | None = None) -> Problem:
    """The problem at "FILE.py" or "FILE.py:name": a `Problem`, a `GradientFlow`, or a function that makes one.

    Beside a flow the file has `times`, and `args` where functions name them; a function may return (flow, times). The
    file's folder is importable, as when python runs the file. With `digest`, a file of another text is refused before
    it is run. Raises `InputError` for a file that cannot be read, does not run or holds no problem of that name.
    """
    place, asked = split(address)
    path = Path(place).absolute()
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"the problem file {place!r} cannot be read: {error.strerror}. {HOW}") from error
    found = hashlib.sha256(text).hexdigest()[:12]
    if digest is not None and found != digest:
        raise InputError(
            f"the problem file {path.name!r} has changed since that run (digest {found}, then {digest}): bring back "
            "the file as it was, or run the changed one anew"
        )
    module = _run(path, text)
    name = _chosen(module, path.name, asked)
    problem = _made(module, path, name)
    return replace(problem, name=f"{path.name}:{name}", file=str(path), digest=found)


def _run(path: Path, text: bytes) -> types.ModuleType:
    """The module of a file, run by its text: a cached compilation may be of an older one."""
    module = types.ModuleType(f"wgfode_problem_{path.stem}", None)
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look there
    if (folder := str(path.parent)) not in sys.path:
        sys.path.insert(0, folder)
    _in_file(path, lambda: exec(compile(text, str(path), "exec"), module.__dict__))
    return module


def _in_file(path: Path, do: Callable[[], T]) -> T:
    """The result of `do`; what fails in the file is an `InputError` that says where."""
    try:
        return do()
    except (Exception, SystemExit) as error:
        frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else (frames or [None])[-1]
        place = path.name if line is None else f"{path.name}, line {line}"
        words = error.msg if isinstance(error, SyntaxError) else str(error)
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        raise InputError(f"{place}: {kind}{words}") from error


def _chosen(module: types.ModuleType, file: str, name: str | None) -> str:
    """The name of what is run of a file."""
    held = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    ready = [key for key, value in held.items() if isinstance(value, (Problem, GradientFlow))]
    makers = [key for key, value in held.items() if getattr(value, "__module__", "") == module.__name__]
    makers = [key for key in makers if isinstance(held[key], types.FunctionType)]
    if name:
        return choice(f"name in {file}:", name, ready + makers) if name not in held else name
    preferred = [key for key in PREFERRED if key in ready] or [key for key in PREFERRED if key in makers]
    if preferred or len(ready) == 1:
        return (preferred or ready)[0]
    if ready:
        raise InputError(f"{file} holds several flows: say which, {' or '.join(f'{file}:{key}' for key in ready)}")
    hint = f", or say which function makes one: {', '.join(f'{file}:{key}' for key in makers)}" if makers else ""
    raise InputError(f"{file} holds no flow: give it a GradientFlow `flow` and output times `times`{hint}; {HOW}")


def _made(module: types.ModuleType, path: Path, name: str) -> Problem:
    """The problem that the value of that name is or makes."""
    value = getattr(module, name)
    if isinstance(value, types.FunctionType):
        value = _in_file(path, value)
    times = getattr(module, "times", None)
    if isinstance(value, tuple) and len(value) == 2:
        value, times = value
    if isinstance(value, Problem):
        return value
    place = f"{path.name}:{name}"
    if not isinstance(value, GradientFlow):
        raise InputError(f"{place} must be or make a GradientFlow or a wgf.problems.Problem, got {shown(value)}")
    if times is None:
        raise InputError(f"{place} is a flow without output times: write times = [0.1, 0.5] beside it")
    about = (module.__doc__ or "").strip().partition("\n")[0] or f"The flow {name!r} of {path.name}"
    return Problem(place, about, value, times, args=getattr(module, "args", None))
