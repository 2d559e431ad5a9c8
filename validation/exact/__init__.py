"""Exact solutions, from closed forms or (in 1-D) by refinement.

All have `dim`, `mean(t)`, `covariance(t)`, `density(t, x)`, `log_density(t, x)`, `sample(t, n, seed)`, `energy(t)`
where the flow has an energy, and `flow_map(t, z)`, the exact Lagrangian map; t is the flow time since the initial
condition (see `Solution`).
"""

from .forced import Forced
from .gaussian import OrnsteinUhlenbeck, QuadraticAttraction
from .kuramoto import Kuramoto
from .linear import LinearDrift, kinetic_oscillator
from .marginal import Product, Quantile1D, double_well, separable_quartic
from .ring import Ring
from .rotated import Rotated
from .selfsimilar import Barenblatt, PorousMediumHarmonic
from .solution import Solution

__all__ = [
    "Barenblatt",
    "Forced",
    "Kuramoto",
    "LinearDrift",
    "OrnsteinUhlenbeck",
    "PorousMediumHarmonic",
    "Product",
    "QuadraticAttraction",
    "Quantile1D",
    "Ring",
    "Rotated",
    "Solution",
    "double_well",
    "kinetic_oscillator",
    "separable_quartic",
]
