"""Parametrized maps T_θ: R^d → R^d. Each starts at the identity exactly; `@` composes them."""

from .affine import Affine, Identity
from .base import Compose, Image, Map
from .basis import Basis
from .coupling import Coupling
from .custom import Custom
from .neural_ode import NeuralODE
from .planar import Planar
from .residual import Residual
from .ridge import Ridge
from .triangular import Triangular

__all__ = [
    "Affine",
    "Basis",
    "Compose",
    "Coupling",
    "Custom",
    "Identity",
    "Image",
    "Map",
    "NeuralODE",
    "Planar",
    "Residual",
    "Ridge",
    "Triangular",
]
