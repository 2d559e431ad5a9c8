"""The exact solutions of the named problems, made of the flows that `wgfode.problems` states."""

from __future__ import annotations

import numpy as np

from ...flow import GradientFlow
from .forced import Forced
from .gaussian import OrnsteinUhlenbeck
from .kuramoto import Kuramoto
from .linear import LinearDrift
from .marginal import Product, Quantile1D, double_well, separable_quartic
from .ring import Ring
from .selfsimilar import Barenblatt


def ornstein_uhlenbeck(flow: GradientFlow) -> OrnsteinUhlenbeck:
    """Of the sum of a quadratic potential and an entropy, from a normal density."""
    (_, potential), (diffusivity, _) = flow.energy.terms
    form, start = potential.V, flow.reference  # type: ignore[attr-defined]
    return OrnsteinUhlenbeck(form.centre, form.precision, diffusivity, start.mean, start.covariance)


def linear_drift(flow: GradientFlow) -> LinearDrift:
    """Of the sum of a linear drift and a diffusion, from a normal density."""
    (_, drift), (_, diffusion) = flow.energy.terms
    form, start = drift.b, flow.reference  # type: ignore[attr-defined]
    return LinearDrift(form.centre, form.matrix, diffusion.matrix, start.mean, start.covariance)  # type: ignore[attr-defined]


def forced(flow: GradientFlow) -> Forced:
    """Of the sum of a `forms.Circling` potential and an entropy, from a normal density."""
    (_, potential), (diffusivity, _) = flow.energy.terms
    form, start = potential.V, flow.reference  # type: ignore[attr-defined]
    return Forced(
        form.centre, form.precision, diffusivity * np.eye(flow.dim), start.mean, start.covariance,
        form.cosine, form.sine, form.frequency,
    )  # fmt: skip


def kuramoto(flow: GradientFlow) -> Kuramoto:
    """Of a `forms.Cosine` kernel and an entropy, from a normal density about 0."""
    (_, interaction), (diffusivity, _) = flow.energy.terms
    coupling = interaction.W.coupling  # type: ignore[attr-defined]
    variance = float(flow.reference.covariance[0, 0])
    return Kuramoto(coupling=coupling, diffusivity=diffusivity, variance=variance)


def separable(flow: GradientFlow) -> Product:
    """Of `fokker-planck-30d`: a product of 1-D flows."""
    return separable_quartic(flow.dim)


def ring(flow: GradientFlow) -> Ring:
    """Of `aggregation-ring`."""
    return Ring()


def barenblatt(flow: GradientFlow) -> Barenblatt:
    """Of a porous medium that starts from a Barenblatt profile."""
    start = flow.reference
    return Barenblatt(start.dim, start.m, start.t)  # type: ignore[attr-defined]


def wells(flow: GradientFlow) -> Quantile1D:
    """Of `double-well-1d`."""
    return double_well()
