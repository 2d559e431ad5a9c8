"""Equally spaced points that carry the weights of the reference, in few dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy

from ..errors import InputError
from ..references import Gaussian
from ..references.base import EDGE, Reference
from .drawn import Seeded, stream

REACH = 6.0
"""How many standard deviations the points reach; beyond lies 2e-9 of a coordinate's mass."""
LARGEST_DIM = 3
"""The most dimensions: of a cube of side 2·`REACH`, a share of .3^d carries the mass."""
CANDIDATES = 256
"""Generators that are tried."""


@dataclass(frozen=True)
class Lattice(Seeded):
    """n points of a rank-1 lattice over the cube ±6 of normal scores, each with the weight of its normal density.

    A point is the image of normal scores y (d,). In one dimension they are equally spaced (in z itself, over what the
    scores ±6 are, where the reference is not Gaussian and its density is known to numpy), and the trapezoidal rule
    converges faster than any power of n on smooth functions; in two and three the lattice is the Korobov lattice of
    least P₂ (I. Sloan & S. Joe, *Lattice Methods for Multiple Integration*, 1994), moved by a random shift. Tails are
    met as densely as the bulk: what a map does there is seen, though it weighs little.

    Raises `InputError` for n < 1, a seed that is no whole number >= 0, resample_every <= 0, and when drawing in more
    than three dimensions, where most of the points would carry next to no mass.
    """

    def draw(self, reference: Reference, segment: int = 0) -> tuple[np.ndarray, np.ndarray]:
        d = reference.dim
        if d > LARGEST_DIM:
            raise InputError(
                f"Lattice points have at most {LARGEST_DIM} dimensions, got {d}: use Sobol, or Tailed for the tails"
            )
        shift = stream(self.seed, segment).random(d)
        cube = (np.outer(np.arange(self.n), generator(self.n, d)) / self.n + shift) % 1.0
        if d == 1 and not isinstance(reference, Gaussian) and (found := _spaced(reference, cube)) is not None:
            return found
        y = REACH * (2 * cube - 1)
        weights = np.exp(-(y**2).sum(1) / 2)
        inside = np.clip(scipy.special.ndtr(y), EDGE, 1 - EDGE)
        z = reference.from_normal(y) if isinstance(reference, Gaussian) else reference.from_uniform(inside)
        return z, weights / weights.sum()


def _spaced(reference: Reference, cube: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Points equally spaced in z itself, so that a valley between two modes has as many as they; (n, 1) and (n,).

    None where the reference's density is not known to numpy.
    """
    if not reference.has_density:
        return None
    low, high = reference.from_uniform(scipy.special.ndtr(np.array([[-REACH], [REACH]])))[:, 0]
    z = low + (high - low) * cube
    try:
        log_density = np.asarray(reference.log_density(z), dtype=float)
    except Exception:  # a function of torch's or jax's arrays alone
        return None
    weights = np.exp(log_density - log_density.max())
    if not (weights > 0).all():
        return None
    return z, weights / weights.sum()


@lru_cache(maxsize=16)
def generator(n: int, dim: int) -> tuple[int, ...]:
    """(1, a, a², …) mod n, of `dim` numbers, with the a of least P₂ among some that are coprime to n."""
    tried = np.unique(np.linspace(1, max(n // 2, 1), CANDIDATES).astype(int))
    vectors = [tuple(pow(int(a), j, n) if n > 1 else 0 for j in range(dim)) for a in tried if np.gcd(a, n) == 1]
    if dim == 1 or not vectors:
        return (1,) * dim

    def p2(vector: tuple[int, ...]) -> float:
        x = np.outer(np.arange(n), vector) % n / n
        return float(np.prod(1 + 2 * np.pi**2 * (x * x - x + 1 / 6), axis=1).mean())

    return min(vectors, key=p2)
