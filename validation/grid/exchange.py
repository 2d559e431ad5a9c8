"""∇·(D∇ρ) for a constant matrix D: an exchange of mass between pairs of cells.

In units of cells D = Σ λ_e e eᵀ with whole e and λ_e >= 0 (Selling's decomposition: Fehrenbach and Mirebeau 2014,
J. Math. Imaging Vis. 49), and each pair of cells that are e apart exchanges λ_e(ρ_a − ρ_b): mass is kept, no cell
turns negative, and the order is 2, for cross terms and for a singular D too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .mesh import Mesh

Array = NDArray[np.float64]

REACH = 6
"""Cells, the furthest that mass may be exchanged over."""


class Exchange:
    """∂ρ/∂t = ∇·(D∇ρ) on a 2-D mesh. Raises `InputError` where pairs would have to be further apart than `REACH`."""

    def __init__(self, mesh: Mesh, matrix: Array) -> None:
        h = np.array(mesh.spacing)
        self._rates = selling(matrix / np.outer(h, h))
        if (far := max(int(np.abs(e).max()) for _, e in self._rates)) > REACH:
            raise InputError(
                f"matrix of Diffusion is nearly singular in a direction oblique to the grid: mass would be exchanged "
                f"over {far} cells, at most {REACH} are allowed. Turn the coordinates so that its eigenvectors lie "
                f"along the axes, or add some c * Entropy(); it is {matrix.tolist()}"
            )
        self.leaving = np.zeros(mesh.cells)
        for rate, e in self._rates:
            for side in _apart(self.leaving, e):
                side += rate

    def add(self, total: Array, rho: Array) -> None:
        """Add ∇·(D∇ρ) to `total`, in place."""
        for rate, e in self._rates:
            (a, b), (lower, upper) = _apart(rho, e), _apart(total, e)
            flux = rate * (a - b)
            lower -= flux
            upper += flux


def selling(matrix: Array) -> list[tuple[float, Array]]:
    """The pairs (λ, e), λ > 0 and e (2,) whole, with `matrix` = Σ λ e eᵀ, of a semidefinite matrix (2, 2)."""
    base = [np.array(e) for e in ((1, 0), (0, 1), (-1, -1))]
    rounding = 1e-12 * np.trace(matrix)
    for _ in range(100 * REACH):
        acute = [k for k in range(3) if base[k - 2] @ matrix @ base[k - 1] > rounding]
        if not acute:
            break
        k = acute[0]
        e, f = base[k - 2], base[k - 1]
        base = [-e, f, e - f]
    weights = [(-float(base[k - 2] @ matrix @ base[k - 1]), np.array([-base[k][1], base[k][0]])) for k in range(3)]
    return [(weight, e) for weight, e in weights if weight > rounding]


def _apart(field: Array, e: Array) -> tuple[Array, Array]:
    """The values of all pairs of cells that are e apart."""
    ranges = [(slice(None, -k or None), slice(k, None)) if k >= 0 else (slice(-k, None), slice(None, k)) for k in e]
    return field[tuple(first for first, _ in ranges)], field[tuple(second for _, second in ranges)]
