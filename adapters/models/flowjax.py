"""A flowjax bijection as a map."""

from __future__ import annotations

from typing import Any

import flowjax.bijections
import jax
import jax.numpy as jnp
import paramax

from ...errors import InputError, shown
from .equinox import EquinoxModel

Array = Any


class FlowjaxModel(EquinoxModel):
    """`from_flowjax`: F_θ is the bijection's `transform`; its log-determinant, and its inverse where it has one."""

    def __init__(self, bijection: Any, start: str = "identity"):
        bijection = getattr(bijection, "bijection", bijection) if hasattr(bijection, "base_dist") else bijection
        if not isinstance(bijection, flowjax.bijections.AbstractBijection):
            raise InputError(f"bijection must be a flowjax bijection, or a flow with one, got {shown(bijection)}")
        if bijection.cond_shape is not None or len(bijection.shape) != 1:
            raise InputError(
                f"bijection must take vectors (d,) without a condition, got shape={bijection.shape}, "
                f"cond_shape={bijection.cond_shape}"
            )
        (dim,) = bijection.shape
        try:
            jax.grad(lambda x: jnp.sum(paramax.unwrap(bijection).inverse(x)))(jnp.zeros(dim))
            self.invertible = True
        except (NotImplementedError, ValueError):  # there is none, or one by a loop that reverse mode cannot pass
            self.invertible = False
        self._take(bijection, dim, start)

    def model(self, theta: Array, z: Array) -> Array:
        return jax.vmap(paramax.unwrap(self._with(theta)).transform)(z)

    def model_and_log_det(self, theta: Array, z: Array) -> tuple[Array, Array]:
        x, log_det = jax.vmap(paramax.unwrap(self._with(theta)).transform_and_log_det)(z)
        # constants of a bijection are of jax's default precision
        return x.astype(z.dtype), log_det.astype(z.dtype)

    def inverse(self, theta: Array, x: Array) -> Array:
        return jax.vmap(paramax.unwrap(self._with(theta)).inverse)(x)

    def __repr__(self) -> str:
        return super().__repr__().replace("from_equinox", "from_flowjax", 1)
