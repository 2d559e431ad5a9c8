"""Dictionaries of potentials φ_l: R^d → R; `Wasserstein` projects onto the span of their gradients.

They are added: `Polynomial(2) + RandomFeatures(40, scale=1.0)`. Each is written over the array namespace of
the points that reach it, so the same dictionary serves torch and jax.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from .arrays import like
from .errors import InputError, collection, positive, positive_int, settle, whole

Array = Any


class Potentials(ABC):
    """A dictionary of potentials; `+` joins two."""

    @abstractmethod
    def size(self, dim: int) -> int:
        """L, the number of potentials in `dim` dimensions. Raises `InputError` where `dim` does not fit."""

    @abstractmethod
    def gradients(self, x: Array) -> Array:
        """∇φ_l at the rows of x, (N, d) → (N, d, L)."""

    def spanning(self, x: Array, weights: Array) -> Array:
        """Fields at the points x (N, d) with weights (N,) that span what the gradients do, (N, d, L)."""
        return self.gradients(x)

    def check(self, dim: int, points: int, what: str = "points") -> None:
        """Raise `InputError` where `dim` does not fit, or the `points` are too few to make the dictionary from."""
        self.size(dim)

    def __add__(self, other: Potentials) -> Sum:
        if not isinstance(other, Potentials):
            return NotImplemented
        return Sum((self, other))


@dataclass(frozen=True)
class Sum(Potentials):
    """The potentials of several dictionaries, in order."""

    parts: tuple[Potentials, ...]

    def __post_init__(self) -> None:
        flat: list[Potentials] = []
        for part in collection("parts", self.parts, Potentials):
            flat.extend(part.parts if isinstance(part, Sum) else (part,))
        settle(self, parts=tuple(flat))

    def size(self, dim: int) -> int:
        return sum(part.size(dim) for part in self.parts)

    def check(self, dim: int, points: int, what: str = "points") -> None:
        for part in self.parts:
            part.check(dim, points, what)

    def gradients(self, x: Array) -> Array:
        return array_namespace(x).concat([part.gradients(x) for part in self.parts], axis=2)

    def spanning(self, x: Array, weights: Array) -> Array:
        return array_namespace(x).concat([part.spanning(x, weights) for part in self.parts], axis=2)

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.parts))


@dataclass(frozen=True)
class Polynomial(Potentials):
    """All monomials of total degree 1 … `degree`.

    Degree 1 are the translations, degree 2 adds the linear fields with symmetric matrix: exact for every
    flow that stays Gaussian. There are (d + degree choose degree) − 1 of them. Raises `InputError` for
    degree < 1.
    """

    degree: int

    def __post_init__(self) -> None:
        settle(self, degree=positive_int("degree", self.degree))

    def size(self, dim: int) -> int:
        return len(_monomials(dim, self.degree))

    def gradients(self, x: Array) -> Array:
        """A monomial is a product of `degree` factors of (1, x); by the product rule, one by one."""
        xp = array_namespace(x)
        factors = _monomials(x.shape[1], self.degree)
        extended = xp.concat([xp.ones_like(x[:, :1]), x], axis=1)
        values = [extended[:, factors[:, slot]] for slot in range(self.degree)]
        total = 0.0
        for slot in range(self.degree):
            product = xp.ones_like(values[slot])
            for other in range(self.degree):
                if other != slot:
                    product = product * values[other]
            component = np.eye(x.shape[1] + 1)[factors[:, slot], 1:]  # of ∂/∂x_i: (L, d), 0 for the factor 1
            total = total + product[:, None, :] * like(component.T, x)
        return total

    def spanning(self, x: Array, weights: Array) -> Array:
        """The monomials of (x − mean)/deviation: the same span, well-conditioned wherever the points are."""
        xp = array_namespace(x)
        centred = x - weights @ x
        deviations = xp.sqrt(weights @ centred**2)
        deviations = xp.where(deviations > 0, deviations, xp.ones_like(deviations))
        return self.gradients(centred / deviations) / deviations[:, None]


@lru_cache(maxsize=16)
def _monomials(dim: int, degree: int) -> np.ndarray:
    """The monomials as products of `degree` factors of (1, x_1 … x_d): their indices, (L, degree)."""
    products = itertools.combinations_with_replacement(range(dim + 1), degree)
    return np.array([indices for indices in products if any(indices)])


@dataclass(frozen=True)
class RandomFeatures(Potentials):
    """φ_l(x) = sin(ω_lᵀx + b_l), l = 1 … n, with ω_l ~ N(0, 1/scale²) and b_l uniform.

    `scale` is the length over which the potentials vary; take it near the width of the densities. Random
    Fourier features (Rahimi & Recht 2007). Raises `InputError` for n < 1, scale <= 0 or seed < 0.
    """

    n: int
    scale: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        settle(self, n=positive_int("n", self.n), scale=positive("scale", self.scale), seed=whole("seed", self.seed, 0))

    def size(self, dim: int) -> int:
        return self.n

    def gradients(self, x: Array) -> Array:
        rng = np.random.default_rng(self.seed)
        frequencies = like(rng.standard_normal((x.shape[1], self.n)) / self.scale, x)
        phases = like(rng.uniform(0, 2 * np.pi, self.n), x)
        return array_namespace(x).cos(x @ frequencies + phases)[:, None, :] * frequencies


class Kernels(Potentials):
    """φ_l(x) = exp(−|x − c_l|²/(2 scale²)): Gaussian kernels at inducing points c_l.

    `centres` are the inducing points, (L, d), or their number L: then they are L of the points themselves,
    picked by `seed`, and move with the density. Raises `InputError` for centres of another shape or not
    finite, for scale <= 0, and where more inducing points than points are asked for.
    """

    def __init__(self, centres: Any, scale: float = 1.0, seed: int = 0):
        self.scale, self.seed = positive("scale", scale), whole("seed", seed, 0)
        self.count: int | None = None
        self.centres: np.ndarray | None = None
        if np.ndim(centres) == 0:
            self.count = positive_int("centres", centres)
            return
        try:
            array = np.asarray(centres, dtype=float)
        except (TypeError, ValueError):
            raise InputError(f"centres must be a number or finite points (L, d), got {centres!r}") from None
        if array.ndim != 2 or 0 in array.shape or not np.isfinite(array).all():
            raise InputError(f"centres must be a number or finite points (L, d), got shape {array.shape}")
        self.centres = array

    def size(self, dim: int) -> int:
        if self.centres is None:
            return self.count or 0
        if self.centres.shape[1] != dim:
            raise InputError(
                f"potentials {self!r} have dimension {self.centres.shape[1]}, and the flow has dimension {dim}"
            )
        return len(self.centres)

    def check(self, dim: int, points: int, what: str = "points") -> None:
        if self.size(dim) > points and self.centres is None:
            raise InputError(f"potentials {self!r} pick {self.count} inducing points, and there are {points} {what}")

    def gradients(self, x: Array) -> Array:
        return self.spanning(x, array_namespace(x).ones_like(x[:, 0]))

    def spanning(self, x: Array, weights: Array) -> Array:
        """The gradients at x; of the points themselves only those with weight are picked."""
        self.check(x.shape[1], x.shape[0])
        xp = array_namespace(x)
        if self.centres is not None:
            centres = like(self.centres, x)
        else:
            turn = like(np.random.default_rng(self.seed).random(x.shape[0]), x)
            centres = x[xp.argsort(turn + 1.0 * (weights == 0))[: self.count]]
        differences = (x[:, :, None] - centres.T[None]) / self.scale
        values = xp.exp(-0.5 * xp.sum(differences**2, axis=1))
        return -differences * values[:, None, :] / self.scale

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Kernels) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple:
        laid = None if self.centres is None else (self.centres.shape, self.centres.tobytes())
        return self.count, laid, self.scale, self.seed

    def __repr__(self) -> str:
        what = self.count if self.centres is None else f"<points {self.centres.shape}>"
        return f"Kernels({what}, scale={self.scale:g}, seed={self.seed})"


__all__ = ["Kernels", "Polynomial", "Potentials", "RandomFeatures"]
