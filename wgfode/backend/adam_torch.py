"""Adam for torch, as a state that is started, updated and read."""

from __future__ import annotations

from typing import Any

import torch

State = tuple[torch.nn.Parameter, torch.optim.Adam]


def start(x: torch.Tensor) -> State:
    """The optimizer's state at x."""
    parameter = torch.nn.Parameter(x.clone())
    return parameter, torch.optim.Adam([parameter])


def update(state: State, gradient: torch.Tensor, rate: Any) -> State:
    """One step down the gradient at the learning rate `rate`."""
    parameter, optimizer = state
    optimizer.param_groups[0]["lr"] = float(rate)
    parameter.grad = gradient
    optimizer.step()
    return state


def value(state: State) -> torch.Tensor:
    """x."""
    return state[0].detach().clone()
