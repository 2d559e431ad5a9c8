"""The 1-D reference that is independent of the finite volumes: particles of fixed mass on a line.

In 1-D the flow is a gradient flow of the quantile function in L² (Gosse and Toscani 2006, SIAM J. Sci.
Comput. 28). The mass is cut at the levels Φ(z_i), z_i uniform in [−7, 7] and Φ the normal CDF, so that the
tails are as well resolved as the middle. With cell masses μ_{i+½}, densities ρ_{i+½} = μ_{i+½}/(X_{i+1}−X_i),
node masses w_i and the pressure P = ρU'−U,

    X_i' = b(X_i) − V'(X_i) − Σ_j w_j W'(X_i−X_j) − (P_{i+½} − P_{i−½})/w_i,      P = 0 outside,

which (without a drift b) is the exact gradient flow of the discrete energy, and second order in W2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
import xarray as xr
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.special import ndtr

from ...errors import InputError, IntegrationError, positive_int
from .distribution import Distribution
from .mesh import output_times
from .terms import Field, Parts, describe, over_time

Array = NDArray[np.float64]

REACH = 7.0  # the levels z span ±REACH; 2.6e-12 of the mass lies outside and rides on the end particles


@dataclass(frozen=True)
class Levels:
    """`z` (n+1,) the particles' normal scores, `nodes` (n+1,) their masses, `cells` (n,) those between."""

    z: Array
    cells: Array
    nodes: Array

    @classmethod
    def normal(cls, n: int) -> Levels:
        """n cells, graded by the normal CDF."""
        z = np.linspace(-REACH, REACH, n + 1)
        cells = np.where(z[:-1] >= 0, ndtr(-z[:-1]) - ndtr(-z[1:]), ndtr(z[1:]) - ndtr(z[:-1]))
        nodes = np.zeros(n + 1)
        nodes[:-1] += cells / 2
        nodes[1:] += cells / 2
        nodes[[0, -1]] += ndtr(-REACH)
        return cls(z, cells, nodes)

    def start(self, initial: Distribution) -> Array:
        """The particles' first positions, (n+1,)."""
        upper = self.z > 0
        low, high = ndtr(np.minimum(self.z, 0)), ndtr(-np.maximum(self.z, 0))
        return np.where(upper, initial.isf(high), initial.ppf(low))

    def average(self, values: Array) -> Array:
        """E[values] by the trapezoidal rule in z, spectrally accurate for smooth values (…, n+1)."""
        weights = np.exp(-0.5 * self.z**2)
        return values @ (weights / weights.sum())


def evolve(
    parts_at: Callable[[float], Parts], levels: Levels, positions: Array, start: float, stop: float, rtol: float
) -> Array:
    """The particles at time `stop`, (n+1,), from `positions` at time `start`; `parts_at(t)` drives them.

    Radau IIA with the tridiagonal Jacobian of the local part. Raises `IntegrationError` where it stalls.
    """
    if stop <= start:
        return positions
    w, cells = levels.nodes, levels.cells

    def velocity(t: float, x: Array) -> Array:
        parts = parts_at(t)
        force = _field_slope(parts.potential, x) if parts.potential else np.zeros_like(x)
        if parts.kernel:
            force += _by_pairs(parts.kernel, x, w, _field_slope)
        if parts.velocity:
            force -= parts.velocity(x[:, None])[:, 0]
        if parts.diffusive:
            pressure = parts.pressure(cells / np.diff(x))
            force[:-1] += pressure / w[:-1]
            force[1:] -= pressure / w[1:]
        return -force

    def jacobian(t: float, x: Array) -> Any:
        parts = parts_at(t)
        diagonal = _field_curvature(parts.potential, x) if parts.potential else np.zeros_like(x)
        if parts.kernel:
            diagonal += _by_pairs(parts.kernel, x, w, _field_curvature)
        if parts.velocity:
            velocity_of = parts.velocity
            diagonal -= _field_slope(lambda y: velocity_of(y)[:, 0], x)
        lower = upper = np.zeros(len(x) - 1)
        if parts.diffusive:
            gaps = np.diff(x)
            stiffness = parts.diffusivity(cells / gaps) * cells / gaps**2
            diagonal[:-1] += stiffness / w[:-1]
            diagonal[1:] += stiffness / w[1:]
            lower, upper = stiffness / w[1:], stiffness / w[:-1]
        return sparse.diags([lower, -diagonal, upper], [-1, 0, 1], format="csc")

    scale = float(positions[-1] - positions[0])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        run = solve_ivp(
            velocity,
            (start, stop),
            positions,
            method="Radau",
            rtol=rtol,
            atol=rtol * 1e-2 * scale,
            jac=jacobian,
        )
    if not run.success:
        raise IntegrationError(float(run.t[-1]), f"the quantile solver failed: {run.message}")
    return run.y[:, -1]


def solve_quantile(
    energy: Any, initial: Distribution, times: Sequence[float], levels: int = 400, rtol: float = 1e-9
) -> xr.Dataset:
    """The quantile function of a 1-D flow over time.

    `energy` as in the flow, with V, W and b for numpy (N, 1), which may name `t`. `initial` is a frozen scipy.stats
    distribution or a `Tabulated` density. `times` increase, >= 0 (0 is the initial condition). `levels` is
    the number of mass cells. Returns `position(time, level)` over the coordinate `level` (normal score z, so
    that the mass below is Φ(z)), with `mean(time)`, `variance(time)` and `energy(time)`.
    Raises `InputError` for bad arguments, `IntegrationError` where the integrator stalls.
    """
    parts_at = over_time(energy, 1)
    grid = Levels.normal(positive_int("levels", levels))
    clock = output_times(times)
    positions = grid.start(initial)
    if not np.isfinite(positions).all() or (np.diff(positions) <= 0).any():
        raise InputError("the quantile function of `initial` must be finite and strictly increasing")
    rows, now = [], 0.0
    for t in clock:
        positions, now = evolve(parts_at, grid, positions, now, t, rtol), t
        rows.append(positions)
    x = np.array(rows)
    mean = grid.average(x)
    energies = np.array([discrete_energy(parts_at(t), grid, row) for t, row in zip(clock.tolist(), x, strict=True)])
    dataset = xr.Dataset(
        {
            "position": (("time", "level"), x, {"long_name": "quantile function", "units": "length"}),
            "mean": ("time", mean, {"long_name": "mean", "units": "length"}),
            "variance": ("time", grid.average(x**2) - mean**2, {"long_name": "variance", "units": "length2"}),
            "energy": ("time", energies, {"long_name": "discrete energy", "units": "1"}),
        },
        coords={
            "time": ("time", clock, {"long_name": "flow time", "units": "1"}),
            "level": ("level", grid.z, {"long_name": "normal score of the mass level", "units": "1"}),
        },
        attrs={"title": "quantile (Lagrangian) solution", "energy": describe(energy), "rtol": rtol},
    )
    return dataset if energy.with_energy else dataset.drop_vars("energy")


def discrete_energy(parts: Parts, levels: Levels, x: Array) -> float:
    """The energy whose gradient flow the particles follow."""
    total = 0.0
    if parts.internal:
        gaps = np.diff(x)
        total += float((gaps * parts.U(levels.cells / gaps)).sum())
    if parts.potential:
        total += float(levels.nodes @ parts.potential(x[:, None]))
    if parts.kernel:
        pairs = parts.kernel((x[:, None] - x[None, :]).reshape(-1, 1)).reshape(len(x), -1)
        total += 0.5 * float(levels.nodes @ pairs @ levels.nodes)
    return total


def _by_pairs(kernel: Field, x: Array, w: Array, rule: Any) -> Array:
    """Σ_j w_j rule(kernel)(x_i − x_j), (n,)."""
    return rule(kernel, (x[:, None] - x[None, :]).ravel()).reshape(len(x), -1) @ w


def _field_slope(f: Field, x: Array, h: float = 1e-3) -> Array:
    """f'(x), (n,), by fourth-order differences: f maps (N, 1) to (N,)."""
    p2, p1, m1, m2 = (f((x + k * h)[:, None]) for k in (2, 1, -1, -2))
    return (8 * (p1 - m1) - (p2 - m2)) / (12 * h)


def _field_curvature(f: Field, x: Array, h: float = 1e-3) -> Array:
    """f''(x), (n,), by second-order differences."""
    return (f((x + h)[:, None]) + f((x - h)[:, None]) - 2 * f(x[:, None])) / h**2
