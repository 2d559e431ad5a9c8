"""Paths of diffeomorphisms T(t, z) with a closed inverse: T(0, z) = z, any dimension, any array type.

A path carries points, their velocities and the score of their density from z to x = T(t, z) at once, by the chain rule
written out: no framework differentiates here, and so the exact solution shares no derivative with what it tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from ...arrays import like
from ...errors import InputError, collection, positive_int, real, settle

Array = Any


class Carried(NamedTuple):
    """What a path knows of points at time t."""

    x: Array
    """The points, (N, d)."""
    velocity: Array
    """Their ∂x/∂t, (N, d)."""
    score: Array
    """∇log ρ there, (N, d)."""
    log_det: Array
    """log det of ∂x/∂z since the start, (N,)."""


class Path:
    """A path of maps R^dim → R^dim."""

    dim: int

    def inverse(self, t: Any, x: Array) -> Array:
        """The z with T(t, z) = x, (N, d) → (N, d)."""
        raise NotImplementedError

    def carry(self, t: Any, start: Carried) -> Carried:
        """What is known of points, moved by T(t, ·)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Rotation(Path):
    """Coordinates (0, 1), (2, 3), … turn by the angle rate·t; in odd dimensions the last one rests."""

    dim: int
    rate: float = 1.0

    def __post_init__(self) -> None:
        settle(self, dim=positive_int("dim", self.dim), rate=real("rate", self.rate))

    def _turn(self, t: Any, z: Array) -> tuple[Array, Array]:
        """R(t), with rows of points on its left, and its derivative in t, (d, d) each."""
        xp, angle = array_namespace(z), like(t, z) * self.rate
        plane, quarter = np.zeros((self.dim, self.dim)), np.zeros((self.dim, self.dim))
        for i in range(0, self.dim - 1, 2):
            plane[i, i] = plane[i + 1, i + 1] = quarter[i, i + 1] = 1.0
            quarter[i + 1, i] = -1.0
        rest, plane, quarter = like(np.eye(self.dim) - plane, z), like(plane, z), like(quarter, z)
        turn = rest + xp.cos(angle) * plane + xp.sin(angle) * quarter
        return turn, self.rate * (xp.cos(angle) * quarter - xp.sin(angle) * plane)

    def inverse(self, t: Any, x: Array) -> Array:
        return x @ self._turn(t, x)[0].T

    def carry(self, t: Any, start: Carried) -> Carried:
        turn, turning = self._turn(t, start.x)
        return Carried(
            start.x @ turn, start.velocity @ turn + start.x @ turning, start.score @ turn, start.log_det
        )  # fmt: skip


class Bent(Path):
    """Every odd coordinate is moved along the one before: x_i = z_i + bend·t s(z_{i−1}); volumes are kept."""

    bend: float

    def profile(self, z: Array) -> tuple[Array, Array]:
        """s and its derivative, elementwise."""
        raise NotImplementedError

    def _spread(self, z: Array) -> Array:
        """From even coordinates to the odd ones that they move, (d, d) on the right of rows."""
        spread = np.zeros((self.dim, self.dim))
        for i in range(1, self.dim, 2):
            spread[i - 1, i] = self.bend
        return like(spread, z)

    def inverse(self, t: Any, x: Array) -> Array:
        return x - like(t, x) * (self.profile(x)[0] @ self._spread(x))

    def carry(self, t: Any, start: Carried) -> Carried:
        z, velocity, score, log_det = start
        spread, t = self._spread(z), like(t, z)
        height, slope = self.profile(z)
        bent = height @ spread
        moved = velocity + bent + t * ((slope * velocity) @ spread)
        return Carried(z + t * bent, moved, score - t * slope * (score @ spread.T), log_det)


@dataclass(frozen=True)
class Banana(Bent):
    """s(z) = z² − 1: x_i = z_i + bend·t (z²_{i−1} − 1) for odd i."""

    dim: int
    bend: float = 0.3

    def __post_init__(self) -> None:
        settle(self, dim=positive_int("dim", self.dim), bend=real("bend", self.bend))

    def profile(self, z: Array) -> tuple[Array, Array]:
        return z**2 - 1, 2 * z


@dataclass(frozen=True)
class Arch(Bent):
    """s(z) = √(1 + z²) − √2: as `Banana`, and no steeper than `bend`·t anywhere."""

    dim: int
    bend: float = 1.0

    def __post_init__(self) -> None:
        settle(self, dim=positive_int("dim", self.dim), bend=real("bend", self.bend))

    def profile(self, z: Array) -> tuple[Array, Array]:
        root = array_namespace(z).sqrt(1 + z**2)
        return root - 2**0.5, z / root


@dataclass(frozen=True)
class SinhArcsinh(Path):
    """x_i = sinh(e^(tail·t)(asinh z_i + (−1)^i skew·t)): skewed marginals with other tails (Jones & Pewsey 2009)."""

    dim: int
    skew: float = 0.3
    tail: float = -0.2

    def __post_init__(self) -> None:
        settle(
            self, dim=positive_int("dim", self.dim), skew=real("skew", self.skew), tail=real("tail", self.tail)
        )  # fmt: skip

    def _scale_and_shift(self, t: Any, z: Array) -> tuple[Array, Array]:
        xp, t = array_namespace(z), like(t, z)
        return xp.exp(self.tail * t), t * self._skews(z)

    def _skews(self, z: Array) -> Array:
        return like(self.skew * (-1.0) ** np.arange(self.dim), z)

    def inverse(self, t: Any, x: Array) -> Array:
        xp, (scale, shift) = array_namespace(x), self._scale_and_shift(t, x)
        return xp.sinh(xp.asinh(x) / scale - shift)

    def carry(self, t: Any, start: Carried) -> Carried:
        z, velocity, score, log_det = start
        xp, (scale, shift) = array_namespace(z), self._scale_and_shift(t, z)
        u = scale * (xp.asinh(z) + shift)
        slope = scale * xp.cosh(u) / xp.sqrt(1 + z**2)
        moved = slope * velocity + xp.cosh(u) * (self.tail * u + scale * self._skews(z))
        bend = xp.tanh(u) * scale / xp.sqrt(1 + z**2) - z / (1 + z**2)  # of log slope
        return Carried(xp.sinh(u), moved, (score - bend) / slope, log_det + xp.sum(xp.log(slope), axis=1))


@dataclass(frozen=True)
class Chain(Path):
    """Paths one after the other, the first first. Raises `InputError` where dimensions differ."""

    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        settle(self, paths=collection("paths", self.paths, Path))
        if len({path.dim for path in self.paths}) != 1:
            raise InputError(f"paths must be of one dimension, got {[path.dim for path in self.paths]}")

    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.paths[0].dim

    def inverse(self, t: Any, x: Array) -> Array:
        for path in reversed(self.paths):
            x = path.inverse(t, x)
        return x

    def carry(self, t: Any, start: Carried) -> Carried:
        for path in self.paths:
            start = path.carry(t, start)
        return start
