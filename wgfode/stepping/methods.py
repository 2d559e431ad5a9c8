"""Names of the integrators' methods, and how to step with one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError, choice, positive, positive_int, settle

EXPLICIT = ("Euler", "Midpoint", "Heun", "Bosh3", "Tsit5", "Dopri5", "Dopri8")
"""Methods that mean the same with either integrator; Euler, Midpoint and Heun need a `step_size` with torchdiffeq."""
IMPLICIT = ("ImplicitEuler", "Kvaerno3", "Kvaerno4", "Kvaerno5", "KenCarp3", "KenCarp4", "KenCarp5")
"""L-stable methods, with either integrator."""
SCIPY = ("Radau", "BDF", "LSODA")
"""The stiff methods of scipy, with integrator="scipy"."""
AUTO = "auto"
"""Explicit or implicit, as the stiffness of the right-hand side has it (`wgfode.stepping.stiffness`)."""
SEMI_IMPLICIT = ("proximal", "bilevel")
"""The source's scheme in steps of `step_size`: in closed form, and with a potential that is trained."""
METHODS = (*EXPLICIT, *IMPLICIT, *SEMI_IMPLICIT, *SCIPY, AUTO)


@dataclass(frozen=True)
class Method:
    """How to step in time. Adaptive with `rtol` and `atol` where `step_size` is None, else with fixed steps.

    Raises `InputError` for an unknown name (the nearest are suggested) and for numbers out of range.
    """

    name: str = "Tsit5"
    rtol: float = 1e-6
    atol: float = 1e-8
    step_size: float | None = None
    max_steps: int = 100_000
    error_norm: str = "parameters"
    """What the error of a step is measured in: the "parameters", or the "metric" ‖J δθ‖ (displaced mass)."""

    def __post_init__(self) -> None:
        settle(
            self,
            name=choice("method", self.name, METHODS),
            error_norm=choice("error_norm", self.error_norm, ("parameters", "metric")),
        )
        positive("rtol", self.rtol)
        positive("atol", self.atol)
        if self.step_size is not None:
            positive("step_size", self.step_size)
        elif self.name in SEMI_IMPLICIT:
            raise InputError(f"method {self.name!r} has fixed steps: give step_size")
        positive_int("max_steps", self.max_steps)

    def count(self, span: float) -> int:
        """How many equal steps of at most `step_size` (up to rounding) fill `span`: none is a sliver."""
        assert self.step_size is not None
        return max(1, math.ceil(span / self.step_size * (1 - 1e-9)))

    def fits(self, dtype: str) -> None:
        """Raise `InputError` where `rtol` asks for more than `dtype` holds."""
        least = 1e-13 if dtype == "float64" else 1e-6
        if self.step_size is None and self.rtol < least:
            raise InputError(f"rtol={self.rtol:g} is below what {dtype} can hold; use rtol >= {least:g}")
