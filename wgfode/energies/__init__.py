"""Energy functionals F(ρ) = ∫U(ρ) + ∫Vρ + ½∬W(x−y)ρ(x)ρ(y), drifts and diffusions: one file a kind of term."""

from .base import Energy, Sum, Term
from .coefficient import Coefficient, Scaled, coefficient
from .diffusion import Diffusion
from .drift import Drift
from .interaction import Interaction
from .internal import Entropy, Internal, InternalEnergy, PorousMedium
from .potential import Potential

__all__ = [
    "Coefficient",
    "Diffusion",
    "Drift",
    "Energy",
    "Entropy",
    "Interaction",
    "Internal",
    "InternalEnergy",
    "PorousMedium",
    "Potential",
    "Scaled",
    "Sum",
    "Term",
    "coefficient",
]
