"""Pictures of a validation: densities beside pushed points, errors over time, the grid under refinement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from ..storage import replace_file
from ..validation.report import Outcome
from .style import (
    BASE,
    COLOURS,
    DPI,
    EXACT_LINE,
    LARGEST,
    MARKERS,
    RUN,
    Drawing,
    legend_below,
    name_outer,
    panels,
    positive_only,
)

ERRORS = ("map_error", "kl", "l1")
"""Figures that are drawn over time."""
MOST = 4
"""Times in a picture of densities."""


def draw(outcomes: Sequence[Outcome], directory: Path) -> list[Path]:
    """Draw what `outcomes` hold as PNG files in `directory`, which exists; the files.

    Raises `StorageError` where one is not written.
    """
    figures: dict[str, Figure] = {}
    for outcome in outcomes:
        if outcome.run is not None and outcome.grid is not None and "log_density" in outcome.run:
            figures[f"{outcome.case}-{outcome.integrator}-density"] = density(outcome)
    for case in dict.fromkeys(outcome.case for outcome in outcomes):
        figures[f"{case}-errors"] = errors([o for o in outcomes if o.case == case and o.run is not None])
    if refined := [outcome for outcome in outcomes if outcome.refinement]:
        figures["refinement"] = refinement(refined)
    for name, figure in figures.items():
        replace_file(directory / f"{name}.png", lambda path, f=figure: f.savefig(path, format="png"))  # type: ignore[misc]
    return [directory / f"{name}.png" for name in figures]


def density(outcome: Outcome) -> Figure:
    """The density on the grid, and the pushed points of the run over it (1-D) or beside it (2-D)."""
    run, grid = outcome.run, outcome.grid
    assert run is not None
    assert grid is not None
    common = [t for t in run["time"].values.tolist() if np.isclose(grid["time"].values, t).any()]
    times = [common[int(i)] for i in np.unique(np.linspace(0, len(common) - 1, min(MOST, len(common))).round())]
    shots = [(t, run.sel(time=t), grid.sel(time=t, method="nearest")) for t in times]
    if run.sizes["component"] == 1:
        figure, axes = panels(len(times), 2, 3.0, 2.0, sharex=True)
        for axis, (t, own, on_grid) in zip(axes, shots, strict=True):
            axis.plot(
                own["x"].values[:LARGEST, 0], np.exp(own["log_density"].values[:LARGEST]), "o",
                color=RUN, markersize=5, alpha=0.3, markeredgewidth=0, label="pushed points, log-determinant",
            )  # fmt: skip
            axis.plot(grid["x"], on_grid["density"], label="grid", **EXACT_LINE)
            axis.set_title(f"t = {t:.4g}")
        name_outer(axes, 2, "x", "density")
        legend_below(figure, axes[0])
    else:
        figure = Drawing(figsize=(2.3 * len(times) + 0.6, 6.4), dpi=DPI, layout="constrained")
        grids = figure.subplots(2, len(times), squeeze=False, sharex=True, sharey=True)
        for column, (t, own, on_grid) in enumerate(shots):
            _cells(grids[0, column], on_grid)
            _points(grids[1, column], own)
            grids[0, column].set_title(f"t = {t:.4g}")
            grids[1, column].set_xlabel("component 0")
        _window(grids[0, 0], [own for _, own, _ in shots])
        for row, label in enumerate(("grid", "pushed points")):
            grids[row, 0].set_ylabel(f"{label}: component 1")
    figure.suptitle(f"{outcome.case}: density on the grid and pushed points ({outcome.integrator})")
    return figure


def _cells(axis: Axes, grid: xr.Dataset) -> None:
    values = grid["density"].values.T
    _bar(axis, axis.pcolormesh(grid["x"], grid["y"], values, cmap="Oranges", vmin=0, rasterized=True))


def _points(axis: Axes, run: xr.Dataset) -> None:
    """Points coloured by their own density, on the same scale as the cells above."""
    x = run["x"].values[:LARGEST]
    shade = np.exp(run["log_density"].values[:LARGEST])
    blues = ListedColormap(colormaps["Blues"](np.linspace(0.3, 1, 256)))  # a point of density 0 is seen, too
    _bar(axis, axis.scatter(x[:, 0], x[:, 1], c=shade, s=3, cmap=blues, vmin=0, linewidths=0, rasterized=True))


def _bar(axis: Axes, shown: Any) -> None:
    axis.figure.colorbar(shown, ax=axis, location="bottom", shrink=0.9, aspect=24, label="density")
    axis.set_aspect("equal")


def _window(axis: Axes, shots: Sequence[xr.Dataset]) -> None:
    """Limits that hold nearly all points of all times, square."""
    x = np.concatenate([shot["x"].values for shot in shots])
    low, high = np.quantile(x, 0.001, axis=0), np.quantile(x, 0.999, axis=0)
    middle, half = (low + high) / 2, 0.6 * (high - low).max()
    axis.set_xlim(middle[0] - half, middle[0] + half)
    axis.set_ylim(middle[1] - half, middle[1] + half)


def errors(outcomes: Sequence[Outcome]) -> Figure:
    """Errors of a case's runs over time, each with its sampling floor, and the grid's own error."""
    names = [name for name in ERRORS if any(name in found for o in outcomes for found in o.figures.values())]
    figure, axes = panels(len(names), 3, 3.0, 2.5)
    for axis, name in zip(axes, names, strict=True):
        colours = iter(COLOURS)
        for i, outcome in enumerate(outcomes):
            # the runs lie on each other
            thin: dict[str, Any] = {"linewidth": 4.0 - 2.5 * (i > 0), "markersize": 9 - 4 * (i > 0)}
            for against, found in outcome.figures.items():
                if name not in found:
                    continue
                later = found.isel(time=found["time"].values > 0)
                marker = MARKERS[list(outcome.figures).index(against)]
                style: dict[str, Any] = {"color": next(colours), "marker": marker}
                t, label = later["time"], f"{outcome.integrator} against {against}"
                axis.plot(t, positive_only(later[name].values), label=label, **style, **thin)
                axis.plot(t, positive_only(later[f"{name}_floor"].values), ":", color=style["color"])
        own = next((o.figures["grid"] for o in outcomes if f"{name}_reference" in o.figures.get("grid", ())), None)
        if own is not None:
            own = own.isel(time=own["time"].values > 0)
            axis.plot(own["time"], own[f"{name}_reference"], "--", color=BASE, label="the grid's own error")
        axis.plot([], [], ":", color="grey", label="sampling floor")
        axis.set_yscale("log")
        axis.set_ylabel(f"{_long_name(outcomes, name)}")
        axis.set_xlabel("flow time")
        axis.grid(alpha=0.25)
    if axes:
        legend_below(figure, axes[-1], entries=3)
    figure.suptitle(f"{outcomes[0].case}: errors over time")
    return figure


def _long_name(outcomes: Sequence[Outcome], name: str) -> str:
    return next(found[name].attrs["long_name"] for o in outcomes for found in o.figures.values() if name in found)


def refinement(outcomes: Sequence[Outcome]) -> Figure:
    """The grid's L1 error against exact cell averages on finer and finer grids, beside second order."""
    figure, (axis,) = panels(1, 1, 5.0, 3.2)
    for outcome, colour, marker in zip(outcomes, COLOURS, MARKERS, strict=False):
        cells = np.array([row.cells for row in outcome.refinement])
        axis.loglog(cells, [row.error for row in outcome.refinement], color=colour, marker=marker, label=outcome.case)
        first = outcome.refinement[0].error
        axis.loglog(cells, first * (cells[0] / cells) ** 2.0, ":", color="grey", linewidth=1)
    axis.plot([], [], ":", color="grey", label="second order")
    ticks = sorted({row.cells for outcome in outcomes for row in outcome.refinement})
    axis.set_xticks(ticks, [str(n) for n in ticks])
    axis.minorticks_off()
    axis.set_xlabel("cells along an axis")
    axis.set_ylabel("L1 error of the grid")
    axis.grid(alpha=0.25)
    axis.legend(frameon=False)
    figure.suptitle("The grid solver under refinement")
    return figure
