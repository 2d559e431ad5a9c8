"""Functions that users give: of x, and of the time `t` and the parameters `args` where they name them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

Array = Any
EXTRA = ("t", "args")


class Given:
    """A user's function of `leading` arguments, and of `t` and `args` where its signature has them by these names.

    Functions, lambdas, partials, objects with `__call__`, torch modules and bound methods alike. What a partial has
    bound already, `*args` and `**kwargs` are not asked for.
    """

    def __init__(self, function: Callable[..., Any], leading: int = 1):
        self.function = function
        self._by_place, self._by_name = _named(function, leading)

    @property
    def names(self) -> frozenset[str]:
        """Which of "t" and "args" it names."""
        return frozenset((*self._by_place, *self._by_name))

    def at(self, t: Array, args: Any) -> Callable[..., Any]:
        """The function of its leading arguments that is left at a time and parameters."""
        if not self.names:
            return self.function
        known = {"t": t, "args": args}
        places = [known[name] for name in self._by_place]
        names = {name: known[name] for name in self._by_name}
        return lambda *leading: self.function(*leading, *places, **names)


def _named(function: Callable[..., Any], leading: int) -> tuple[list[str], list[str]]:
    """The extra arguments that `function` names: those handed over by place and those by name."""
    bound = function.keywords if isinstance(function, functools.partial) else {}
    try:  # a torch module says in `forward` what it takes
        parameters = list(inspect.signature(getattr(function, "forward", function)).parameters.values())[leading:]
    except (TypeError, ValueError):  # compiled functions may have no signature
        return [], []
    places: list[str] = []
    names: list[str] = []
    gap = False
    for parameter in parameters:
        if parameter.name not in EXTRA or parameter.name in bound:
            gap = True
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            (names if gap else places).append(parameter.name)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            names.append(parameter.name)
        else:  # *args, **kwargs
            gap = True
    return places, names
