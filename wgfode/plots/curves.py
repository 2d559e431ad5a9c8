"""Curves through the values at output times, and logarithmic axes that can be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullFormatter

BETWEEN = 20
"""Points of a curve in each interval of output times."""
FEW_DECADES = 2.0
"""An axis of fewer decades has labels at 2 and 5 as well, which would crowd a longer one."""


def curve(axis: Axes, times: np.ndarray, values: np.ndarray, *, logarithmic: bool = False, **style: Any) -> None:
    """Markers at `values` (T,), which may have gaps (NaN), and a curve without corners between neighbours.

    The curve is the monotone cubic of Fritsch and Carlson (SIAM J. Numer. Anal. 17, 1980), of the logarithms on a
    logarithmic axis: it has no extremum that the values do not have.
    """
    line, marker = style.pop("linestyle", "-"), style.pop("marker")
    there = np.isfinite(values)
    for part in np.split(np.arange(len(times)), np.flatnonzero(np.diff(there)) + 1):
        if there[part].all() and len(part) > 1:
            fine = np.unique(np.concatenate([np.linspace(times[i], times[i + 1], BETWEEN) for i in part[:-1]]))
            known = np.log(values[part]) if logarithmic else values[part]
            found = scipy.interpolate.PchipInterpolator(times[part], known)(fine)
            plain = {key: value for key, value in style.items() if key != "label"}
            axis.plot(fine, np.exp(found) if logarithmic else found, linestyle=line, **plain)
    axis.plot(times, values, linestyle="none", marker=marker, clip_on=False, **style)


def logarithmic(axis: Axes, low: float, high: float) -> None:
    """A logarithmic y axis around [low, high], positive, with labels inside it even where that is one decade."""
    bottom, top = low / 1.5, high * 1.5
    axis.set_ylim(bottom, top)  # first: limits made for a linear axis may hold no number above 0
    axis.set_yscale("log")
    few = np.log10(top / bottom) < FEW_DECADES
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=12))
    axis.yaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False, minor_thresholds=(np.inf, np.inf)))
    axis.yaxis.set_minor_formatter(NullFormatter())
