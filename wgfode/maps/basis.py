"""Linear combinations of given functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..backend.protocol import Backend
from ..errors import InputError, positive_int, settle
from .base import Map, space_jacobian
from .blocks import Block
from .factors import Factors, product
from .frame import Carried, Frame

Array = Any


@dataclass(frozen=True)
class Basis(Map):
    """T(z) = z + Σ_k θ_k φ_k(z), for given φ_k: R^d → R^d that take (N, d) to (N, d).

    The φ_k are functions of the reference's points as they are, not of whitened coordinates. The identity is kept
    apart, so θ = 0 is the exact start; put it among the φ_k to let it scale.
    Raises `InputError` for an empty list or something that cannot be called.
    """

    functions: Sequence[Callable[[Array], Array]]
    dim: int

    constant_tangent = True
    has_divergences = True

    def __post_init__(self) -> None:
        if not isinstance(self.functions, Iterable):
            raise InputError(f"functions must be a sequence of φ_k: (N, d) → (N, d), got {self.functions!r}")
        settle(self, dim=positive_int("dim", self.dim), functions=tuple(self.functions))
        if not self.functions:
            raise InputError("functions must hold at least one φ_k: (N, d) → (N, d), got none")
        for index, function in enumerate(self.functions):
            if not callable(function):
                raise InputError(f"functions[{index}] must be callable, (N, d) → (N, d), got {function!r}")

    @property
    def size(self) -> int:
        return len(self.functions)

    def initial(self) -> np.ndarray:
        return np.zeros(self.size)

    def within(self, frame: Frame) -> Basis:
        return Basis([Carried(function, frame) for function in self.functions], self.dim)

    def __repr__(self) -> str:
        names = ", ".join(getattr(function, "__name__", repr(function)) for function in self.functions)
        return f"Basis([{names}], {self.dim})"

    def __call__(self, theta: Array, z: Array) -> Array:
        values = array_namespace(z).stack([function(z) for function in self.functions], axis=0)
        flat = values.reshape((self.size, -1))
        return z + (theta @ flat).reshape(z.shape)

    def divergences(self, backend: Backend, theta: Array, z: Array, against: Array) -> Array:
        xp = backend.xp
        return xp.stack(
            [xp.einsum("nij,nji->n", space_jacobian(backend, function, z), against) for function in self.functions],
            axis=1,
        )

    def factors(self, backend: Backend, theta: Array, z: Array, outer: Array | None = None) -> Factors:
        xp = backend.xp
        values = xp.stack([function(z) for function in self.functions], axis=2)
        block = Block(self.size, xp.ones_like(z[:, :1]), product(outer, values))
        return Factors(
            blocks=(block,),
            spread=lambda xi: [xi[:, None]],
            gather=lambda blocks: blocks[0][:, 0],
            places=(np.arange(self.size)[:, None],),
            through=lambda: product(outer, space_jacobian(backend, lambda points: self(theta, points), z)),
        )
