"""Maps that are made of a model which was built elsewhere."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from ..arrays import like
from ..backend.protocol import Backend
from ..errors import InputError, choice
from .base import Image, Map, push_by_autodiff
from .checked import check_model

Array = Any

STARTS = ("identity", "given")


class Model(Map):
    """A map made of a model F_θ: R^d → R^d, which need not be near the identity anywhere.

    - `start` = "identity": T_θ(z) = z + F_θ(u) − F_θ0(u) with u = F_θ0⁻¹(z), which is F_θ∘F_θ0⁻¹, or with u = z where
      no inverse is known. At θ0 it is the identity exactly. The model meets points in whitened coordinates.
    - `start` = "given": T_θ = F_θ on the reference's own points, and the flow starts at F_θ0#λ.

    A subclass gives `dim`, `size`, `initial` (θ0) and `model`; one whose models are bijections with a known inverse and
    log-determinant says so by `invertible`, and writes `model_and_log_det` and `inverse`.
    """

    start: str
    invertible: bool = False
    shift = 1e-5

    @abstractmethod
    def model(self, theta: Array, z: Array) -> Array:
        """F_θ(z), (N, d)."""

    def model_and_log_det(self, theta: Array, z: Array) -> tuple[Array, Array]:
        """F_θ(z), (N, d), and log|det ∂_zF_θ|, (N,)."""
        raise NotImplementedError

    def inverse(self, theta: Array, x: Array) -> Array:
        """F_θ⁻¹(x), (N, d)."""
        raise NotImplementedError

    def cure(self) -> str:
        """What makes a model work that fails."""
        return "It must be made of operations of the run's framework on batches of points, row by row and out of place"

    @property
    def starts_at_identity(self) -> bool:  # type: ignore[override]
        return self.start == "identity"

    def check(self, backend: Backend, z: np.ndarray, density: bool) -> None:
        """See `Map.check`."""
        check_model(self, backend, z, density)

    def _origin(self, theta0: Array, z: Array) -> Array:
        return self.inverse(theta0, z) if self.invertible else z

    def __call__(self, theta: Array, z: Array) -> Array:
        if self.start == "given":
            return self.model(theta, z)
        theta0 = like(self.initial(), theta)
        return z + self.difference(theta, theta0, self._origin(theta0, z))

    def difference(self, theta: Array, theta0: Array, u: Array) -> Array:
        """F_θ(u) − F_θ0(u), (N, d), which is 0 to the last bit at θ = θ0."""
        return self.model(theta, u) - self.model(theta0, u)

    def _log_det(self, theta: Array, z: Array) -> Array:
        """log|det ∂_zT_θ| at z of an invertible model, (N,)."""
        if self.start == "given":
            return self.model_and_log_det(theta, z)[1]
        theta0 = like(self.initial(), theta)
        u = self.inverse(theta0, z)
        return self.model_and_log_det(theta, u)[1] - self.model_and_log_det(theta0, u)[1]

    def _back(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """T_θ⁻¹(x), (N, d), and log|det ∂T_θ⁻¹|, (N,), of an invertible model."""
        u = self.inverse(theta, x)
        log_det = -self.model_and_log_det(theta, u)[1]
        if self.start == "given":
            return u, log_det
        z, more = self.model_and_log_det(like(self.initial(), theta), u)
        return z, log_det + more

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        """Of an invertible model by its own log-determinant, and the score by one derivative of its inverse at x:

        ∇log ρ(x) = ∇_x [ ∇log λ(z)·T⁻¹(x) + log|det ∂T⁻¹(x)| ]

        Such a model is injective for every θ, and the sign of its determinant is taken as 1.
        """
        if not self.invertible:
            return push_by_autodiff(backend, lambda points: self(theta, points), z, score)
        x, log_det = self(theta, z), self._log_det(theta, z)
        if score is not None:
            pulled, xp = score, backend.xp

            def log_density(points: Array) -> Array:
                back, log_det_back = self._back(theta, points)
                return xp.sum(pulled * back) + xp.sum(log_det_back)

            score = backend.grad(log_density)(x)
        return Image(x, backend.xp.ones_like(log_det), log_det, score)

    def _key(self) -> tuple[Any, ...]:
        return type(self), repr(self), self.initial().tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def checked_start(start: Any) -> str:
    """`start`, or an `InputError`."""
    return choice("start", start, STARTS)


def finite_parameters(named: dict[str, np.ndarray]) -> np.ndarray:
    """The arrays as one vector θ0, (m,), float64.

    Raises `InputError` where there are none, or one of them, called by its name, is not finite.
    """
    for name, value in named.items():
        if not np.isfinite(value).all():
            count = int((~np.isfinite(value)).sum())
            raise InputError(
                f"the parameters must be finite, but {name} holds {count} of {value.size} that are not (NaN or ∞): "
                "load the model's parameters again, or train it without overflow"
            )
    if not sum(value.size for value in named.values()):
        raise InputError("the model has no parameters, so nothing can flow: give it some that can be trained")
    return np.concatenate([np.asarray(value, dtype=float).ravel() for value in named.values()])
