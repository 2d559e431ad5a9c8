"""What the maps need of arrays whose framework they do not know."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace, is_torch_array

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
