"""What the maps need of arrays whose framework they do not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from array_api_compat import array_namespace, is_jax_array, is_torch_array

Array = Any


def like(value: Any, array: Array) -> Array:
    """`value` as an array of `array`'s framework, dtype and device (works on tracers)."""
    xp = array_namespace(array)
    if is_torch_array(array):
        return xp.asarray(value, dtype=array.dtype, device=array.device)
    return xp.asarray(value, dtype=array.dtype)


def unpack(theta: Array, *shapes: tuple[int, ...]) -> list[Array]:
    """The flat `theta`, (m,), cut into arrays of the given shapes, in order."""
    parts, begin = [], 0
    for shape in shapes:
        end = begin
        size = 1
        for length in shape:
            size *= length
        end += size
        parts.append(theta[begin:end].reshape(shape))
        begin = end
    return parts


def fold(step: Callable[[Any, tuple[Array, ...]], Any], carry: Any, arrays: tuple[Array, ...]) -> Any:
    """`carry = step(carry, slices)` over the leading axis of the arrays; one compiled loop on jax."""
    if is_jax_array(arrays[0]):
        from .backend.jax import scan

        return scan(step, carry, arrays)
    for slices in zip(*arrays, strict=True):
        carry = step(carry, slices)
    return carry
