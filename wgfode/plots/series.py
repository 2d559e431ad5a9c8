"""Pictures of a run over time: energy, errors, residuals, the linear solve, variances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..errors import InputError
from ..validation.compare import compare
from .curves import curve, logarithmic
from .style import (
    COLOURS,
    EXACT_LINE,
    MARKERS,
    RUN,
    exact_of,
    label,
    need,
    panels,
    positive_only,
    title,
)

FINE = 36
"""Times between 0 and the last at which an exact curve is drawn."""
SHOWN = ("map_error", "mean_error", "covariance_error", "kl")
"""The errors that are drawn over time."""


def energy(dataset: xr.Dataset) -> Figure:
    """The energy over time beside the exact one, and its terms."""
    need(dataset, "energy", "energy", "energy_term")
    figure, (total, parts) = panels(2, 2, 3.5, 2.6)
    known = _exact_energy(dataset)
    if known is not None:
        total.plot(*known, label="exact", **EXACT_LINE)
    times = dataset["time"].values
    if known is None:
        curve(total, times, dataset["energy"].values, color=RUN, marker="o", label="run")
    else:  # points alone: a line between few times would be taken for the run's own, and its error
        total.plot(times, dataset["energy"], "o", color=RUN, label="run")
    total.set_ylabel(label(dataset["energy"]))
    total.legend(frameon=False)
    for i, name in enumerate(dataset["term"].values.tolist()):
        curve(parts, times, dataset["energy_term"].values[:, i], color=COLOURS[i], marker=MARKERS[i], label=name)
    parts.set_ylabel("terms of the energy")
    parts.legend(frameon=False)
    _over_time(dataset, total, parts)
    figure.suptitle(title(dataset, "energy"))
    return figure


def errors(dataset: xr.Dataset) -> Figure:
    """Map, mean and covariance error and KL over time, each where the exact solution knows it.

    Raises `InputError` where the dataset's problem has no exact solution.
    """
    need(dataset, "errors", "z", "x", "weight")
    exact = exact_of(dataset)
    if exact is None:
        raise InputError("the picture 'errors' needs a problem with an exact solution in the dataset's attributes")
    known = compare(dataset, exact)
    found = known[[name for name in SHOWN if name in known]]
    found = found.where(found["time"] > 0)  # at 0 both maps are the identity: rounding would set the scale
    figure, axes = panels(len(found), 3, 3.5, 2.6)
    for i, (axis, variable) in enumerate(zip(axes, found.values(), strict=True)):
        _logarithmic(axis, found, {str(variable.name): ""}, first=i)
        axis.set_ylabel(label(variable))
    _over_time(dataset, *axes)
    figure.suptitle(title(dataset, "errors against the exact solution"))
    return figure


def residual(dataset: xr.Dataset) -> Figure:
    """The squared velocity defect over time, held-out and in-sample, with the flow's squared speed."""
    need(dataset, "residual", "residual", "residual_in_sample", "dissipation")
    figure, (axis,) = panels(1, 1, 5.0, 2.9)
    names = {
        "residual": "defect, held-out points",
        "residual_in_sample": "defect, driving points",
        "dissipation": "speed of the flow, for scale",
    }
    _logarithmic(axis, dataset, names)
    axis.set_ylabel("mean square velocity")
    axis.legend(frameon=False)
    _over_time(dataset, axis)
    figure.suptitle(title(dataset, "velocity defect E|Jξ − g|²"))
    return figure


def linear_solve(dataset: xr.Dataset) -> Figure:
    """The true relative residual of the linear solve for the parameters' velocity, and its iterations."""
    need(dataset, "linear_solve", "linear_residual", "linear_steps")
    figure, (above, below) = panels(2, 2, 3.5, 2.6)
    _logarithmic(above, dataset, {"linear_residual": ""})
    above.set_ylabel("true relative residual")
    below.plot(dataset["time"], dataset["linear_steps"], "s-", color=COLOURS[1], clip_on=False)
    below.set_ylabel("iterations")
    below.yaxis.set_major_locator(MaxNLocator(integer=True))
    below.set_ylim(-0.5, max(1.0, 1.1 * float(dataset["linear_steps"].max())))
    _over_time(dataset, above, below)
    figure.suptitle(title(dataset, "linear solve for the parameters' velocity"))
    return figure


def variances(dataset: xr.Dataset) -> Figure:
    """Every coordinate's variance over time against the exact one, and their ratio on the same points."""
    need(dataset, "variances", "z", "x", "weight", "covariance")
    figure, (left, right) = panels(2, 2, 3.5, 2.7)
    times = dataset["time"].values
    run = np.diagonal(dataset["covariance"].values, axis1=1, axis2=2)
    left.plot(times, run, "-", color=RUN, linewidth=0.6, alpha=0.5)
    left.plot(times, run[:, 0], "-", color=RUN, linewidth=0.6, label=f"run, {run.shape[1]} coordinates")
    left.set_ylabel("variance of a coordinate")
    exact = exact_of(dataset)
    if exact is not None:
        fine = _fine_times(dataset)
        curves = np.array([np.diag(exact.covariance(t)) for t in fine])
        left.plot(fine, np.unique(curves.round(12), axis=1), **EXACT_LINE)
        left.plot([], [], label="exact", **EXACT_LINE)
        # the same points under both maps: their sampling error cancels
        weights = dataset["weight"].values
        moved = [exact.flow_map(t, dataset["z"].values) for t in times.tolist()]
        target = np.stack([weights @ (x - weights @ x) ** 2 for x in moved])
        right.plot(times, 100 * (run / target - 1), "-", color=RUN, linewidth=0.8, alpha=0.6)
        right.axhline(0, **EXACT_LINE)
        right.set_ylabel("relative error of the variance [%]")
        right.set_title("on the same points", fontsize="medium")
    else:
        right.remove()
    left.legend(frameon=False)
    _over_time(dataset, left, right)
    figure.suptitle(title(dataset, "variances"))
    return figure


def _logarithmic(axis: Axes, source: xr.Dataset, names: Mapping[str, str], first: int = 0) -> None:
    """Curves of `source` on a logarithmic axis; zeros are gaps."""
    values = {name: positive_only(source[name].values) for name in names}
    for i, name in enumerate(names, start=first):
        style: dict[str, Any] = {
            "color": COLOURS[i],
            "marker": MARKERS[i],
            "linestyle": ("-", "--", ":", "-.")[i],
        }
        curve(axis, source["time"].values, values[name], logarithmic=True, label=names[name], **style)
    shown = np.concatenate(list(values.values()))
    shown = shown[np.isfinite(shown)]
    if shown.size:
        logarithmic(axis, float(shown.min()), float(shown.max()))
    else:
        axis.text(0.5, 0.5, "no finite value above 0", ha="center", transform=axis.transAxes)
        axis.set_yticks([])


def _over_time(dataset: xr.Dataset, *axes: Axes) -> None:
    begin, end = dataset["time"].values[[0, -1]]
    margin = 0.04 * (end - begin) or 1.0
    for axis in axes:
        axis.set_xlim(begin - margin, end + margin)  # the same in all pictures, gaps included
        axis.set_xlabel(label(dataset["time"]))
        axis.grid(alpha=0.25)


def _exact_energy(dataset: xr.Dataset) -> tuple[list[float], list[float]] | None:
    """Times and the exact energy there, or None where it is not known."""
    exact, times = exact_of(dataset), _fine_times(dataset)
    try:
        return None if exact is None else (times, [exact.energy(t) for t in times])
    except NotImplementedError:
        return None


def _fine_times(dataset: xr.Dataset) -> list[float]:
    """The output times and more between them, for a smooth exact curve."""
    times = dataset["time"].values
    early = np.linspace(0, 1, FINE) ** 2  # flows are fastest at first
    return np.union1d(times, times[0] + early * (times[-1] - times[0])).tolist()
