"""The torch backend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch

Array = Any


class TorchBackend:
    """`backend.protocol.Backend` on torch, eager; the transforms are torch.func's."""

    name = "torch"
    xp = xp

    def __init__(self, dtype: str, device: Any):
        self.dtype = dtype
        self.torch_dtype = getattr(torch, dtype)
        self.device = torch.device("cpu" if device is None else device)

    def asarray(self, value: Any) -> Array:
        return torch.as_tensor(value, dtype=self.torch_dtype, device=self.device)

    def to_numpy(self, array: Array) -> np.ndarray:
        return array.detach().cpu().numpy()

    def constant(self, array: Array) -> Array:
        return array.detach()

    def grad(self, f: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return torch.func.grad(f)

    def jvp(self, f: Callable[[Array], Array], x: Array, v: Array) -> tuple[Array, Array]:
        y, dy = torch.func.jvp(f, (x,), (v,))  # type: ignore[misc]
        return y, dy

    def linearize(self, f: Callable[[Array], Array], x: Array) -> tuple[Array, Callable, Callable]:
        y, pullback = torch.func.vjp(f, x)  # type: ignore[misc]
        return y, lambda v: torch.func.jvp(f, (x,), (v,))[1], lambda w: pullback(w)[0]

    def jacobian(self, f: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return torch.func.jacrev(f)

    def vmap(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return torch.func.vmap(f)

    def invert(self, matrices: Array) -> tuple[Array, Array, Array]:
        sign, log_det = torch.linalg.slogdet(matrices)
        return torch.linalg.inv(matrices), sign, log_det

    def by_rows(self, f: Callable[[Array], Array], x: Array, rows: int) -> Array:
        return torch.cat([f(block) for block in torch.split(x, max(rows, 1))])

    def while_loop(self, proceed: Callable[[Any], Any], step: Callable[[Any], Any], state: Any) -> Any:
        while bool(proceed(state)):
            state = step(state)
        return state

    def compile(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return torch.no_grad()(f)

    def cholesky(
        self, matrix: Array, floor: Array, otherwise: Callable[[], tuple[Array, Array]]
    ) -> tuple[Callable[[Array], Array], Any]:
        factor, info = torch.linalg.cholesky_ex(matrix)
        if bool((info != 0) | (torch.min(torch.diagonal(factor)) ** 2 <= floor)):
            V, w = otherwise()
            return lambda b: V @ (w * (V.T @ b)), 1
        return lambda b: torch.cholesky_solve(b[:, None], factor)[:, 0], 0

    def factored(self, matrix: Array) -> Callable[[Array], Array]:
        factor, pivots, _ = torch.linalg.lu_factor_ex(matrix)
        return lambda rhs: torch.linalg.lu_solve(factor, pivots, rhs[:, None])[:, 0]

    def root(self, residual: Callable, solve: Callable, tangent_solve: Callable, guess: Array) -> tuple[Array, Any]:
        return solve()


def precision(dtype: str) -> AbstractContextManager[None]:
    """torch has every dtype at any time."""
    return nullcontext()


def make(dtype: str, device: Any = None) -> TorchBackend:
    """The backend on `device` (default: the CPU)."""
    return TorchBackend(dtype, device)
