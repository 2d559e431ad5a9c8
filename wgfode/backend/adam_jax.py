"""Adam for jax, as a state that is started, updated and read."""

from __future__ import annotations

from typing import Any

from ..errors import MissingDependencyError

try:
    import optax
except ModuleNotFoundError as error:
    raise MissingDependencyError("method='bilevel' on jax needs optax: pip install 'wgfode[jax]' brings it") from error

Array = Any
State = tuple[Array, Any]

_direction = optax.scale_by_adam()


def start(x: Array) -> State:
    """The optimizer's state at x."""
    return x, _direction.init(x)


def update(state: State, gradient: Array, rate: Any) -> State:
    """One step down the gradient at the learning rate `rate`."""
    x, memory = state
    direction, memory = _direction.update(gradient, memory)
    return x - rate * direction, memory


def value(state: State) -> Array:
    """x."""
    return state[0]
