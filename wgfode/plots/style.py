"""How all pictures look, and what they need from a dataset."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from .. import problems
from ..errors import InputError

# Okabe and Ito's colours, which stay apart for the colour-blind, the bright ones darkened so that each stands
# out 3:1 from a white page and from a dark one; line styles differ too
COLOURS = ("#0072B2", "#BE7F00", "#008F68", "#BC6794", "#2A8FC7", "#D55E00")
MARKERS = "osD^vP"
RUN, EXACT, BASE = "#0072B2", "#D55E00", "#767676"
EXACT_LINE: dict[str, Any] = {"color": EXACT, "linestyle": (0, (5, 2)), "linewidth": 1.8}

DPI = 160
"""Three panels in a row are 1200 pixels, and their letters can be read where a page shows them in 800."""
LARGEST = 3000
"""Points drawn in a panel."""


def need(dataset: xr.Dataset, picture: str, *names: str) -> None:
    """Raise `InputError` where `dataset` lacks a variable that a picture is made of."""
    for name in names:
        if name not in dataset:
            raise InputError(f"the picture {picture!r} needs the variable {name!r}, which the dataset does not have")


def exact_of(dataset: xr.Dataset) -> Any:
    """The exact solution of the dataset's `problem` attribute; None where there is none."""
    name = dataset.attrs.get("problem")
    return _exact(name) if name in problems.names() else None


@lru_cache(maxsize=2)
def _exact(name: str) -> Any:
    # kept, because some solutions are computed on demand and remember the times they were asked for
    return problems.get(name).exact


def title(dataset: xr.Dataset, text: str) -> str:
    """`text` behind the name of the dataset's problem."""
    name = dataset.attrs.get("problem")
    return f"{name}: {text}" if name else text[:1].upper() + text[1:]


def label(variable: xr.DataArray) -> str:
    """An axis label from `long_name` and `units`, e.g. "flow time" (no unit), "mean [m]"."""
    units = variable.attrs.get("units", "1")
    return f"{variable.attrs.get('long_name', variable.name)}" + (f" [{units}]" if units != "1" else "")


class Drawing(Figure):
    """A figure that a notebook shows when it is the last expression, without pyplot."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png")
        return stream.getvalue()


def panels(
    count: int, columns: int, width: float = 2.3, height: float = 2.3, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in rows of at most `columns`; sizes in inches."""
    columns = row_length(count, columns)
    rows = math.ceil(count / columns)
    # room for the title and a legend of one line, which the layout does not make by itself for square panels
    size = (max(width * columns + 0.7, 5.0), height * rows + (1.25 if rows == 1 else 1.0))
    figure = Drawing(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def row_length(count: int, columns: int) -> int:
    """Panels in a row: four make a square."""
    return 2 if count == 4 else min(count, columns)


def name_outer(axes: Sequence[Axes], columns: int, x: str, y: str) -> None:
    """Name the axes at the left and at the lower edge of panels that share them."""
    columns = row_length(len(axes), columns)
    for i, axis in enumerate(axes):
        axis.grid(alpha=0.25)
        if i % columns == 0:
            axis.set_ylabel(y)
        if i + columns >= len(axes):  # nothing is below it
            axis.set_xlabel(x)
            axis.tick_params(labelbottom=True)


def chosen_times(dataset: xr.Dataset, most: int = 6) -> list[int]:
    """At most `most` indices of output times, spread evenly, with the first and the last."""
    n = dataset.sizes["time"]
    return sorted({int(i) for i in np.linspace(0, n - 1, min(n, most)).round()})


def time_of(dataset: xr.Dataset, index: int) -> float:
    """The output time of that index."""
    return float(dataset["time"].values[index])


def legend_below(figure: Figure, axes: Axes, entries: int = 4) -> None:
    """One legend for the whole figure, under its panels, from what `axes` holds."""
    handles, labels = axes.get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=entries, frameon=False)
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):  # the points of a cloud are too small to recognise
            handle.set_sizes([20])
            handle.set_alpha(1)


def positive_only(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """`values` with what a logarithmic axis cannot show as gaps."""
    array = np.asarray(values, dtype=float)
    return np.where(np.isfinite(array) & (array > 0), array, np.nan)
