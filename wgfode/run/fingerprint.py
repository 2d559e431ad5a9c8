"""What makes two runs the same run: every setting in words, with a digest of what the words leave out."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import re
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

DEPTH = 12
"""How deep functions, containers and objects are followed."""


def describe(value: Any) -> str:
    """`value` as its repr, without addresses, and a digest of all that it holds."""
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    text = text if len(text) <= 160 else text[:160] + "…"
    return f"{text} #{digest(value)}"


def digest(value: Any) -> str:
    """Twelve hexadecimal digits of `value`'s contents.

    Arrays count by their bytes; functions by qualified name, bytecode, constants, defaults and closure (not
    by the globals they read); dataclasses and other objects by their type and attributes.
    """
    sha = hashlib.sha256()
    _feed(sha, value, DEPTH)
    return sha.hexdigest()[:12]


def _feed(sha: Any, value: Any, depth: int) -> None:
    def tag(text: str) -> None:
        sha.update(f"{text}\0".encode())

    def each(items: Any) -> None:
        for item in items:
            _feed(sha, item, depth - 1)

    if depth == 0 or value is None or isinstance(value, (bool, int, float, complex, str, bytes, type)):
        tag(f"{type(value).__name__}:{value!r}" if depth else type(value).__qualname__)
    elif isinstance(value, np.ndarray) or (hasattr(value, "__array__") and hasattr(value, "dtype")):
        array = np.ascontiguousarray(value.detach().cpu() if hasattr(value, "detach") else value)
        tag(f"array:{array.dtype}:{array.shape}")
        sha.update(array.tobytes())
    elif isinstance(value, types.CodeType):
        tag(f"code:{value.co_name}:{value.co_names}:{value.co_varnames}")
        sha.update(value.co_code)
        each(value.co_consts)
    elif inspect.isfunction(value):
        tag(f"function:{value.__qualname__}")
        each((value.__code__, value.__defaults__, value.__kwdefaults__))
        each(_cell(cell) for cell in value.__closure__ or ())
    elif inspect.ismethod(value):
        tag("method")
        each((value.__func__, value.__self__))
    elif dataclasses.is_dataclass(value):
        tag(type(value).__qualname__)
        for field in dataclasses.fields(value):
            tag(field.name)
            _feed(sha, getattr(value, field.name, None), depth - 1)
    elif isinstance(value, Mapping):
        tag("mapping")
        each(pair for pair in value.items())
    elif isinstance(value, (set, frozenset)):
        tag("set:" + ",".join(sorted(digest(item) for item in value)))
    elif isinstance(value, (list, tuple)):
        tag(f"{type(value).__name__}:{len(value)}")
        each(value)
    elif getattr(value, "__dict__", None):
        tag(type(value).__qualname__)
        each(sorted((name, held) for name, held in vars(value).items()) if _named(value) else ())
    else:
        tag(re.sub(r" at 0x[0-9a-f]+", "", repr(value)))


def _named(value: Any) -> bool:
    """Whether an object's attributes are its own: those of a module are the whole program's."""
    return not isinstance(value, types.ModuleType)


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None
