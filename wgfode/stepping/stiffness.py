"""How stiff a right-hand side is, and what that means for the choice of a method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..derivative import Linearization
from ..drive import Drive
from ..rhs import RightHandSide
from .methods import EXPLICIT
from .stage import DENSE

Array = Any

REACH = 3.3
"""The h ρ at which Tsit5 and Dopri5 become unstable on the negative real axis."""
SMOOTH_STEPS = 60
"""Steps that an implicit method of order 5 takes for a run at usual tolerances, once the transient is over."""
FEW = 10
"""Steps so few that stability plays no part in their number, which is then not told more closely."""
ITERATIONS = 12
"""Of the power method; a few are enough for a figure that is compared with powers of ten."""
AGAIN = 4
"""The same for a call that begins with the direction of the one before."""
SHARE = 0.05
"""The most that a report may cost of a run that did not ask for it."""
ROUGH = 1e-2
"""The tolerance of its linear solves, where they are iterative."""


class SpectralRadius:
    """ρ(Df(θ)) by power iteration with one `jvp` an iteration, each call from the last one's direction."""

    def __init__(self, rhs: RightHandSide):
        rhs = self.rhs = RightHandSide(
            replace(rhs.flow, solver=rhs.solver.loosened(ROUGH)), rhs.backend, ROUGH, rhs.args
        )
        self.forget()
        xp, loop = rhs.backend.xp, rhs.backend.while_loop

        def estimate(theta: Array, v: Array, count: Array, drive: Drive) -> tuple[Array, Array]:
            here = Linearization(rhs, theta, drive)
            _ = here.velocity  # once, outside of the loop

            def step(state: tuple) -> tuple:
                i, v, _ = state
                v = v / xp.sqrt(xp.sum(v * v))
                image = here.jvp(v)
                size = xp.sqrt(xp.sum(image * image))
                return i + 1, xp.where(size > 0, image, v), size

            zero = xp.sum(0 * v)
            _, v, size = loop(lambda state: state[0] < count, step, (zero, v, zero))
            return v, size

        self._estimate = rhs.backend.compile(estimate)

    def forget(self) -> None:
        """Begin the next call from a random direction again."""
        self.direction = np.random.default_rng(0).normal(size=self.rhs.flow.size)
        self.iterations = ITERATIONS

    def __call__(self, t: float, theta: np.ndarray) -> float:
        """ρ at θ (m,), driven as at time t; NaN where it cannot be computed."""
        as_, rhs = self.rhs.backend.asarray, self.rhs
        v, size = self._estimate(as_(theta), as_(self.direction), as_(float(self.iterations)), rhs.drive(t))
        direction = rhs.backend.to_numpy(v)
        if np.isfinite(direction).all():
            self.direction, self.iterations = direction, AGAIN
        return float(size)


def explicit_steps(times: np.ndarray, radii: np.ndarray) -> float:
    """∫ρ dt / 3.3: the steps that stability alone asks of an explicit method of order 5."""
    return float(np.trapezoid(radii, times) / REACH) if len(times) > 1 else 0.0


def worth_implicit(rhs: RightHandSide, steps: float) -> float:
    """Cost of an explicit run of `steps` over that of an implicit one, in right-hand sides: a rough figure.

    A linearisation costs about m/10 right-hand sides where it is formed, and as a Krylov method about 60.
    """
    linearisation = rhs.flow.size / 10 if rhs.flow.size <= DENSE else 60.0
    return 6 * steps / (SMOOTH_STEPS * (14 + linearisation))


def recommendation(rhs: RightHandSide, times: np.ndarray, radii: np.ndarray, method: str, accepted: int) -> str:
    """One line: what the run's stiffness says about the method it used."""
    if not np.isfinite(radii).all():
        return "stiffness unknown: the spectral radius could not be computed"
    steps = explicit_steps(times, radii)
    asked = f"about {steps:.3g} steps" if steps > FEW else f"{FEW} steps at most"
    figure = (
        f"spectral radius {radii.min():.3g} to {radii.max():.3g}: stability alone asks an explicit method for "
        f"{asked}; this run took {accepted} with {method}"
    )
    if method in EXPLICIT and steps > 0.3 * accepted and worth_implicit(rhs, steps) > 2:
        return f"stiff: use an implicit method (method='Kvaerno5'). {figure}"
    if method not in EXPLICIT and worth_implicit(rhs, steps) < 0.5:
        return f"not stiff: an explicit method (method='Tsit5') is likely to be faster. {figure}"
    return f"{'not stiff' if method in EXPLICIT else 'stiff'}: {method} is a good choice. {figure}"


def choose(rhs: RightHandSide, radius: float, span: float, now: str | None = None) -> str:
    """ "Kvaerno5" or "Tsit5" for a time `span` ahead at the spectral radius; `now` is left only for a good reason."""
    gain = worth_implicit(rhs, radius * span / REACH)
    if now == "Kvaerno5":
        return "Tsit5" if gain < 0.25 else now
    return "Kvaerno5" if gain > (1.0 if now is None else 2.0) else "Tsit5"


def affordable(times: int, evaluations: int) -> bool:
    """Whether a report at so many times costs little beside a run of so many right-hand sides.

    An iteration is a derivative with a linear solve of its own, counted as two of them. A run that stability makes long
    is always told; a short one has nothing to be told.
    """
    return times + 2 * (ITERATIONS + AGAIN * (times - 1)) <= SHARE * evaluations


def report(
    spans: Sequence[tuple[RightHandSide, list[float], list[np.ndarray]]], method: str, accepted: int
) -> tuple[np.ndarray, str]:
    """ρ at the times of (right-hand side, times, parameters), one after the other, (T,), and the recommendation.

    A ρ that cannot be computed is NaN: a report ends no run.
    """
    times = np.array([t for _, own, _ in spans for t in own])
    radii: list[float] = []
    try:
        for rhs, own, thetas in spans:
            radius = SpectralRadius(rhs)
            radii += [radius(t, theta) for t, theta in zip(own, thetas, strict=True)]
    except Exception as error:  # what users give (a map, a solver) may have no derivative
        radii += [np.nan] * (len(times) - len(radii))
        why = f"the right-hand side has no derivative ({type(error).__name__}: {error})"
        return np.array(radii), f"stiffness unknown: {why}"
    return np.array(radii), recommendation(rhs, times, np.array(radii), method, accepted)
