"""A part of the unknowns whose block of a Gram matrix is a Kronecker product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

Array = Any


@dataclass(frozen=True)
class KroneckerBlock:
    """Unknowns P (a, f) among ξ (m,) whose block of AᵀA is left ⊗ right: a solver can eliminate them exactly."""

    left: Array
    """(a, a)."""
    right: Array
    """(f, f)."""
    take: Callable[[Array], Array]
    """P of ξ, (m,) → (a, f)."""
    put: Callable[[Array], Array]
    """The ξ with P in its places and 0 elsewhere, (a, f) → (m,)."""
    apply: Callable[[Array], Array]
    """A · put(P), (a, f) → whatever A gives."""
    adjoint: Callable[[Array], Array]
    """take(Aᵀy), its transpose."""

    @property
    def count(self) -> int:
        """The number of these unknowns."""
        return int(self.left.shape[0] * self.right.shape[0])

    def followed(self, after: Callable[[Array], Array], before: Callable[[Array], Array]) -> KroneckerBlock:
        """The block of `after` ∘ A, where `before` is the transpose of `after`; `left` and `right` are that one's."""
        return replace(self, apply=lambda P: after(self.apply(P)), adjoint=lambda y: self.adjoint(before(y)))
