"""Points and weights that stand for the reference: E f(z) ≈ Σ wᵢ f(zᵢ).

The points are frozen while an integrator steps, since fresh noise in every call would drive an adaptive
step to zero. With `resample_every=Δ` time is cut into segments k = 0, 1, … that begin at kΔ, and each
has its own points, a function of (seed, k) alone. The segments' ends are jumps of the right-hand side:
`jump_times` hands them to the integrator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special
from scipy.stats import qmc

from ._reference import EDGE, Reference
from .errors import InputError, positive, positive_int, real, whole
from .references import Gaussian

LARGEST = 10**6
"""The most points of a tensor grid, and the most jumps of a run."""


class Points:
    """A rule that draws weighted points from a reference."""

    resample_every: float | None = None

    def size(self, dim: int) -> int:
        """The number of points in `dim` dimensions."""
        raise NotImplementedError

    def draw(self, reference: Reference, segment: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, d), float64, and weights (N,), which sum to 1, for a segment (any whole number)."""
        raise NotImplementedError

    def segment(self, t: Any) -> int:
        """The segment that holds the time t: the largest k with kΔ <= t, and 0 without resampling.

        kΔ means the float that kΔ rounds to in the dtype of t (float64 where t has none), so that
        `segment(k * Δ) == k` for all k, in float32 too, while the next float below kΔ is in segment
        k − 1: an integrator that stops just short of a jump sees the points of the side it is on.
        `segment(t0) + numpy.searchsorted(jump_times(t0, t1), t, side="right")` is the same number
        for t in [t0, t1).
        """
        every = self.resample_every
        if every is None:
            return 0
        dtype = _dtype(t)
        t = real("t", t)
        k = math.floor(t / every)
        while float(dtype((k + 1) * every)) <= t:
            k += 1
        while float(dtype(k * every)) > t:
            k -= 1
        return k

    def jump_times(self, t0: float, t1: float) -> np.ndarray:
        """The multiples of Δ strictly between t0 and t1 (in either order), float64, ascending.

        Raises `InputError` where there are more than a million.
        """
        if self.resample_every is None:
            return np.zeros(0)
        low, high = sorted((real("t0", t0), real("t1", t1)))
        if (high - low) / self.resample_every > LARGEST:
            raise InputError(
                f"resample_every={self.resample_every} makes more than {LARGEST} segments in [{low}, {high}]"
            )
        times = np.arange(self.segment(low) + 1, self.segment(high) + 1) * self.resample_every
        return times[times < high]


def _dtype(t: Any) -> Any:
    """float32 for a float32 number or array of any framework, else float64."""
    return np.float32 if str(getattr(t, "dtype", "")).endswith("float32") else np.float64


@dataclass(frozen=True)
class _Drawn(Points):
    """What random and quasi-random points have in common: n equal weights and a stream a segment."""

    n: int
    seed: int = 0
    resample_every: float | None = None
    matched: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", positive_int("n", self.n))
        object.__setattr__(self, "seed", whole("seed", self.seed, 0))
        if self.resample_every is not None:
            object.__setattr__(self, "resample_every", positive("resample_every", self.resample_every))
        if not isinstance(self.matched, bool):
            raise InputError(f"matched must be True or False, got {self.matched!r}")

    def size(self, dim: int) -> int:
        return self.n

    def uniforms(self, dim: int, rng: np.random.Generator) -> np.ndarray:
        """n points (n, dim) of the unit cube."""
        raise NotImplementedError

    def draw(self, reference: Reference, segment: int = 0) -> tuple[np.ndarray, np.ndarray]:
        # a spawn key makes independent streams; it must be >= 0, and times may be negative
        key = 2 * segment if segment >= 0 else -2 * segment - 1
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=(key,))))
        uniforms = np.clip(self.uniforms(reference.dim, rng), EDGE, 1 - EDGE)
        weights = np.full(self.n, 1 / self.n)
        if self.matched and isinstance(reference, Gaussian):
            return reference.from_normal(self._match(special.ndtri(uniforms))), weights
        return reference.from_uniform(uniforms), weights

    def _match(self, y: np.ndarray) -> np.ndarray:
        """Normal points y (n, d), moved as little as gives them mean 0 and covariance 1."""
        n, dim = y.shape
        if n <= dim:
            raise InputError(
                f"points must be more than dimensions to be matched, got n={n} in {dim} dimensions: "
                "give points with a larger n, or matched=False"
            )
        # the polar factor of the centred points; a singular value decomposition finds it to rounding
        left, _, right = np.linalg.svd(y - y.mean(axis=0), full_matrices=False)
        return n**0.5 * left @ right


@dataclass(frozen=True)
class MonteCarlo(_Drawn):
    """n independent random points of equal weight.

    With `matched` they are moved, in a Gaussian reference, so that their mean and covariance are exactly its own
    (Barraquand, *Numerical valuation of high dimensional multivariate European securities*, 1995): the
    expectation of every quadratic is then exact. Points of other references might leave the support, and stay.

    Raises `InputError` for n < 1, a seed that is no whole number >= 0, resample_every <= 0, and when drawing
    matched points no more than the dimensions.
    """

    def uniforms(self, dim: int, rng: np.random.Generator) -> np.ndarray:
        return rng.random((self.n, dim))


@dataclass(frozen=True)
class Sobol(_Drawn):
    """The first n points of a scrambled Sobol sequence, with equal weights.

    A power of 2 is best: then the points are balanced in every dyadic interval. Any other n is allowed,
    quietly, and loses part of the gain over `MonteCarlo` (Owen, *On dropping the first Sobol' point*, 2020).
    The scrambling is a random linear matrix scramble with a digital shift, 52 bits deep.
    `matched` is that of `MonteCarlo`.

    Raises `InputError` for n < 1, a seed that is no whole number >= 0, resample_every <= 0, and when
    drawing in more dimensions than the direction numbers reach (21201), or matched points no more than those.
    """

    def uniforms(self, dim: int, rng: np.random.Generator) -> np.ndarray:
        if dim > qmc.Sobol.MAXDIM:
            raise InputError(
                f"Sobol points have at most {qmc.Sobol.MAXDIM} dimensions, got {dim}: use MonteCarlo"
            )
        sequence = qmc.Sobol(dim, scramble=True, bits=52, rng=rng)
        # a power of 2, cut: the same points, and nothing to warn of. Half a cell up, no point is 0 or 1
        return sequence.random_base2((self.n - 1).bit_length())[: self.n] + EDGE


@dataclass(frozen=True)
class GaussHermite(Points):
    """The tensor grid of Gauss–Hermite quadrature, `order` points per dimension, for Gaussian references.

    Exact for polynomials of degree 2·order − 1 in each variable. There is nothing random to resample.

    Raises `InputError` for order < 1, a reference that is not `Gaussian`, and more than a million points.
    """

    order: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", positive_int("order", self.order))

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
        nodes, weights = special.roots_hermitenorm(self.order)
        grid = np.stack(np.meshgrid(*[nodes] * dim, indexing="ij"), axis=-1).reshape(count, dim)
        product = np.ones(1)
        for _ in range(dim):
            product = np.multiply.outer(product, weights / weights.sum()).reshape(-1)
        return reference.from_normal(grid), product / product.sum()
