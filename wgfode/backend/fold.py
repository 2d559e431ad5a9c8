"""Loops over the layers of a map, in whichever framework its arrays are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from array_api_compat import array_namespace, is_jax_array

Array = Any


def fold(step: Callable[[Any, tuple[Array, ...]], Any], carry: Any, arrays: tuple[Array, ...]) -> Any:
    """`carry = step(carry, slices)` over the leading axis of the arrays; one compiled loop on jax."""
    if is_jax_array(arrays[0]):
        from .jax import scan

        return scan(lambda state, slices: (step(state, slices), None), carry, arrays, reverse=False)[0]
    for slices in zip(*arrays, strict=True):
        carry = step(carry, slices)
    return carry


def sweep(
    step: Callable[[Any, tuple[Array, ...]], tuple[Any, tuple[Array, ...]]],
    carry: Any,
    arrays: tuple[Array, ...],
    *,
    reverse: bool = False,
) -> tuple[Any, tuple[Array, ...]]:
    """`carry, found = step(carry, slices)` over the leading axis, last slices first where `reverse`.

    The last carry, and each layer's `found` (a tuple of arrays) stacked in the order of the layers.
    """
    if is_jax_array(arrays[0]):
        from .jax import scan

        return scan(step, carry, arrays, reverse=reverse)
    layers = list(zip(*arrays, strict=True))
    found = []
    for slices in layers[::-1] if reverse else layers:
        carry, own = step(carry, slices)
        found.append(own)
    xp = array_namespace(arrays[0])
    return carry, tuple(xp.stack(parts) for parts in zip(*(found[::-1] if reverse else found), strict=True))
