"""The functions that users give, tried on sample points, so that a mistake shows at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InputError

Array = Any


@dataclass(frozen=True)
class Trial:
    """Sample points (N, d) of the reference, and how functions are tried on them.

    Without `asarray` functions are tried on numpy arrays, and one that does not take them is left for the trial that
    follows when a framework is bound.
    """

    points: np.ndarray
    asarray: Callable[[np.ndarray], Array] | None = None
    to_numpy: Callable[[Array], np.ndarray] = np.asarray

    def values(self, name: str, f: Callable[[Array], Array], x: np.ndarray) -> np.ndarray | None:
        """f(x) as numpy (N,), or None where f does not take numpy arrays and no framework is bound yet.

        Raises `InputError`, calling f by its `name`, where it fails, has another shape or is not finite.
        """
        shape = "(N, d) to (N,)" if x.ndim == 2 else "(N,) to (N,), elementwise"
        try:
            with np.errstate(all="ignore"):
                value = f(x if self.asarray is None else self.asarray(x))
                found = np.asarray(self.to_numpy(value), dtype=float)
        except Exception as error:
            if self.asarray is None:
                return None
            raise InputError(f"{name} failed on points of shape {x.shape}: {type(error).__name__}: {error}") from error
        if found.shape != (len(x),):
            raise InputError(f"{name} must map {shape}: on points of shape {x.shape} it gave shape {found.shape}")
        if not np.isfinite(found).all():
            worst = int(np.argmin(np.isfinite(found)))
            raise InputError(
                f"{name} must be finite on the reference's points, but {name}({x[worst]}) = {found[worst]}"
            )
        return found
