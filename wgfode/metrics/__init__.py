"""The metric tensor: which least-squares problem gives the parameters' velocity."""

from .base import Metric
from .projection import Projection
from .relaxed import Relaxed
from .wasserstein import Wasserstein

__all__ = ["Metric", "Projection", "Relaxed", "Wasserstein"]
