"""What a map is, and how it carries points, densities and scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..backend.protocol import Backend

if TYPE_CHECKING:
    from .compose import Compose

Array = Any


class Image(NamedTuple):
    """The image of points under a map."""

    x: Array
    """T(z), (N, d)."""
    sign: Array
    """The sign of det ∂_zT, (N,)."""
    log_det: Array
    """log|det ∂_zT|, (N,)."""
    score: Array | None
    """∇log ρ at x, (N, d), where the score at z was given."""


class Map(ABC):
    """A parametrized map: `map(theta, z)` takes theta (m,) and z (N, d) to (N, d), row by row.

    A subclass gives `dim`, `size`, `initial` and `__call__`; `push` has a default by automatic
    differentiation, which a subclass replaces where a closed form is cheaper.
    """

    dim: int
    has_density: bool = True
    """Whether the image of a density has a density."""

    @property
    @abstractmethod
    def size(self) -> int:
        """m, the number of parameters."""

    @abstractmethod
    def initial(self) -> np.ndarray:
        """The θ, (m,), at which the map is the identity."""

    @abstractmethod
    def __call__(self, theta: Array, z: Array) -> Array:
        """T_θ(z), (N, d)."""

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        """The points' images with log|det ∂_zT| and, given the score ∇log λ(z), the score at the images:

            ∇log ρ(x) = (∂_zT)^(−T) ( ∇log λ(z) − ∇_z log|det ∂_zT| )
        """
        return push_by_autodiff(backend, lambda points: self(theta, points), z, score)

    def __matmul__(self, inner: Map) -> Compose:
        """`outer @ inner` applies `inner` first."""
        from .compose import Compose

        if not isinstance(inner, Map):
            return NotImplemented
        return Compose((self, inner))


def space_jacobian(backend: Backend, f: Callable[[Array], Array], z: Array) -> Array:
    """∂f/∂z at each row, (N, d, d), for an f that acts row by row: d forward derivatives of the batch."""
    xp = backend.xp
    directions = backend.asarray(np.eye(z.shape[1]))

    def along(direction: Array) -> Array:
        return backend.jvp(f, z, xp.zeros_like(z) + direction)[1]

    columns = backend.vmap(along)(directions)
    return xp.permute_dims(columns, (1, 2, 0))


def push_by_autodiff(backend: Backend, f: Callable[[Array], Array], z: Array, score: Array | None) -> Image:
    """`Map.push` for any differentiable row-by-row f, by automatic differentiation in d directions."""
    xp = backend.xp

    def log_det_of(points: Array) -> Array:
        return backend.invert(space_jacobian(backend, f, points))[2]

    inverse, sign, log_det = backend.invert(space_jacobian(backend, f, z))
    if score is not None:
        gradient = backend.grad(lambda points: xp.sum(log_det_of(points)))(z)
        score = xp.einsum("nij,ni->nj", inverse, score - gradient)
    return Image(f(z), sign, log_det, score)
