"""Pictures of the pushed points, with what is exact drawn over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import InputError
from .style import (
    BASE,
    EXACT,
    EXACT_LINE,
    LARGEST,
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

RING = 1 / np.sqrt(3)
"""The radius of the ring that W = |x|⁴/4 − |x|²/2 leads to in 2-D."""
MASSES = (0.25, 0.5, 0.75, 0.95)
"""What the contours of a density enclose."""


def samples(dataset: xr.Dataset) -> Figure:
    """Points of a 2-D run at successive times, all panels on the same axes, the exact shape over them.

    The shape is the limiting circle of the ring, the front of a compact support, or the exact mean with
    its 1 and 2 sigma ellipses. Raises `InputError` unless the run is 2-D.
    """
    need(dataset, "samples", "x")
    if dataset.sizes["component"] != 2:
        raise InputError(f"the picture 'samples' needs 2 components, got {dataset.sizes['component']}")
    times = chosen_times(dataset)
    figure, axes = panels(len(times), 3, sharex=True, sharey=True)
    exact = exact_of(dataset)
    for axis, i in zip(axes, times, strict=True):
        _scatter(axis, dataset["x"].values[i])
        _shape(axis, exact, time_of(dataset, i), (0, 1))
        axis.set_title(f"t = {time_of(dataset, i):.4g}")
    _square(dataset["x"].values[times], axes)
    name_outer(axes, 3, "component 0", "component 1")
    legend_below(figure, axes[-1])
    figure.suptitle(title(dataset, "samples"))
    return figure


def projections(dataset: xr.Dataset, planes: Sequence[tuple[int, int]] = ((0, 1), (4, 5), (8, 9))) -> Figure:
    """Points at the last time on coordinate planes, with the exact mean and 1, 2 sigma ellipses."""
    need(dataset, "projections", "x")
    _check_planes(dataset, "projections", *planes)
    last = dataset.sizes["time"] - 1
    figure, axes = panels(len(planes), 3)
    for axis, plane in zip(axes, planes, strict=True):
        x = dataset["x"].values[last][:, plane]
        _scatter(axis, x)
        _shape(axis, exact_of(dataset), time_of(dataset, last), plane)
        _square(x[None], [axis])
        name_outer([axis], 1, f"component {plane[0]}", f"component {plane[1]}")
        axis.set_title(f"plane {plane[0]}–{plane[1]}")
    legend_below(figure, axes[0])
    figure.suptitle(title(dataset, f"projections at t = {time_of(dataset, last):.4g}"))
    return figure


def plane(dataset: xr.Dataset, first: int = 5, second: int = 15) -> Figure:
    """Points projected on one plane at successive times t > 0, with contours of the exact marginal density.

    The exact solution must be a product of 1-D ones (`validation.exact.Product`) for the contours.
    """
    need(dataset, "plane", "x")
    _check_planes(dataset, "plane", (first, second))
    times = [i for i in chosen_times(dataset, 7) if time_of(dataset, i) > 0][-6:] or [0]
    figure, axes = panels(len(times), 3, sharex=True, sharey=True)
    exact = exact_of(dataset)
    points = dataset["x"].values[:, :, [first, second]]
    _square(points[times], axes)
    for axis, i in zip(axes, times, strict=True):
        _scatter(axis, points[i])
        if hasattr(exact, "marginals"):
            _contours(axis, exact, time_of(dataset, i), (first, second))
        axis.set_title(f"t = {time_of(dataset, i):.4g}")
    name_outer(axes, 3, f"component {first}", f"component {second}")
    legend_below(figure, axes[-1])
    figure.suptitle(title(dataset, f"plane {first}–{second}"))
    return figure


def _check_planes(dataset: xr.Dataset, picture: str, *planes: tuple[int, int]) -> None:
    known = dataset.sizes["component"]
    for index in (i for plane in planes for i in plane):
        if not 0 <= index < known:
            raise InputError(f"the picture {picture!r} needs component {index}, and the dataset has {known}")


def _scatter(axis: Axes, x: np.ndarray) -> None:
    x = x[:LARGEST]
    axis.scatter(x[:, 0], x[:, 1], s=4, color=RUN, alpha=0.5, linewidths=0, rasterized=True, label="run")


def _shape(axis: Axes, exact: Any, t: float, plane: tuple[int, int]) -> None:
    """What is exact of a radial or Gaussian density: a circle, or ellipses."""
    if exact is None:
        return
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    centre = exact.mean(t)[list(plane)]
    if hasattr(exact, "radial_cdf"):
        axis.plot(*(centre[:, None] + RING * circle), label="limit: radius 1/√3", **EXACT_LINE)
        return
    if hasattr(exact, "radius"):
        axis.plot(*(centre[:, None] + exact.radius(t) * circle), label="exact front", **EXACT_LINE)
        return
    factor = np.linalg.cholesky(exact.covariance(t)[np.ix_(plane, plane)])
    for sigma in (1, 2):
        name = "exact, 1 and 2 sigma" if sigma == 1 else None
        axis.plot(*(centre[:, None] + sigma * factor @ circle), label=name, **EXACT_LINE)
    axis.plot(*centre, "+", color=BASE, markersize=11, markeredgewidth=2, linestyle="none", label="exact mean")


def _contours(axis: Axes, exact: Any, t: float, plane: tuple[int, int]) -> None:
    """The exact density of two coordinates, at the levels that enclose `MASSES`."""
    grids = [np.linspace(*limits, 160) for limits in (axis.get_xlim(), axis.get_ylim())]
    pairs = zip(plane, grids, strict=True)
    first, second = (exact.marginals[i].density(t, grid[:, None]) for i, grid in pairs)
    density = second[:, None] * first[None, :]
    ranked = np.sort(density, axis=None)[::-1]
    enclosed = np.cumsum(ranked) / ranked.sum()
    levels = sorted({float(ranked[np.searchsorted(enclosed, mass)]) for mass in MASSES})
    axis.contour(*grids, density, levels=levels, colors=EXACT, linewidths=1.3)
    axis.plot([], [], color=EXACT, label="exact, holding " + ", ".join(f"{m:.0%}" for m in MASSES))


def _square(x: np.ndarray, axes: Sequence[Axes]) -> None:
    """The same square window on every panel, around points (panel, point, 2)."""
    low, high = np.quantile(x, 0.001, axis=(0, 1)), np.quantile(x, 0.999, axis=(0, 1))
    middle, half = (low + high) / 2, 0.64 * (high - low).max()
    for axis in axes:
        axis.set_xlim(middle[0] - half, middle[0] + half)
        axis.set_ylim(middle[1] - half, middle[1] + half)
        axis.set_aspect("equal")
