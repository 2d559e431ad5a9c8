"""Wasserstein gradient flows as parameter ODEs, for torchdiffeq and diffrax.

`import wgfode as wgf`, build a `wgf.GradientFlow`, and hand its right-hand side to an integrator
(`wgfode.adapters.torchdiffeq`, `wgfode.adapters.diffrax`) or call `wgf.solve`.
"""

from pathlib import Path as _Path

from . import checkout as _checkout
from . import maps, potentials, problems, references
from .energies import (
    Diffusion,
    Drift,
    Energy,
    Entropy,
    Interaction,
    InternalEnergy,
    PorousMedium,
    Potential,
    coefficient,
)
from .errors import InputError, IntegrationError, MissingDependencyError, WgfodeError
from .flow import GradientFlow
from .metrics.relaxed import Relaxed
from .metrics.wasserstein import Wasserstein
from .opened import load
from .points import GaussHermite, Lattice, MonteCarlo, Sobol
from .posterior import to_arviz
from .references import Barenblatt, Custom, Gaussian, Smoothed, Uniform
from .run.checkpoint import CheckpointError
from .run.restart import Restart
from .solve import solve
from .solvers import CG, LSMR, MINRES, Auto, Cholesky, Eigh, Nystrom
from .version import __version__

_checkout.check(__name__, _Path(__file__).parent)

__all__ = [
    "CG",
    "LSMR",
    "MINRES",
    "Auto",
    "Barenblatt",
    "CheckpointError",
    "Cholesky",
    "Custom",
    "Diffusion",
    "Drift",
    "Eigh",
    "Energy",
    "Entropy",
    "GaussHermite",
    "Gaussian",
    "GradientFlow",
    "InputError",
    "IntegrationError",
    "Interaction",
    "InternalEnergy",
    "Lattice",
    "MissingDependencyError",
    "MonteCarlo",
    "Nystrom",
    "PorousMedium",
    "Potential",
    "Relaxed",
    "Restart",
    "Smoothed",
    "Sobol",
    "Uniform",
    "Wasserstein",
    "WgfodeError",
    "__version__",
    "coefficient",
    "load",
    "maps",
    "potentials",
    "problems",
    "references",
    "solve",
    "to_arviz",
]
