"""What drives the parameters at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

Array = Any


class Drive(NamedTuple):
    """What θ̇ depends on beside θ: the points that expectations are taken at, the time, and physical parameters.

    A pytree of arrays, so that it travels through compiled functions as one argument.
    """

    z: Array
    """Points of the reference, (N, d)."""
    weights: Array
    """Their weights, (N,), which sum to one."""
    t: Array = 0.0
    """The time, 0-dim, for functions that name `t`."""
    args: Any = None
    """What functions that name `args` are given: any tree of arrays."""
    factor: Any = None
    """What the solver keeps of G at these points, where G is the same at every θ (`solvers.Stored`), else None."""

    log_density: Any = None
    """log λ at the points, (N,), where maps have carried λ and them from an `origin`; None where λ itself says."""
    score: Any = None
    """∇log λ there, (N, d)."""
    log_det: Any = None
    """log|det| of what has carried them, (N,)."""

    def on(self, z: Array, weights: Array, log_density: Any = None, score: Any = None, log_det: Any = None) -> Drive:
        """The same at other points z (N, d) with weights (N,), and with what is known there."""
        return Drive(z, weights, self.t, self.args, None, log_density, score, log_det)

    def when(self, t: Array) -> Drive:
        """The same at another time, 0-dim."""
        return self._replace(t=t)
