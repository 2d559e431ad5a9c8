"""A gradient flow as an nn.Module for torchdiffeq's odeint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...backend import load
from ...errors import InputError
from ...flow import GradientFlow
from ...rhs import RightHandSide
from ..base import AdaptedRightHandSide

if TYPE_CHECKING:
    import xarray as xr

Tensor = torch.Tensor


class TorchRightHandSide(torch.nn.Module, AdaptedRightHandSide):
    """`f(t, theta)` → dθ/dt, (m,) → (m,), for every method of `torchdiffeq.odeint`; `f(t, theta, args)` for torch.func.

    Differentiable in θ and in `args` where they require grad and grad mode is on (the linear solve by the implicit
    function theorem); otherwise no autograd graph grows along the run. Parameters among `args` are the module's, so
    that `odeint_adjoint` finds them; other tensors are its `adjoint_params`. θ's dtype and device are kept. With
    resampling, hand
    `options={"jump_t": f.jump_times(t0, t1)}` to an adaptive method. `evaluations` counts calls.
    """

    def __init__(self, rhs: RightHandSide):
        super().__init__()
        self.bind(rhs)
        rhs.arguments()  # missing ones show at once
        found = (leaf for leaf in rhs.backend.leaves(rhs.args) if isinstance(leaf, torch.nn.Parameter))
        self.args = torch.nn.ParameterList(found)
        self.evaluations = 0

    def forward(self, t: Tensor | float, theta: Tensor, args: Any = None) -> Tensor:
        self.evaluations += 1
        return self.at(t, self.rhs.backend.asarray(self.checked(theta)), None, args).velocity.to(theta)

    def to_dataset(self, t: Tensor, theta: Tensor, evaluation: int = 4096, **attributes: Any) -> xr.Dataset:
        """The dataset of what `odeint(f, …, t)` returned: times (T,) and parameters (T, m)."""
        times = np.asarray(torch.as_tensor(t).detach().cpu(), float)
        if theta.ndim != 2 or len(theta) != len(times):
            raise InputError(f"theta must be (T, m) with T={len(times)} times, got shape {tuple(theta.shape)}")
        known: dict[str, Any] = {"integrator": "torchdiffeq", "status": "completed"}
        known["rhs_evaluations"] = self.evaluations
        return self.dataset(times.tolist(), list(theta), evaluation, **(known | attributes))


def right_hand_side(
    flow: GradientFlow, *, args: Any = None, dtype: str = "float64", device: Any = None, mesh: Any = None,
    tolerance: float = 1e-8,
) -> TorchRightHandSide:  # fmt: skip
    """`flow` as a torchdiffeq right-hand side.

    `args` (nested dictionaries, lists and tuples of numbers and tensors) are given to the functions of the flow that
    name them. `tolerance` is the relative residual of iterative linear solvers whose `rtol` is None; keep it
    well below the integrator's `rtol`. `mesh` splits the points over the processes that torchrun started: their
    number, or a `torch.distributed.DeviceMesh` of one axis.
    """
    return TorchRightHandSide(RightHandSide(flow, load("torch", dtype, device, mesh), tolerance, args))
