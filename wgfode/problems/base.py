"""What a problem is: a flow with output times."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InputError, real, settle, shown
from ..flow import GradientFlow


@dataclass(frozen=True)
class Problem:
    """A flow with all that a run of it needs. Raises `InputError` where `flow` is none or `times` are no numbers."""

    name: str
    description: str
    flow: GradientFlow
    times: tuple[float, ...]
    """Output times, 0 included."""
    rtol: float = 1e-6
    atol: float = 1e-8
    """Tolerances at which the problem's figures are stated."""

    exact_solution: str | Callable[[GradientFlow], Any] | None = None
    """What makes the exact solution of the flow, or its address "module:function"."""
    args: Any = None
    """The physical parameters of functions that name `args`."""
    file: str | None = None
    digest: str | None = None
    """The file that the problem comes from, and the digest of its text, where it comes from one."""

    def __post_init__(self) -> None:
        if not isinstance(self.flow, GradientFlow):
            raise InputError(f"flow must be a wgfode GradientFlow, got {shown(self.flow)}")
        if isinstance(self.times, str) or not isinstance(self.times, Iterable):
            raise InputError(f"times must be a sequence of numbers, got {shown(self.times)}")
        settle(self, times=tuple(real("times", time) for time in self.times))

    @property
    def exact(self) -> Any:
        """The exact solution (`wgfode.validation.exact`), or None where none is known."""
        make = self.exact_solution
        if isinstance(make, str):
            make = pkgutil.resolve_name(make)
        return None if make is None else make(self.flow)

    def with_seed(self, seed: int) -> Problem:
        """The problem with its driving points drawn from another seed, where they have one."""
        return replace(self, flow=replace(self.flow, points=self.flow.points.with_seed(seed)))

    @property
    def attributes(self) -> dict[str, Any]:
        """What a dataset's attributes say of the problem, from which `problems.of` has it back."""
        known = {
            "problem": self.name,
            "title": self.description,
            "problem_file": self.file,
            "problem_digest": self.digest,
            "points_seed": self.flow.points.seed,
        }
        return {name: value for name, value in known.items() if value is not None}
