"""`solve_grid`: one call from an energy and an initial density to a dataset."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ...errors import positive
from .aggregation import Upwind, integrate_ssp
from .inputs import check_peclet, check_walls, initial_averages, peclet
from .mesh import Mesh, make_mesh, output_times
from .porous import EntropicMean
from .rkc import Record, integrate
from .scharfetter_gummel import ScharfetterGummel
from .scheme import Scheme
from .terms import Parts, describe, split

Array = NDArray[np.float64]

TOLERANCE = {
    1: 2e-7,
    2: 2e-6,
}  # L1 error of a step, by dimension: below the mesh error up to N = 800, N = 256


def solve_grid(
    energy: Any,
    density0: Callable[[Array], Array],
    box: Any,
    cells: Any,
    times: Any,
    *,
    normalise: bool = False,
    tolerance: float | None = None,
    wall_mass: float = 1e-5,
) -> xr.Dataset:
    """The gradient flow of `energy` from `density0` on a 1-D or 2-D grid with no-flux walls.

    `energy`: as in the flow, with V, W, U for numpy arrays. `density0`: (N, d) → (N,), >= 0 and of mass 1
    in the box; with `normalise` it is divided by its mass. `box`: d pairs (low, high). `cells`: an int or d
    ints. `times`: increasing, >= 0, 0 being the initial condition. `tolerance`: the L1 error of a time step
    (2e-7 in 1-D, 2e-6 in 2-D). `wall_mass`: how much mass may lie by a wall (in 2 % of the box) before the
    box counts as too small.

    Returns a dataset with `density(time, x[, y])`, the cell averages at the cell centres; `mass`, `energy`,
    `minimum`, `mean`, `covariance` (of point masses at the centres), `peclet` over time; and
    `energy_step(step)`, `step_time(step)` at every accepted step. The energy is the discrete one whose
    gradient flow the scheme is.

    Raises `InputError` for a box too small, a negative or unnormalised density, too few cells for the drift
    (the cell Péclet number), a singular or uneven W and wrong shapes; `IntegrationError` where no time step
    keeps the density positive and the energy from rising. Second order in the cell width; sources are named
    in each scheme's file.
    """
    began = clock.perf_counter()
    mesh = make_mesh(box, cells)
    wanted = output_times(times)
    parts = split(energy, mesh.dim)
    step_error = TOLERANCE[mesh.dim] if tolerance is None else positive("tolerance", tolerance)
    positive("wall_mass", wall_mass)
    rho = initial_averages(mesh, density0, normalise, wall_mass)
    scheme = choose(mesh, parts)
    check_peclet(scheme, rho)
    kept: list[Array] = []

    def visit(t: float, density: Array) -> None:
        check_walls(mesh, density, t, wall_mass)
        kept.append(density)

    diffusive = parts.diffusive
    record = (
        integrate(scheme, rho, wanted, step_error, visit) if diffusive else integrate_ssp(scheme, rho, wanted, visit)
    )
    dataset = _dataset(scheme, wanted, kept, record)
    dataset.attrs |= {
        "title": "grid solution of a Wasserstein gradient flow",
        "energy": describe(energy),
        "scheme": scheme.name,
        "cells": list(mesh.cells),
        "box": [edge for pair in zip(mesh.low, mesh.high, strict=True) for edge in pair],
        "tolerance": step_error,
        "wall_time": clock.perf_counter() - began,
    }
    return dataset


def choose(mesh: Mesh, parts: Parts) -> Scheme:
    """The scheme for an energy's terms."""
    if parts.degenerate:
        return EntropicMean(mesh, parts)
    return ScharfetterGummel(mesh, parts) if parts.diffusive else Upwind(mesh, parts)


def _dataset(scheme: Scheme, times: Array, densities: list[Array], record: Record) -> xr.Dataset:
    mesh = scheme.mesh
    names = ("x", "y")[: mesh.dim]
    density = np.array(densities)
    points, weights = mesh.points(), density.reshape(len(times), -1) * mesh.volume
    mean = weights @ points / weights.sum(1, keepdims=True)
    offsets = points[None] - mean[:, None]
    covariance = np.einsum("tn,tni,tnj->tij", weights, offsets, offsets) / weights.sum(1)[:, None, None]
    energies = [scheme.energy(rho, scheme.convolve(rho)) for rho in densities]
    area = f"length-{mesh.dim}"
    variables = {
        "density": (("time", *names), density, _attrs("cell averages of the density", area)),
        "mass": ("time", weights.sum(1), _attrs("mass in the box", "1")),
        "energy": ("time", energies, _attrs("discrete energy F", "1")),
        "minimum": ("time", density.reshape(len(times), -1).min(1), _attrs("smallest cell average", area)),
        "peclet": (
            "time",
            [peclet(scheme, rho) for rho in densities],
            _attrs("mean cell Péclet number", "1"),
        ),
        "mean": (("time", "component"), mean, _attrs("mean", "length")),
        "covariance": (("time", "component", "component_"), covariance, _attrs("covariance", "length2")),
        "energy_step": ("step", record.energies, _attrs("discrete energy F at every accepted step", "1")),
        "step_time": ("step", record.times, _attrs("flow time of every accepted step", "1")),
    }
    coords: dict[str, Any] = {"time": ("time", times, _attrs("flow time", "1"))}
    for name, axis in zip(names, mesh.axes, strict=True):
        coords[name] = (name, axis, _attrs(f"{name} of the cell centre", "length"))
    known = {
        "steps": len(record.times) - 1,
        "rejected_steps": record.rejected,
        "rhs_evaluations": record.evaluations,
        "versions": ", ".join(f"{name} {_version(name)}" for name in ("wgfode", "numpy", "scipy")),
        "Conventions": "CF-1.10",
    }
    return xr.Dataset(variables, coords=coords, attrs=known)


def _attrs(long_name: str, units: str) -> dict[str, str]:
    return {"long_name": long_name, "units": units}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
