"""How the linear problem G ξ = b is solved.

`Cholesky` and `Eigh` form G; `MINRES` and `LSMR` only apply it; `Auto` picks one of them by size. Each
reports the true relative residual of the ξ that it returns, and the steps it took.
"""

from .auto import Auto
from .cholesky import Cholesky
from .eigh import Eigh
from .lsmr import LSMR
from .minres import MINRES
from .problem import NormalProblem, Solution, Solver

__all__ = ["LSMR", "MINRES", "Auto", "Cholesky", "Eigh", "NormalProblem", "Solution", "Solver"]
