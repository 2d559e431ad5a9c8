"""A path whose odd coordinates are scaled and shifted by smooth functions of all even ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ...arrays import like
from ...errors import InputError, positive_int, real, settle, whole
from .paths import Carried, Path

Array = Any

WAVES = 3
"""Directions in which the functions vary."""


@dataclass(frozen=True)
class Coupled(Path):
    """x = z ⊙ e^(t·E tanh(Az)) + t·C sin(Az): A sees the even coordinates, and E and C reach the odd ones.

    `strength` is the size of the shift and half that of the log scale at t = 1; `seed` draws A, C and E.
    """

    dim: int
    strength: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if positive_int("dim", self.dim) < 2:
            raise InputError(f"dim must be at least 2, got {self.dim}: a coordinate is moved by the others")
        settle(self, strength=real("strength", self.strength), seed=whole("seed", self.seed, 0))

    @cached_property
    def _weights(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A, C and E on the right of rows: (d, k), (k, d), (k, d)."""
        rng, odd = np.random.default_rng(self.seed), np.arange(self.dim) % 2
        A = rng.standard_normal((self.dim, WAVES)) * (1 - odd[:, None]) / np.sqrt((self.dim + 1) // 2)
        C, E = rng.standard_normal((2, WAVES, self.dim)) * odd * self.strength / np.sqrt(WAVES)
        return A, C, E / 2

    def _scale_and_shift(self, t: Array, z: Array) -> tuple[Array, Array]:
        xp, (A, C, E) = array_namespace(z), (like(part, z) for part in self._weights)
        h = z @ A
        return xp.exp(t * (xp.tanh(h) @ E)), t * (xp.sin(h) @ C)

    def inverse(self, t: Any, x: Array) -> Array:
        scale, shift = self._scale_and_shift(like(t, x), x)  # A sees what is not moved
        return (x - shift) / scale

    def carry(self, t: Any, start: Carried) -> Carried:
        z, velocity, score, log_det = start
        xp, t, (A, C, E) = array_namespace(z), like(t, z), (like(part, z) for part in self._weights)
        h, moving = z @ A, velocity @ A
        scale, shift = self._scale_and_shift(t, z)
        bell = 1 - xp.tanh(h) ** 2
        scaling = xp.tanh(h) @ E + t * ((bell * moving) @ E)
        shifting = xp.sin(h) @ C + t * ((xp.cos(h) * moving) @ C)
        # (∂x/∂z)^(−T)(s − ∇log det): the odd coordinates first, and then what they tell the even ones
        volume = t * (bell * xp.sum(E, axis=1)) @ A.T
        odd = score / scale
        back = t * (bell * ((odd * z * scale) @ E.T) + xp.cos(h) * (odd @ C.T)) @ A.T
        return Carried(
            z * scale + shift,
            velocity * scale + z * scale * scaling + shifting,
            odd - volume - back,
            log_det + xp.sum(xp.log(scale), axis=1),
        )
