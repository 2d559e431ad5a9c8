"""How the linear problem G ξ = b is solved.

`Cholesky` and `Eigh` form G; `MINRES`, `LSMR` and `Nystrom` only apply it; `Auto` picks one of them by size. Each
reports the true relative residual of the ξ that it returns, and the steps it took.
"""

from .auto import Auto
from .cholesky import Cholesky
from .eigh import Eigh
from .lsmr import LSMR
from .minres import MINRES
from .nystrom import Nystrom
from .problem import NormalProblem, Solution, Solver

__all__ = ["LSMR", "MINRES", "Auto", "Cholesky", "Eigh", "NormalProblem", "Nystrom", "Solution", "Solver"]
