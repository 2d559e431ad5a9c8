"""Users' models, tried on sample points as a run will use them, so that a mistake shows at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..arrays import kind, same_framework
from ..backend.protocol import Backend
from ..checks import Trial, words
from ..errors import InputError, shown

Array = Any


class Model(Protocol):
    """What is asked here of a `maps.model.Model`."""

    dim: int

    def initial(self) -> np.ndarray: ...
    def model(self, theta: Array, z: Array) -> Array: ...
    def cure(self) -> str: ...
    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Any: ...
    def __call__(self, theta: Array, z: Array) -> Array: ...


HOW = "docs/models.md tells how a model becomes a map"
AWAY = 0.1
"""How far from θ0 the density is looked at, relative to the parameters' size: at θ0 a map may be the identity."""
FEW = 4
"""Points at which all derivatives in the parameters are taken."""


def check_model(model: Model, backend: Backend, z: np.ndarray, density: bool) -> None:
    """Raise `InputError` where a model cannot be a map at points z (N, d); with `density`, where it has no score.

    It must take (N, d) to (N, d), row by row, the same each time, without changing its input, and have finite
    derivatives in its parameters; and its log-determinant must have the gradient that the framework finds.
    """
    theta0 = backend.asarray(model.initial())
    x = _values(model, backend, theta0, z)
    scale = np.abs(x).max() + 1
    close = 1e4 * float(np.finfo(backend.dtype).eps) * scale
    if np.abs(_values(model, backend, theta0, z) - x).max() > close:
        raise InputError(
            f"{model!r} gives another result each time for the same points: without dropout and other random "
            f"layers it is a map (torch: module.eval(); equinox: eqx.nn.inference_mode(module)); {HOW}"
        )
    half = len(z) // 2
    if half and np.abs(_values(model, backend, theta0, z[:half]) - x[:half]).max() > close:
        raise InputError(
            f"{model!r} must act on each point by itself, but what it makes of a point depends on the others: batch "
            f"normalisation needs module.eval(), and attention must not run over the batch; {HOW}"
        )
    _derivatives(model, backend, theta0, z[:FEW])
    if density:
        _density(model, backend, z)


def _values(model: Model, backend: Backend, theta: Array, z: np.ndarray) -> np.ndarray:
    """F_θ(z) as numpy (N, d), of the right kind, shape and precision, and finite."""
    points = backend.asarray(z.copy())
    arrays = f"{backend.name} arrays of {backend.dtype} and shape {z.shape}"
    value = _tried(model, backend, f"failed on {arrays}", lambda: backend.compile(model.model)(theta, points))
    if not same_framework(value, points):
        raise InputError(f"{model!r} must give arrays like its points, but on {arrays} it gave {kind(value)}; {HOW}")
    if tuple(value.shape) != z.shape:
        raise InputError(
            f"{model!r} must take d = {model.dim} numbers a point to as many, (N, d) to (N, d), but on {arrays} it "
            f"gave shape {tuple(value.shape)}: make its last layer of width {model.dim}; {HOW}"
        )
    if not str(value.dtype).endswith(backend.dtype):
        raise InputError(
            f"{model!r} must keep the precision of its points, but on {arrays} it gave {value.dtype}: register its "
            f"constants as buffers, or make them with dtype=z.dtype; {HOW}"
        )
    if not np.array_equal(backend.to_numpy(points), backend.to_numpy(backend.asarray(z))):
        raise InputError(
            f"{model!r} changes its input in place: write z = z + … instead of z += …, and use inplace=False in its "
            f"first layer; {HOW}"
        )
    found = np.asarray(backend.to_numpy(value), dtype=float)
    finite = np.isfinite(found).all(axis=1)
    if not finite.all():
        worst = int(np.argmin(finite))
        raise InputError(f"{model!r} must be finite, but at z={shown(z[worst])} it gave {shown(found[worst])}; {HOW}")
    return found


def _derivatives(model: Model, backend: Backend, theta: Array, z: np.ndarray) -> None:
    def row(point: Array) -> Array:
        return backend.jacobian(lambda parameters: model(parameters, point[None])[0])(theta)

    J = _tried(
        model, backend, f"cannot be differentiated in its parameters by {backend.name}",
        lambda: backend.to_numpy(backend.compile(backend.vmap(row))(backend.asarray(z))),
    )  # fmt: skip
    if not np.isfinite(J).all():
        raise InputError(f"{model!r} has derivatives in its parameters that are not finite; {HOW}")
    if not J.any():
        raise InputError(
            f"no parameter of {model!r} moves any point: its result is cut off from its parameters (detach, no_grad, "
            f"stop_gradient), or does not use them; {HOW}"
        )


def _density(model: Model, backend: Backend, z: np.ndarray) -> None:
    """Raise `InputError` where ∇_z log|det ∂_zT| is not the gradient of log|det ∂_zT|, as with kinked activations."""
    theta0 = model.initial()
    size = max(float(np.sqrt(np.mean(theta0**2))), AWAY)
    theta = backend.asarray(theta0 + AWAY * size * np.random.default_rng(0).standard_normal(len(theta0)))

    def log_det(points: Array) -> Array:
        return model.push(backend, theta, points).log_det

    _tried(
        model, backend, f"has no density by {backend.name}",
        lambda: backend.compile(lambda points: model.push(backend, theta, points, -points))(backend.asarray(z[:FEW])),
    )  # fmt: skip
    # a compiled function of torch has no derivative, and an uncompiled one of jax is slow
    if backend.name == "jax":
        log_det = backend.compile(log_det)
    trial = Trial(z, backend=backend)
    try:
        trial.function("log|det ∂_zT|", log_det, z)
    except InputError as error:
        raise InputError(
            f"{model!r} has no score, which this energy needs: its second derivatives in z are not those that "
            f"{backend.name} finds, as with kinked activations (ReLU, LeakyReLU, abs, max). Use smooth ones: "
            f"tanh, softplus, SiLU, GELU ({error})"
        ) from error


def _tried(model: Model, backend: Backend, what: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception as error:
        raise InputError(f"{model!r} {what}: {words(error)}. {model.cure()}; {HOW}") from error
