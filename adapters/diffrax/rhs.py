"""A gradient flow as diffrax's ODETerm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ...backend import load
from ...drive import Drive
from ...errors import InputError
from ...flow import GradientFlow
from ...rhs import RightHandSide
from ..base import AdaptedRightHandSide

if TYPE_CHECKING:
    import xarray as xr

Array = Any


class DiffraxRightHandSide(AdaptedRightHandSide):
    """`f(t, theta, args)` → dθ/dt, (m,) → (m,); `f.term` is its `diffrax.ODETerm`.

    `args` are given to the functions of the flow that name them, in place of those it was bound with. Pure and
    traceable: it can be jitted, vmapped over θ and args, and differentiated in both (the linear solve by
    the implicit function theorem). With resampling, hand `f.jump_times(t0, t1)` to
    `diffrax.ClipStepSizeController(…, jump_ts=…)`.
    """

    def __init__(self, rhs: RightHandSide):
        self.bind(rhs)
        self.term = diffrax.ODETerm(self)

    def __call__(self, t: Any, theta: Array, args: Any = None) -> Array:
        return self.evaluate(self.checked(theta), self.drive(t, args)).velocity

    def drive(self, t: Any, args: Any = None) -> Drive:
        """What drives the flow at a time t and with args (by default the bound ones), which may be traced.

        In place of args `solve` hands over a whole `Drive`, of the points at hand, for steps that cross no jump.
        """
        rhs = self.rhs
        if isinstance(args, Drive):
            return args.when(rhs.backend.asarray(t))
        # before the points: without `args` nothing else is of use
        args = rhs.arguments(args)
        fixed = rhs.flow.points.resample_every is None
        z, weights, *known = map(rhs.backend.rows, rhs.drawn(0) if fixed else self._points_at(t))
        return Drive(z, weights, rhs.backend.asarray(t), args, rhs.factor(0) if fixed else None, *known)

    def _points_at(self, t: Any) -> tuple[Array, ...]:
        points, rhs = self.rhs.flow.points, self.rhs
        # The points of a segment come from the host. They are data: nothing is differentiated; and bits, since
        # the callback's thread does not know of a local x64 context, and would round float64 to float32.
        t = jax.lax.stop_gradient(jnp.asarray(t, float))
        shapes = jax.eval_shape(lambda: tuple(map(rhs.backend.asarray, rhs.drawn(0))))
        words = () if rhs.backend.dtype == "float32" else (2,)

        def draw(bits: Any) -> tuple[np.ndarray, ...]:
            time = np.asarray(bits).reshape(-1).view(t.dtype)[0]
            parts = (part.astype(rhs.backend.dtype) for part in rhs.drawn(points.segment(time)))
            return tuple(np.ascontiguousarray(part).view(np.uint32).reshape(part.shape + words) for part in parts)

        wires = [jax.ShapeDtypeStruct(shape.shape + words, np.uint32) for shape in shapes]
        bits = jax.pure_callback(draw, wires, jax.lax.bitcast_convert_type(t, jnp.uint32), vmap_method="sequential")
        return tuple(jax.lax.bitcast_convert_type(part, rhs.backend.dtype) for part in bits)

    def to_dataset(self, solution: diffrax.Solution, evaluation: int = 4096, **attributes: Any) -> xr.Dataset:
        """The dataset of a `diffrax.Solution` that was saved at times or steps (padding is dropped).

        Raises `InputError` for one that holds neither, as after `SaveAt(dense=True)`.
        """
        if solution.ts is None or solution.ys is None:
            raise InputError(
                "solution holds no saved times (ts is None): solve with saveat=diffrax.SaveAt(ts=…) or "
                "SaveAt(steps=True), beside dense=True where you need it"
            )
        times = np.asarray(solution.ts)
        thetas = np.asarray(solution.ys)
        kept = np.isfinite(times)
        stats = {name: int(np.asarray(value)) for name, value in solution.stats.items() if value is not None}
        reasons: Any = diffrax.RESULTS
        reason = reasons[solution.result]
        known: dict[str, Any] = {
            "integrator": "diffrax",
            "accepted_steps": stats.get("num_accepted_steps"),
            "rejected_steps": stats.get("num_rejected_steps"),
            "status": "completed" if bool(solution.result == diffrax.RESULTS.successful) else f"stopped: {reason}",
        }
        return self.dataset(times[kept], list(thetas[kept]), evaluation, **(known | attributes))


def right_hand_side(
    flow: GradientFlow, *, args: Any = None, dtype: str = "float64", device: Any = None, mesh: Any = None,
    tolerance: float = 1e-8,
) -> DiffraxRightHandSide:  # fmt: skip
    """`flow` as a diffrax right-hand side.

    `args` (a pytree of numbers and arrays) are given to the functions of the flow that name them; without, hand them
    to `diffeqsolve(f.term, …, args=…)`. Only those given here are tried on sample points.
    `tolerance` is the relative residual of iterative linear solvers whose `rtol` is None; keep it
    well below the integrator's `rtol`. `mesh` splits the points over devices: their number, or a `jax.sharding.Mesh`
    of one axis. Raises `InputError` where dtype is float64 and jax's x64 mode is off.
    """
    return DiffraxRightHandSide(RightHandSide(flow, load("jax", dtype, device, mesh), tolerance, args))
