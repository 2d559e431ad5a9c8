"""What one option of a run is: its check, its words, and where it is written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError


@dataclass(frozen=True)
class Kind:
    """What an option's values are: their type on the command line, and how a dataset's attributes hold them."""

    type: Any
    write: Callable[[Any], Any]
    """The attribute of a value; None leaves it out."""
    read: Callable[[Any], Any]
    """The value of an attribute, as it comes back from a file."""


NUMBER = Kind(float, lambda value: value, float)
WHOLE = Kind(int, lambda value: value, lambda found: int(np.asarray(found)))
WORD = Kind(str, lambda value: value, str)
SWITCH = Kind(bool, lambda on: "on" if on else "off", lambda word: word == "on")
TIMES = Kind(None, lambda times: " ".join(map(repr, times)), lambda text: tuple(map(float, str(text).split())))
DEVICE = Kind(str, lambda device: device if isinstance(device, str) else None, str)
PLACE = Kind(Path, str, str)
TREE = Kind(None, lambda args: as_json(args), json.loads)


def as_json(args: Any) -> str | None:
    """A tree of numbers and arrays as text, or None where JSON cannot hold it."""
    try:
        return json.dumps(args, default=lambda leaf: leaf.tolist())
    except (TypeError, ValueError, AttributeError):
        return None


@dataclass(frozen=True)
class Command:
    """An option on the command line, as far as it differs there."""

    help: str | None = None
    default: str | None = None
    """What stands in for an option that is not given, in words."""
    metavar: str | None = None


@dataclass(frozen=True)
class Option:
    """All that is asked of one option."""

    help: str
    kind: Kind
    check: Callable[[str, Any], Any]
    """(name, value) ↦ the value in its settled form; raises `InputError`."""
    fingerprint: bool = False
    """Whether a run's states depend on it, so that a checkpoint of another value is another run's."""
    attribute: str | None = ""
    """Its name among the attributes of the run's dataset: "" for its own, None where it is not kept there."""
    size_of: str | None = None
    """The dimension of the dataset that has its value as length, where there is one."""
    moot_with: str | None = None
    """The option that takes this one's place where it is given."""
    command: Command | None = Command()
    """None where the command line has no such option."""


def option(
    default: Any, help: str, kind: Kind, check: Callable[[str, Any], Any], *, factory: Any = MISSING, **more: Any
) -> Any:
    """A field of a class of options, with the rest as in `Option`. `factory` makes the default where a call begins."""
    told = Option(help, kind, check, **more)
    if factory is not MISSING:
        return field(default_factory=factory, metadata={"option": told})
    return field(metadata={"option": told}) if default is MISSING else field(default=default, metadata={"option": told})


def options_of(kind: type) -> dict[str, Option]:
    """The options that are the fields of a dataclass, by name."""
    found = {item.name: item.metadata["option"] for item in fields(kind)}
    return {name: replace(told, attribute=name) if told.attribute == "" else told for name, told in found.items()}


def optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """`check` for an option that may be None."""
    return lambda name, value: None if value is None else check(name, value)


def anything(name: str, value: Any) -> Any:
    """`value`, which only the framework can judge."""
    return value


def switch(name: str, value: Any) -> bool:
    """`value` as a bool, else an `InputError` that names it: "off" is no switch that is off."""
    if not isinstance(value, (bool, np.bool_, int)) or value not in (0, 1):
        raise InputError(f"{name} must be True or False, got {value!r}")
    return bool(value)
