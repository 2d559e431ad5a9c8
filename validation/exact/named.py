"""The exact solutions of the named problems, at the addresses that `wgfode.problems` gives."""

from __future__ import annotations

import numpy as np

from ... import problems
from .gaussian import OrnsteinUhlenbeck
from .marginal import Product, Quantile1D, double_well, separable_quartic
from .ring import Ring
from .selfsimilar import Barenblatt


def ornstein_uhlenbeck_2d() -> OrnsteinUhlenbeck:
    """Of `ornstein-uhlenbeck-2d`."""
    A, mu = problems.gaussian_2d()
    return OrnsteinUhlenbeck(mu, A, 1.0, np.zeros(2), np.eye(2))


def fokker_planck_10d() -> OrnsteinUhlenbeck:
    """Of `fokker-planck-10d`."""
    A, mu = problems.gaussian_10d()
    return OrnsteinUhlenbeck(mu, A, 1.0, np.zeros(10), np.eye(10))


def fokker_planck_30d() -> Product:
    """Of `fokker-planck-30d`."""
    return separable_quartic(30)


def aggregation_ring() -> Ring:
    """Of `aggregation-ring`."""
    return Ring()


def porous_medium_2d() -> Barenblatt:
    """Of `porous-medium-2d`."""
    return Barenblatt(2, 2.0, 0.2)


def double_well_1d() -> Quantile1D:
    """Of `double-well-1d`."""
    return double_well()
