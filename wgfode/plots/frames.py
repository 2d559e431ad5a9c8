"""A run as a film: its density in one dimension, its points on the first two components in more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy
import xarray as xr
from matplotlib import animation
from matplotlib.figure import Figure

from ..errors import InputError, MissingDependencyError
from ..storage import replace_file
from .style import DPI, EXACT_LINE, LARGEST, RUN, exact_of, need, title

FRAMES = 60
"""Frames of a film; a run with as many output times is shown at those, one with fewer is interpolated between them."""
PER_SECOND = 15
WRITERS = {".gif": "pillow", ".mp4": "ffmpeg"}


def film(dataset: xr.Dataset, file: str | Path) -> Path:
    """Write the run in `dataset` as a film, GIF or MP4 by the ending of `file`, and return the file.

    Points between output times lie on monotone cubics through their places at those; the titles of such frames say
    so. Raises `InputError` for another ending or a dataset without points, `MissingDependencyError` for MP4 where
    ffmpeg is not installed, and `StorageError` where the file is not written.
    """
    file = Path(file)
    if file.suffix not in WRITERS:
        raise InputError(f"film={str(file)!r} must end in {' or '.join(WRITERS)}")
    if not animation.writers.is_available(WRITERS[file.suffix]):
        raise MissingDependencyError(f"film={str(file)!r} needs the program ffmpeg, which is not here; .gif needs none")
    line = dataset.sizes.get("component") == 1
    need(dataset, "film", "x", *(["log_density"] if line else []))
    times = frames(dataset["time"].values)
    x = between(dataset, dataset["x"].values[:, :LARGEST, :2], times)
    scene = _Line(dataset, x, times) if line else _Plane(x)
    writer = animation.writers[WRITERS[file.suffix]](fps=PER_SECOND)

    def make(path: Path) -> None:
        with writer.saving(scene.figure, str(path), DPI * 3 // 4):
            for i, t in enumerate(times):
                known = np.isclose(dataset["time"].values, t).any()
                scene.axis.set_title(f"t = {t:.3f}" + ("" if known else " (interpolated)"))
                scene.show(i)
                writer.grab_frame()

    scene.figure.suptitle(title(dataset, "density" if line else "samples"))
    replace_file(file, make)
    return file


def frames(outputs: np.ndarray) -> np.ndarray:
    """The times of the frames: those of the outputs, and evenly spaced ones between where they are few."""
    if len(outputs) == 1 or len(outputs) >= FRAMES:
        return outputs
    return np.union1d(outputs, np.linspace(outputs[0], outputs[-1], FRAMES))


def between(dataset: xr.Dataset, values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """`values` (T, …), known at the output times, at `times`."""
    known = dataset["time"].values
    return values if len(known) == 1 else scipy.interpolate.PchipInterpolator(known, values)(times)


class _Plane:
    """Points on two components, the window held fixed."""

    def __init__(self, x: np.ndarray):
        self.figure = Figure(figsize=(4.4, 4.7), dpi=DPI, layout="constrained")
        self.axis = self.figure.subplots()
        self.x = x
        low, high = np.quantile(x, 0.001, axis=(0, 1)), np.quantile(x, 0.999, axis=(0, 1))
        middle, half = (low + high) / 2, 0.6 * (high - low).max()
        self.points = self.axis.scatter(x[0, :, 0], x[0, :, 1], s=4, color=RUN, alpha=0.5, linewidths=0)
        self.axis.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
        self.axis.set(xlabel="component 0", ylabel="component 1", aspect="equal")
        self.axis.grid(alpha=0.25)

    def show(self, frame: int) -> None:
        self.points.set_offsets(self.x[frame])


class _Line:
    """The density of a 1-D run over x, and the exact one where it is known."""

    def __init__(self, dataset: xr.Dataset, x: np.ndarray, times: np.ndarray):
        self.figure = Figure(figsize=(5.0, 3.4), dpi=DPI, layout="constrained")
        self.axis = self.figure.subplots()
        self.x = x[:, :, 0]
        self.times = times
        self.density = np.exp(between(dataset, dataset["log_density"].values[:, :LARGEST], times))
        self.exact: Any = exact_of(dataset)
        self.grid = np.linspace(self.x.min(), self.x.max(), 400)
        (self.run,) = self.axis.plot([], [], color=RUN, linewidth=3, alpha=0.6, label="run")
        (self.curve,) = self.axis.plot([], [], label=None if self.exact is None else "exact", **EXACT_LINE)
        self.axis.set(xlim=(self.grid[0], self.grid[-1]), ylim=(0, 1.05 * np.nanmax(self.density)))
        self.axis.set(xlabel="x", ylabel="density")
        self.axis.legend(loc="upper right", frameon=False)
        self.axis.grid(alpha=0.25)

    def show(self, frame: int) -> None:
        order = np.argsort(self.x[frame])
        self.run.set_data(self.x[frame][order], self.density[frame][order])
        if self.exact is not None:
            t = float(self.times[frame])
            self.curve.set_data(self.grid, self.exact.density(t, self.grid[:, None]))
