"""Energy functionals F(ρ) = ∫U(ρ) + ∫Vρ + ½∬W(x−y)ρ(x)ρ(y): one file a kind of term."""

from .base import Energy, Sum, Term
from .coefficient import Coefficient, Scaled, coefficient
from .interaction import Interaction
from .internal import Entropy, Internal, InternalEnergy, PorousMedium
from .potential import Potential

__all__ = [
    "Coefficient",
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
