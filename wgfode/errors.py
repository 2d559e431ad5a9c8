"""The errors that wgfode raises, and the small checks that raise them.

Every message names the argument, what came and what was expected.
"""

from __future__ import annotations

import difflib
import enum
import operator
from collections.abc import Iterable
from typing import Any


class WgfodeError(Exception):
    """Base class of every error that wgfode raises on purpose."""


class InputError(WgfodeError, ValueError):
    """An argument is wrong; the message names it, what came and what was expected."""


class MissingDependencyError(WgfodeError, ImportError):
    """A framework is not installed; the message names the extra that brings it."""


class Reason(enum.Enum):
    """Why a run stopped before its last time."""

    step_vanished = "step vanished"
    """The adaptive step size fell below what the time resolves."""
    max_steps = "max_steps"
    """The budget of steps, accepted and rejected, is spent."""
    not_finite = "not finite"
    stage_unsolved = "stage unsolved"
    """An implicit equation of a fixed step has no solution that was found."""
    fold = "fold"
    """The map lost injectivity."""
    unfollowed = "unfollowed"
    """No map of the family follows the flow from here, not even one that begins anew."""
    interrupted = "interrupted"
    """Ctrl-C."""
    failed = "failed"
    """Anything else; the words say what."""


class IntegrationError(WgfodeError, RuntimeError):
    """A run stopped before its last time: `time` is where, `reason` and `words` are why."""

    def __init__(self, time: float, words: str, reason: Reason = Reason.failed):
        super().__init__(f"stopped at t={time:.6g} because {words}")
        self.time, self.words, self.reason = time, words, reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.time, self.words, self.reason)


class ProcessError(WgfodeError, RuntimeError):
    """A process of a run that several make together is gone, and the others cannot go on."""


def shown(value: Any, longest: int = 80) -> str:
    """`value` for a message: its repr on one line, and no more of it than tells it apart."""
    text = " ".join(repr(value).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def settle(frozen: Any, **values: Any) -> None:
    """Give a frozen dataclass, while it is being built, its fields in their checked form."""
    for name, value in values.items():
        object.__setattr__(frozen, name, value)


def positive(name: str, value: Any) -> float:
    """`value` as a float > 0, else an `InputError` that names it."""
    number = real(name, value)
    if not number > 0:
        raise InputError(f"{name} must be > 0, got {shown(value)}")
    return number


def real(name: str, value: Any) -> float:
    """`value` as a finite float, else an `InputError` that names it."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a number, got {shown(value)}") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise InputError(f"{name} must be finite, got {shown(value)}")
    return number


def positive_int(name: str, value: Any) -> int:
    """`value` as an int >= 1, else an `InputError` that names it."""
    return whole(name, value, 1)


def whole(name: str, value: Any, least: int) -> int:
    """`value` as an int >= `least`, else an `InputError` that names it."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:  # arrays have __index__, but only some of them an index
        number = None
    if number is None or number < least:
        raise InputError(f"{name} must be a whole number >= {least}, got {shown(value)}")
    return number


def collection(name: str, value: Any, kind: type = object) -> tuple:
    """`value` as a tuple of instances of `kind`, else an `InputError` that names it."""
    if not isinstance(value, Iterable) or not all(isinstance(part, kind) for part in value):
        raise InputError(f"{name} must be a sequence of {kind.__name__}, got {value!r}")
    return tuple(value)


def choice(name: str, value: Any, options: Iterable[str]) -> str:
    """The member of `options` equal to `value` up to case, else an `InputError` with the nearest names."""
    known = {option.lower(): option for option in options}
    key = str(value).lower()
    if key in known:
        return known[key]
    near = [known[k] for k in difflib.get_close_matches(key, known, n=3, cutoff=0.4)]
    hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
    raise InputError(f"unknown {name} {shown(value)}{hint} (known: {', '.join(sorted(known.values()))})")
