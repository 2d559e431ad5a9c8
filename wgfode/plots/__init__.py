"""Pictures of a run, drawn from its dataset alone.

`draw(dataset, directory)` makes all pictures of the dataset's problem; the functions beside it make one
figure each, which can be shown in a notebook or saved. What is exact is looked up by the dataset's
`problem` attribute and drawn over the run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from ..errors import InputError
from ..storage import replace_file
from .clouds import plane, projections, samples
from .frames import film
from .profiles import density, profile, radial
from .series import energy, errors, linear_solve, residual, variances
from .style import exact_of

Picture = Callable[[xr.Dataset], Figure]

OF_PROBLEM: dict[str, tuple[Picture, ...]] = {
    "ornstein-uhlenbeck-2d": (samples,),
    "double-well-1d": (density,),
    "porous-medium-2d": (samples, profile),
    "aggregation-ring": (samples, radial),
    "fokker-planck-10d": (projections,),
    "fokker-planck-30d": (plane, variances),
    "kinetic-oscillator": (samples,),
    "ou-time-dependent-2d": (samples,),
    "kinetic-double-well": (samples,),
    "kuramoto": (density,),
    "moving-trap-100d": (projections,),
    "manufactured-10d": (projections,),
}
"""What a problem has beside energy, residual, errors and, of an iterative solver, linear_solve."""


def pictures(dataset: xr.Dataset) -> dict[str, Picture]:
    """The pictures that belong to `dataset`, by name: those of its problem, else those of its dimension."""
    found: list[Picture] = [residual]
    if "linear_steps" in dataset and dataset["linear_steps"].any():  # a direct solver has none to show
        found.append(linear_solve)
    if "energy" in dataset:
        found.insert(0, energy)
    if exact_of(dataset) is not None:
        found.append(errors)
    by_dimension: dict[int, tuple[Picture, ...]] = {1: (density,), 2: (samples,)}
    dimension = dataset.sizes.get("component", 0)
    found += OF_PROBLEM.get(dataset.attrs.get("problem", ""), by_dimension.get(dimension, ()))
    return {picture.__name__: picture for picture in found}


def draw(dataset: xr.Dataset, directory: str | Path) -> list[Path]:
    """Draw the pictures of `dataset` as PNG files in `directory`, which is made if need be.

    Returns the files, named after their pictures. Raises `InputError` where the dataset lacks what a
    picture needs or the directory cannot be made, and `StorageError` where a file is not written.
    """
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"directory={str(directory)!r} cannot be made: {error.strerror}") from error
    files = []
    for name, picture in pictures(dataset).items():
        figure = picture(dataset)
        file = directory / f"{name}.png"
        replace_file(file, lambda path, figure=figure: figure.savefig(path, format="png"))  # type: ignore[misc]
        files.append(file)
    return files


__all__ = [
    "density",
    "draw",
    "energy",
    "errors",
    "film",
    "linear_solve",
    "pictures",
    "plane",
    "profile",
    "projections",
    "radial",
    "residual",
    "samples",
    "variances",
]
