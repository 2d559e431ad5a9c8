"""The torch backend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.utils import _pytree

from ..arrays import is_real, kind
from ..errors import InputError
from .devices import Devices

Array = Any


class TorchBackend:
    """`backend.protocol.Backend` on torch, eager; the transforms are torch.func's."""

    name = "torch"
    xp = xp

    def __init__(self, dtype: str, device: Any, devices: Devices):
        self.dtype, self.devices = dtype, devices
        self.torch_dtype = getattr(torch, dtype)
        self.device = torch.device("cpu" if device is None else device)

    def asarray(self, value: Any) -> Array:
        return torch.as_tensor(value, dtype=self.torch_dtype, device=self.device)

    def alone(self) -> TorchBackend:
        return TorchBackend(self.dtype, self.device, Devices())

    def rows(self, value: Any) -> Array:
        return self.asarray(value)

    def to_numpy(self, array: Array) -> np.ndarray:
        return array.detach().cpu().numpy()

    def now(self, f: Callable[[], Any]) -> Any:
        with torch.no_grad(), temporarily_clear_interpreter_stack():
            return f()

    def constant(self, array: Array) -> Array:
        return _pytree.tree_map_only(torch.Tensor, torch.Tensor.detach, array)

    def leaves(self, tree: Any) -> list[Any]:
        return [leaf for leaf in _pytree.tree_leaves(tree) if leaf is not None]

    def draw(self, sample: Callable[[tuple[int, ...]], Array], n: int, seed: int) -> Array:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            return sample((n,))

    def as_args(self, tree: Any) -> Any:
        def leaf(path: Any, value: Any) -> Any:
            if not isinstance(value, (int, float, type(None))) and not hasattr(value, "dtype"):
                raise InputError(
                    f"args{_pytree.keystr(path)} must be a number or an array, it is {kind(value)} (of a module hand "
                    "over dict(module.named_parameters()), for torch.func.functional_call)"
                )
            return self.asarray(value) if is_real(value) else value

        return _pytree.tree_map_with_path(leaf, tree)

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

    def by_points(self, f: Callable[[Array], Array], x: Array, rows: int) -> Array:
        return self.by_rows(f, x, rows)

    def while_loop(self, proceed: Callable[[Any], Any], step: Callable[[Any], Any], state: Any) -> Any:
        while bool(proceed(state)):
            state = step(state)
        return state

    def compile(self, f: Callable[..., Any]) -> Callable[..., Any]:
        plain = torch.no_grad()(f)
        return lambda *arguments: (f if differentiated(arguments) else plain)(*arguments)

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
        with torch.no_grad():
            x, report = solve()
        if not torch.is_grad_enabled() and not _forward_mode():
            return x, report
        x, report = x.detach(), _detached(report)

        def inverse(y: Array, x: Array) -> Array:
            return tangent_solve(lambda v: self.jvp(residual, x, v)[1], y)

        return _Root.apply(residual(x), x, inverse), report


class _Root(torch.autograd.Function):
    """x, with the derivative −A⁻¹ dr of an implicit function: r is the residual at x, A its derivative in x.

    A is symmetric. Whatever r was computed from is reached, closed-over tensors too.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(defect: Array, x: Array, inverse: Callable) -> Array:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Array) -> None:
        defect, x, ctx.inverse = inputs
        ctx.save_for_backward(defect, x)
        ctx.save_for_forward(defect, x)

    @staticmethod
    def jvp(ctx: Any, tangent: Array, *_: Any) -> Array:  # type: ignore[override]
        defect, x = ctx.saved_tensors
        with torch.no_grad():
            solution = _one_by_one(lambda y: ctx.inverse(y, x), tangent.detach(), defect)
        return _Once.apply(-solution.detach(), defect)

    @staticmethod
    def backward(ctx: Any, cotangent: Array) -> tuple[Array, None, None]:  # type: ignore[override]
        return _Root.jvp(ctx, cotangent), None, None


def _one_by_one(f: Callable[[Array], Array], y: Array, known: Array) -> Array:
    """f(y); where vmap batches y, one row after the other, since a loop that ends by its data cannot be batched.

    What f closes over is not to be batched, and is not where `known` is not.
    """
    batched = torch.func.debug_unwrap(y, recurse=False).ndim > y.ndim
    return _OneByOne.apply(y, known, f) if batched else f(y)


class _OneByOne(torch.autograd.Function):
    """`_one_by_one` under vmap."""

    @staticmethod
    def forward(y: Array, known: Array, f: Callable) -> Array:
        return f(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Array) -> None:
        """Nothing is kept: it is not differentiated."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple, y: Array, known: Array, f: Callable) -> tuple[Array, int]:
        if in_dims[1] is not None:
            raise NotImplementedError("with torch the derivative of a root cannot be batched over what it depends on")
        return torch.stack([_one_by_one(f, each, known) for each in y.unbind(in_dims[0])]), 0


class _Once(torch.autograd.Function):
    """`value`, which depends on what `known` depends on, and refuses to be differentiated."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Array, known: Array) -> Array:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Array) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError("with torch a root is differentiated once: use jax for second derivatives")

    jvp = backward


def differentiated(tree: Any) -> bool:
    """Whether somebody asks for derivatives of what is computed from the tensors of a tree."""
    if _forward_mode():
        return True
    tensors = (leaf for leaf in _pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor))
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _forward_mode() -> bool:
    """Whether a forward derivative is under way."""
    return torch.autograd.forward_ad._current_level >= 0


def _detached(report: Any) -> Any:
    """`report`, nested tuples of tensors and numbers, without derivatives."""
    if isinstance(report, tuple):
        return tuple(map(_detached, report))
    return report.detach() if isinstance(report, torch.Tensor) else report


def precision(dtype: str) -> AbstractContextManager[None]:
    """torch has every dtype at any time."""
    return nullcontext()


def first() -> bool:
    """Whether this is the first process of `torch.distributed`, or the only one."""
    return not (torch.distributed.is_available() and torch.distributed.is_initialized()) or (
        torch.distributed.get_rank() == 0
    )


def make(dtype: str, device: Any = None, devices: Any = None) -> TorchBackend:
    """The backend on `device` (default: the CPU), of one process or of the `devices` that torchrun started."""
    if devices is None:
        return TorchBackend(dtype, device, Devices())
    from .processes import Processes, device_of, group_of

    if (group := group_of(devices)) is None:
        return TorchBackend(dtype, device, Devices())
    return TorchBackend(dtype, device_of(device), Processes(group))
