"""The jax backend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..arrays import is_real, kind
from ..errors import InputError
from .devices import Devices
from .mesh import MeshDevices, mesh_of

Array = Any


class JaxBackend:
    """`backend.protocol.Backend` on jax; pure, so that everything can be jitted, vmapped and differentiated."""

    name = "jax"
    xp = jnp

    def __init__(self, dtype: str, device: Any, mesh: MeshDevices | None = None):
        self.dtype, self.mesh = dtype, mesh
        self.devices = Devices() if mesh is None else mesh
        self.device = jax.devices(device)[0] if isinstance(device, str) else device

    def asarray(self, value: Any) -> Array:
        array = jnp.asarray(value, dtype=self.dtype)
        if self.mesh is not None:
            return self.mesh.put(array, self.mesh.everywhere)
        return array if self.device is None else jax.device_put(array, self.device)

    def alone(self) -> JaxBackend:
        return JaxBackend(self.dtype, jax.local_devices()[0])

    def rows(self, value: Any) -> Array:
        if self.mesh is None:
            return self.asarray(value)
        return self.mesh.put(jnp.asarray(value, dtype=self.dtype), self.mesh.by_points)

    def to_numpy(self, array: Array) -> np.ndarray:
        return np.asarray(array) if self.mesh is None else self.mesh.on_host(array)

    def now(self, f: Callable[[], Any]) -> Any:
        with jax.ensure_compile_time_eval():
            return f()

    def constant(self, array: Array) -> Array:
        return lax.stop_gradient(array)

    def leaves(self, tree: Any) -> list[Any]:
        return jax.tree.leaves(tree)

    def draw(self, sample: Callable[[Any, tuple[int, ...]], Array], n: int, seed: int) -> Array:
        return sample(jax.random.key(seed), (n,))

    def as_args(self, tree: Any) -> Any:
        def leaf(path: Any, value: Any) -> Any:
            if not isinstance(value, (int, float)) and not hasattr(value, "dtype"):
                raise InputError(f"args{jax.tree_util.keystr(path)} must be a number or an array, it is {kind(value)}")
            return self.asarray(value) if is_real(value) else jnp.asarray(value)

        return jax.tree_util.tree_map_with_path(leaf, tree)

    def grad(self, f: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return jax.grad(f)

    def jvp(self, f: Callable[[Array], Array], x: Array, v: Array) -> tuple[Array, Array]:
        return jax.jvp(f, (x,), (v,))

    def linearize(self, f: Callable[[Array], Array], x: Array) -> tuple[Array, Callable, Callable]:
        y, jvp = jax.linearize(f, x)
        transpose = jax.linear_transpose(jvp, x)
        return y, jvp, lambda w: transpose(w)[0]

    def jacobian(self, f: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return jax.jacrev(f)

    def vmap(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return jax.vmap(f)

    def invert(self, matrices: Array) -> tuple[Array, Array, Array]:
        return _invert(matrices, self.mesh)

    def by_rows(self, f: Callable[[Array], Array], x: Array, rows: int) -> Array:
        if rows >= x.shape[0]:
            return f(x)
        # checkpoint: reverse mode would otherwise keep every block's intermediates
        one_row = jax.checkpoint(lambda row: f(row[None])[0])
        return lax.map(one_row, x, batch_size=max(rows, 1))

    def by_points(self, f: Callable[[Array], Array], x: Array, rows: int) -> Array:
        return self.by_rows(f, x, rows) if self.mesh is None else self.mesh.by_rows(f, x, rows)

    def while_loop(self, proceed: Callable[[Any], Any], step: Callable[[Any], Any], state: Any) -> Any:
        return lax.while_loop(proceed, step, state)

    def compile(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(f)

    def cholesky(
        self, matrix: Array, floor: Array, otherwise: Callable[[], tuple[Array, Array]]
    ) -> tuple[Callable[[Array], Array], Any]:
        factor = jnp.linalg.cholesky(matrix)  # NaN where it fails, and then no comparison holds
        sound = jnp.min(jnp.diagonal(factor)) ** 2 > floor
        V, w = lax.cond(sound, lambda: (factor, jnp.diagonal(factor)), otherwise)

        def solve(b: Array) -> Array:
            return lax.cond(sound, lambda: jax.scipy.linalg.cho_solve((factor, True), b), lambda: V @ (w * (V.T @ b)))

        return solve, jnp.where(sound, 0, 1)

    def factored(self, matrix: Array) -> Callable[[Array], Array]:
        factor = jax.scipy.linalg.lu_factor(matrix)
        return lambda rhs: jax.scipy.linalg.lu_solve(factor, rhs)

    def root(self, residual: Callable, solve: Callable, tangent_solve: Callable, guess: Array) -> tuple[Array, Any]:
        def transposable(apply: Callable[[Array], Array], y: Array) -> Array:
            return lax.custom_linear_solve(apply, y, tangent_solve, symmetric=True)

        kinds = []

        def real_solve(_: Callable, __: Array) -> tuple[Array, Any]:
            # custom_root's derivative of a whole number has the wrong type: reports travel as reals
            x, report = solve()
            leaves, tree = jax.tree.flatten(report)
            kinds.extend([jnp.asarray(leaf).dtype for leaf in leaves])
            return x, jax.tree.unflatten(tree, [jnp.asarray(leaf, dtype=self.dtype) for leaf in leaves])

        x, report = lax.custom_root(residual, guess, real_solve, transposable, has_aux=True)
        leaves, tree = jax.tree.flatten(report)
        leaves = [lax.stop_gradient(leaf).astype(kind) for leaf, kind in zip(leaves, kinds, strict=True)]
        return x, jax.tree.unflatten(tree, leaves)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _invert(matrices: Array, mesh: MeshDevices | None) -> tuple[Array, Array, Array]:
    # One matrix at a time: where a program holds several batched LAPACK calls, jaxlib 0.10.2 on the CPU can
    # wait for ever (its concurrency-optimised scheduler loses a wake-up); the loop is as fast.
    def one_by_one(matrices: Array) -> tuple[Array, Array, Array]:
        return lax.map(lambda matrix: (jnp.linalg.inv(matrix), *jnp.linalg.slogdet(matrix)), matrices)

    return one_by_one(matrices) if mesh is None else mesh.locally(one_by_one, matrices)


@_invert.defjvp
def _invert_jvp(mesh: MeshDevices | None, primals: Any, tangents: Any) -> Any:
    inverse, sign, log_det = _invert(*primals, mesh)
    moved = inverse @ tangents[0]
    trace = jnp.trace(moved, axis1=1, axis2=2)
    return (inverse, sign, log_det), (-moved @ inverse, jnp.zeros_like(sign), trace)


def scan(step: Callable[[Any, Any], Any], carry: Any, arrays: tuple[Array, ...], *, reverse: bool) -> tuple[Any, Any]:
    """`fold.sweep` as one loop, so that compilation does not grow with the number of layers."""
    return lax.scan(step, carry, arrays, reverse=reverse)


def precision(dtype: str) -> AbstractContextManager[None]:
    """jax's x64 mode where `dtype` is float64, locally."""
    return jax.enable_x64(True) if dtype == "float64" else nullcontext()


def first() -> bool:
    """Whether this is the first process of `jax.distributed`, or the only one."""
    return jax.process_index() == 0


def make(dtype: str, device: Any = None, devices: Any = None) -> JaxBackend:
    """The backend, of one device or of a mesh of `devices`.

    Raises `InputError` where float64 is asked for and jax's x64 mode is off, or where there are fewer devices.
    """
    if dtype == "float64" and jnp.zeros((), dtype="float64").dtype != np.float64:
        raise InputError(
            "dtype='float64' needs jax's x64 mode, which is off: call jax.config.update('jax_enable_x64', True) "
            "at the start of your program, or work inside `with jax.enable_x64(True):`, or ask for "
            "dtype='float32'. wgfode.solve does this by itself, in a local context"
        )
    return JaxBackend(dtype, device, None if devices is None else MeshDevices(mesh_of(devices)))
