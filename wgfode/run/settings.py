"""A run's settings from the dataset that it left, so that the file alone reproduces it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError

NUMBERS = ("rtol", "atol", "step_size", "initial_error")
WORDS = ("integrator", "method", "dtype", "device", "error_norm", "resample", "on_fold")
SWITCHES = ("stiffness", "certificate")


def settings(path: str | Path) -> tuple[str, int, dict[str, Any]]:
    """(problem's name, seed of the driving points, arguments of `solve`) of the run whose dataset is at `path`.

    Raises `InputError` where the file cannot be read as a dataset, or is not the run of a named problem.
    """
    import xarray as xr

    try:
        with xr.open_dataset(path) as dataset:
            attributes, points = dict(dataset.attrs), dataset.sizes.get("point")
    except Exception as error:  # each of the engines that try has errors of its own
        why = f"{type(error).__name__}: {error}"
        raise InputError(f"--from={str(path)!r} cannot be read as a dataset: {why}") from error
    missing = [name for name in ("problem", "points_seed", "evaluation_seed", "output_times", "integrator", "method")
               if name not in attributes] + ([] if points else ["point"])  # fmt: skip
    if missing:
        raise InputError(
            f"--from={str(path)!r} is not the dataset of a named problem's run: it has no {', '.join(missing)}"
        )
    known: dict[str, Any] = {name: float(attributes[name]) for name in NUMBERS if name in attributes}
    known |= {name: str(attributes[name]) for name in WORDS if name in attributes}
    known |= {name: attributes[name] == "on" for name in SWITCHES if name in attributes}
    known["times"] = [float(t) for t in str(attributes["output_times"]).split()]
    known["evaluation"], known["seed"] = int(points or 0), int(np.asarray(attributes["evaluation_seed"]))
    if "max_steps" in attributes:
        known["max_steps"] = int(np.asarray(attributes["max_steps"]))
    return str(attributes["problem"]), int(np.asarray(attributes["points_seed"])), known
