"""What a map is, how it carries points, densities and scores, and how maps are composed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..arrays import unpack
from ..backend.protocol import Backend
from ..errors import InputError, collection, settle
from .factors import Factors, composed

if TYPE_CHECKING:
    from .frame import Frame

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

    In a flow the z that reach a map are the reference's points in whitened coordinates, of mean 0 and covariance 1
    (`maps.whitened`). A map that is told anything in the reference's own coordinates says in `within` what that is
    in whitened ones.
    """

    dim: int
    has_density: bool = True
    """Whether the image of a density has a density."""

    framework: str | None = None
    """The framework whose arrays the map takes, "torch" or "jax"; None for both."""
    shift: float | None = None
    """The relative shift that `Auto` gives its solver for this map's tangents; None for the solver's own."""
    starts_at_identity: bool = True
    """Whether the map is the identity at `initial()`. One that is not takes the reference's own points."""

    @property
    @abstractmethod
    def size(self) -> int:
        """m, the number of parameters."""

    @abstractmethod
    def initial(self) -> np.ndarray:
        """The θ, (m,), at which a flow starts, and the map is the identity (`starts_at_identity`)."""

    @abstractmethod
    def __call__(self, theta: Array, z: Array) -> Array:
        """T_θ(z), (N, d)."""

    @property
    def moves(self) -> np.ndarray:
        """The component of T_θ(z) that each parameter moves, near the identity; −1 where it moves several, (m,)."""
        return np.full(self.size, -1)

    @property
    def sizes(self) -> np.ndarray | float:
        """How far a change of one in each parameter moves the points, relative to one another, (m,); 1 if all alike.

        A solver's shift is relative to these, and so means the same for components of very different extent.
        """
        return 1.0

    def within(self, frame: Frame) -> Map:
        """This map for points in the whitened coordinates of `frame`, in place of the reference's own."""
        return self

    def over(self, z: np.ndarray, weights: np.ndarray) -> Map:
        """This map as it is best begun where the points are z (N, d) with weights (N,), in coordinates that reach it.

        Numpy arrays, of mean 0 and covariance 1. Another map of the family, which may have another `size`.
        """
        return self

    def check(self, backend: Backend, z: np.ndarray, density: bool) -> None:
        """Raise `InputError` where the map cannot be used at points z (N, d) on `backend`, with a `density` or not."""
        return None

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        """The points' images with log|det ∂_zT| and, given the score ∇log λ(z), the score at the images:

        ∇log ρ(x) = (∂_zT)^(−T) ( ∇log λ(z) − ∇_z log|det ∂_zT| )
        """
        return push_by_autodiff(backend, lambda points: self(theta, points), z, score)

    def factors(self, backend: Backend, theta: Array, z: Array, outer: Array | None = None) -> Factors | None:
        """The factors of outer · J(θ) at z, where the map knows them; None where it does not.

        `outer` is the Jacobian of whatever follows the map: (N, d, d), (d, d) where it is the same at all points, or
        None for the identity.
        """
        return None

    def __matmul__(self, inner: Map) -> Compose:
        """`outer @ inner` applies `inner` first."""
        if not isinstance(inner, Map):
            return NotImplemented
        return Compose((self, inner))


@dataclass(frozen=True)
class Compose(Map):
    """`maps[0] ∘ maps[1] ∘ …`; θ holds their parameters in the same order.

    Raises `InputError` where the dimensions differ.
    """

    maps: tuple[Map, ...]

    def __post_init__(self) -> None:
        flat: list[Map] = []
        for part in collection("maps", self.maps, Map):
            flat.extend(part.maps if isinstance(part, Compose) else (part,))
        settle(self, maps=tuple(flat))
        dims = [part.dim for part in flat]
        if len(set(dims)) != 1:
            raise InputError(f"composed maps must have one dimension, got {dims}")
        if len(frameworks := {part.framework for part in flat} - {None}) > 1:
            raise InputError(f"composed maps must be of one framework, got {sorted(map(str, frameworks))}")

    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.maps[0].dim

    @property
    def size(self) -> int:
        return sum(part.size for part in self.maps)

    @property
    def has_density(self) -> bool:  # type: ignore[override]
        return all(part.has_density for part in self.maps)

    @property
    def framework(self) -> str | None:  # type: ignore[override]
        return next((part.framework for part in self.maps if part.framework), None)

    @property
    def shift(self) -> float | None:  # type: ignore[override]
        return max((part.shift for part in self.maps if part.shift is not None), default=None)

    @property
    def starts_at_identity(self) -> bool:  # type: ignore[override]
        return all(part.starts_at_identity for part in self.maps)

    def check(self, backend: Backend, z: np.ndarray, density: bool) -> None:
        for part in self.maps:
            part.check(backend, z, density)

    def initial(self) -> np.ndarray:
        return np.concatenate([part.initial() for part in self.maps])

    @property
    def moves(self) -> np.ndarray:
        return np.concatenate([part.moves for part in self.maps])

    def within(self, frame: Frame) -> Map:
        return Compose(tuple(part.within(frame) for part in self.maps))

    def over(self, z: np.ndarray, weights: np.ndarray) -> Map:
        return Compose(tuple(part.over(z, weights) for part in self.maps))

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

    def factors(self, backend: Backend, theta: Array, z: Array, outer: Array | None = None) -> Factors | None:
        inputs = []
        for part, own in self.split(theta):
            inputs.append((part, own, z))
            z = part(own, z)
        found: list[Factors] = []
        for part, own, before in inputs[::-1]:
            factors = part.factors(backend, own, before, found[-1].through() if found else outer)
            if factors is None:
                return None
            found.append(factors)
        return composed(found, [part.size for part in self.maps], found[-1].through)

    def __repr__(self) -> str:
        return " @ ".join(map(repr, self.maps))


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
