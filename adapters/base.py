"""What every right-hand side bound to a framework can do, whichever the adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import load
from ..dataset import build
from ..drive import Drive
from ..errors import InputError
from ..flow import Segment
from ..monitor.held_out import LARGE
from ..pushforward import carried, push
from ..rhs import Evaluation, RightHandSide

if TYPE_CHECKING:
    import xarray as xr

Array = Any


class AdaptedRightHandSide:
    """Questions about ρ_θ and the flow, asked in the framework's own arrays.

    `rhs` is the `RightHandSide`. Points default to the ones that drive the flow at time t.
    """

    rhs: RightHandSide

    def bind(self, rhs: RightHandSide) -> None:
        """Set `rhs` and compile its functions; called once by an adapter."""
        self.rhs = rhs
        compile_ = rhs.backend.compile
        self.evaluate = compile_(rhs.evaluate)
        self.diagnose = compile_(rhs.diagnose)
        self._map = compile_(lambda theta, z: rhs.flow.transport(theta, self._begin(z)[0]))
        self._log_density = compile_(self._log_density_of)
        self.moved = compile_(
            lambda theta, z, direction: rhs.backend.jvp(
                lambda p: rhs.flow.transport(p, self._begin(z)[0]), theta, direction
            )[1]
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it was made of: compiled functions do not travel. (A device travels by name.)"""
        rhs, device, count = self.rhs, self.rhs.backend.device, self.rhs.backend.devices.count
        device = device if device is None else getattr(device, "platform", str(device))
        bound = (rhs.backend.name, rhs.backend.dtype, device, None if count == 1 else count)
        return _rebuilt, (type(self), rhs.flow, bound, rhs.tolerance, rhs.args)

    def checked(self, theta: Array) -> Array:
        """`theta`, or `InputError` where it is not the (m,) parameters of the map."""
        if np.shape(theta) != (self.rhs.flow.size,):
            raise InputError(
                f"theta must hold the m={self.rhs.flow.size} parameters of {self.rhs.flow.map!r}, shape "
                f"({self.rhs.flow.size},), got shape {tuple(np.shape(theta))}"
            )
        return theta

    def at(self, t: Any, theta: Array, segment: Segment | None = None, args: Any = None) -> Evaluation:
        """The right-hand side at θ (m,) and t, by default with the points of the segment of t and with its own args."""
        return self.evaluate(theta, self.rhs.drive(t, segment, args))

    def _begin(self, z: Array) -> tuple[Array, ...]:
        """Points z (N, d) of the reference's origin where the map takes them up, as `Drive.on` has them."""
        return carried(self.rhs.backend, self.rhs.flow.reference, z, self.rhs.backend.xp.ones_like(z[:, 0]))

    def _log_density_of(self, theta: Array, z: Array) -> Array:
        rhs = self.rhs
        z, ones, *known = self._begin(z)
        drive = Drive(z, ones).on(z, ones, *known)
        rho = push(rhs.backend, rhs.flow.transport, rhs.flow.reference, theta, drive, density=True, score=False)
        return rho.log_density

    def initial(self) -> Array:
        """The starting parameters, (m,): the identity map."""
        return self.rhs.initial()

    def jump_times(self, t0: float, t1: float) -> np.ndarray:
        """The resampling times and the flow's `jumps` strictly inside (t0, t1); hand them to the integrator."""
        return self.rhs.flow.jump_times(t0, t1)

    def pushforward(self, theta: Array, z: Any) -> Array:
        """T_θ(z), (N, d) → (N, d)."""
        as_ = self.rhs.backend.asarray
        return self._map(self.checked(as_(theta)), as_(z))

    def log_density(self, theta: Array, z: Any) -> Array:
        """log ρ_θ at T_θ(z), (N, d) → (N,)."""
        as_ = self.rhs.backend.asarray
        return self._log_density(self.checked(as_(theta)), as_(z))

    def velocity(self, theta: Array, z: Any, t: float = 0.0) -> Array:
        """The velocity J(θ)θ̇ of the images of z, (N, d) → (N, d), with θ̇ from the points of time t."""
        as_ = self.rhs.backend.asarray
        theta = self.checked(as_(theta))
        return self.moved(theta, as_(z), self.at(t, theta).velocity)

    def diagnostics(self, t: float, theta: Array, evaluation: int = 4096, seed: int = 0) -> dict[str, np.ndarray]:
        """Everything the dataset holds of one time, as numpy arrays, from `evaluation` held-out points."""
        rhs = self.rhs
        as_ = rhs.backend.asarray
        held_out = rhs.placed(*rhs.flow.held_out(evaluation, seed))
        theta, drive = rhs.backend.constant((self.checked(as_(theta)), rhs.drive(t)))
        report = self.diagnose(theta, drive, drive.on(*held_out))
        found = {name: rhs.backend.to_numpy(value) for name, value in report.items()}
        return found | {name: rhs.backend.devices.whole(found[name], evaluation) for name in LARGE if name in found}

    def dataset(
        self, times: Sequence[float], thetas: Sequence[Array], evaluation: int = 4096, seed: int = 0, **attributes: Any
    ) -> xr.Dataset:
        """The dataset of parameters (m,) at times, with `evaluation` held-out points of `seed` and attributes added."""
        rhs = self.rhs
        to_numpy = rhs.backend.to_numpy
        rows = [self.diagnostics(float(t), theta, evaluation, seed) for t, theta in zip(times, thetas, strict=True)]
        parameters = np.stack([to_numpy(rhs.backend.asarray(theta)) for theta in thetas])
        held_out = rhs.flow.held_out(evaluation, seed)
        return build(rhs, np.asarray(times, float), parameters, rows, held_out, {"evaluation_seed": seed} | attributes)


def _rebuilt(kind: type, flow: Any, bound: tuple[Any, ...], tolerance: float, args: Any) -> Any:
    return kind(RightHandSide(flow, load(*bound), tolerance, args))
