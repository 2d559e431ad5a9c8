"""A run opened again: its map, its density and samples of it at any time, from its dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import problems
from .backend import load as backend_of
from .backend import precision
from .drive import Drive
from .errors import InputError, positive_int, real, whole
from .flow import GradientFlow
from .maps.base import space_jacobian
from .monitor.interpolant import Interpolant
from .points.on_demand import Scheduled
from .pushforward import carried, push
from .references.carried import Layer
from .rhs import RightHandSide
from .run.segments import anew
from .run.settings import Settings

if TYPE_CHECKING:
    import xarray as xr

NEWTON_STEPS = 60
"""Most iterations for the inverse of a layer."""
CLOSE = {"float64": 1e-10, "float32": 1e-4}
"""How near an inverse's image comes to the point, beside the extent of the points."""
FITS = 1e-6
"""Relative difference within which a dataset's whitening of a segment is that of its flow."""


def load(path: str | Path | xr.Dataset, flow: GradientFlow | None = None) -> Run:
    """Open the run of a dataset, or of the file at `path`, again.

    Its flow is `flow`, as it was given to `solve`, or that of the problem which the dataset names (`problems.of`).
    Raises `InputError` where no flow is known or the dataset is not of it.
    """
    import xarray as xr

    if isinstance(path, xr.Dataset):
        dataset = path
    else:
        with xr.open_zarr(path) if str(path).endswith(".zarr") else xr.open_dataset(path) as opened:
            dataset = opened.load()
    if flow is None:
        if "problem" not in dataset.attrs:
            raise InputError("flow is needed: the dataset names no problem, as those of `wgfode run` do")
        seed = int(np.asarray(dataset.attrs.get("points_seed", 0)))
        flow = problems.of(dataset.attrs).with_seed(seed).flow
    return Run(dataset, flow)


class Run:
    """What `load` returns: `dataset`, `flow`, and questions about ρ at any time from 0 to the last one.

    Points and densities are numpy arrays. At a saved time θ is the saved one; between two it is that of the Hermite
    interpolant through the saved ones of its segment, with θ̇ of the right-hand side, and never across a restart.
    """

    def __init__(self, dataset: xr.Dataset, flow: GradientFlow):
        self.dataset, self.flow = dataset, flow
        if "restarted_at" in dataset.attrs and "segment_begin" not in dataset:
            raise InputError("dataset lacks segment_begin, which tells its chain of maps")
        self._framework, self._dtype = str(dataset.attrs["backend"]), str(dataset.attrs["dtype"])
        if begins := str(dataset.attrs.get("resampled_at", "")).split():
            flow = replace(flow, points=Scheduled(flow.points, list(map(float, begins))))
        with self._precision():
            backend = backend_of(self._framework, self._dtype)
            args = Settings.read(dataset).get("args")
            tolerance = float(dataset.attrs["linear_tolerance"])
            self._begins = dataset["segment_begin"].values if "segment_begin" in dataset else np.zeros(1)
            self._segments = [RightHandSide(flow, backend, tolerance, args)]
            for k, begin in enumerate(self._begins[1:]):
                last = self._segments[-1]
                theta = self._fitting(dataset["segment_theta"].values[k], last.flow)
                following = anew(last, float(begin), theta)
                self._check(k + 1, following)
                self._segments.append(RightHandSide(following, backend, tolerance, args))
        self._paths: dict[int, Interpolant] = {}

    def pushforward(self, z: Any, t: float) -> np.ndarray:
        """T(z) at time t, (N, d) → (N, d)."""
        return self._of(z, t, density=False)[0]

    def sample(self, n: int, t: float, seed: int = 0) -> np.ndarray:
        """n independent samples of ρ at time t, (n, d)."""
        rng = np.random.default_rng(whole("seed", seed, 0))
        reference = self.flow.reference
        return self.pushforward(reference.from_uniform(rng.random((positive_int("n", n), reference.dim))), t)

    def log_density(self, x: Any, t: float) -> np.ndarray:
        """log ρ at points x and time t, (N, d) → (N,), through `inverse`; NaN where that is."""
        z = self.inverse(x, t)
        density = self._of(np.nan_to_num(z), t, density=True)[1]
        assert density is not None
        return np.asarray(density + 0.0 * z[:, 0])

    def inverse(self, x: Any, t: float) -> np.ndarray:
        """The z with T(z) = x at time t, (N, d) → (N, d), layer by layer by a damped Newton iteration.

        NaN where no z is found whose image is x to 1e-10 of the points' extent (1e-4 in float32).
        """
        with self._precision():
            rhs, theta = self._at(t)
            found = self._points(x)
            for layer in (Layer(rhs.flow.transport, theta, rhs.backend), *rhs.flow.reference.layers[::-1]):
                found = _inverse(layer, found)
        return found

    def _of(self, z: Any, t: float, density: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Images of z (N, d) and log ρ there."""
        with self._precision():
            rhs, theta = self._at(t)
            backend = rhs.backend
            points = backend.asarray(self._points(z))
            if density and not (rhs.flow.transport.has_density and rhs.flow.reference.has_density):
                raise InputError("the map or the reference has no density")
            z, ones, *known = carried(backend, rhs.flow.reference, points, points[:, 0])
            drive = Drive(z, ones).on(z, ones, *known)
            rho = push(
                backend, rhs.flow.transport, rhs.flow.reference, backend.asarray(theta), drive, density=density,
                score=False,
            )  # fmt: skip
            return backend.to_numpy(rho.x), backend.to_numpy(rho.log_density) if density else None

    def _precision(self) -> Any:
        return precision(self._framework, self._dtype)

    def _points(self, points: Any) -> np.ndarray:
        array = np.asarray(points, dtype=float)
        if array.ndim != 2 or array.shape[1] != self.flow.dim:
            raise InputError(f"points must be (N, {self.flow.dim}), got shape {array.shape}")
        return array

    def _at(self, t: float) -> tuple[RightHandSide, np.ndarray]:
        """The right-hand side of the segment that holds t, and θ there."""
        times = self.dataset["time"].values
        if not 0 <= (t := real("t", t)) <= times[-1]:
            raise InputError(f"t must lie in [0, {times[-1]:g}], where the run is, got {t!r}")
        row = int(np.argmin(np.abs(times - t)))
        if times[row] == t:
            rhs = self._segments[self._place(row)]
            return rhs, self._fitting(self.dataset["theta"].values[row], rhs.flow)
        k = max(int(np.searchsorted(self._begins, t, side="right")) - 1, 0)
        if k not in self._paths:
            self._paths[k] = self._path(k)
        return self._segments[k], self._paths[k](t)[0]

    def _place(self, row: int) -> int:
        return int(self.dataset["segment"].values[row]) if "segment" in self.dataset else 0

    def _path(self, k: int) -> Interpolant:
        """θ(t) through all that is known of a segment."""
        rhs, times = self._segments[k], self.dataset["time"].values
        knots = {float(self._begins[k]): rhs.backend.to_numpy(rhs.initial())}
        knots |= {float(times[i]): self._fitting(self.dataset["theta"].values[i], rhs.flow)
                  for i in range(len(times)) if self._place(i) == k}  # fmt: skip
        if k + 1 < len(self._begins):
            end = self._fitting(self.dataset["segment_theta"].values[k], rhs.flow)
            knots[float(self._begins[k + 1])] = end
        known = sorted(knots)
        evaluate = rhs.backend.compile(rhs.evaluate)
        velocities = [
            rhs.backend.to_numpy(evaluate(rhs.backend.asarray(knots[t]), rhs.drive(t)).velocity) for t in known
        ]
        return Interpolant(np.array(known), np.array([knots[t] for t in known], float), np.array(velocities, float))

    @staticmethod
    def _fitting(theta: np.ndarray, flow: GradientFlow) -> np.ndarray:
        """The parameters of a row, which may end in NaN; `InputError` where they are not those of the flow's map."""
        own = theta[np.isfinite(theta)]
        if own.size != flow.size:
            raise InputError(f"flow has a map of {flow.size} parameters, and the dataset has θ of {own.size}")
        return own

    def _check(self, k: int, flow: GradientFlow) -> None:
        mean, covariance = (self.dataset[f"segment_{part}"].values[k] for part in ("mean", "covariance"))
        extent = np.sqrt(np.trace(covariance))
        off = max(np.abs(flow.reference.mean - mean).max() / extent,
                  np.abs(flow.reference.covariance - covariance).max() / extent**2)  # fmt: skip
        if not off < FITS:
            raise InputError(
                f"flow is not that of the dataset: segment {k} begins elsewhere, by {off:.2g} of its extent"
            )


def _inverse(layer: Layer, x: np.ndarray) -> np.ndarray:
    """The points that a layer takes to x, (N, d), NaN where none is found."""
    backend, theta = layer.backend, layer.backend.asarray(layer.theta)
    jacobians: Callable[[Any], Any] = backend.compile(
        lambda points: space_jacobian(backend, lambda z: layer.map(theta, z), points)
    )

    def gap(points: np.ndarray) -> np.ndarray:
        return np.asarray(backend.to_numpy(layer.call(backend.asarray(points))), float) - x

    y, tolerance = x.copy(), CLOSE[backend.dtype] * max(float(np.abs(x).max()), np.finfo(float).tiny)
    missed = gap(y)
    for _ in range(NEWTON_STEPS):
        size = np.linalg.norm(missed, axis=1)
        if (size <= tolerance).all():
            break
        slopes = np.asarray(backend.to_numpy(jacobians(backend.asarray(y))), float)
        move, damping = -np.linalg.solve(slopes, missed[:, :, None])[:, :, 0], np.ones(len(x))
        for _ in range(10):  # halved until it is a gain
            tried = y + damping[:, None] * move
            new = gap(tried)
            worse = ~(np.linalg.norm(new, axis=1) < size)
            if not worse.any():
                break
            damping[worse] /= 2
        gain = np.linalg.norm(new, axis=1) < size
        y[gain], missed[gain] = tried[gain], new[gain]
        if not gain.any():
            break
    y[np.linalg.norm(missed, axis=1) > tolerance] = np.nan
    return y
