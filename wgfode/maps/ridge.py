"""Ridge functions that are frozen where the mass is: a map that is linear in its parameters."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from array_api_compat import array_namespace

from ..arrays import like
from ..backend.protocol import Backend
from ..errors import InputError, choice, positive_int, real, settle, whole
from .base import Image, Map
from .blocks import Block
from .factors import Factors, product
from .laying import laid, orthonormal
from .ridge_sum import RidgeSum

Array = Any

SINGLE = 1e-3
"""The least `tolerance` that single precision holds: the features' rounding errors are those of ψ over it."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Frozen features φ(z) = ψ(z) R, (N, r), of ψ(z) = (1, z, tanh(Wz + b))."""

    w: np.ndarray
    """W, (K, d)."""
    b: np.ndarray
    """(K,)."""
    root: np.ndarray
    """R, (1 + d + K, r)."""

    @classmethod
    def over(cls, z: np.ndarray, weights: np.ndarray, width: int, init: str, seed: int, tolerance: float) -> Layer:
        """`width` ridges laid over points z (N, d) with weights (N,), at which φ is orthonormal."""
        w, b = laid(z, weights, width, init, seed)
        psi = np.concatenate([np.ones((len(z), 1)), z, np.tanh(z @ w.T + b)], axis=1)
        return cls(w, b, orthonormal(psi, weights, tolerance))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layer) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[bytes, ...]:
        return self.w.tobytes(), self.b.tobytes(), self.root.tobytes()


@dataclass(frozen=True)
class Ridge(Map):
    """T(z) = z + U φ(z): an affine map and `width` ridges tanh(wᵀz + b), of which only the coefficients U move.

    The ridges and the linear combinations φ = (1, z, tanh(Wz + b)) R of them are frozen, laid over weighted points
    (`over`) at which φ is orthonormal. J(θ) is then the same at every θ, Ĝ = 1 at those points, and a right-hand side
    solves no linear system. θ holds U (d, r), r ≤ 1 + d + `width`: combinations of the ridges are left out where the
    points hardly tell them apart, below `tolerance` of the largest singular value.

    As it is written it lies over a standard normal law, which a Gaussian reference is in whitened coordinates.
    `over` lays it over other points. `init` is "even" or "axis": see `laying.laid`.

    Raises `InputError` for numbers out of range.
    """

    dim: int
    width: int
    _: KW_ONLY
    init: str = "even"
    seed: int = 0
    tolerance: float = 1e-7
    layer: Layer | None = field(default=None, repr=False)

    constant_tangent = True
    has_divergences = True

    def __post_init__(self) -> None:
        settle(
            self,
            dim=positive_int("dim", self.dim),
            width=positive_int("width", self.width),
            init=choice("init", self.init, ("even", "axis")),
            seed=whole("seed", self.seed, 0),
            tolerance=real("tolerance", self.tolerance),
        )
        if not 0 < self.tolerance < 1:
            raise InputError(f"tolerance must be in (0, 1), got {self.tolerance!r}")
        if self.layer is not None and not (isinstance(self.layer, Layer) and self.layer.w.shape[1] == self.dim):
            raise InputError(f"layer must be a Layer of {self.dim} dimensions, as over() makes it, got {self.layer!r}")

    def over(self, z: np.ndarray, weights: np.ndarray) -> Ridge:
        """This map laid over points z (N, d) with weights (N,), in the coordinates that reach it.

        Raises `InputError` where they are not finite, not (N, d), or no more than the features.
        """
        z, weights = np.asarray(z, dtype=float), np.asarray(weights, dtype=float)
        if z.ndim != 2 or z.shape[1] != self.dim or weights.shape != z.shape[:1]:
            raise InputError(f"z and weights must be (N, {self.dim}) and (N,), got {z.shape} and {weights.shape}")
        if not (np.isfinite(z).all() and np.isfinite(weights).all()):
            raise InputError("z and weights must be finite, to lay ridges over them")
        features = 1 + self.dim + self.width
        if len(z) <= features:
            raise InputError(
                f"{self!r} has {features} features and cannot be laid over {len(z)} points: give more points or a "
                "smaller width"
            )
        weights = weights / weights.sum()
        return replace(self, layer=Layer.over(z, weights, self.width, self.init, self.seed, self.tolerance))

    @cached_property
    def frozen(self) -> Layer:
        """The ridges as they are laid."""
        if self.layer is not None:
            return self.layer
        layer = self.over(*standard_points(self.dim, 1 + self.dim + self.width)).layer
        assert layer is not None
        return layer

    @property
    def rank(self) -> int:
        """r, the number of features."""
        return self.frozen.root.shape[1]

    @property
    def size(self) -> int:
        return self.dim * self.rank

    def initial(self) -> np.ndarray:
        return np.zeros(self.size)

    @property
    def moves(self) -> np.ndarray:
        return np.repeat(np.arange(self.dim), self.rank)

    def check(self, backend: Backend, z: np.ndarray, density: bool) -> None:
        if backend.dtype == "float32" and self.tolerance < SINGLE:
            raise InputError(
                f"tolerance of {self!r} must be at least {SINGLE:g} in float32, whose rounding errors it divides; got "
                f"{self.tolerance:g}"
            )

    def sum(self, theta: Array) -> RidgeSum:
        """T as a linear map and ridges, with the coefficients R Uᵀ."""
        layer, d = self.frozen, self.dim
        coefficients = like(layer.root, theta) @ theta.reshape((d, self.rank)).T
        return RidgeSum(coefficients[d + 1 :], like(layer.w, theta), like(layer.b, theta),
                        coefficients[1 : d + 1].T, coefficients[0])  # fmt: skip

    def features(self, z: Array) -> Array:
        """φ(z), (N, r)."""
        xp, layer = array_namespace(z), self.frozen
        ridges = xp.tanh(z @ like(layer.w.T, z) + like(layer.b, z))
        return xp.concat([xp.ones_like(z[:, :1]), z, ridges], axis=1) @ like(layer.root, z)

    def __call__(self, theta: Array, z: Array) -> Array:
        return z + self.features(z) @ theta.reshape((self.dim, self.rank)).T

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        return self.sum(theta).push(backend, z, score)

    def factors(self, backend: Backend, theta: Array, z: Array, outer: Array | None = None) -> Factors:
        shape = (self.dim, self.rank)

        def through() -> Array | None:
            here = self.sum(theta)
            return product(outer, here.jacobian(here.ridges(z)))

        return Factors(
            blocks=(Block(self.dim, self.features(z), outer),),
            spread=lambda xi: [xi.reshape(shape)],
            gather=lambda blocks: blocks[0].reshape((-1,)),
            places=(np.arange(self.size).reshape(shape),),
            through=through,
        )

    def divergences(self, backend: Backend, theta: Array, z: Array, against: Array) -> Array:
        """Of the field e_a φ_f: Σ_l against_la ∂_lφ_f, with ∂φ = (0, I, diag(1 − tanh²)W) R."""
        xp, layer, d = backend.xp, self.frozen, self.dim
        w, root = like(layer.w, z), like(layer.root, z)
        slopes = 1 - xp.tanh(z @ w.T + like(layer.b, z)) ** 2
        fields = []
        for a in range(d):  # (N, d) at a time
            column = against[:, :, a]
            fields.append(column @ root[1 : d + 1] + (slopes * (column @ w.T)) @ root[d + 1 :])
        return xp.concat(fields, axis=1)


def standard_points(dim: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, d) and weights (N,) of a standard normal law, its tails included, for `features` functions of them."""
    if dim == 1:
        y = np.linspace(-6.0, 6.0, max(2048, 8 * features))[:, None]
        weights = np.exp(-(y[:, 0] ** 2) / 2)
        return y, weights / weights.sum()
    bits = (max(4096, 4 * features) - 1).bit_length()
    rng = np.random.default_rng(0)
    weights = np.full(2**bits, 2.0**-bits)
    if dim > scipy.stats.qmc.Sobol.MAXDIM:
        return rng.standard_normal((2**bits, dim)), weights
    u = scipy.stats.qmc.Sobol(dim, scramble=True, bits=52, rng=rng).random_base2(bits)
    return scipy.special.ndtri(u + 2.0**-53), weights
