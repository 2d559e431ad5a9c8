"""Points that a seed decides; random and quasi-random ones of equal weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from ..errors import InputError, positive, positive_int, settle, whole
from ..references import Gaussian
from ..references.base import EDGE, Reference
from .base import Points


def stream(seed: int, segment: int) -> np.random.Generator:
    """The random numbers of a segment, independent of those of every other segment and seed."""
    # a spawn key makes independent streams; it must be >= 0, and times may be negative
    key = 2 * segment if segment >= 0 else -2 * segment - 1
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(key,))))


@dataclass(frozen=True)
class Seeded(Points):
    """What all n points have in common that a seed decides: other ones in every segment."""

    n: int
    seed: int = 0
    resample_every: float | None = None

    def __post_init__(self) -> None:
        settle(self, n=positive_int("n", self.n), seed=whole("seed", self.seed, 0))
        if self.resample_every is not None:
            settle(self, resample_every=positive("resample_every", self.resample_every))

    def size(self, dim: int) -> int:
        return self.n


@dataclass(frozen=True)
class _Drawn(Seeded):
    """What random and quasi-random points have in common: equal weights, and a way to match moments."""

    matched: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.matched, bool):
            raise InputError(f"matched must be True or False, got {self.matched!r}")

    def uniforms(self, dim: int, rng: np.random.Generator) -> np.ndarray:
        """n points (n, dim) of the unit cube."""
        raise NotImplementedError

    def draw(self, reference: Reference, segment: int = 0) -> tuple[np.ndarray, np.ndarray]:
        uniforms = np.clip(self.uniforms(reference.dim, stream(self.seed, segment)), EDGE, 1 - EDGE)
        weights = np.full(self.n, 1 / self.n)
        if self.matched and isinstance(reference, Gaussian):
            return reference.from_normal(self._match(scipy.special.ndtri(uniforms))), weights
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
        sobol = scipy.stats.qmc.Sobol
        if dim > sobol.MAXDIM:
            raise InputError(f"Sobol points have at most {sobol.MAXDIM} dimensions, got {dim}: use MonteCarlo")
        sequence = sobol(dim, scramble=True, bits=52, rng=rng)
        # a power of 2, cut: the same points, and nothing to warn of. Half a cell up, no point is 0 or 1
        return sequence.random_base2((self.n - 1).bit_length())[: self.n] + EDGE
