"""The convexity of a quadratic potential, found by differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import load, precision
from ..backend.protocol import Backend
from ..errors import InputError, MissingDependencyError, positive_int, real, shown

SEGMENTS = 16
"""Segments through each point along which a Hessian is compared with second differences."""


def quadratic_convexity(V: Callable[[Any], Any], dim: int, *, samples: int = 8, seed: int = 0) -> float:
    """The convexity λ of a quadratic V, for `Potential(V, convexity=λ)`: the least eigenvalue of its Hessian.

    V maps points (N, dim) to (N,). Its Hessian is formed by automatic differentiation, in torch or else
    in jax, at `samples` random points of scales 0.1 … 10. Raises `InputError` where it is not the same at all of
    them (V is not quadratic, and the eigenvalues at some points bound nothing), not finite, or not that of V's own
    second differences along random segments through the points (a kink, as in −|x|, has no Hessian and no λ), and
    `MissingDependencyError` where neither framework is installed.
    """
    dim, samples = positive_int("dim", dim), positive_int("samples", samples)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, dim)) * np.geomspace(0.1, 10, samples)[:, None]
    hessians, values = _hessians(V, x)
    if not np.isfinite(hessians).all():
        raise InputError(
            f"the Hessian of V is not finite at x={shown(x[int(np.argmin(np.isfinite(hessians).all((1, 2))))])}"
        )
    gap = np.abs(hessians - hessians[0]).max(axis=(1, 2))
    if gap.max() > 1e-8 * max(np.abs(hessians).max(), 1e-300):
        worst = int(gap.argmax())
        raise InputError(
            f"V is not quadratic: its Hessian changes by {gap[worst]:.3g} between x={shown(x[0])} and "
            f"x={shown(x[worst])}. "
            "Give convexity=λ yourself, with ∇²V ⪰ λI everywhere"
        )
    _check_segments(values, x, hessians[0], rng)
    return real("convexity", np.linalg.eigvalsh((hessians[0] + hessians[0].T) / 2)[0])


def _check_segments(values: Callable[[Any], Any], x: np.ndarray, hessian: np.ndarray, rng: Any) -> None:
    """Raise `InputError` where V(x+u) − 2V(x) + V(x−u) is not uᵀHu for steps u of many lengths."""
    dim = x.shape[1]
    begin = np.repeat(x, SEGMENTS, axis=0)
    steps = rng.standard_normal(begin.shape) * np.exp(rng.uniform(np.log(0.01), np.log(100), (len(begin), 1)))
    ahead, middle, behind = (values(begin + sign * steps) for sign in (1, 0, -1))
    second, wanted = ahead - 2 * middle + behind, np.einsum("ni,ij,nj->n", steps, hessian, steps)
    scale = np.abs(ahead) + 2 * np.abs(middle) + np.abs(behind) + np.abs(wanted)
    gap = np.abs(second - wanted)
    if not (gap <= 1e-9 * (1 + dim) * scale).all():
        worst = int(np.argmax(gap / (scale + 1e-300)))
        raise InputError(
            f"V is not quadratic: along the step {shown(steps[worst])} from x={shown(begin[worst])} its second "
            f"difference is "
            f"{second[worst]:.6g}, and its Hessian says {wanted[worst]:.6g} (a kink?). Give convexity=λ "
            f"yourself, where "
            "there is one"
        )


def _hessians(V: Callable[[Any], Any], x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """∇²V at points (N, d), (N, d, d), and V on numpy points, by the framework that V takes."""
    failure: Exception | None = None
    for name in ("torch", "jax"):
        try:
            with precision(name, "float64"):
                backend = load(name)
                return _differentiate(backend, V, x), _values(backend, V)
        except Exception as error:  # not installed, or a V of the other framework
            failure = error if failure is None or isinstance(failure, MissingDependencyError) else failure
    if isinstance(failure, MissingDependencyError):
        raise failure
    raise InputError(f"V cannot be differentiated: {type(failure).__name__}: {failure}") from failure


def _values(backend: Backend, V: Callable[[Any], Any]) -> Callable[[np.ndarray], np.ndarray]:
    def values(x: np.ndarray) -> np.ndarray:
        with precision(backend.name, "float64"):
            return backend.to_numpy(V(backend.asarray(x)))

    return values


def _differentiate(backend: Backend, V: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    gradient = backend.grad(lambda points: backend.xp.sum(V(points)))
    jacobian = backend.jacobian(lambda point: gradient(point[None])[0])
    return np.stack([backend.to_numpy(jacobian(backend.asarray(point))) for point in x])
