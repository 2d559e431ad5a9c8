"""Composition of maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import unpack
from ..backend.protocol import Backend
from ..errors import InputError
from .base import Image, Map

Array = Any


@dataclass(frozen=True)
class Compose(Map):
    """`maps[0] ∘ maps[1] ∘ …`; θ holds their parameters in the same order.

    Raises `InputError` where the dimensions differ.
    """

    maps: tuple[Map, ...]

    def __post_init__(self) -> None:
        flat: list[Map] = []
        for part in self.maps:
            flat.extend(part.maps if isinstance(part, Compose) else (part,))
        object.__setattr__(self, "maps", tuple(flat))
        dims = [part.dim for part in flat]
        if len(set(dims)) != 1:
            raise InputError(f"composed maps must have one dimension, got {dims}")

    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.maps[0].dim

    @property
    def size(self) -> int:
        return sum(part.size for part in self.maps)

    @property
    def has_density(self) -> bool:  # type: ignore[override]
        return all(part.has_density for part in self.maps)

    def initial(self) -> np.ndarray:
        return np.concatenate([part.initial() for part in self.maps])

    def split(self, theta: Array) -> list[tuple[Map, Array]]:
        """The maps with their own parameters, innermost first."""
        pieces = unpack(theta, *((part.size,) for part in self.maps))
        return list(zip(self.maps, pieces, strict=True))[::-1]

    def __call__(self, theta: Array, z: Array) -> Array:
        for part, own in self.split(theta):
            z = part(own, z)
        return z

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        sign, log_det = 1.0, 0.0
        for part, own in self.split(theta):
            z, part_sign, part_log_det, score = part.push(backend, own, z, score)
            sign, log_det = sign * part_sign, log_det + part_log_det
        return Image(z, sign, log_det, score)

    def __repr__(self) -> str:
        return " @ ".join(map(repr, self.maps))
