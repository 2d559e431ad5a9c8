"""A digest of all that a value holds: functions with what they close over and read, objects with their attributes."""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import inspect
import re
import sysconfig
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

DEPTH = 40
"""How deep functions, containers and objects are followed."""
PLAIN = (bool, int, float, complex, str, bytes, type, type(None))
PLACES = [place for name, place in sysconfig.get_paths().items() if "lib" in name]
LIBRARIES = (*PLACES, *(str(Path(place).resolve()) for place in PLACES))
"""Where python's own modules and the installed packages are: what those read is a matter of their versions."""


def digest(value: Any) -> str:
    """Twelve hexadecimal digits of `value`'s contents.

    Arrays count by their bytes; functions by qualified name, bytecode, constants, defaults, closure and the data and
    functions that they read of their module; partial functions by their arguments; dataclasses and other objects by
    their type and attributes, and by how they are called.
    """
    return Reader()(value, DEPTH)[:12]


class Reader:
    """Reads values once each, however often and in whatever circles they hold one another."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[Any, str]] = {}  # holds the values, so that no id is used twice

    def __call__(self, value: Any, depth: int) -> str:
        if isinstance(value, PLAIN):
            return hashed(type(value).__name__, value.__qualname__ if isinstance(value, type) else repr(value))
        if depth == 0:
            return hashed(type(value).__qualname__)
        if id(value) not in self.known:
            self.known[id(value)] = value, "on the way"
            name, payload, parts = contents(value)
            self.known[id(value)] = value, hashed(name, payload, *(self(part, depth - 1) for part in parts))
        return self.known[id(value)][1]


def hashed(*words: str | bytes) -> str:
    """The digest of some words, in order."""
    sha = hashlib.sha256()
    for word in words:
        word = word if isinstance(word, bytes) else word.encode(errors="surrogatepass")
        sha.update(b"%d:" % len(word) + word)
    return sha.hexdigest()


def contents(value: Any) -> tuple[str, str | bytes, Iterable[Any]]:
    """(what it is, what is at once known of it, what else it holds) of a value."""
    kind = type(value).__qualname__
    if isinstance(value, np.ndarray) or (hasattr(value, "__array__") and hasattr(value, "dtype")):
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        held = list(array.flat) if array.dtype == object else []
        return f"array {array.dtype} {array.shape}", b"" if held else array.tobytes(), held
    if isinstance(value, types.CodeType):
        # a nested function's code is one of the constants
        return "code", f"{value.co_name} {value.co_names} {value.co_varnames}".encode() + value.co_code, value.co_consts
    if inspect.isfunction(value):
        own = [value.__code__, value.__defaults__, value.__kwdefaults__, *map(cell, value.__closure__ or ())]
        return "function", value.__qualname__, [*own, globals_read(value)]
    if inspect.ismethod(value):
        return "method", "", [value.__func__, value.__self__]
    if isinstance(value, functools.partial):
        return "partial", "", [value.func, value.args, value.keywords]
    if isinstance(value, Mapping):
        return "mapping", "", [part for pair in value.items() for part in pair]
    if isinstance(value, (set, frozenset)):
        return "set", ",".join(sorted(digest(item) for item in value)), []
    if isinstance(value, (list, tuple)):
        return kind, str(len(value)), value
    if not isinstance(value, types.ModuleType) and (held := attributes(value)):
        return kind, ",".join(name for name, _ in held), [part for _, part in held]
    return kind, re.sub(r" at 0x[0-9a-f]+", "", repr(value)), []


def attributes(value: Any) -> list[tuple[str, Any]]:
    """What an object holds, by name: its fields, or its `__dict__` and `__slots__`, and how it is called."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    else:
        slots = [getattr(part, "__slots__", ()) for part in type(value).__mro__]
        names = sorted(
            {*getattr(value, "__dict__", ()), *(n for s in slots for n in ([s] if isinstance(s, str) else s))}
        )
    found = [(name, getattr(value, name, None)) for name in names if name not in ("__dict__", "__weakref__")]
    if callable(value) and inspect.isfunction(call := type(value).__call__):
        found.append(("__call__", call))
    return found


def globals_read(function: types.FunctionType) -> dict[str, Any]:
    """The data and functions among the globals that a function of the user's reads and does not itself set.

    Other objects may change as a program runs, and count by what they compute alone.
    """
    if function.__code__.co_filename.startswith(LIBRARIES):
        return {}
    names: set[str] = set()
    own: set[str] = set()
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        own.update(step.argval for step in dis.get_instructions(code) if step.opname == "STORE_GLOBAL")
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    held = ((name, function.__globals__.get(name)) for name in sorted(names - own))
    return {name: value for name, value in held if is_data(value) or inspect.isfunction(value)}


def is_data(value: Any) -> bool:
    """Whether a value is numbers, words or arrays of them, or a partial function."""
    if isinstance(value, (list, tuple)):
        return all(map(is_data, value))
    plain = isinstance(value, (*PLAIN, np.ndarray, functools.partial)) and not isinstance(value, type)
    return value is not None and (plain or (hasattr(value, "__array__") and hasattr(value, "dtype")))


def cell(of: Any) -> Any:
    """What a cell of a closure holds."""
    try:
        return of.cell_contents
    except ValueError:  # not filled yet
        return None
