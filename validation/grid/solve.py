"""`solve_grid`: one call from an energy and an initial density to a dataset."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
import xarray as xr
from numpy.typing import NDArray

from ...energies import Energy
from ...errors import positive
from ...version import __version__
from .aggregation import Upwind
from .inputs import check_peclet, check_walls, initial_averages, peclet
from .mesh import Mesh, make_mesh, output_times
from .porous import EntropicMean
from .rkc import Record, integrate
from .scharfetter_gummel import ScharfetterGummel
from .scheme import Scheme
from .ssp import integrate_ssp
from .terms import Parts, describe, over_time

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
    """The flow of `energy` from `density0` on a 1-D or 2-D grid with no-flux walls.

    `energy`: as in the flow, with V, W, U, b for numpy arrays, which may name `t`. `density0`: (N, d) → (N,), >= 0
    and of mass 1 in the box; with `normalise` it is divided by its mass. `box`: d pairs (low, high). `cells`: an int
    or d ints. `times`: increasing, >= 0, 0 being the initial condition. `tolerance`: the L1 error of a time step
    (2e-7 in 1-D, 2e-6 in 2-D) where diffusion lets an energy fall; elsewhere stability sets the steps.
    `wall_mass`: how much mass may lie by a wall (in 2 % of the box) before the box counts as too small.

    Returns a dataset with `density(time, x[, y])`, the cell averages at the cell centres; `mass`, `energy`,
    `minimum`, `mean`, `covariance` (of point masses at the centres), `peclet` over time; and
    `energy_step(step)`, `step_time(step)` at every accepted step. The energy is the discrete one whose
    gradient flow the scheme is; `energy` and `energy_step` are absent where no term has one. A drift, a diffusion
    matrix and functions of t let the energy rise: the attribute `energy_may_rise` says why.

    Raises `InputError` for a box too small, a negative or unnormalised density, too few cells for the drift
    (the cell Péclet number), a singular or uneven W, functions that name args and wrong shapes;
    `IntegrationError` where no time step keeps the density positive and the energy from rising.
    Second order in the cell width; sources are named in each scheme's file.
    """
    began = clock.perf_counter()
    mesh = make_mesh(box, cells)
    wanted = output_times(times)
    scheme_at = schemes(mesh, energy)
    step_error = TOLERANCE[mesh.dim] if tolerance is None else positive("tolerance", tolerance)
    positive("wall_mass", wall_mass)
    rho = initial_averages(mesh, density0, normalise, wall_mass)
    scheme = scheme_at(0.0)
    check_peclet(scheme, rho)
    kept: list[Array] = []

    def visit(t: float, density: Array) -> None:
        check_walls(mesh, density, t, wall_mass)
        kept.append(density)

    if scheme.parts.diffusive and not may_rise(energy):
        record = integrate(scheme, rho, wanted, step_error, visit)
    else:
        record = integrate_ssp(scheme_at, rho, wanted, visit, dissipates=not may_rise(energy))
    dataset = _dataset(scheme_at, wanted, kept, record)
    dataset.attrs |= _without(energy) | {
        "title": "grid solution of a Wasserstein gradient flow",
        "energy": describe(energy),
        "scheme": scheme.name,
        "cells": list(mesh.cells),
        "box": [edge for pair in zip(mesh.low, mesh.high, strict=True) for edge in pair],
        "tolerance": step_error,
        "wall_time": clock.perf_counter() - began,
    }
    return dataset if energy.with_energy else dataset.drop_vars(["energy", "energy_step"])


def schemes(mesh: Mesh, energy: Any) -> Callable[[float], Scheme]:
    """The scheme of each time: one and the same where no function names t."""
    parts_at = over_time(energy, mesh.dim)
    fixed = choose(mesh, parts_at(0.0))
    return (lambda t: choose(mesh, parts_at(t))) if "t" in energy.names else lambda t: fixed


def may_rise(energy: Energy) -> str:
    """Why the energy need not fall, in words; "" where it must."""
    reasons = [f"a {term.name} is no gradient of an energy" for _, term in energy.terms if not term.has_energy]
    return "; ".join(reasons + ["the functions depend on t"] * ("t" in energy.names))


def _without(energy: Energy) -> dict[str, str]:
    """The attributes that say what of the flow has no falling energy, of those that there are."""
    names = ", ".join(term.name for _, term in energy.terms if not term.has_energy)
    return {name: text for name, text in (("energy_may_rise", may_rise(energy)), ("without_energy", names)) if text}


def choose(mesh: Mesh, parts: Parts) -> Scheme:
    """The scheme for an energy's terms."""
    if parts.degenerate:
        return EntropicMean(mesh, parts)
    return ScharfetterGummel(mesh, parts) if parts.diffusive and parts.matrix is None else Upwind(mesh, parts)


def _dataset(scheme_at: Callable[[float], Scheme], times: Array, densities: list[Array], record: Record) -> xr.Dataset:
    at_times = [scheme_at(t) for t in times.tolist()]
    mesh = at_times[0].mesh
    names = ("x", "y")[: mesh.dim]
    density = np.array(densities)
    points, weights = mesh.points(), density.reshape(len(times), -1) * mesh.volume
    mean = weights @ points / weights.sum(1, keepdims=True)
    offsets = points[None] - mean[:, None]
    covariance = np.einsum("tn,tni,tnj->tij", weights, offsets, offsets) / weights.sum(1)[:, None, None]
    energies = [scheme.energy(rho, scheme.convolve(rho)) for scheme, rho in zip(at_times, densities, strict=True)]
    area = f"length-{mesh.dim}"
    variables = {
        "density": (("time", *names), density, _attrs("cell averages of the density", area)),
        "mass": ("time", weights.sum(1), _attrs("mass in the box", "1")),
        "energy": ("time", energies, _attrs("discrete energy F", "1")),
        "minimum": ("time", density.reshape(len(times), -1).min(1), _attrs("smallest cell average", area)),
        "peclet": (
            "time",
            [peclet(scheme, rho) for scheme, rho in zip(at_times, densities, strict=True)],
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
        "versions": f"wgfode {__version__}, numpy {np.__version__}, scipy {scipy.__version__}",
        "Conventions": "CF-1.10",
    }
    return xr.Dataset(variables, coords=coords, attrs=known)


def _attrs(long_name: str, units: str) -> dict[str, str]:
    return {"long_name": long_name, "units": units}
