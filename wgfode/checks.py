"""Checks of the functions that users give, on sample points, so that a mistake shows at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .energies import Energy, Interaction, InternalEnergy, Potential
from .errors import InputError

Array = Any


def energy_at(energy: Energy, points: np.ndarray, asarray: Callable[[np.ndarray], Array] | None = None,
              to_numpy: Callable[[Array], np.ndarray] = np.asarray) -> None:  # fmt: skip
    """Check every function of `energy` on points (N, d).

    Without `asarray` the functions are tried on numpy arrays, and one that does not take them is left
    for the check that follows when a framework is bound. Raises `InputError`.
    """
    for _, term in energy.terms:
        if isinstance(term, Potential):
            _function("V", term.V, points, asarray, to_numpy)
        elif isinstance(term, Interaction):
            differences = points - np.roll(points, 1, axis=0)
            there = _function("W", term.W, differences, asarray, to_numpy)
            back = _function("W", term.W, -differences, asarray, to_numpy)
            if there is not None and back is not None:
                gap, scale = np.abs(there - back), np.abs(there).max() + np.abs(back).max()
                if gap.max() > 1e-5 * scale:
                    worst = int(gap.argmax())
                    raise InputError(
                        f"W must be even, W(x) = W(−x), but W({differences[worst]}) = {there[worst]} and "
                        f"W({-differences[worst]}) = {back[worst]}"
                    )
        elif isinstance(term, InternalEnergy):
            densities = np.geomspace(1e-3, 1e1, len(points))
            _function("U", term.function, densities, asarray, to_numpy)


def _function(
    name: str, f: Callable[[Array], Array], x: np.ndarray, asarray: Callable | None, to_numpy: Callable
) -> np.ndarray | None:
    """f(x) as numpy (N,), or None where f does not take numpy arrays and no framework is bound yet."""
    shape = "(N, d) to (N,)" if x.ndim == 2 else "(N,) to (N,), elementwise"
    try:
        with np.errstate(all="ignore"):
            value = f(x if asarray is None else asarray(x))
            values = np.asarray(to_numpy(value), dtype=float)
    except Exception as error:
        if asarray is None:
            return None
        raise InputError(f"{name} failed on points of shape {x.shape}: {type(error).__name__}: {error}") from error
    if values.shape != (len(x),):
        raise InputError(f"{name} must map {shape}: on points of shape {x.shape} it gave shape {values.shape}")
    if not np.isfinite(values).all():
        worst = int(np.argmin(np.isfinite(values)))
        raise InputError(f"{name} must be finite on the reference's points, but {name}({x[worst]}) = {values[worst]}")
    return values
