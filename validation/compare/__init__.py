"""A run against what is known of its problem, each figure beside its sampling floor."""

from .errors import FIGURES, Figure, compare

__all__ = ["FIGURES", "Figure", "compare"]
