"""A run against what is known of its problem: an exact solution, or a grid. No kernel estimates.

Every figure comes with `<figure>_floor`, below which it is the sampling that speaks (see `floors`). Where
the reference knows the Lagrangian map, both maps are compared on the run's own points: most of the sampling
error cancels, and the floor is the standard error of what is left.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ...errors import InputError
from ..exact.gridded import GridSolution
from .floors import bures_floor, effective_number, quantile_floor, quantile_w2, standard_error

Array = NDArray[np.float64]

FIGURES = {
    "map_error": "rms distance to the exact map",
    "mean_error": "distance of the means",
    "covariance_error": "Frobenius distance of the covariances",
    "variance_error": "largest relative error of a coordinate's variance",
    "kl": "KL divergence from the exact density",
    "l1": "L1 distance of the densities",
    "w2": "Wasserstein-2 distance, by quantiles",
    "w2_radial": "Wasserstein-2 distance of the radial laws, by quantiles",
    "bures": "Wasserstein-2 distance of the moments",
    "front_error": "relative error of the front's radius",
}
"""The long_name of each figure."""


class Figure(NamedTuple):
    """A figure at one time, and its sampling floor."""

    value: float
    floor: float


def compare(run: xr.Dataset, reference: Any, coarse: xr.Dataset | None = None) -> xr.Dataset:
    """The figures of a run over time, against an exact solution or a grid, each with its `…_floor`.

    `run` is a dataset of `wgf.solve`. `reference` is a solution of `wgfode.validation.exact`, or a dataset of
    `solve_grid`, which is compared at the times that both hold; then `coarse`, the same on half the cells, adds
    `l1_reference`, the grid's own L1 error. All means are over the held-out points with their weights. A figure
    that the reference or the run cannot give is absent:

    - `map_error` (E|T(z) − T_exact(z)|²)^½ >= W2: exact solutions, and 1-D grids;
    - `mean_error` (Euclidean), `covariance_error` (Frobenius), `variance_error` (largest relative error of a
      variance): of the images under both maps, or against the moments where no exact map is known;
    - `kl` KL(ρ_θ‖ρ) = E[r + e^(−r) − 1], r = log ρ_θ − log ρ. E e^(−r) = 1 where ρ_θ > 0 covers ρ, so that
      e^(−r) − 1 adds nothing but takes the noise away. Infinite where a point has ρ = 0;
    - `l1` ∫|ρ_θ − ρ| = 2 ∫(ρ_θ − ρ)₊ = 2 E(1 − ρ/ρ_θ)₊, since both have mass 1: unbiased, bounded, and mass
      where only one of the two has its support is counted in full;
    - `w2` in 1-D, `w2_radial` about the exact mean where the solution is radial: between the images under both
      maps, or between the run and as many exact samples where no map is known;
    - `front_error` where the solution has a front: of the outermost point, whose exact image is known;
    - `bures` ≤ W2 (Gelbrich 1990): the Wasserstein-2 distance of normal laws with the moments of the run and of
      the reference; what the points miss of the moments is in it, and in its floor.

    Densities are through the log-determinant, and mean something while the map is injective (`min_jacobian` > 0).
    Raises `InputError` for another dimension, variables that are missing, or no time in common.
    """
    if isinstance(reference, xr.Dataset):
        reference = GridSolution(reference, coarse)
    missing = [name for name in ("z", "x", "weight") if name not in run]
    if missing:
        raise InputError(f"run must be a dataset of wgfode.solve, it has no {', '.join(missing)}")
    if reference.dim != run.sizes["component"]:
        raise InputError(f"run has dimension {run.sizes['component']}, and the reference has {reference.dim}")
    on_grid = isinstance(reference, GridSolution)
    times = run["time"].values
    known = [i for i, t in enumerate(times.tolist()) if not on_grid or reference.holds(t)]
    if not known:
        raise InputError(f"run holds times {times.tolist()}, the grid {reference.times.tolist()}: none in common")
    rows = [figures_at(run.isel(time=i), reference) for i in known]
    found: dict[str, Any] = {}
    for name in rows[0]:
        about = {"long_name": FIGURES[name], "units": "1"}
        found[name] = ("time", [row[name].value for row in rows], about)
        about = {"long_name": f"sampling floor of the {FIGURES[name]}", "units": "1"}
        found[f"{name}_floor"] = ("time", [row[name].floor for row in rows], about)
    if coarse is not None:
        own = [reference.error(float(times[i])) for i in known]
        found["l1_reference"] = ("time", own, {"long_name": "L1 error of the grid itself", "units": "1"})
    return xr.Dataset(found, coords={"time": run["time"][known]})


def figures_at(run: xr.Dataset, reference: Any) -> dict[str, Figure]:
    """The figures of one output time (`run.isel(time=i)`), by name."""
    t = float(run["time"])
    x, z, weights = run["x"].values, run["z"].values, run["weight"].values
    try:
        target = reference.flow_map(t, z)
    except NotImplementedError:
        target = None
    found = {} if target is None else {"map_error": _root_mean_square(x - target, weights)}
    found |= _moments(x, target, weights, reference, t)
    if "log_density" in run:
        with np.errstate(over="ignore"):
            ratio = run["log_density"].values - reference.log_density(t, x)
            found["kl"] = _mean(ratio + np.expm1(-ratio), weights)
            found["l1"] = _mean(2 * np.maximum(-np.expm1(-ratio), 0.0), weights)
    centre = reference.mean(t)
    if reference.dim == 1:
        found["w2"] = _quantiles(x, target, weights, reference, t, lambda y: y[:, 0])
    elif hasattr(reference, "radial_cdf") or hasattr(reference, "radius"):
        found["w2_radial"] = _quantiles(x, target, weights, reference, t, lambda y: np.linalg.norm(y - centre, axis=1))
    if target is not None and hasattr(reference, "radius"):
        reach, exact_reach = (float(np.linalg.norm(y - centre, axis=1).max()) for y in (x, target))
        found["front_error"] = Figure(abs(reach / exact_reach - 1), 0.0)
    return found


def _mean(values: Array, weights: Array) -> Figure:
    """The norm of the mean of values (N,) or (N, k)."""
    return Figure(float(np.linalg.norm(weights @ values)), standard_error(values, weights))


def _root_mean_square(gap: Array, weights: Array) -> Figure:
    """(E|gap|²)^½ of gaps (N, d); its standard error is that of the mean square over twice the root."""
    square, error = _mean((gap**2).sum(1), weights)
    root = float(np.sqrt(square))
    return Figure(root, error / (2 * root) if root > 0 else 0.0)


def _moments(x: Array, target: Array | None, weights: Array, reference: Any, t: float) -> dict[str, Figure]:
    mean, covariance = reference.mean(t), reference.covariance(t)
    own = weights @ x
    spread = _outer(x - own)
    if target is None:
        first, second, variance = x - mean, spread - covariance.ravel(), np.diag(covariance)
    else:
        twin = _outer(target - weights @ target)
        first, second = x - target, spread - twin
        variance = (weights @ twin)[:: x.shape[1] + 1]
    ratios = second[:, :: x.shape[1] + 1] / variance
    worst = ratios[:, int(np.abs(weights @ ratios).argmax())]
    shape = covariance.shape
    return {
        "mean_error": _mean(first, weights),
        "covariance_error": _mean(second, weights),
        "variance_error": _mean(worst, weights),
        "bures": Figure(
            bures(own, (weights @ spread).reshape(shape), mean, covariance),
            bures_floor(covariance, effective_number(weights)),
        ),
    }


def _outer(y: Array) -> Array:
    """y yᵀ of each row, (N, d) → (N, d²)."""
    return (y[:, :, None] * y[:, None, :]).reshape(len(y), -1)


def _quantiles(x: Array, target: Array | None, weights: Array, reference: Any, t: float, law: Any) -> Figure:
    """W2 between law(run) and law(reference), `law` from points (N, d) to numbers (N,)."""
    n = len(x)
    if target is None:
        value = quantile_w2(law(x), law(reference.sample(t, n, 0)), weights)
        # one independent sample on either side, therefore √2
        return Figure(value, np.sqrt(2) * quantile_floor(lambda seed: law(reference.sample(t, n, seed + 1))))
    a, b = law(x), law(target)
    value = quantile_w2(a, b, weights, weights)
    square = standard_error((np.sort(a) - np.sort(b)) ** 2, weights)
    return Figure(value, square / (2 * value) if value > 0 else 0.0)


def bures(mean_a: Array, covariance_a: Array, mean_b: Array, covariance_b: Array) -> float:
    """W2 of N(mean_a, covariance_a) and N(mean_b, covariance_b), shapes (d,), (d, d).

    |Δm|² + tr(A + B − 2(A^½ B A^½)^½) (Dowson and Landau 1982), with the trace as ‖A^½ − B^½U‖² for the best
    rotation U, so that equal covariances give 0 and not the root of rounding.
    """
    a, b = _root(covariance_a), _root(covariance_b)
    left, _, right = np.linalg.svd(b.T @ a)
    return float(np.sqrt(((mean_a - mean_b) ** 2).sum() + ((a - b @ left @ right) ** 2).sum()))


def _root(matrix: Array) -> Array:
    values, axes = np.linalg.eigh(matrix)
    return (axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T
