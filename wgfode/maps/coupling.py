"""Affine coupling flows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from ..arrays import like, unpack
from ..backend.protocol import Backend
from ..errors import InputError, positive_int, settle
from .base import Image
from .blocks import Block
from .factors import Factors, composed, product
from .ridges import Laid, directions

Array = Any


class _Layer(NamedTuple):
    """A layer's own arrays, for a kept coordinates and c changed ones."""

    u: Array  # (2c, W): of s, then of t
    linear: Array  # l, (c, a)
    shift: Array  # (2c,)
    w: Array  # (W, a)
    b: Array  # (W,)


@dataclass(frozen=True, repr=False)
class Coupling(Laid):
    """Layers that keep one half of the coordinates, z_A, and move the other: x_B = z_B e^(s(z_A)) + t(z_A).

    The conditioners are s = u_s h + c_s and t = u_t h + l z_A + c_t, h = tanh(W z_A + b) of `width`. Two
    layers in a row exchange the halves of one order of the coordinates; the next two have another order,
    drawn by `seed` (Dinh, Sohl-Dickstein & Bengio 2017). Injective for every θ.

    θ holds u, l, c, W, b of a layer, first layer first; u, l and c are 0 at the identity, and `seed` spreads
    W and b over points at about `centre` with standard deviation `spread`, the reference's own unless they are given.

    Raises `InputError` for dim < 2 and numbers out of range.
    """

    layers: int
    width: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, layers=positive_int("layers", self.layers), width=positive_int("width", self.width))
        if self.dim < 2:
            raise InputError(f"dim must be >= 2 for a coupling of two halves, got {self.dim}")

    @cached_property
    def halves(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """The coordinates that each layer keeps, and those that it changes."""
        rng = np.random.default_rng(self.seed)
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for layer in range(self.layers):
            if layer % 2:
                found.append(found[-1][::-1])
                continue
            order = rng.permutation(self.dim) if layer else np.arange(self.dim)
            cut = self.dim // 2
            found.append((np.sort(order[:cut]), np.sort(order[cut:])))
        return tuple(found)

    def _shapes(self, layer: int) -> tuple[tuple[int, ...], ...]:
        a, c = map(len, self.halves[layer])
        return (2 * c, self.width), (c, a), (2 * c,), (self.width, a), (self.width,)

    def _length(self, layer: int) -> int:
        return sum(int(np.prod(shape)) for shape in self._shapes(layer))

    @property
    def size(self) -> int:
        return sum(map(self._length, range(self.layers)))

    def initial(self) -> np.ndarray:
        pieces = []
        for layer, (kept, _) in enumerate(self.halves):
            w, b = directions("random", self.width, len(kept), 1.0, self.middle[kept], self.extent, self.seed + layer)
            zeros = sum(int(np.prod(shape)) for shape in self._shapes(layer)[:3])
            pieces += [np.zeros(zeros), w.ravel(), b]
        return np.concatenate(pieces)

    @property
    def moves(self) -> np.ndarray:
        blocks = []
        for kept, changed in self.halves:
            linear, several = np.repeat(changed, len(kept)), self.width * (len(kept) + 1)
            blocks += [np.repeat(np.tile(changed, 2), self.width), linear, np.tile(changed, 2), np.full(several, -1)]
        return np.concatenate(blocks)

    def _layers(self, theta: Array) -> list[tuple[np.ndarray, np.ndarray, _Layer]]:
        pieces = unpack(theta, *((self._length(layer),) for layer in range(self.layers)))
        return [
            (kept, changed, _Layer(*unpack(piece, *self._shapes(layer))))
            for layer, ((kept, changed), piece) in enumerate(zip(self.halves, pieces, strict=True))
        ]

    def __call__(self, theta: Array, z: Array) -> Array:
        for kept, changed, own in self._layers(theta):
            moved = self._move(z, kept, changed, own)[0]
            z = self._join(array_namespace(z), kept, changed, z[:, kept], moved)
        return z

    def _join(self, xp: Any, kept: np.ndarray, changed: np.ndarray, a: Array, b: Array) -> Array:
        """The two halves (N, |A|), (N, |B|) in the order of the coordinates, (N, d)."""
        return xp.concat([a, b], axis=1)[:, np.argsort(np.concatenate([kept, changed]))]

    def _move(self, z: Array, kept: np.ndarray, changed: np.ndarray, own: _Layer) -> tuple[Array, Array, Array, Array]:
        """x_B, s, z_B e^s (N, |B|) and h (N, W)."""
        xp = array_namespace(z)
        a, b, count = z[:, kept], z[:, changed], len(changed)
        h = xp.tanh(a @ own.w.T + own.b)
        both = h @ own.u.T + own.shift
        s, t = both[:, :count], both[:, count:] + a @ own.linear.T
        stretched = b * xp.exp(s)
        return stretched + t, s, stretched, h

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        """log det = Σ s; and (∂_zT)^(−T), block by block, with ∂x_B/∂z_A = diag(z_B e^s) ∂s + ∂t."""
        xp = backend.xp
        log_det = xp.zeros_like(z[:, 0])
        for kept, changed, own in self._layers(theta):
            moved, s, stretched, h = self._move(z, kept, changed, own)
            log_det = log_det + xp.sum(s, axis=1)
            if score is not None:
                count = len(changed)
                score_b = score[:, changed] * xp.exp(-s)
                pulled = (1 + stretched * score_b) @ own.u[:count] + score_b @ own.u[count:]
                score_a = score[:, kept] - score_b @ own.linear - ((1 - h**2) * pulled) @ own.w
                score = self._join(xp, kept, changed, score_a, score_b)
            z = self._join(xp, kept, changed, z[:, kept], moved)
        return Image(z, xp.ones_like(log_det), log_det, score)

    def factors(self, backend: Backend, theta: Array, z: Array, outer: Array | None = None) -> Factors:
        inputs = []
        for kept, changed, own in self._layers(theta):
            inputs.append((kept, changed, own, z))
            moved = self._move(z, kept, changed, own)[0]
            z = self._join(backend.xp, kept, changed, z[:, kept], moved)
        found: list[Factors] = []
        for layer in reversed(range(self.layers)):
            found.append(self._layer_factors(backend, layer, *inputs[layer][2:], outer))
            outer = found[-1].through()
        return composed(found[::-1], list(map(self._length, range(self.layers))), found[-1].through)

    def _layer_factors(self, backend: Backend, layer: int, own: _Layer, z: Array, outer: Array | None) -> Factors:
        """The factors of one layer at its input z: those of s, of t and of the conditioner's ridges."""
        xp, (kept, changed), shapes = backend.xp, self.halves[layer], self._shapes(layer)
        a, c, W = len(kept), len(changed), self.width
        _, s, stretched, h = self._move(z, kept, changed, own)
        ones, slope = xp.ones_like(z[:, :1]), 1 - h**2
        end = like(np.eye(self.dim), z) if outer is None else outer
        on_kept, on_changed = end[..., kept], end[..., changed]
        bend = product(on_changed, stretched[:, :, None] * own.u[:c] + own.u[c:])  # ∂(all that follows)/∂h, (N, d, W)
        blocks = (
            Block(c, xp.concat([h, ones], axis=1), on_changed, stretched),
            Block(c, xp.concat([h, z[:, kept], ones], axis=1), on_changed),
            Block(W, xp.concat([z[:, kept], ones], axis=1), bend, slope),
        )

        def spread(xi: Array) -> list[Array]:
            u, linear, shift, w, b = unpack(xi, *shapes)
            concat = array_namespace(xi).concat
            return [
                concat([u[:c], shift[:c, None]], axis=1),
                concat([u[c:], linear, shift[c:, None]], axis=1),
                concat([w, b[:, None]], axis=1),
            ]

        def gather(blocks: Sequence[Array]) -> Array:
            stretch, move, ridges = blocks
            pieces = (
                stretch[:, :W], move[:, :W], move[:, W : W + a], stretch[:, W], move[:, W + a],
                ridges[:, :a], ridges[:, a],
            )  # fmt: skip
            return xp.concat([piece.reshape(-1) for piece in pieces])

        def through() -> Array:
            by_kept = product(bend * slope[:, None, :], own.w) + on_kept + product(on_changed, own.linear)
            joined = xp.concat([by_kept, on_changed * xp.exp(s)[:, None, :]], axis=2)
            return joined[:, :, np.argsort(np.concatenate([kept, changed]))]

        return Factors(blocks, spread, gather, tuple(spread(np.arange(self._length(layer)))), through)
