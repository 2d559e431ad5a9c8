"""Exact nonlinear flows in any dimension, made from a path of maps (see `Manufactured`)."""

from .arch import ARCH_NOISE, arch
from .coupling import Coupled
from .paths import Arch, Banana, Chain, Path, Rotation, SinhArcsinh
from .solution import FAMILIES, Manufactured, manufactured

__all__ = [
    "ARCH_NOISE",
    "FAMILIES",
    "Arch",
    "Banana",
    "Chain",
    "Coupled",
    "Manufactured",
    "Path",
    "Rotation",
    "SinhArcsinh",
    "arch",
    "manufactured",
]
