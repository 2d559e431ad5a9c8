"""The integrators by name, and which of them are installed."""

from __future__ import annotations

import importlib.util

INTEGRATORS = {"diffrax": ("jax", "diffrax"), "torchdiffeq": ("torch", "torchdiffeq"), "scipy": ("torch",)}
"""The packages that each integrator needs, its framework first."""


def installed() -> list[str]:
    """The integrators whose packages are there, without importing them."""
    return [name for name, needs in INTEGRATORS.items() if all(map(can_be_found, needs))]


def can_be_found(package: str) -> bool:
    """Whether a package is there; one that the program has blocked is not."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # from an import hook, or None in sys.modules
        return False


def first_installed() -> str:
    """The integrator of a run that names none."""
    return next(iter(installed()), next(iter(INTEGRATORS)))


def integrator_of(framework: str) -> str:
    """The integrator of a run whose map is of one framework, "torch" or "jax"."""
    return next(name for name, needs in INTEGRATORS.items() if needs[0] == framework)
