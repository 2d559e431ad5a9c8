"""Maps made of ridge functions tanh(wᵀz + b): where their ridges are laid at the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import Any

import numpy as np

from ..errors import InputError, choice, positive, positive_int, settle, whole
from .base import Map
from .frame import Frame

STARTS = ("random", "axis")


@dataclass(frozen=True, repr=False)
class Laid(Map):
    """A map whose ridges are laid over points at about `centre` with standard deviation `spread`, drawn by `seed`.

    `centre` is a number or d of them. Both are in the reference's coordinates; where they are None they are
    the reference's own: 0 and 1 in the whitened coordinates that a flow's map works in. Raises `InputError` for numbers
    out of range.
    """

    dim: int
    _: KW_ONLY
    centre: float | Sequence[float] | None = None
    spread: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        settle(self, dim=positive_int("dim", self.dim), seed=whole("seed", self.seed, 0))
        if self.spread is not None:
            settle(self, spread=positive("spread", self.spread))
        if self.centre is None:
            return
        try:
            at = np.asarray(self.centre, dtype=float)
        except (TypeError, ValueError):
            raise InputError(f"centre must be a finite number or {self.dim} of them, got {self.centre!r}") from None
        at = np.full(self.dim, at) if at.ndim == 0 else at
        if at.shape != (self.dim,) or not np.isfinite(at).all():
            raise InputError(f"centre must be a finite number or {self.dim} of them, got {self.centre!r}")
        settle(self, centre=tuple(at.tolist()))

    @property
    def middle(self) -> np.ndarray:
        """Where the points are, (d,), in the coordinates that reach the map."""
        return np.zeros(self.dim) if self.centre is None else np.asarray(self.centre)

    @property
    def extent(self) -> float:
        """Their standard deviation, in the coordinates that reach the map."""
        return 1.0 if self.spread is None else self.spread

    def within(self, frame: Frame) -> Map:
        given: dict[str, Any] = {}
        if self.centre is not None:
            given["centre"] = tuple(frame.whiten(self.middle[None])[0].tolist())
        if self.spread is not None:
            given["spread"] = self.spread / frame.scale
        return replace(self, **given)

    def over(self, z: np.ndarray, weights: np.ndarray) -> Map:
        """See `Map.over`: about the points' own middle and extent, whatever was given for the first of them."""
        return replace(self, centre=None, spread=None)

    def __repr__(self) -> str:
        """The map as it would be written: what is not given has its default."""
        shown: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        if len(values := set(self.middle.tolist())) == 1 and self.centre is not None:
            shown["centre"] = values.pop()
        named = (f"{f.name}={shown[f.name]!r}" for f in fields(self) if f.name != "dim" and shown[f.name] != f.default)
        return f"{type(self).__name__}({', '.join([str(self.dim), *named])})"


@dataclass(frozen=True, repr=False)
class Ridges(Laid):
    """A map of ridges in all coordinates, that start in directions `init` with the steepness `scale`.

    - "random": directions uniform on the sphere. For problems whose coordinates are coupled.
    - "axis": along the coordinate axes in turn, each with its own regular set of levels. For problems
      that are separable or nearly so; in high dimension random directions cannot resolve single coordinates.
    """

    _: KW_ONLY
    init: str = "random"
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, init=choice("init", self.init, STARTS), scale=positive("scale", self.scale))

    def start(self, count: int) -> np.ndarray:
        """θ of `count` ridges, (m,): u = 0, and w and b as they are laid."""
        w, b = directions(self.init, count, self.dim, self.scale, self.middle, self.extent, self.seed)
        return np.concatenate([np.zeros(w.size), w.ravel(), b])

    def ridge_moves(self, count: int) -> np.ndarray:
        """`moves` of `count` ridges: u moves its component, w and b move along u."""
        return np.concatenate([np.tile(np.arange(self.dim), count), np.full(count * (self.dim + 1), -1)])


def directions(
    init: str, width: int, dim: int, scale: float, centre: np.ndarray, spread: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Directions w (width, dim) and offsets b (width,), for points at about `centre` with standard deviation `spread`.

    The ridges' steepest places lie within two spreads of the centre, and |w|·spread is about `scale`; `init` is that
    of `Ridges`.
    """
    rng = np.random.default_rng(seed)
    lengths = scale / spread * np.exp(rng.uniform(-0.5, 0.5, width))
    index = np.arange(width)
    if init == "random":
        w = rng.standard_normal((width, dim))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        levels = (rng.permutation(width) + rng.uniform(size=width)) / width
    else:
        w = np.eye(dim)[index % dim]
        per_axis = np.bincount(index % dim, minlength=dim)[index % dim]
        levels = (index // dim + 0.5) / per_axis
    w = w * lengths[:, None]
    return w, -w @ centre - (4.0 * levels - 2.0) * spread * lengths
