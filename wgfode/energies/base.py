"""Energy functionals F(ρ) = ∫U(ρ) + ∫Vρ + ½∬W(x−y)ρ(x)ρ(y), and the velocity each one drives.

Every term knows two things about a pushed density ρ, known at weighted points (`pushforward.Pushed`):

    value(ρ)     the term of F(ρ), a scalar; a term that is no gradient has none
    gradient(ρ)  its part of g = ∇(δF/δρ) at the points, (N, d); the fluid moves with −g

Terms are added, subtracted, and multiplied and divided by numbers: `Potential(V) + 0.5 * Entropy()`. A new
kind of term is one file with a subclass of `Term`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import kind, traced
from ..checks import Trial
from ..errors import InputError, real
from ..functions import Given
from ..pushforward import Pushed

Array = Any


class Energy:
    """An energy functional: a sum of terms with coefficients."""

    @property
    def terms(self) -> tuple[tuple[float, Term], ...]:
        """The `(coefficient, term)` pairs."""
        raise NotImplementedError

    @property
    def needs_density(self) -> bool:
        """Whether any term depends on ρ pointwise, so that the map must have a density."""
        return any(term.pointwise for _, term in self.terms)

    @property
    def pairwise(self) -> bool:
        """Whether any term sums over pairs of points, so that its cost grows with the square of their number."""
        return any(term.pairs for _, term in self.terms)

    @property
    def names(self) -> frozenset[str]:
        """Which of "t" and "args" the functions of any term name."""
        return frozenset(name for _, term in self.terms for given in term.functions for name in given.names)

    @property
    def with_energy(self) -> tuple[tuple[float, Term], ...]:
        """The terms, with their coefficients, that have an energy: F is their sum."""
        return tuple((coefficient, term) for coefficient, term in self.terms if term.has_energy)

    @property
    def modulus(self) -> float | None:
        """λ of displacement convexity of the whole, or None where it is not known: the terms' moduli add up.

        Of terms without energy it is the rate at which two solutions contract.
        """
        total = 0.0
        for coefficient, term in self.terms:
            part = term.modulus_times(coefficient)
            if part is None:
                return None
            total += part
        return total

    def at(self, t: float, args: Any = None) -> Energy:
        """The energy at one time and parameters: its functions are of x alone, its coefficients numbers."""
        return Sum(tuple((c * k, part) for c, term in self.terms for k, part in term.at(t, args).terms))

    def check(self, trial: Trial) -> None:
        """Try every function of the energy on sample points; raises `InputError`."""
        for _, term in self.terms:
            term.try_functions(trial)

    def __add__(self, other: Energy) -> Energy:
        if not isinstance(other, Energy):
            return NotImplemented
        return Sum(self.terms + other.terms)

    def __radd__(self, other: Any) -> Energy:
        # sum() begins with the number 0
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __mul__(self, factor: float) -> Energy:
        factor = number("the factor of an energy", factor)
        return Sum(tuple((factor * c, term) for c, term in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Energy:
        divisor = number("the divisor of an energy", divisor)
        if divisor == 0:
            raise InputError("the divisor of an energy must not be 0")
        return self * (1 / divisor)

    def __neg__(self) -> Energy:
        return self * -1.0

    def __sub__(self, other: Energy) -> Energy:
        return self + -other if isinstance(other, Energy) else NotImplemented

    __array_ufunc__ = None  # an array on the left asks `__rmul__`, and does not multiply entry by entry


class Term(Energy):
    """One term of an energy. A subclass gives `name`, `value` and `gradient`, and what else it knows of itself."""

    name: str
    pointwise: bool = False
    """Whether the term depends on ρ pointwise: then map and reference must have a density."""
    pairs: bool = False
    """Whether the term sums over pairs of points."""
    has_energy: bool = True
    """Whether the term is the Wasserstein gradient of an energy; if not, `value` does not exist."""

    @property
    def terms(self) -> tuple[tuple[float, Term], ...]:
        return ((1.0, self),)

    @property
    def functions(self) -> tuple[Given, ...]:
        """The user's functions that the term calls."""
        return ()

    def at(self, t: float, args: Any = None) -> Energy:
        return self

    def value(self, rho: Pushed) -> Array:
        """The term of F(ρ), a scalar, of terms that have an energy."""
        raise NotImplementedError

    def gradient(self, rho: Pushed) -> Array:
        """The term's part of g = ∇(δF/δρ) at the points, (N, d)."""
        raise NotImplementedError

    def stress(self, rho: Pushed) -> Array | None:
        """S at the points with E q·gradient = −E S : ∂q for every field q, by parts: (N,) or one matrix (d, d).

        For an internal energy it is P/ρ with the pressure P = ρU' − U. None where the term is not one of ρ pointwise.
        """
        return None

    def modulus_times(self, coefficient: float) -> float | None:
        """What `coefficient` times the term adds to λ of displacement convexity, or None where it is not known."""
        return None

    def least_diffusivity(self, rho: Pushed) -> Array | None:
        """The least ρU''(ρ) at the points where it is not >= 0 by construction: < 0 is a backward diffusion."""
        return None

    def allow(self, coefficient: float) -> None:
        """Raise `InputError` where the term cannot have this coefficient."""

    def try_functions(self, trial: Trial) -> None:
        """Try the user's functions on sample points; raises `InputError` where one is not what it must be."""


@dataclass(frozen=True)
class Sum(Energy):
    """A linear combination of energy terms; raises `InputError` for a coefficient that a term cannot have."""

    pairs: tuple[tuple[float, Term], ...]

    def __post_init__(self) -> None:
        for coefficient, term in self.pairs:
            term.allow(coefficient)

    @property
    def terms(self) -> tuple[tuple[float, Term], ...]:
        return self.pairs

    @property
    def convexity(self) -> float | None:
        """λ of displacement convexity, or None where it is not known."""
        return self.modulus

    def __repr__(self) -> str:
        return " + ".join(f"{c:g}*{t!r}" if c != 1 else repr(t) for c, t in self.pairs)


def number(name: str, value: Any) -> float:
    """`value` as a finite float; arrays of one number count where they have no dimension.

    Raises `InputError` for anything else, and for what a framework is differentiating: the number would be cut
    out of its derivative without a word.
    """
    if traced(value):
        raise InputError(
            f"{name} is {kind(value)}: its derivative would be lost here. Physical parameters that are "
            "differentiated, or traced by jax, go through args=, with wgf.coefficient(lambda args: args['D']) for a "
            "factor; for a plain number write float(…), outside of the traced function"
        )
    if getattr(value, "shape", ()) != ():
        raise InputError(
            f"{name} must be a number, got an array of shape {tuple(value.shape)}: a diffusion that depends on the "
            "direction is a term of its own, Diffusion(matrix)"
        )
    return real(name, value)


def scaled_modulus(coefficient: float, convexity: float | None) -> float | None:
    """`coefficient` × λ. −V is not λ-convex for any λ that V's own tells, unless V is known to be linear."""
    if convexity is None or coefficient < 0:
        return None if coefficient != 0 else 0.0
    return coefficient * convexity
