"""When the map of a run begins anew: the option `restart` of `wgfode.solve`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import InputError, real, settle, shown
from .options import Kind


@dataclass(frozen=True)
class Restart:
    """When a run's map begins anew, as the identity on what it has become.

    - `times`: increasing, > 0;
    - `judged`: also where the map has moved the points far, as the next three say, or folds: the step is then undone;
    - `stretch` s > 1, `share` in (0, ½): where the `share`-quantile of det^min(1, 2/d) leaves (1/s, s), det the
      determinant of the map's space derivative on held-out points. (A contraction of every axis by r has
      det = r^d: the power makes that r² from d = 2 on.)
    - `least` in (0, 1): where det falls below it on any of them.

    Raises `InputError` for what is out of range, and for one that never happens.
    """

    times: tuple[float, ...] = ()
    judged: bool = True
    stretch: float = 2.0
    share: float = 0.002
    least: float = 0.1

    def __post_init__(self) -> None:
        times = self.times if isinstance(self.times, Iterable) and not isinstance(self.times, str) else None
        if times is None:
            raise InputError(f"times of a Restart must be numbers, got {shown(self.times)}")
        settle(self, times=tuple(real("times of a Restart", t) for t in times))
        if self.times and not (self.times[0] > 0 and (np.diff(self.times) > 0).all()):
            raise InputError(f"times of a Restart must be increasing and > 0, got {list(self.times)}")
        if not isinstance(self.judged, bool):
            raise InputError(f"judged must be True or False, got {self.judged!r}")
        if not self.times and not self.judged:
            raise InputError("a Restart without times and with judged=False never happens")
        for name, low, high in (("stretch", 1.0, np.inf), ("share", 0.0, 0.5), ("least", 0.0, 1.0)):
            number = real(name, getattr(self, name))
            if not low < number < high:
                raise InputError(f"{name} must lie in ({low:g}, {high:g}), got {number!r}")
            settle(self, **{name: number})

    def due(self, jacobians: np.ndarray, dim: int) -> bool:
        """Whether a map with these determinants at points, (n,), has gone far enough to begin anew."""
        if not self.judged or not np.isfinite(jacobians).all():  # infinite: of a map without a density
            return False
        least = float(jacobians.min())
        if least < self.least:
            return True
        typical = float(np.quantile(jacobians, self.share)) ** min(1.0, 2.0 / dim)
        return not 1 / self.stretch < typical < self.stretch


def checked(name: str, value: Any) -> Restart:
    """`value` as a `Restart`: one, "auto", times, or a line of text that says any of these; else `InputError`."""
    if isinstance(value, Restart):
        return value
    refusal = InputError(f'{name} must be "auto", times such as [0.5, 1.0], or a wgfode.Restart, got {shown(value)}')
    if isinstance(value, str):
        return _read(value, refusal)
    if not isinstance(value, Iterable) or isinstance(value, dict) or not (times := list(value)):
        raise refusal
    return Restart(tuple(real(name, t) for t in times), judged=False)


def written(restart: Restart) -> str:
    """One line from which `checked` has it back: "auto", times, or all of it as JSON."""
    if restart == Restart():
        return "auto"
    if restart.times and restart == Restart(restart.times, judged=False):
        return " ".join(map(repr, restart.times))
    return json.dumps(asdict(restart))


def _read(line: str, refusal: InputError) -> Restart:
    if line.strip().lower() == "auto":
        return Restart()
    try:
        if line.strip().startswith("{"):
            return Restart(**json.loads(line))
        return Restart(tuple(map(float, line.replace(",", " ").split())), judged=False)
    except InputError:
        raise
    except (TypeError, ValueError):
        raise refusal from None


KIND = Kind(str, written, lambda line: checked("restart", str(line)))
"""Of the option's values."""
