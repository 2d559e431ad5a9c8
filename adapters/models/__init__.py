"""Users' models as maps: `from_torch`, `from_equinox`, `from_flowjax`, `from_zuko`, one line each.

Each imports its own library when it is called, and runs on the integrator of its own framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ...errors import MissingDependencyError

if TYPE_CHECKING:
    from .equinox import EquinoxModel
    from .flowjax import FlowjaxModel
    from .torch import TorchModel
    from .zuko import ZukoModel


def from_torch(module: Any, dim: int, start: str = "identity") -> TorchModel:
    """A `torch.nn.Module` that takes (N, d) to (N, d), row by row, as a map.

    θ holds its parameters that require grad, in the order of `named_parameters`; the others and the buffers stay as
    they are. The module is copied. `start` is that of `wgfode.maps.model.Model`. Raises `InputError` for a module that
    cannot be a map, with what to do.
    """
    return _made("torch", "TorchModel")(module, dim, start)


def from_equinox(module: Any, dim: int, start: str = "identity") -> EquinoxModel:
    """An `equinox.Module` that takes one point (d,) to (d,), as a map.

    θ holds its arrays of real numbers, but for those in `paramax.NonTrainable`. `start` is that of
    `wgfode.maps.model.Model`. Raises `InputError` for a module that cannot be a map, with what to do.
    """
    return _made("equinox", "EquinoxModel")(module, dim, start)


def from_flowjax(bijection: Any, start: str = "identity") -> FlowjaxModel:
    """A flowjax bijection, or that of a flow, as a map, with its own log-determinant and inverse.

    `start` is that of `wgfode.maps.model.Model`. Raises `InputError` for a bijection that cannot be a map.
    """
    return _made("flowjax", "FlowjaxModel")(bijection, start)


def from_zuko(flow: Any, start: str = "identity") -> ZukoModel:
    """A zuko flow, in the direction that samples, as a map, with its own log-determinant and inverse.

    `start` is that of `wgfode.maps.model.Model`. Raises `InputError` for a flow that cannot be a map.
    """
    return _made("zuko", "ZukoModel")(flow, start)


def _made(library: str, name: str) -> Any:
    try:
        importlib.import_module(library)
    except ModuleNotFoundError as error:
        # the libraries of flows by their own names: the extra that has both would bring the other framework too
        package = {"torch": "wgfode[torch]", "equinox": "wgfode[jax]"}.get(library, library)
        raise MissingDependencyError(f"from_{library} needs {error.name}: pip install '{package}' brings it") from error
    return getattr(importlib.import_module(f".{library}", __name__), name)


__all__ = ["from_equinox", "from_flowjax", "from_torch", "from_zuko"]
