"""Energy functionals F(ρ) = ∫U(ρ) + ∫Vρ + ½∬W(x−y)ρ(x)ρ(y), and the velocity each one drives.

Every term knows two things about a pushed density ρ, known at weighted points (`pushforward.Pushed`):

    value(ρ)     the term of F(ρ), a scalar
    gradient(ρ)  its part of g = ∇(δF/δρ) at the points, (N, d); the fluid moves with −g

Terms are added and multiplied by numbers: `Potential(V) + 0.5 * Entropy()`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import InputError, real

if TYPE_CHECKING:
    from .pushforward import Pushed

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
        return any(isinstance(term, Internal) for _, term in self.terms)

    @property
    def convexity(self) -> float | None:
        """λ of displacement convexity, or None where it is not known.

        The terms' moduli add up. Entropy and porous medium count 0 (McCann 1997); `InternalEnergy`
        is unknown, since McCann's condition is not checked for a given U.
        """
        total = 0.0
        for coefficient, term in self.terms:
            if term.convexity is None:
                return None
            if coefficient < 0 and term.convexity != 0:
                return None  # −V is not λ-convex for any λ that V's own tells
            modulus = min(term.convexity, 0.0) if isinstance(term, Interaction) else term.convexity
            total += coefficient * modulus
        return total

    def __add__(self, other: Energy) -> Energy:
        if not isinstance(other, Energy):
            return NotImplemented
        return Sum(self.terms + other.terms)

    def __mul__(self, factor: float) -> Energy:
        factor = real("the factor of an energy", factor)
        return Sum(tuple((factor * c, term) for c, term in self.terms))

    __rmul__ = __mul__


@dataclass(frozen=True)
class Sum(Energy):
    """A linear combination of energy terms.

    Raises `InputError` where an internal energy has a coefficient <= 0: diffusion backwards in time
    is ill-posed.
    """

    pairs: tuple[tuple[float, Term], ...]

    def __post_init__(self) -> None:
        for coefficient, term in self.pairs:
            if isinstance(term, Internal) and not coefficient > 0:
                raise InputError(
                    f"the coefficient of {term!r} must be > 0 (a backward diffusion is ill-posed), got {coefficient}"
                )

    @property
    def terms(self) -> tuple[tuple[float, Term], ...]:
        return self.pairs

    def __repr__(self) -> str:
        return " + ".join(f"{c:g}*{t!r}" if c != 1 else repr(t) for c, t in self.pairs)


class Term(Energy):
    """One term of an energy."""

    name: str

    @property
    def terms(self) -> tuple[tuple[float, Term], ...]:
        return ((1.0, self),)

    @property
    def convexity(self) -> float | None:
        return None

    def value(self, rho: Pushed) -> Array:
        """The term of F(ρ), a scalar."""
        raise NotImplementedError

    def gradient(self, rho: Pushed) -> Array:
        """The term's part of g = ∇(δF/δρ) at the points, (N, d)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Potential(Term):
    """∫Vρ. `V` maps points (N, d) to (N,). `convexity` is the λ of ∇²V ⪰ λI, where it is known."""

    V: Callable[[Array], Array]
    convexity: float | None = None  # type: ignore[assignment]
    name = "potential"

    def __post_init__(self) -> None:
        if not callable(self.V):
            raise InputError(f"V must be a function of points (N, d), got {self.V!r}")
        if self.convexity is not None:
            real("convexity", self.convexity)

    def value(self, rho: Pushed) -> Array:
        return rho.mean(self.V(rho.x))

    def gradient(self, rho: Pushed) -> Array:
        sum_ = rho.backend.xp.sum
        return rho.backend.grad(lambda x: sum_(self.V(x)))(rho.x)


class Internal(Term):
    """∫U(ρ), through U(ρ)/ρ (whose mean it is) and ρU''(ρ) (the factor of ∇log ρ in g)."""

    @property
    def convexity(self) -> float | None:
        return 0.0

    def U(self, rho: Array) -> Array:
        """The energy density U(ρ), elementwise."""
        raise NotImplementedError

    def per_mass(self, rho: Pushed) -> Array:
        """U(ρ)/ρ at the points, (N,)."""
        raise NotImplementedError

    def diffusivity(self, rho: Pushed) -> Array:
        """ρU''(ρ) at the points, (N,), or a scalar."""
        raise NotImplementedError

    def value(self, rho: Pushed) -> Array:
        return rho.mean(self.per_mass(rho))

    def gradient(self, rho: Pushed) -> Array:
        return self.diffusivity(rho)[..., None] * rho.score


@dataclass(frozen=True)
class Entropy(Internal):
    """∫ρ log ρ: linear diffusion. `D * Entropy()` gives the Fokker–Planck equation with diffusivity D."""

    name = "entropy"

    def U(self, rho: Array) -> Array:
        """ρ log ρ, with 0 log 0 = 0; numpy arrays or scalars."""
        from scipy.special import xlogy

        return xlogy(rho, rho)

    def per_mass(self, rho: Pushed) -> Array:
        return rho.log_density

    def gradient(self, rho: Pushed) -> Array:
        return rho.score


@dataclass(frozen=True)
class PorousMedium(Internal):
    """∫ρ^m/(m−1), m > 1: ∂ρ/∂t = Δ(ρ^m).

    At the front of a compactly supported density ∇log ρ diverges, but the part of g does not:
    m ρ^(m−1) ∇log ρ = m/(m−1) ∇(ρ^(m−1)) is the gradient of the pressure.
    """

    m: float
    name = "porous medium"

    def __post_init__(self) -> None:
        if not real("m", self.m) > 1:
            raise InputError(f"m must be > 1 (m = 1 is Entropy()), got {self.m}")

    def U(self, rho: Array) -> Array:
        return rho**self.m / (self.m - 1)

    def per_mass(self, rho: Pushed) -> Array:
        return rho.backend.xp.exp((self.m - 1) * rho.log_density) / (self.m - 1)

    def diffusivity(self, rho: Pushed) -> Array:
        return self.m * rho.backend.xp.exp((self.m - 1) * rho.log_density)


@dataclass(frozen=True)
class InternalEnergy(Internal):
    """∫U(ρ) for a convex U given as an elementwise function of ρ > 0; U'' comes from automatic differentiation."""

    function: Callable[[Array], Array]
    name = "internal energy"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InputError(f"U must be an elementwise function of the density, got {self.function!r}")

    @property
    def convexity(self) -> float | None:
        return None  # McCann's condition is not checked for a given U

    def U(self, rho: Array) -> Array:
        return self.function(rho)

    def per_mass(self, rho: Pushed) -> Array:
        density = rho.backend.xp.exp(rho.log_density)
        return self.function(density) / density

    def diffusivity(self, rho: Pushed) -> Array:
        xp, grad = rho.backend.xp, rho.backend.grad
        density = xp.exp(rho.log_density)
        first = grad(lambda r: xp.sum(self.function(r)))
        return density * grad(lambda r: xp.sum(first(r)))(density)


@dataclass(frozen=True)
class Interaction(Term):
    """½∬W(x−y)ρ(x)ρ(y), W even. `W` maps differences (N, d) to (N,).

    `convexity` is the λ of ∇²W ⪰ λI, where it is known. Only its negative part is a modulus of the
    energy, because a common translation of all mass leaves W(x−y) as it is.

    The sum over pairs runs in blocks of rows so that no array of differences holds more than
    `block` numbers (default 2^23, 64 MB in float64).
    """

    W: Callable[[Array], Array]
    convexity: float | None = None  # type: ignore[assignment]
    block: int = 2**23
    name = "interaction"

    def __post_init__(self) -> None:
        if not callable(self.W):
            raise InputError(f"W must be a function of differences (N, d), got {self.W!r}")
        if self.convexity is not None:
            real("convexity", self.convexity)

    def potential(self, rho: Pushed, x: Array) -> Array:
        """(W*ρ)(x) at the rows of x, (B, d) → (B,)."""
        n, d = rho.x.shape
        differences = x[:, None, :] - rho.x[None, :, :]
        pairs = self.W(differences.reshape(-1, d)).reshape(-1, n)
        return pairs @ rho.weights

    def value(self, rho: Pushed) -> Array:
        return 0.5 * rho.mean(rho.by_rows(lambda x: self.potential(rho, x), self.block))

    def gradient(self, rho: Pushed) -> Array:
        xp, grad = rho.backend.xp, rho.backend.grad
        return rho.by_rows(grad(lambda x: xp.sum(self.potential(rho, x))), self.block)
