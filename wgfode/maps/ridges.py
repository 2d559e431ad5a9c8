"""Maps made of ridge functions tanh(wᵀz + b): where their ridges are laid at the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields

import numpy as np

from ..errors import InputError, choice, positive, positive_int, settle, whole
from .base import Map

STARTS = ("random", "axis")


@dataclass(frozen=True, repr=False)
class Laid(Map):
    """A map whose ridges are laid over points at about `centre` with standard deviation `spread`, drawn by `seed`.

    `centre` is a number or d of them. Raises `InputError` for numbers out of range.
    """

    dim: int
    _: KW_ONLY
    centre: float | Sequence[float] = 0.0
    spread: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        settle(self, dim=positive_int("dim", self.dim))
        try:
            at = np.asarray(self.centre, dtype=float)
        except (TypeError, ValueError):
            raise InputError(f"centre must be a finite number or {self.dim} of them, got {self.centre!r}") from None
        at = np.full(self.dim, at) if at.ndim == 0 else at
        if at.shape != (self.dim,) or not np.isfinite(at).all():
            raise InputError(f"centre must be a finite number or {self.dim} of them, got {self.centre!r}")
        settle(
            self, centre=tuple(at.tolist()), spread=positive("spread", self.spread), seed=whole("seed", self.seed, 0)
        )

    def __repr__(self) -> str:
        """The map as it would be written: what is not given has its default."""
        centre = set(np.asarray(self.centre).tolist())
        shown = {f.name: getattr(self, f.name) for f in fields(self)} | (
            {"centre": centre.pop()} if len(centre) == 1 else {}
        )
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
        w, b = directions(self.init, count, self.dim, self.scale, self.centre, self.spread, self.seed)
        return np.concatenate([np.zeros(w.size), w.ravel(), b])


def directions(
    init: str, width: int, dim: int, scale: float, centre: float | Sequence[float], spread: float, seed: int
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
    return w, -w @ np.asarray(centre) - (4.0 * levels - 2.0) * spread * lengths
