"""How far a run's dataset is from an exact solution, time by time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

# name: long_name
QUANTITIES = {
    "map_error": "rms distance to the exact map",
    "mean_error": "distance of the means",
    "covariance_error": "Frobenius distance of the covariances",
    "kl": "KL divergence from the exact density",
}


def deviation(dataset: xr.Dataset, exact: Any) -> xr.Dataset:
    """`map_error`, `mean_error`, `covariance_error` and `kl` of `dataset` over time; those that are known.

    `exact` is a solution of `wgfode.validation.exact`. Errors are means with the dataset's weights:

    - map error (E|T(z) − T_exact(z)|²)^½, which bounds the Wasserstein-2 error from above;
    - mean error (Euclidean) and covariance error (Frobenius), both maps on the same points, so that
      the points' own sampling error cancels. Where no exact map is known: against the exact moments;
    - KL(ρ_θ‖ρ) = E[r + e^(−r) − 1], r = log ρ_θ − log ρ. E e^(−r) = 1, so the term e^(−r) − 1 adds
      nothing but takes the noise away: every point counts >= 0. Infinite where a point has ρ = 0.
    """
    import xarray as xr

    z, weights = dataset["z"].values, dataset["weight"].values
    found: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    for i, t in enumerate(dataset["time"].values.tolist()):
        x = dataset["x"].values[i]
        mean, covariance = _moments(x, weights)
        try:
            target = exact.flow_map(t, z)
        except NotImplementedError:
            exact_mean, exact_covariance = exact.mean(t), exact.covariance(t)
        else:
            exact_mean, exact_covariance = _moments(target, weights)
            found["map_error"].append(float(np.sqrt(weights @ ((x - target) ** 2).sum(1))))
        found["mean_error"].append(float(np.linalg.norm(mean - exact_mean)))
        found["covariance_error"].append(float(np.linalg.norm(covariance - exact_covariance)))
        if "log_density" in dataset:
            ratio = dataset["log_density"].values[i] - exact.log_density(t, x)
            with np.errstate(over="ignore"):
                found["kl"].append(float(weights @ (ratio + np.expm1(-ratio))))
    return xr.Dataset(
        {
            name: ("time", values, {"long_name": QUANTITIES[name], "units": "1"})
            for name, values in found.items()
            if values
        },
        coords={"time": dataset["time"]},
    )


def _moments(x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (d,) and covariance (d, d) of points x (N, d) with weights (N,)."""
    mean = weights @ x
    centred = x - mean
    return mean, (weights[:, None] * centred).T @ centred
