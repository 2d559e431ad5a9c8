"""Gauss–Hermite quadrature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from ..errors import InputError, positive_int, settle
from ..references import Gaussian
from ..references.base import Reference
from .base import LARGEST, Points


@dataclass(frozen=True)
class GaussHermite(Points):
    """The tensor grid of Gauss–Hermite quadrature, `order` points per dimension, for Gaussian references.

    Exact for polynomials of degree 2·order − 1 in each variable. There is nothing random to resample.

    Raises `InputError` for order < 1, a reference that is not `Gaussian`, and more than a million points.
    """

    order: int
    random = False

    def __post_init__(self) -> None:
        settle(self, order=positive_int("order", self.order))

    def size(self, dim: int) -> int:
        return self.order ** positive_int("dim", dim)

    def draw(self, reference: Reference, segment: int = 0) -> tuple[np.ndarray, np.ndarray]:
        if not isinstance(reference, Gaussian):
            raise InputError(f"GaussHermite points need a Gaussian reference, got {type(reference).__name__}")
        dim = reference.dim
        count = self.size(dim)
        if count > LARGEST:
            raise InputError(
                f"GaussHermite(order={self.order}) in {dim} dimensions makes {count} points, more than "
                f"{LARGEST}: use a lower order, or Sobol"
            )
        nodes, weights = scipy.special.roots_hermitenorm(self.order)
        grid = np.stack(np.meshgrid(*[nodes] * dim, indexing="ij"), axis=-1).reshape(count, dim)
        product = np.ones(1)
        for _ in range(dim):
            product = np.multiply.outer(product, weights / weights.sum()).reshape(-1)
        return reference.from_normal(grid), product / product.sum()
