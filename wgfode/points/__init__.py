"""Points and weights that stand for the reference: E f(z) ≈ Σ wᵢ f(zᵢ).

The points are frozen while an integrator steps, since fresh noise in every call would drive an adaptive
step to zero. With `resample_every=Δ` time is cut into segments k = 0, 1, … that begin at kΔ, and each
has its own points, a function of (seed, k) alone. The segments' ends are jumps of the right-hand side:
`jump_times` hands them to the integrator.
"""

from .base import Points
from .drawn import MonteCarlo, Sobol
from .hermite import GaussHermite
from .lattice import Lattice
from .tailed import Tailed

__all__ = ["GaussHermite", "Lattice", "MonteCarlo", "Points", "Sobol", "Tailed"]
