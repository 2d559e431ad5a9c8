"""How the linear problem G ξ = b is solved.

`Cholesky` and `Eigh` form G; `CG`, `MINRES`, `LSMR` and `Nystrom` only apply it; `Auto` picks one of them by size. Each
reports the true relative residual of the ξ that it returns, and the steps it took. The σ of all shifts is `shift` times
the same number, the exact mean diagonal of G: solvers with one shift solve one equation.
"""

from .auto import Auto
from .base import Solution, Solver, State, Stored
from .cg import CG
from .cholesky import Cholesky
from .eigh import Eigh
from .lsmr import LSMR
from .minres import MINRES
from .nystrom import Nystrom
from .problem import NormalProblem

__all__ = [
    "CG", "LSMR", "MINRES", "Auto", "Cholesky", "Eigh", "NormalProblem", "Nystrom", "Solution", "Solver", "State",
    "Stored",
]  # fmt: skip
