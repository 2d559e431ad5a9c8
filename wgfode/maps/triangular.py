"""Triangular (Knothe–Rosenblatt) maps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from ..arrays import like, unpack
from ..backend.protocol import Backend
from ..errors import positive_int, settle
from .base import Image
from .ridges import Laid, directions

Array = Any


class _Parameters(NamedTuple):
    """θ, unpacked; row i − 1 of the conditioners' arrays belongs to coordinate i = 1 … d−1 (from 0)."""

    shift: Array  # (d,)
    slopes: Array  # a, (d, K+1)
    linear: Array  # l, (d, d), strictly lower triangular
    u: Array  # (d−1, W)
    P: Array  # (d−1, K+1, W)
    w: Array  # (d−1, W, d), zero where j ≥ i
    b: Array  # (d−1, W)


class _Parts(NamedTuple):
    """What the map and its derivatives are made of, at N points."""

    x: Array  # (N, d)
    h: Array  # the conditioners, (N, d−1, W)
    heights: Array  # e^α, (N, d, K+1)
    steps: Array  # σ(v(z_i − c_k)), (N, d, K)
    ramps: Array  # ∂x_i/∂(e^α_k), (N, d, K+1)
    slope: Array  # ∂x_i/∂z_i, (N, d)


@dataclass(frozen=True, repr=False)
class Triangular(Laid):
    """x_i = s_i + l_iᵀz_<i + u_iᵀh_i + ∫_0^{z_i} Σ_k e^(α_ik) π_k(r) dr: increasing in z_i, for every θ.

    The slope in z_i runs smoothly through `knots` + 1 levels e^(α_ik) (π_k is a partition of unity, made of
    sigmoids at fixed knots c_k, so the integral has a closed form). Levels and shift depend on the
    coordinates before: α_i = a_i + P_i h_i with h_i = tanh(W_i z_<i + b_i), (width,). It holds every lower
    triangular affine map. The knots lie within `centre` ± 2.5 `spread`, which
    are the reference's own mean and standard deviation unless they are given.

    θ holds s, a, l, u, P, W, b; all but W and b (which `seed` spreads) are 0 at the identity. Its tangent
    space lacks gradient fields that `Relaxed` needs: use `Wasserstein`, and a `solver` with a shift that keeps
    still what few points see (`Eigh(shift=1e-5)`). Raises `InputError` for numbers out of range.
    """

    width: int
    knots: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, width=positive_int("width", self.width), knots=positive_int("knots", self.knots))

    @cached_property
    def grid(self) -> np.ndarray:
        """The knots c, (d, K)."""
        offsets = np.linspace(-2.5, 2.5, self.knots + 2)[1:-1] * self.extent
        return self.middle[:, None] + offsets

    @property
    def sharpness(self) -> float:
        """v: a sigmoid rises over about one spacing of the knots."""
        return 3.0 * (self.knots + 1) / (5.0 * self.extent)

    @property
    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        d, W, K = self.dim, self.width, self.knots + 1
        pairs = d * (d - 1) // 2
        return (d,), (d, K), (pairs,), (d - 1, W), (d - 1, K, W), (W * pairs,), (d - 1, W)

    @property
    def size(self) -> int:
        return sum(int(np.prod(shape)) for shape in self._shapes)

    def initial(self) -> np.ndarray:
        *others, _, _ = self._shapes
        rows, offsets = [np.zeros(0)], [np.zeros(0)]
        for i in range(1, self.dim):
            w, b = directions("random", self.width, i, 1.0, self.middle[:i], self.extent, self.seed + i)
            rows.append(w.ravel())
            offsets.append(b)
        return np.concatenate([np.zeros(sum(int(np.prod(shape)) for shape in others)), *rows, *offsets])

    @property
    def moves(self) -> np.ndarray:
        d, W, K = self.dim, self.width, self.knots + 1
        own, later = np.arange(d), np.arange(1, d)
        pairs = np.tril_indices(d, -1)[0]
        blocks = (own, np.repeat(own, K), pairs, np.repeat(later, W), np.repeat(later, K * W), np.repeat(pairs, W),
                  np.repeat(later, W))  # fmt: skip
        return np.concatenate(blocks)

    @cached_property
    def _scatter(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the entries of l (d, d) and W (d−1, W, d) are kept; the place after the last holds a 0."""
        d, W = self.dim, self.width
        pairs = d * (d - 1) // 2
        linear, w = np.full((d, d), pairs), np.full((d - 1, W, d), W * pairs)
        linear[np.tril_indices(d, -1)] = np.arange(pairs)
        begin = 0
        for i in range(1, d):
            w[i - 1, :, :i] = begin + np.arange(W * i).reshape(W, i)
            begin += W * i
        return linear, w

    def parameters(self, theta: Array) -> _Parameters:
        """θ, (m,), by name."""
        xp = array_namespace(theta)
        shift, slopes, linear, u, P, w, b = unpack(theta, *self._shapes)
        zero = xp.zeros_like(theta[:1])

        def spread(entries: Array, index: np.ndarray) -> Array:
            return xp.concat([entries, zero])[index.ravel()].reshape(index.shape)

        where_linear, where_w = self._scatter
        return _Parameters(shift, slopes, spread(linear, where_linear), u, P, spread(w, where_w), b)

    def _parts(self, theta: Array, z: Array) -> tuple[_Parameters, _Parts]:
        xp = array_namespace(z)
        own = self.parameters(theta)
        none = xp.zeros_like(z[:, :1])
        h = xp.tanh((z @ own.w.reshape((-1, self.dim)).T).reshape((len(z), *own.b.shape)) + own.b)
        bends = xp.einsum("niw,ikw->nik", h, own.P)  # P_i h_i
        bends = xp.concat([none[:, :, None] * own.slopes[:1], bends], axis=1)
        heights = xp.exp(own.slopes + bends)
        v, c = self.sharpness, like(self.grid, z)
        steps = 0.5 + 0.5 * xp.tanh(0.5 * v * (z[:, :, None] - c))
        primitive = (softplus(xp, v * (z[:, :, None] - c)) - softplus(xp, -v * c)) / v
        # the partition π_k = σ_k − σ_{k+1}, with σ_0 = 1 and σ_{K+1} = 0, and its integrals from 0 to z_i
        ramps = _differences(xp, z[:, :, None], primitive)
        flat = xp.sum((heights - 1) * ramps, axis=2) + z  # the ramps add up to z: exactly z at α = 0
        sheared = xp.concat([none, xp.einsum("niw,iw->ni", h, own.u)], axis=1)
        x = flat + sheared + z @ own.linear.T + own.shift
        partition = _differences(xp, xp.ones_like(z)[:, :, None], steps)
        slope = xp.sum(heights * partition, axis=2)
        return own, _Parts(x, h, heights, steps, ramps, slope)

    def __call__(self, theta: Array, z: Array) -> Array:
        return self._parts(theta, z)[1].x

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        """log det = Σ log ∂x_i/∂z_i; the triangular ∂_zT is formed for the score."""
        xp = backend.xp
        own, parts = self._parts(theta, z)
        log_det = xp.sum(xp.log(parts.slope), axis=1)
        if score is not None:
            jacobian, gradient = self._derivatives(xp, own, parts)
            score = xp.einsum("nij,ni->nj", backend.invert(jacobian)[0], score - gradient)
        return Image(parts.x, xp.ones_like(log_det), log_det, score)

    def _derivatives(self, xp: Any, own: _Parameters, parts: _Parts) -> tuple[Array, Array]:
        """∂_zT (N, d, d) and ∇_z log det (N, d)."""
        v, steps, heights, slope = self.sharpness, parts.steps, parts.heights, parts.slope
        ones = xp.ones_like(slope)[:, :, None]
        partition = _differences(xp, ones, steps)
        bump = _differences(xp, 0 * ones, v * steps * (1 - steps))  # ∂π_k/∂z_i
        own_gradient = xp.sum(heights * bump, axis=2) / slope
        # through the conditioners of coordinates 1 … d−1: ∂x_i/∂h_i and ∂ log slope_i/∂h_i, (N, d−1, W)
        bend = 1 - parts.h**2
        weights = (heights * parts.ramps)[:, 1:]
        by_shift = bend * (own.u + xp.einsum("nik,ikw->niw", weights, own.P))
        weights = (heights * partition / slope[:, :, None])[:, 1:]
        by_slope = bend * xp.einsum("nik,ikw->niw", weights, own.P)
        below = xp.einsum("niw,iwj->nij", by_shift, own.w)  # (N, d−1, d)
        below = xp.concat([xp.zeros_like(slope)[:, None, :], below], axis=1)
        jacobian = below + own.linear + slope[:, :, None] * like(np.eye(self.dim), slope)
        gradient = own_gradient + xp.einsum("niw,iwj->nj", by_slope, own.w)
        return jacobian, gradient


def _differences(xp: Any, first: Array, values: Array) -> Array:
    """values_k − values_{k+1} for k = 0 … K along the last axis, with `first` before them and 0 after."""
    before = xp.concat([first, values], axis=2)
    return before - xp.concat([values, xp.zeros_like(first)], axis=2)


def softplus(xp: Any, t: Array) -> Array:
    """log(1 + e^t), without overflow."""
    return xp.logaddexp(xp.zeros_like(t), t)
