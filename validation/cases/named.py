"""The named problems, with the references and the bounds that they are held to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ... import problems
from .base import L1, Box, Case, Limit


def named(name: str, limits: Sequence[Limit], **more: Any) -> Case:
    """The case of a named problem."""
    problem = problems.get(name)
    known: dict[str, Any] = {"make_exact": lambda: problem.exact, "rtol": problem.rtol, "atol": problem.atol}
    return Case(name, problem.flow, problem.times, tuple(limits), **(known | more))


def ring_error(run: xr.Dataset, exact: Any) -> np.ndarray:
    """How far the rms distance from the centre is from the ring's radius 1/√3, at each time, (time,)."""
    squares = ((run["x"].values - np.asarray(exact.centre)) ** 2).sum(2) @ run["weight"].values
    return np.abs(np.sqrt(squares) - 1 / np.sqrt(3))


def order_error(run: xr.Dataset, exact: Any) -> np.ndarray:
    """How far the order parameter |E e^(ix)| is from the Fourier solution's, at each time, (time,)."""
    found = np.abs(np.exp(1j * run["x"].values[:, :, 0]) @ run["weight"].values)
    return np.abs(found - [exact.order(t) for t in run["time"].values.tolist()])


DENSITIES = (Limit("exact", "l1", L1), Limit("grid", "l1", L1))


NAMED: dict[str, Callable[[], Case]] = {
    "ornstein-uhlenbeck-2d": lambda: named(
        "ornstein-uhlenbeck-2d",
        [Limit("exact", "map_error", 1e-6), *DENSITIES],
        box=Box(((-6, 6),) * 2, 128),
        study="ou-2d",
    ),
    "double-well-1d": lambda: named(
        "double-well-1d",
        [Limit("exact", "map_error", 2e-3), Limit("grid", "w2", 2e-3), *DENSITIES],
        box=Box(((-3.6, 3.6),), 400),
        study="double-well-1d",
    ),
    "porous-medium-2d": lambda: named(
        "porous-medium-2d",
        [Limit("exact", "map_error", 1e-6), Limit("exact", "front_error", 1e-6), *DENSITIES],
        box=Box(((-2.5, 2.5),) * 2, 128),
        study="barenblatt-2d-m2",
    ),
    "aggregation-ring": lambda: named(
        "aggregation-ring",
        [
            Limit("exact", "map_error", 1e-2, until=4.0),
            Limit("exact", "ring_error", 2e-3, since=10.0),
            # later the density is a thin layer, about the ring, which maps that are 4e-3 apart move past each other
            Limit("exact", "l1", L1, until=2.0),
            Limit("grid", "l1", L1),
        ],
        box=Box(((-0.95, 3.45),) * 2, 128, until=1.0),
        study="ring-2d",
        own={"ring_error": ring_error},
    ),
    "fokker-planck-10d": lambda: named(
        "fokker-planck-10d",
        [
            Limit("exact", "kl", 1e-4, since=0.1),
            Limit("exact", "kl", 1e-5, since=2.0),
            Limit("exact", "l1", L1),
            Limit("run", "accepted_steps", 60),
        ],
        evaluation=2**14,
    ),
    "fokker-planck-30d": lambda: named(
        "fokker-planck-30d",
        [Limit("exact", "kl", 5e-3, since=0.3), Limit("exact", "variance_error", 1e-2)],
    ),
    "kinetic-oscillator": lambda: named(
        "kinetic-oscillator",
        [
            *(Limit("exact", figure, 1e-7) for figure in ("map_error", "mean_error", "covariance_error")),
            *DENSITIES,
        ],
        box=Box(((-5.5, 5.5),) * 2, 128),
    ),
    "ou-time-dependent-2d": lambda: named(
        "ou-time-dependent-2d",
        [*(Limit("exact", figure, 1e-6) for figure in ("map_error", "mean_error", "covariance_error")), *DENSITIES],
        box=Box(((-5.5, 5.5),) * 2, 128, until=1.0),
    ),
    "kinetic-double-well": lambda: named(
        "kinetic-double-well", [Limit("grid", "l1", L1)], box=Box(((-3.5, 3.5),) * 2, 96)
    ),
    "kuramoto": lambda: named(
        "kuramoto",
        [Limit("exact", "order_error", 1e-3), Limit("exact", "map_error", 1e-2), *DENSITIES],
        box=Box(((-9.0, 9.0),), 400),
        own={"order_error": order_error},
    ),
    "moving-trap-100d": lambda: named(
        "moving-trap-100d",
        [*(Limit("exact", figure, 1e-6) for figure in ("map_error", "mean_error", "covariance_error"))],
        evaluation=1024,
    ),
    "manufactured-10d": lambda: named(
        "manufactured-10d", [Limit("exact", "map_error", 1e-2), Limit("exact", "l1", L1)]
    ),
}
"""The named problems; each case is made when it is asked for."""

QUICK = ("ornstein-uhlenbeck-2d", "double-well-1d", "porous-medium-2d")
"""What `wgfode validate --quick` runs where no name is given."""
