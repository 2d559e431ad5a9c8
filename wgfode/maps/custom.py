"""Maps that are plain functions of parameters and points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..arrays import unpack
from ..errors import InputError, positive_int, settle, shown
from .model import Model, checked_start, finite_parameters

Array = Any


@dataclass(frozen=True, eq=False, init=False)
class Custom(Model):
    """A map made of a function F(θ, z) of parameters θ and points z (N, d), row by row.

    `initial` is θ0: a vector (m,), or arrays in nested dictionaries, lists and tuples, which `function` then gets in
    the same nesting (`unflatten`). `function` must take the arrays of the framework that the run uses. With
    `start` = "identity" the map is T_θ(z) = z + F(θ, z) − F(θ0, z) on whitened points; with "given" it is F itself, and
    the flow starts at F(θ0, ·)#λ. Density and score are found by automatic differentiation.

    Raises `InputError` where function is none, initial holds no finite numbers, dim < 1 or start is unknown; what
    `function` does is tried when a flow is bound to a framework.
    """

    function: Callable[[Any, Array], Array]
    _initial: Any
    dim: int
    start: str
    _flat: np.ndarray

    def __init__(self, function: Callable[[Any, Array], Array], initial: Any, dim: int, start: str = "identity"):
        if not callable(function):
            raise InputError(f"function must be a function of (theta, z), (N, d) to (N, d), got {shown(function)}")
        try:
            nested = _copied(initial)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"initial must be a vector (m,), or arrays in nested dictionaries and lists, got {shown(initial)}"
            ) from error
        settle(self, function=function, _initial=nested, dim=positive_int("dim", dim), start=checked_start(start))
        settle(self, _flat=finite_parameters(dict(_leaves("initial", nested))))

    @property
    def size(self) -> int:
        return len(self._flat)

    def initial(self) -> np.ndarray:
        return self._flat.copy()

    def unflatten(self, theta: Array) -> Any:
        """θ (m,) in the nesting of `initial`."""
        pieces = iter(unpack(theta, *(leaf.shape for _, leaf in _leaves("", self._initial))))
        return _mapped(lambda _: next(pieces), self._initial)

    def model(self, theta: Array, z: Array) -> Array:
        return self.function(self.unflatten(theta), z)

    def __repr__(self) -> str:
        function = self.function.func if isinstance(self.function, partial) else self.function
        name = getattr(function, "__qualname__", None) or shown(function)
        return f"Custom({name}, m={self.size}, dim={self.dim}, start={self.start!r})"


def _mapped(f: Callable[[Any], Any], nested: Any) -> Any:
    """`nested` with f of each of its leaves, in order."""
    if isinstance(nested, Mapping):
        return {key: _mapped(f, value) for key, value in nested.items()}
    if isinstance(nested, (list, tuple)):
        values = [_mapped(f, value) for value in nested]
        return values if isinstance(nested, list) else tuple(values)
    return f(nested)


def _copied(initial: Any) -> Any:
    """`initial` with numpy arrays for its leaves; a plain list of numbers is a vector."""
    if isinstance(initial, (list, tuple)) and all(isinstance(value, (int, float)) for value in initial):
        return np.array(initial, dtype=float)
    return _mapped(_array, initial)


def _array(leaf: Any) -> np.ndarray:
    leaf = leaf.detach().cpu() if hasattr(leaf, "detach") else leaf
    if isinstance(leaf, (str, bytes)) or np.asarray(leaf).dtype.kind not in "fiu":
        raise TypeError(f"{leaf!r} is no array of real numbers")
    return np.array(leaf, dtype=float)


def _leaves(name: str, nested: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The leaves of `nested` with their places in words, in the order of `_mapped`."""
    if isinstance(nested, Mapping):
        for key, value in nested.items():
            yield from _leaves(f"{name}[{key!r}]", value)
    elif isinstance(nested, (list, tuple)):
        for index, value in enumerate(nested):
            yield from _leaves(f"{name}[{index}]", value)
    else:
        yield name, nested
