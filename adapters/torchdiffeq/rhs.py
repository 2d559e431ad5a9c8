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
    """`f(t, theta)` → dθ/dt, (m,) → (m,), for every method of `torchdiffeq.odeint`.

    The derivative is detached: no autograd graph grows along the run, whatever the caller's grad
    mode. θ's dtype and device are kept. With resampling, hand
    `options={"jump_t": f.jump_times(t0, t1)}` to an adaptive method. `evaluations` counts calls.
    """

    def __init__(self, rhs: RightHandSide):
        super().__init__()
        self.bind(rhs)
        self.evaluations = 0

    def forward(self, t: Tensor | float, theta: Tensor) -> Tensor:
        self.evaluations += 1
        with torch.no_grad():
            return self.at(float(t), self.rhs.backend.asarray(self.checked(theta).detach())).velocity.to(theta)

    def to_dataset(self, t: Tensor, theta: Tensor, evaluation: int = 4096, **attributes: Any) -> xr.Dataset:
        """The dataset of what `odeint(f, …, t)` returned: times (T,) and parameters (T, m)."""
        times = np.asarray(torch.as_tensor(t).detach().cpu(), float)
        if theta.ndim != 2 or len(theta) != len(times):
            raise InputError(f"theta must be (T, m) with T={len(times)} times, got shape {tuple(theta.shape)}")
        known: dict[str, Any] = {"integrator": "torchdiffeq", "status": "completed"}
        known["rhs_evaluations"] = self.evaluations
        return self.dataset(times.tolist(), list(theta), evaluation, **(known | attributes))


def right_hand_side(
    flow: GradientFlow, *, dtype: str = "float64", device: Any = None, tolerance: float = 1e-8
) -> TorchRightHandSide:
    """`flow` as a torchdiffeq right-hand side.

    `tolerance` is the relative residual of iterative linear solvers whose `rtol` is None; keep it
    well below the integrator's `rtol`.
    """
    return TorchRightHandSide(RightHandSide(flow, load("torch", dtype, device), tolerance))
