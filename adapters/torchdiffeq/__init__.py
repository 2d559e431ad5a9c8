"""torchdiffeq: a gradient flow as an nn.Module for odeint, guarded methods, and the runs of `wgfode.solve`."""

from ...errors import MissingDependencyError

try:
    import torch as _torch  # noqa: F401
    import torchdiffeq as _torchdiffeq  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        f"wgfode.adapters.torchdiffeq needs {error.name}: pip install 'wgfode[torch]' brings it"
    ) from error

from .odeint import odeint
from .rhs import TorchRightHandSide, right_hand_side
from .run import integrator

__all__ = ["TorchRightHandSide", "integrator", "odeint", "right_hand_side"]
