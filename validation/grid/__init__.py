"""Structure-preserving grid solvers in 1-D and 2-D, and the 1-D quantile solver beside them.

`solve_grid` picks the scheme by the terms: Scharfetter–Gummel (entropy), entropic mean (any other internal energy),
upwind (none, or a diffusion matrix). All conserve mass, keep the density positive and, where the flow is that of an
energy, let it fall.
"""

from .distribution import Tabulated
from .mesh import cell_averages
from .quantile import solve_quantile
from .solve import solve_grid

__all__ = ["Tabulated", "cell_averages", "solve_grid", "solve_quantile"]
