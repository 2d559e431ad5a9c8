"""Exact nonlinear flows in any dimension, made from a path of maps (see `Manufactured`)."""

from .coupling import Coupled
from .paths import Banana, Chain, Path, Rotation, SinhArcsinh
from .solution import FAMILIES, Manufactured, manufactured

__all__ = [
    "FAMILIES",
    "Banana",
    "Chain",
    "Coupled",
    "Manufactured",
    "Path",
    "Rotation",
    "SinhArcsinh",
    "manufactured",
]
