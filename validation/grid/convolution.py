"""W*ρ on a uniform mesh, by the zero-padded FFT."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .mesh import Mesh
from .terms import evaluate

Array = NDArray[np.float64]


class Convolution:
    """ρ ↦ (W*ρ) at the cell centres: Σ_j W(x_i − x_j) ρ_j |cell|, the sum in full, without wrapping around.

    The rule is symmetric in i and j, so that ½Σρ(W*ρ) is an energy whose gradient it is; its error is
    O(h²). `kernel` is W, even, (N, d) → (N,). Raises `InputError` where W is not finite at a difference of
    two cells.
    """

    def __init__(self, mesh: Mesh, kernel: Callable[[Array], Array]) -> None:
        self._cells = mesh.cells
        self._shape = tuple(fft.next_fast_len(2 * n - 1, real=True) for n in mesh.cells)
        offsets = [
            h * np.where(np.arange(m) < n, np.arange(m), np.arange(m) - m)
            for h, n, m in zip(mesh.spacing, mesh.cells, self._shape, strict=True)
        ]
        differences = np.stack([g.ravel() for g in np.meshgrid(*offsets, indexing="ij")], axis=1)
        reach = np.array([h * (n - 1) for h, n in zip(mesh.spacing, mesh.cells, strict=True)])
        inside = (np.abs(differences) <= reach * (1 + 1e-12)).all(1)
        table = np.zeros(len(differences))
        table[inside] = evaluate("W", kernel, differences[inside])
        self._transform = fft.rfftn(table.reshape(self._shape)) * mesh.volume

    def __call__(self, rho: Array) -> Array:
        """W*ρ, in the shape of the mesh."""
        product = fft.rfftn(rho, self._shape)
        product *= self._transform
        full = fft.irfftn(product, self._shape, overwrite_x=True)
        return full[tuple(slice(n) for n in self._cells)]
