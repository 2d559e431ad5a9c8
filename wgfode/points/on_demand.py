"""Segments of driving points that begin when the run says so."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError, collection, real
from ..references.base import Reference
from .base import Points


@dataclass
class Scheduled(Points):
    """The points of `inner`, whose segments begin at 0 and at the times `begins`, which grow along a run.

    Raises `InputError` for points that have nothing random to draw anew, and for those with segments already.
    """

    inner: Points
    begins: list[float] = field(default_factory=list)
    seed: int | None = field(init=False, repr=False)
    resample_every = math.inf  # tells an adapter that its points depend on time

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Points):
            raise InputError(f"inner must be points such as Sobol(1024), got {self.inner!r}")
        self.begins = sorted(real("begins", begin) for begin in collection("begins", self.begins))
        if not self.inner.random:
            name = type(self.inner).__name__
            raise InputError(f"resample='auto' needs random points, and {name} has nothing to resample")
        if self.inner.resample_every is not None:
            raise InputError(
                f"resample='auto' decides when to resample: give points without resample_every, got {self.inner!r}"
            )
        self.seed = self.inner.seed

    def size(self, dim: int) -> int:
        return self.inner.size(dim)

    def draw(self, reference: Reference, segment: int = 0) -> tuple[np.ndarray, np.ndarray]:
        return self.inner.draw(reference, segment)

    def segment(self, t: float) -> int:
        return bisect_right(self.begins, float(t))

    def jump_times(self, t0: float, t1: float) -> np.ndarray:
        low, high = sorted((t0, t1))
        return np.array([t for t in self.begins if low < t < high])

    def __repr__(self) -> str:
        return repr(self.inner)
