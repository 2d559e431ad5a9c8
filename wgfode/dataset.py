"""Trajectory → xarray.Dataset (the schema is in the documentation: docs/dataset.md)."""

from __future__ import annotations

import platform
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from .version import __version__

if TYPE_CHECKING:
    import xarray as xr

    from .rhs import RightHandSide

# name: (dimensions, long_name, units)
SCHEMA: dict[str, tuple[tuple[str, ...], str, str]] = {
    "theta": (("time", "parameter"), "map parameters, in whitened coordinates", "1"),
    "z": (("point", "component"), "held-out reference points", "1"),
    "weight": (("point",), "weights of the held-out points", "1"),
    "x": (("time", "point", "component"), "images of the held-out points", "1"),
    "log_density": (("time", "point"), "log density of the pushed reference at x", "1"),
    "mean": (("time", "component"), "mean", "1"),
    "covariance": (("time", "component", "component_"), "covariance", "1"),
    "energy": (("time",), "energy F, of the terms that have one", "1"),
    "energy_term": (("time", "term"), "terms of the energy, with their coefficients", "1"),
    "residual": (("time",), "squared velocity defect on held-out points", "1"),
    "residual_error": (("time",), "standard error of the residual", "1"),
    "residual_in_sample": (("time",), "squared velocity defect on the driving points", "1"),
    "residual_projected": (("time",), "gradient part of the velocity defect, squared, held-out points", "1"),
    "projection_error": (("time",), "part of |g|² that the potentials do not see, held-out points", "1"),
    "metric_spectrum": (("time", "direction"), "generalized eigenvalues of G against its relaxation", "1"),
    "dissipation": (("time",), "squared speed of the flow, held-out points", "1"),
    "w2_bound": (("time",), "bound on the Wasserstein-2 error", "1"),
    "w2_bound_error": (("time",), "standard error of the bound", "1"),
    "w2_bound_integrator": (("time",), "part of the bound that steps in time add", "1"),
    "force": (("time",), "mean square of the driving force g, held-out points", "1"),
    "min_jacobian": (("time",), "smallest det of the map's space derivative", "1"),
    "stiffness": (("time",), "spectral radius of the right-hand side's Jacobian", "1"),
    "linear_residual": (("time",), "true relative residual of the linear solve", "1"),
    "linear_steps": (("time",), "iterations of the linear solve (0: direct)", "1"),
    "segment": (("time",), "segment of the run, whose map θ is of", "1"),
    "segment_begin": (("segment_",), "time at which a segment begins", "1"),
    "segment_theta": (("segment_", "parameter"), "parameters with which a segment ended", "1"),
    "segment_mean": (("segment_", "component"), "mean by which a segment whitens its points", "1"),
    "segment_covariance": (("segment_", "component", "component_"), "covariance by which it does", "1"),
    "linear_fallback": (("time",), "1 where Cholesky gave way to the smooth filter", "1"),
}

TELLING = {
    "problem": ("problem", "name of the problem"),
    "integrator": ("integrator", "integrator"),
    "method": ("method", "method of integration"),
    "seed": ("evaluation_seed", "seed of the held-out points"),
    "points_seed": ("points_seed", "seed of the driving points"),
}
"""The scalar coordinates that tell runs apart: the attribute that each repeats, and its long_name."""


def tell_apart(dataset: xr.Dataset) -> None:
    """Give `dataset` as scalar coordinates what tells runs apart, so that many runs in one keep it."""
    for name, (attribute, long_name) in TELLING.items():
        if attribute in dataset.attrs:
            dataset.coords[name] = ((), dataset.attrs[attribute], {"long_name": long_name})


def history() -> str:
    """What the attribute `history` says of a dataset that is made now."""
    return f"{datetime.now(UTC).isoformat(timespec='seconds')} made by wgfode {__version__}"


def versions() -> str:
    """The versions of what a run depends on, as one line."""
    from importlib import metadata

    found = [f"python {platform.python_version()}", f"wgfode {__version__}"]
    for package in ("numpy", "scipy", "xarray", "torch", "torchdiffeq", "jax", "diffrax"):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def add(dataset: xr.Dataset, values: dict[str, np.ndarray]) -> None:
    """Put variables of the schema into `dataset`."""
    for name, value in values.items():
        dims, long_name, units = SCHEMA[name]
        dataset[name] = (dims, value, {"long_name": long_name, "units": units})


def build(
    rhs: RightHandSide,
    times: np.ndarray,
    theta: np.ndarray,
    rows: list[dict[str, np.ndarray]],
    held_out: tuple[np.ndarray, np.ndarray],
    attributes: dict[str, Any],
) -> xr.Dataset:
    """The dataset of parameters (time, m) and of one `diagnose` report a time; `held_out` are (z, weights)."""
    import xarray as xr  # here: it brings pandas, which takes longer than all the rest of `import wgfode`

    flow = rhs.flow
    z, weights = held_out
    x = np.stack([row["x"] for row in rows])
    mean = np.einsum("n,tni->ti", weights, x)
    centred = x - mean[:, None, :]
    values: dict[str, Any] = {
        "theta": theta,
        "z": z,
        "weight": weights,
        "x": x,
        "mean": mean,
        "covariance": np.einsum("n,tni,tnj->tij", weights, centred, centred),
    }
    if "energy_term" in rows[0]:
        values["energy"] = np.array([row["energy_term"].sum() for row in rows])
    for name in SCHEMA:
        if name not in values and name in rows[0]:
            values[name] = np.stack([row[name] for row in rows])
    folded = np.flatnonzero(values["min_jacobian"] <= 0) if "min_jacobian" in values else np.zeros(0, int)
    if folded.size:  # where images overlap, λ/|det| is the density of one sheet only, and no row says where they do
        values["log_density"] = values["log_density"].copy()
        values["log_density"][folded] = np.nan
        attributes = {"injectivity": f"lost at t={times[folded[0]]:.6g}"} | attributes

    d = flow.dim
    dataset = xr.Dataset(
        {
            name: (dims, values[name], {"long_name": long_name, "units": units})
            for name, (dims, long_name, units) in SCHEMA.items()
            if name in values
        },
        coords={
            "time": ("time", times, {"long_name": "flow time", "units": "1"}),
            "component": ("component", np.arange(d), {"long_name": "space component"}),
            "component_": ("component_", np.arange(d), {"long_name": "space component, second index"}),
            "parameter": ("parameter", np.arange(theta.shape[1]), {"long_name": "index of the map parameter"}),
        },
    )
    if "energy" in dataset:
        names = [term.name for _, term in flow.energy.with_energy]
        dataset.coords["term"] = ("term", names, {"long_name": "energy term"})
    dataset.attrs = described(rhs)
    dataset.attrs["w2_bound_absent"] = "it is integrated along a run of wgfode.solve"
    seed = {} if flow.points.seed is None else {"points_seed": flow.points.seed}
    dataset.attrs |= seed | {name: value for name, value in attributes.items() if value is not None}
    dataset.attrs["history"] = history()
    tell_apart(dataset)
    return dataset


def described(rhs: RightHandSide) -> dict[str, Any]:
    """The attributes that say which flow it is, on which framework. No addresses: the same run, the same dataset."""
    flow = rhs.flow
    at_identity = flow.map.starts_at_identity
    known = {
        "title": "Parametrized Wasserstein gradient flow" + ("" if at_identity else " from the density of a given map"),
        "map": repr(flow.map),
        "energy": repr(flow.energy),
        "reference": repr(flow.reference),
        "initial_density": "λ, the reference" if at_identity else "T_θ0#λ, λ the reference and T_θ0 the given map",
        "points": repr(flow.points),
        "metric": repr(flow.metric),
        "solver": repr(flow.solver) if flow.solver is rhs.solver else f"{flow.solver!r} → {rhs.solver!r}",
        "estimator": flow.estimator,
        **({"jumps": list(flow.jumps)} if flow.jumps else {}),
        "backend": rhs.backend.name,
        "dtype": rhs.backend.dtype,
        "linear_tolerance": rhs.tolerance,
        "devices": rhs.backend.devices.count,
        "versions": versions(),
    }
    if without := dict.fromkeys(term.name for _, term in flow.energy.terms if not term.has_energy):
        known["without_energy"] = ", ".join(without)
    return {
        name: re.sub(" at 0x[0-9a-f]+", "", text) if isinstance(text, str) else text for name, text in known.items()
    }
