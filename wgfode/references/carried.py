"""A density that maps have carried already: where a map begins anew along a flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .base import Reference

Array = Any


@dataclass(frozen=True, eq=False)
class Layer:
    """A map that has come to rest: the `Map` of points as the layers before have left them, at θ (m,)."""

    map: Any
    theta: np.ndarray
    backend: Any

    @cached_property
    def call(self) -> Callable[[Array], Array]:
        """Points (N, d) to their images."""
        return self._at_rest(lambda theta, z: self.map(theta, z))

    @cached_property
    def push(self) -> Callable[[Array, Array], Any]:
        """Points and scores there, (N, d) each, to the `Image`. One program, however many layers carry the points."""
        return self._at_rest(lambda theta, z, score: self.map.push(self.backend, theta, z, score))

    def _at_rest(self, f: Callable[..., Any]) -> Callable[..., Any]:
        compiled, theta = self.backend.compile(f), self.backend.asarray(self.theta)
        return lambda *arguments: compiled(theta, *arguments)


@dataclass(frozen=True, eq=False)
class Carried(Reference):
    """The density of `source` after `layers`, innermost first, with its mean (d,) and covariance (d, d).

    It is known where points of the origin have been carried, and there alone: its density at any other place would
    take the inverse of the layers. A rule of points therefore draws from `origin`, and `pushforward.carried` takes
    what it drew through the layers.
    """

    mean: np.ndarray
    covariance: np.ndarray
    source: Reference
    layers: tuple[Layer, ...] = ()

    @property
    def origin(self) -> Reference:
        return self.source

    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.source.dim

    @property
    def has_density(self) -> bool:  # type: ignore[override]
        """Whether the origin and all layers have one."""
        return self.source.has_density and all(layer.map.has_density for layer in self.layers)
