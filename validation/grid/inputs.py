"""The checks that need a mesh: initial density, mass at the walls, cell Péclet number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .mesh import Mesh
from .scheme import Scheme, sides
from .terms import evaluate

Array = NDArray[np.float64]

MASS_ERROR = 1e-5  # an initial mass within this of 1 is taken as it is
STRIP = 0.02  # the part of the box along an axis that counts as "at the wall"
MOST_PECLET = 5.0  # mean cell Péclet number above which the grid is refused


def initial_averages(mesh: Mesh, density0: Callable[[Array], Array], normalise: bool, wall_mass: float) -> Array:
    """The initial cell averages, checked, divided by their mass where `normalise`. Raises `InputError`."""

    def checked(x: Array) -> Array:
        values = evaluate("density0", density0, x)
        if values.min() < 0:
            worst = int(values.argmin())
            raise InputError(f"density0 must be >= 0, it is {values[worst]:.3g} at {x[worst]}")
        return values

    rho = mesh.averages("density0", checked)
    mass = float(rho.sum()) * mesh.volume
    if not mass > 0:
        raise InputError("density0 has no mass in the box; move the box to where the density is")
    check_walls(mesh, rho / mass, 0.0, wall_mass)
    if not normalise and abs(mass - 1) > MASS_ERROR:
        raise InputError(
            f"density0 has mass {mass:.8g} in the box, expected 1; pass normalise=True to divide by it, "
            "or enlarge the box if the rest lies outside"
        )
    return rho / mass if normalise else rho


def check_walls(mesh: Mesh, rho: Array, t: float, most: float) -> None:
    """Raise `InputError` where more than `most` of the mass lies by one wall, saying how much and which."""
    for axis, (name, low, high) in enumerate(zip("xy", mesh.low, mesh.high, strict=False)):
        width = max(1, int(np.ceil(STRIP * mesh.cells[axis])))
        profile = rho.sum(axis=tuple(i for i in range(mesh.dim) if i != axis)) * mesh.volume
        for wall, mass, away in ((low, profile[:width].sum(), -1), (high, profile[-width:].sum(), 1)):
            if mass > most:
                further = wall + away * 0.25 * (high - low)
                raise InputError(
                    f"the box is too small: at t = {t:g}, {mass:.2e} of the mass lies within "
                    f"{width * mesh.spacing[axis]:.3g} of the wall {name} = {wall:g} (at most {most:g} may); "
                    f"move that wall outwards, say to {name} = {further:g}"
                )


def peclet(scheme: Scheme, rho: Array) -> float:
    """The mean over the mass of the cell Péclet number |ψ_b − ψ_a − h b·n|/P'(ρ), larger axis.

    0 where no pressure acts, and where a matrix spreads the density, which limits no scheme.
    """
    if not scheme.parts.diffusive or scheme.parts.matrix is not None:
        return 0.0
    largest = 0.0
    for axis, rise in enumerate(scheme.rises(scheme.convolve(rho))):
        a, b = sides(rho, axis)
        middle = np.maximum(0.5 * (a + b), 0.0)
        diffusivity = scheme.parts.diffusivity(middle)
        number = np.abs(rise) / np.maximum(diffusivity, 1e-300)
        largest = max(largest, float((middle * np.where(middle > 0, number, 0.0)).sum() / middle.sum()))
    return largest


def check_peclet(scheme: Scheme, rho: Array) -> None:
    """Raise `InputError` where D > 0 is resolved by too few cells for the drift."""
    if not scheme.parts.linear or scheme.parts.degenerate:
        return
    number = peclet(scheme, rho)
    if number > MOST_PECLET:
        cells = [int(np.ceil(n * number / 2)) for n in scheme.mesh.cells]
        raise InputError(
            "too few cells for the drift: the cell Péclet number (drift · width / D, mean over the mass) "
            f"is {number:.3g}; above 2 the scheme falls to first order, above {MOST_PECLET:g} it is refused. "
            f"Use about cells={cells if len(cells) > 1 else cells[0]} or a smaller box"
        )
