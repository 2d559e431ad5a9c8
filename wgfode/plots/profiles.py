"""Pictures of densities, through the log-determinant (no kernel estimate), and of radial laws."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ..errors import InputError
from .style import (
    BASE,
    EXACT_LINE,
    RUN,
    chosen_times,
    exact_of,
    legend_below,
    name_outer,
    need,
    panels,
    time_of,
    title,
)

FAR = 1.6
"""Radius up to which radial laws are drawn."""


def density(dataset: xr.Dataset) -> Figure:
    """The density of a 1-D run at each time, against the exact one. Raises `InputError` unless d = 1."""
    need(dataset, "density", "x", "log_density")
    if dataset.sizes["component"] != 1:
        raise InputError(f"the picture 'density' needs 1 component, got {dataset.sizes['component']}")
    times = chosen_times(dataset)
    figure, axes = panels(len(times), 3, height=1.9, sharex=True)
    exact = exact_of(dataset)
    x = dataset["x"].values[times, :, 0]
    margin = 0.05 * np.ptp(x)
    grid = np.linspace(x.min() - margin, x.max() + margin, 400)
    for axis, i in zip(axes, times, strict=True):
        order = np.argsort(dataset["x"].values[i, :, 0])
        axis.plot(
            dataset["x"].values[i, order, 0],
            np.exp(dataset["log_density"].values[i, order]),
            color=RUN,
            linewidth=3,
            alpha=0.6,
            label="run",
        )
        if exact is not None:
            axis.plot(grid, exact.density(time_of(dataset, i), grid[:, None]), label="exact", **EXACT_LINE)
        axis.set_title(f"t = {time_of(dataset, i):.4g}")
        axis.set_ylim(bottom=0)
    name_outer(axes, 3, "x", "density")
    legend_below(figure, axes[-1])
    figure.suptitle(title(dataset, "density"))
    return figure


def profile(dataset: xr.Dataset) -> Figure:
    """The density of a run against the distance from the exact centre, with the exact profile and front.

    Raises `InputError` unless the exact solution has a front (`radius`).
    """
    need(dataset, "profile", "x", "log_density")
    exact = exact_of(dataset)
    if not hasattr(exact, "radius"):
        raise InputError("the picture 'profile' needs a problem whose exact solution has a front")
    times = chosen_times(dataset)
    figure, axes = panels(len(times), 3, height=2.0, sharex=True)
    for axis, i in zip(axes, times, strict=True):
        t = time_of(dataset, i)
        centre, front = exact.mean(t), exact.radius(t)
        distance = np.linalg.norm(dataset["x"].values[i] - centre, axis=1)
        axis.plot(distance, np.exp(dataset["log_density"].values[i]), ".", color=RUN, markersize=4, label="run")
        grid = np.linspace(0, 1.15 * exact.radius(time_of(dataset, times[-1])), 300)
        ray = np.tile(centre, (len(grid), 1))
        ray[:, 0] += grid
        axis.plot(grid, exact.density(t, ray), label="exact", **EXACT_LINE)
        axis.axvline(front, color=BASE, linewidth=1, linestyle=":", label="exact front")
        axis.set_title(f"t = {t:.4g}")
        axis.set_ylim(bottom=-0.04 * axis.get_ylim()[1])  # whole points where the density vanishes
    name_outer(axes, 3, "distance from the centre", "density")
    legend_below(figure, axes[-1])
    figure.suptitle(title(dataset, "density against radius"))
    return figure


def radial(dataset: xr.Dataset) -> Figure:
    """The share of mass within a distance of the exact centre, against the exact radial law.

    Raises `InputError` unless the exact solution knows it (`radial_cdf`).
    """
    need(dataset, "radial", "x", "weight")
    exact = exact_of(dataset)
    if not hasattr(exact, "radial_cdf"):
        raise InputError("the picture 'radial' needs a problem whose exact radial law is known")
    times = chosen_times(dataset)
    figure, axes = panels(len(times), 3, height=1.9, sharex=True, sharey=True)
    weights = dataset["weight"].values
    for axis, i in zip(axes, times, strict=True):
        t = time_of(dataset, i)
        distance = np.linalg.norm(dataset["x"].values[i] - exact.mean(t), axis=1)
        order = np.argsort(distance)
        edges = np.concatenate([[0], distance[order], [FAR]])
        mass = np.concatenate([[0], np.cumsum(weights[order]), [1]])
        axis.step(edges, mass, color=RUN, linewidth=3, alpha=0.6, where="post", label="run")
        grid = np.linspace(0, FAR, 800)
        axis.plot(grid, exact.radial_cdf(t, grid), label="exact", **EXACT_LINE)
        axis.axvline(1 / np.sqrt(3), color=BASE, linewidth=1, linestyle=":", label="limit: 1/√3")
        axis.set_title(f"t = {t:.4g}")
        axis.set_xlim(0, FAR)
    name_outer(axes, 3, "distance r from the centre", "mass within r")
    legend_below(figure, axes[-1])
    figure.suptitle(title(dataset, "radial distribution"))
    return figure
