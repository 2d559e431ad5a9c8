"""An energy's terms as plain numpy functions: what every grid scheme needs, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from ...energies import Diffusion, Drift, Energy, Entropy, Interaction, Internal, PorousMedium, Potential
from ...errors import InputError

Array = NDArray[np.float64]
Field = Callable[[Array], Array]

TINY = 1e-300


@dataclass(frozen=True)
class Parts:
    """F(ρ) = ∫U(ρ) + ∫Vρ + ½∬Wρρ in numpy, coefficients included, and what has no energy.

    `potential` V and `kernel` W map (N, d) to (N,), or are None; `entropy` is the coefficient of ρ log ρ,
    `powers` the pairs (c, m) of c ρ^m/(m−1), `functions` the pairs (c, U) of any other internal energy.
    `velocity` b maps (N, d) to (N, d), or is None; `noise` is the c of a diffusion cΔρ without energy, and
    `matrix` the sum D (d, d) of all other diffusion matrices, or None.
    """

    potential: Field | None
    kernel: Field | None
    entropy: float
    powers: tuple[tuple[float, float], ...]
    functions: tuple[tuple[float, Field], ...]
    velocity: Field | None = None
    noise: float = 0.0
    matrix: Array | None = None

    @property
    def internal(self) -> bool:
        """Whether there is an internal energy at all."""
        return self.entropy > 0 or self.degenerate

    @property
    def linear(self) -> float:
        """The c of cΔρ, with energy or without."""
        return self.entropy + self.noise

    @property
    def diffusive(self) -> bool:
        """Whether a pressure acts."""
        return self.linear > 0 or self.degenerate

    @property
    def degenerate(self) -> bool:
        """Whether there is an internal energy other than the entropy."""
        return bool(self.powers or self.functions)

    def U(self, rho: Array) -> Array:
        """The internal energy density, U(0) = 0, elementwise."""
        total = self.entropy * xlogy(rho, rho)
        for c, m in self.powers:
            total = total + c / (m - 1) * _power(rho, m)
        for c, f in self.functions:
            total = total + c * (f(np.maximum(rho, TINY)) - f(np.full_like(rho, TINY)))
        return total

    def enthalpy(self, rho: Array) -> Array:
        """U'(ρ), where the noise counts as an entropy, elementwise; very negative, never infinite, at 0."""
        total = np.zeros_like(rho)
        if self.linear:
            total += self.linear * (1 + np.log(np.maximum(rho, TINY)))
        for c, m in self.powers:
            total += c * m / (m - 1) * _power(rho, m - 1)
        for c, f in self.functions:
            total += c * _slope(f, np.maximum(rho, TINY))
        return total

    def pressure(self, rho: Array) -> Array:
        """P = ρU'(ρ) − U(ρ), elementwise: ∇P is the internal part of ρg."""
        return self.linear * rho + self.degenerate_pressure(rho)

    def degenerate_pressure(self, rho: Array) -> Array:
        """P without the entropy's part."""
        total = np.zeros_like(rho)
        for c, m in self.powers:
            total += c * _power(rho, m)
        for c, f in self.functions:
            safe = np.maximum(rho, TINY)
            total += c * (safe * _slope(f, safe) - f(safe) + f(np.full_like(rho, TINY)))
        return total

    def diffusivity(self, rho: Array) -> Array:
        """P'(ρ) = ρU''(ρ), elementwise."""
        return self.linear + self.degenerate_diffusivity(rho)

    def degenerate_diffusivity(self, rho: Array) -> Array:
        """P' without the entropy's part."""
        total = np.zeros_like(rho)
        for c, m in self.powers:
            total += c * m * _power(rho, m - 1)
        for c, f in self.functions:
            safe = np.maximum(rho, TINY)
            total += c * safe * _curvature(f, safe)
        return total


def split(energy: Any, dim: int) -> Parts:
    """The parts of an energy on R^dim.

    Raises `InputError` where `energy` is not an energy, where its functions name t or args (`Energy.at` gives it at
    one time and parameters), where V, W or b fails on numpy points (N, dim) or returns another shape, where W is not
    even, or not finite at 0 (singular), and where a diffusion matrix has another dimension.
    """
    if not isinstance(energy, Energy):
        raise InputError(f"energy must be an energy such as Potential(V) + Entropy(), got {energy!r}")
    if energy.names:
        raise InputError(
            "energy has functions of args, and a reference solver knows none: bind them, energy.at(t, args)"
        )
    potentials: list[tuple[float, Field]] = []
    kernels: list[tuple[float, Field]] = []
    velocities: list[tuple[float, Field]] = []
    entropy, powers, functions, matrix = 0.0, [], [], np.zeros((dim, dim))
    for c, term in energy.terms:
        if isinstance(term, Potential):
            potentials.append((c, term.V))
        elif isinstance(term, Interaction):
            _check_kernel(term.W, dim)
            kernels.append((c, term.W))
        elif isinstance(term, Drift):
            velocities.append((c, term.b))
        elif isinstance(term, Diffusion):
            if term.dim != dim:
                raise InputError(f"matrix of Diffusion has shape {(term.dim,) * 2}, and the box has dimension {dim}")
            matrix += c * np.array(term.matrix)
        elif isinstance(term, Entropy):
            entropy += c
        elif isinstance(term, PorousMedium):
            powers.append((c, float(term.m)))
        elif isinstance(term, Internal):
            evaluate("U", term.U, np.array([0.1, 1.0, 2.0]))
            functions.append((c, term.U))
        else:
            raise InputError(f"the grid solver does not know the energy term {term!r}")
    noise = float(matrix[0, 0]) if (matrix == matrix[0, 0] * np.eye(dim)).all() else 0.0
    return Parts(
        _total("V", potentials), _total("W", kernels), entropy, tuple(powers), tuple(functions),
        _total("b", velocities, vector=True), noise, matrix if matrix.any() and not noise else None,
    )  # fmt: skip


def over_time(energy: Any, dim: int) -> Callable[[float], Parts]:
    """The parts of each time: one and the same where no function names t. Raises `InputError`, see `split`."""
    if isinstance(energy, Energy) and energy.names == {"t"}:
        return lambda t: split(energy.at(t), dim)
    fixed = split(energy, dim)
    return lambda t: fixed


def describe(energy: Energy) -> str:
    """The energy in words, such as `potential + 0.1 entropy`."""
    names = [
        (c, f"porous medium (m={term.m:g})" if isinstance(term, PorousMedium) else term.name)
        for c, term in energy.terms
    ]
    return " + ".join(name if c == 1 else f"{c:g} {name}" for c, name in names)


def evaluate(name: str, function: Field, x: Array, vector: bool = False) -> Array:
    """A user's function at points x (N, d), as finite floats (N,), or (N, d) of a `vector`, else an `InputError`."""
    try:
        values = np.asarray(function(x), dtype=float)
    except (TypeError, AttributeError, ValueError, IndexError) as error:
        raise InputError(f"{name} fails on a numpy array of shape {x.shape}: {error}") from error
    shape = x.shape if vector else x.shape[:1]
    if values.shape != shape:
        raise InputError(f"{name} must map shape {x.shape} to {shape}, it returned shape {values.shape}")
    if not np.isfinite(values).all():
        where = x[np.argwhere(~np.isfinite(values))[0, 0]]
        raise InputError(f"{name} is not finite at {where}; the grid solver needs it finite in the whole box")
    return values


def _total(name: str, pieces: list[tuple[float, Field]], vector: bool = False) -> Field | None:
    if not pieces:
        return None
    return lambda x: sum(c * evaluate(name, f, x, vector) for c, f in pieces)  # type: ignore[return-value]


def _check_kernel(W: Field, dim: int) -> None:
    at_zero = np.zeros((1, dim))
    with np.errstate(all="ignore"):
        try:
            value = float(np.asarray(W(at_zero), dtype=float).ravel()[0])
        except (TypeError, AttributeError, ValueError, IndexError) as error:
            raise InputError(f"W fails on a numpy array of shape {at_zero.shape}: {error}") from error
    if not np.isfinite(value):
        raise InputError(
            f"W is singular: W(0) = {value}; the grid solver needs W finite at 0, so regularise it, "
            "for example |x| → √(|x|² + ε²)"
        )
    x = np.random.default_rng(0).standard_normal((16, dim))
    forth, back = evaluate("W", W, x), evaluate("W", W, -x)
    if not np.allclose(forth, back, rtol=1e-9, atol=1e-12):
        raise InputError(f"W must be even, but W({x[0]}) = {forth[0]:.6g} and W({-x[0]}) = {back[0]:.6g}")


def _power(rho: Array, exponent: float) -> Array:
    """rho**exponent, by products where the exponent is 1 … 4 (much faster than the library's power)."""
    if exponent not in (1, 2, 3, 4):
        return rho**exponent
    square = rho * rho if exponent > 1 else rho
    return square if exponent <= 2 else square * (rho if exponent == 3 else square)


def _slope(f: Field, r: Array) -> Array:
    """f'(r), r > 0, by fourth-order differences with a relative step."""
    h = 1e-3 * r
    return (8 * (f(r + h) - f(r - h)) - (f(r + 2 * h) - f(r - 2 * h))) / (12 * h)


def _curvature(f: Field, r: Array) -> Array:
    """f''(r), r > 0, by fourth-order differences with a relative step."""
    h = 3e-3 * r
    return (16 * (f(r + h) + f(r - h)) - (f(r + 2 * h) + f(r - 2 * h)) - 30 * f(r)) / (12 * h * h)
