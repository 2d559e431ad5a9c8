"""Weighted points that reach into the tails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from ..references import Gaussian
from ..references.base import EDGE, Reference
from .drawn import Seeded, stream

REACH = 6.0
"""How many standard deviations the widened shares reach; beyond lies 2e-9 of a coordinate's mass."""


@dataclass(frozen=True)
class Tailed(Seeded):
    """n quasi-random points, half of them spread evenly into the tails, each weighted by its density ratio.

    A point is the image of standard normal scores y (d,). Half of the points are normal. A quarter has one
    coordinate, taken at random, uniform on ±6, and in d > 1 a quarter has its radius pushed outwards: the normal
    score of |y| is uniform on (0, 6). All are weighted by the density of y over that of this mixture (deterministic
    mixture sampling, A. Owen & Y. Zhou, *Safe and effective importance sampling*, 2000), so no weight is more than
    twice that of an equally weighted point in any dimension, and weights are scaled to sum to 1.

    An expectation that lives in the tails of a coordinate or of the radius, such as the squared error of a map at the
    ends of what it was fitted to, is then met by hundreds of points and not by one in 10⁴. A tail along one oblique
    direction in d ≥ 10 is met hardly better than by `Sobol`; and what is smooth has about twice its variance.

    Raises `InputError` for n < 1, a seed that is no whole number >= 0, and resample_every <= 0.
    """

    def draw(self, reference: Reference, segment: int = 0) -> tuple[np.ndarray, np.ndarray]:
        dim, rng = reference.dim, stream(self.seed, segment)
        outer = self.n // 4 if dim > 1 else 0
        side = self.n // 2 - outer
        plain = self.n - side - outer
        y = np.concatenate([_normal(plain, dim, rng), _sideways(side, dim, rng), _outwards(outer, dim, rng)])
        weights = 1 / (plain + side * _sideways_ratio(y) + outer * _outwards_ratio(y))
        weights = weights / weights.sum()
        if isinstance(reference, Gaussian):
            return reference.from_normal(y), weights
        return reference.from_uniform(scipy.special.ndtr(y)), weights


def _normal(n: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """n normal points (n, d)."""
    return scipy.special.ndtri(np.clip(_uniforms(n, dim, rng), EDGE, 1 - EDGE))


def _uniforms(n: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    if n == 0 or dim > scipy.stats.qmc.Sobol.MAXDIM:
        return rng.random((n, dim))
    return scipy.stats.qmc.Sobol(dim, scramble=True, bits=52, rng=rng).random_base2((n - 1).bit_length())[:n]


def _stratified(n: int, rng: np.random.Generator) -> np.ndarray:
    """One number in each of n equal cells of (0, 1), in random order."""
    return (rng.permutation(n) + rng.random(n)) / max(n, 1)


def _sideways(n: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Normal points (n, d), one coordinate of each uniform on ±`REACH`."""
    y, rows = _normal(n, dim, rng), np.arange(n)
    which = np.minimum((_stratified(n, rng) * dim).astype(int), dim - 1)
    y[rows, which] = REACH * (2 * scipy.special.ndtr(y[rows, which]) - 1)
    return y


def _sideways_ratio(y: np.ndarray) -> np.ndarray:
    """The density of `_sideways` over the normal one, (n,)."""
    return np.where(np.abs(y) < REACH, 1 / (2 * REACH * _density(y)), 0.0).mean(1)


def _outwards(n: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Points (n, d) in uniform directions, the normal score of whose length is uniform on (0, `REACH`)."""
    y = _normal(n, dim, rng)
    lengths = np.sqrt(2 * scipy.special.gammainccinv(dim / 2, scipy.special.ndtr(-REACH * _stratified(n, rng))))
    return y * (lengths / np.sqrt((y**2).sum(1)))[:, None]


def _outwards_ratio(y: np.ndarray) -> np.ndarray:
    """The density of `_outwards` over the normal one, (n,)."""
    score = -scipy.special.ndtri(scipy.special.gammaincc(y.shape[1] / 2, (y**2).sum(1) / 2))
    return np.where((score > 0) & (score < REACH), 1 / (REACH * _density(score)), 0.0)


def _density(score: np.ndarray) -> np.ndarray:
    """The normal density, cut off where `REACH` ends: beyond it nothing is asked of it."""
    return np.exp(-np.minimum(score**2, REACH**2) / 2) / np.sqrt(2 * np.pi)
