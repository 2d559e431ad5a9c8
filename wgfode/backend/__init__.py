"""The narrow waist between the mathematics and the frameworks: one protocol, two implementations.

`load("torch")` and `load("jax")` import a framework; nothing else in `wgfode` does.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from ..errors import InputError, MissingDependencyError, choice
from .protocol import Backend


def precision(name: str, dtype: str) -> contextlib.AbstractContextManager[None]:
    """In which `load(name, dtype)` can be had: jax's x64 mode for float64. The user's global setting stays as it is."""
    return _module(name).precision(choice("dtype", dtype, ("float32", "float64")))


def load(name: str, dtype: str = "float64", device: Any = None, devices: Any = None) -> Backend:
    """The backend `name` ("torch" or "jax") with real numbers of `dtype` on `device`.

    `devices` are those that the points of a flow are split over: their number, or the framework's own mesh of one
    axis (`jax.sharding.Mesh`, `torch.distributed.DeviceMesh`); None is one device.

    Raises `MissingDependencyError`, naming the extra to install, where the framework is absent, and
    `InputError` where jax cannot hold float64 because x64 is off, or where the device or as many devices are not there.
    """
    module, dtype = _module(name), choice("dtype", dtype, ("float32", "float64"))
    if device is None:
        return module.make(dtype, device, devices)
    try:
        backend = module.make(dtype, device, devices)
        backend.asarray([0.0])  # a device may be known by name and yet not be there
    except InputError:
        raise
    except Exception as error:  # each framework has its own kinds
        reason = str(error).partition("\n")[0]
        raise InputError(f"device {device!r} is not available with {name}: {reason}") from error
    return backend


def first(name: str) -> bool:
    """Whether this process is the one of those that make a run together that writes files and speaks to the user."""
    return _module(name).first()


def _module(name: str) -> Any:
    name = choice("backend", name, ("torch", "jax"))
    try:
        return importlib.import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("torch", "jax", "jaxlib"):
            raise
        raise MissingDependencyError(
            f"{name} is not installed: pip install 'wgfode[{name}]' brings it and its integrators"
        ) from error


__all__ = ["Backend", "first", "load", "precision"]
