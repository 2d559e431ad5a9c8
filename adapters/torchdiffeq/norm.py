"""Norms of a step's error, for torchdiffeq's adaptive methods."""

from __future__ import annotations

from collections.abc import Callable

import torch

Tensor = torch.Tensor

REJECTED = 1e10
"""The size of an error that is not finite.

torchdiffeq makes a step of size NaN of a NaN, and then 0 of that. An infinite error would be rejected as it should
be, but its first step, which it takes from differences of the right-hand side in the same norm, would be 0.
"""


def rms(x: Tensor) -> Tensor:
    """The root mean square, torchdiffeq's own norm of a tensor."""
    return x.abs().pow(2).mean().sqrt()


def guarded(norm: Callable[[Tensor], Tensor] = rms) -> Callable[[Tensor], Tensor]:
    """`norm`, of which what is not finite is `REJECTED`: the step is tried again with a smaller size."""

    def size(x: Tensor) -> Tensor:
        found = torch.as_tensor(norm(x))
        return torch.where(torch.isfinite(found), found, torch.full_like(found, REJECTED))

    return size
