"""Loops over the layers of a map, in whichever framework its arrays are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from array_api_compat import is_jax_array

Array = Any


def fold(step: Callable[[Any, tuple[Array, ...]], Any], carry: Any, arrays: tuple[Array, ...]) -> Any:
    """`carry = step(carry, slices)` over the leading axis of the arrays; one compiled loop on jax."""
    if is_jax_array(arrays[0]):
        from .jax import scan

        return scan(step, carry, arrays)
    for slices in zip(*arrays, strict=True):
        carry = step(carry, slices)
    return carry
