"""diffrax: a gradient flow as an ODETerm, implicit methods that suit it, and the runs of `wgfode.solve`."""

from ...errors import MissingDependencyError

try:
    import diffrax as _diffrax  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        f"wgfode.adapters.diffrax needs {error.name}: pip install 'wgfode[jax]' brings it"
    ) from error

from .implicit import FlowESDIRK, MetricNorm, implicit
from .rhs import DiffraxRightHandSide, right_hand_side
from .run import integrator

__all__ = ["DiffraxRightHandSide", "FlowESDIRK", "MetricNorm", "implicit", "integrator", "right_hand_side"]
