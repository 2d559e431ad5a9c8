"""What the mathematics asks of a framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from .devices import Devices

Array = Any
"""A torch tensor, a jax array (or a tracer of either), or a numpy array at the edges."""


class Backend(Protocol):
    """An array namespace and a handful of transforms.

    `xp` follows the array API standard (plus `einsum`). Functions handed to a transform take and
    return one array; everything is batched, so points are `(N, d)`.
    """

    name: str
    xp: Any
    dtype: str
    """The real dtype, "float64" or "float32"."""
    device: Any
    """The framework's own, or None for its default."""
    devices: Devices
    """Over how many of them the points of a flow are split."""

    def asarray(self, value: Any) -> Array:
        """`value` as an array of this backend's dtype and device."""

    def alone(self) -> Backend:
        """The same on one device of this process."""

    def rows(self, value: Any) -> Array:
        """`value` (N, …), of the points that this process keeps, as an array split over the devices."""

    def to_numpy(self, array: Array) -> np.ndarray:
        """`array` on the host."""

    def now(self, f: Callable[[], Any]) -> Any:
        """`f()`, a tree of arrays computed from data at once, even while a function is traced; nothing goes through."""

    def constant(self, array: Array) -> Array:
        """`array`, or a tree of arrays, through which nothing is differentiated."""

    def leaves(self, tree: Any) -> list[Any]:
        """What a tree (dictionaries, lists, tuples and what the framework knows besides) holds; None is no leaf."""

    def draw(self, sample: Callable[..., Array], n: int, seed: int) -> Array:
        """n draws, (n, …), by the `sample` method of a distribution of this framework; a seed makes them repeatable."""

    def as_args(self, tree: Any) -> Any:
        """`tree` with its real numbers and arrays as arrays of this backend; derivatives go through.

        Raises `InputError` for a leaf that is neither a number nor an array.
        """

    def grad(self, f: Callable[[Array], Array]) -> Callable[[Array], Array]:
        """The gradient of a scalar function."""

    def jvp(self, f: Callable[[Array], Array], x: Array, v: Array) -> tuple[Array, Array]:
        """`f(x)` and its derivative along `v`."""

    def linearize(
        self, f: Callable[[Array], Array], x: Array
    ) -> tuple[Array, Callable[[Array], Array], Callable[[Array], Array]]:
        """`f(x)`, `v ↦ Df(x)v` and `w ↦ Df(x)ᵀw`, the last two cheap to call many times."""

    def jacobian(self, f: Callable[[Array], Array]) -> Callable[[Array], Array]:
        """`x ↦ Df(x)`, (outputs, inputs), by reverse mode: for few outputs of many inputs."""

    def vmap(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """`f` over the leading axis of each argument."""

    def invert(self, matrices: Array) -> tuple[Array, Array, Array]:
        """The inverses (N, d, d), and the signs and logarithms of |det|, (N,) each, of many small matrices."""

    def by_rows(self, f: Callable[[Array], Array], x: Array, rows: int) -> Array:
        """`f(x)` where row i of the result depends on row i of x alone, at most `rows` at a time."""

    def by_points(self, f: Callable[[Array], Array], x: Array, rows: int) -> Array:
        """`by_rows` of x (N, …) at the points: at most `rows` at a time on a device."""

    def while_loop(self, proceed: Callable[[Any], Any], step: Callable[[Any], Any], state: Any) -> Any:
        """Repeat `state = step(state)` while `proceed(state)`; a state is a tuple of arrays."""

    def compile(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """`f` made fast to call from outside: jitted, or free of an autograd graph unless derivatives are asked for."""

    def cholesky(
        self, matrix: Array, floor: Array, otherwise: Callable[[], tuple[Array, Array]]
    ) -> tuple[Callable[[Array], Array], Any]:
        """(`b ↦ matrix⁻¹ b`, 0), (m,) → (m,), by one Cholesky factorisation of the symmetric (m, m) `matrix`.

        (`b ↦ V diag(w) Vᵀ b`, 1) with (V, w) = `otherwise()`, (m, m) and (m,), where the factorisation fails or one of
        its pivots is at most `floor`.
        """

    def factored(self, matrix: Array) -> Callable[[Array], Array]:
        """`rhs ↦ matrix⁻¹ rhs`, (m,) → (m,), by one LU factorisation of the (m, m) `matrix`; NaN in, NaN out."""

    def root(
        self,
        residual: Callable[[Array], Array],
        solve: Callable[[], tuple[Array, Any]],
        tangent_solve: Callable[[Callable[[Array], Array], Array], Array],
        guess: Array,
    ) -> tuple[Array, Any]:
        """`solve()` = (the root of `residual`, whatever it reports), differentiated implicitly.

        Where the framework differentiates the result, it uses `tangent_solve(A, y)`, A the (symmetric)
        derivative of `residual` at the root, and never the steps of `solve`. `guess` has the root's shape.
        """
