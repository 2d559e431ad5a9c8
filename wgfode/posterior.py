"""A run's points as draws, for the tools that read those of samplers."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError, MissingDependencyError, positive_int, shown

if TYPE_CHECKING:
    import xarray as xr


def to_arviz(
    dataset: xr.Dataset, time: float | None = None, names: Sequence[str] | None = None, chains: int = 4
) -> Any:
    """The evaluation points of a run at `time` (the last, if None) as ArviZ's inference data.

    `posterior` holds one variable a component, by `names`, or without them one variable x with all of them;
    `sample_stats` their log density where the run has one. The points are independent draws of ρ_θ, not a chain's: cut
    into `chains` equal parts (the remainder is left out), so that ArviZ's comparisons of chains have something to
    compare. Raises `InputError` for names that do not fit, more chains than points, or a dataset without points at
    that time, and `MissingDependencyError` without arviz.
    """
    if missing := {"x", "weight", "time"} - {*dataset.variables}:
        raise InputError(f"dataset must be that of a run, and it has no {', '.join(sorted(missing))}")
    n, d = dataset.sizes["point"], dataset.sizes["component"]
    if positive_int("chains", chains) > n:
        raise InputError(f"chains must be at most the number of evaluation points, {n}, got {chains}")
    if names is not None and (isinstance(names, str) or len({*names}) != d):
        raise InputError(f"names must be {d} different names, one a component, got {shown(names)}")
    times = dataset.time.values
    k = len(times) - 1 if time is None else int(np.abs(times - time).argmin())
    if time is not None and not np.isclose(times[k], time, rtol=1e-9):
        raise InputError(f"time must be one of the dataset's, {times.tolist()}, got {time!r}")
    if np.ptp(dataset.weight.values) > 1e-12 * np.abs(dataset.weight.values).max():
        raise InputError("the evaluation points must have equal weights to be draws: use those of wgfode.solve")
    try:
        arviz = importlib.import_module("arviz")
    except ModuleNotFoundError as error:
        raise MissingDependencyError("to_arviz needs arviz: pip install arviz") from error
    kept = n // chains

    def draws(values: np.ndarray) -> np.ndarray:
        return values[: kept * chains].reshape(chains, kept, *values.shape[1:])

    x = draws(dataset.x.values[k])
    groups: dict[str, dict[str, np.ndarray]] = {
        "posterior": {"x": x} if names is None else {name: x[..., i] for i, name in enumerate(names)}
    }
    if "log_density" in dataset:
        groups["sample_stats"] = {"lp": draws(dataset.log_density.values[k])}
    if int(arviz.__version__.partition(".")[0]) < 1:
        return arviz.from_dict(**groups)
    return arviz.from_dict(groups)
