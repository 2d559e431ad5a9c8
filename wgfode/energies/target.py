"""The potential of a target density, V = −log π, from its log density as samplers and libraries write it."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import is_jax_array, is_torch_array

from ..arrays import like
from ..backend import load
from ..errors import settle

Array = Any


@dataclass(frozen=True)
class NegativeLog:
    """−`log_density` at points, (N, d) → (N,), of a log density of points (N, d) or of a single point (d,).

    Which of the two it is shows on d + 1 equal points; one of a single point is mapped over the rows, by the framework
    whose arrays come. It is given `t` and `args` where it names them.
    """

    log_density: Callable[..., Array]
    called = "−log_density"
    """The name by which a check speaks of it."""

    def __post_init__(self) -> None:
        known = inspect.Signature()  # compiled functions may have none
        with contextlib.suppress(TypeError, ValueError):
            known = inspect.signature(getattr(self.log_density, "forward", self.log_density))
        settle(self, __signature__=known, _batched={})

    def __call__(self, x: Array, *extra: Any, **named: Any) -> Array:
        def f(points: Array) -> Array:
            return self.log_density(points, *extra, **named)

        batched: dict[str, bool] = self._batched  # type: ignore[attr-defined]
        framework = "torch" if is_torch_array(x) else "jax" if is_jax_array(x) else "numpy"
        if framework not in batched:
            batched[framework] = _takes_rows(f, x)
        if batched[framework]:
            return -f(x)
        if framework == "numpy":
            return -np.array([f(point) for point in x])
        return -load(framework, str(x.dtype).removeprefix("torch.")).vmap(f)(x)

    def __repr__(self) -> str:
        return f"−{getattr(self.log_density, '__qualname__', self.log_density)}"


def _takes_rows(f: Callable[[Array], Array], x: Array) -> bool:
    """Whether f maps points (N, d) to (N,)."""
    n = x.shape[1] + 1
    try:
        return tuple(f(x[:1] + like(np.zeros((n, 1)), x)).shape) == (n,)
    except Exception:  # it takes one point, or fails there too, which shows where it is called
        return False
