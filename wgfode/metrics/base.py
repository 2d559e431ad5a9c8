"""What a metric tensor is: which least-squares problem gives the parameters' velocity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..pushforward import Pushed
from ..solvers.problem import NormalProblem
from ..tangent import Tangent

Array = Any


class Metric:
    """The metric of a flow, a frozen dataclass of settings. A subclass writes `problem`."""

    of_tangent: bool = False
    """Whether the matrix of its problem depends on J and the weights alone."""

    def problem(self, tangent: Tangent, weights: Array, g: Array, gradient: Array | None = None) -> NormalProblem:
        """The linear problem whose solution ξ is −θ̇.

        `g` (N, d) is ∇(δF/δρ) at the pushed points. `gradient` (m,) replaces its right-hand side
        E[Jᵀg] by a given ∇_θF (the "energy" estimator); then only the normal equations are known.
        """
        raise NotImplementedError

    def count(self, dim: int) -> int:
        """The number of potentials in d = `dim`. Raises `InputError` where `dim` does not fit."""
        return 0

    def check(self, dim: int, points: int, what: str = "points") -> str | None:
        """A warning about `points` of the kind `what`, or None. Raises `InputError` where the metric does not fit."""
        return None

    def diagnose(
        self, held_out: Pushed, defect: Array, g: Array, driving: Callable[[], tuple[Tangent, Array]]
    ) -> dict[str, Array]:
        """What the metric adds to the dataset, by name.

        `held_out` is ρ_θ at the held-out points, with the `defect` Jξ − g of the ξ really used and `g` there, (N, d)
        each. `driving` makes the tangent and the weights of the points that drive the flow.
        """
        return {}
