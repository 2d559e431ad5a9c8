"""The result of a run as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

WIDTH = 11


def table(dataset: xr.Dataset, exact: Any = None) -> str:
    """One row per output time, then what the run cost and how it ended.

    `exact` is the exact solution, or None; its errors are those of `validation.compare`.
    """
    columns: dict[str, Any] = {}
    if "energy" in dataset:
        columns["energy"] = dataset["energy"].values
    if exact is not None:
        from ..validation.compare import compare

        errors = compare(dataset, exact)
        heads = {"map_error": "map err", "mean_error": "mean err", "covariance_error": "cov err", "kl": "KL"}
        columns |= {head: errors[name].values for name, head in heads.items() if name in errors}
    if "force" in dataset:  # against the largest so far: at an equilibrium the force itself is nothing
        columns["defect"] = np.sqrt(dataset["residual"].values / np.maximum.accumulate(dataset["force"].values))
    heads = {"residual": "residual", "w2_bound": "W2 bound", "min_jacobian": "min det"}
    columns |= {head: dataset[name].values for name, head in heads.items() if name in dataset}

    lines = [f"{'t':>7}" + "".join(f"{head:>{WIDTH}}" for head in columns)]
    for i, t in enumerate(dataset["time"].values.tolist()):
        # the energy has its sign and digits, the rest are magnitudes
        numbers = (f"{values[i]:>{WIDTH}{'.6f' if head == 'energy' else '.2e'}}" for head, values in columns.items())
        lines.append(f"{t:>7.4g}" + "".join(numbers))
    lines += ["", *(f"{name:<16}{text}" for name, text in _costs(dataset.attrs))]
    if "KL" in columns and np.isinf(columns["KL"]).any():
        lines.append("KL inf: some of the run's mass lies where the exact density is 0, or too small for a float")
    return "\n".join(lines)


def _costs(attributes: dict[str, Any]) -> list[tuple[str, str]]:
    known = attributes.get
    found = [
        ("accepted steps", known("accepted_steps")),
        ("rejected steps", known("rejected_steps")),
        ("rhs evaluations", known("rhs_evaluations")),
        ("wall time", f"{known('wall_time'):.1f} s" if "wall_time" in attributes else None),
        ("defect", known("defect")),
        ("over-fitting", known("overfitting")),
        ("injectivity", known("injectivity")),
        ("status", known("status")),
    ]
    return [(name, str(value)) for name, value in found if value is not None]
