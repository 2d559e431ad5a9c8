"""What maps, references and checks need of arrays whose framework they do not know."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace, is_array_api_obj, is_jax_array, is_torch_array

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


def traced(value: Any) -> bool:
    """Whether a framework differentiates or traces `value`: a tensor that requires grad, a tracer of jax."""
    if is_torch_array(value):
        return bool(value.requires_grad)
    return bool(is_jax_array(value)) and hasattr(value, "_trace")


def is_real(value: Any) -> bool:
    """Whether `value` is a real number or an array of such: no whole numbers, which may count or index."""
    if isinstance(value, float):
        return True
    return is_array_api_obj(value) and "float" in str(value.dtype)


def same_framework(value: Any, array: Array) -> bool:
    """Whether `value` is an array of `array`'s framework."""
    return is_array_api_obj(value) and array_namespace(value) is array_namespace(array)


def kind(value: Any) -> str:
    """What `value` is, in words that do not hold its numbers."""
    if is_torch_array(value):
        return "a torch tensor that requires grad" if value.requires_grad else "a torch tensor"
    if is_jax_array(value):
        return "a jax tracer" if traced(value) else "a jax array"
    return "a numpy array" if is_array_api_obj(value) else f"of type {type(value).__name__}"
