"""Adaptive steps of an implicit method from the host, for either framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..drive import Drive
from ..rhs import RightHandSide
from .esdirk import ITERATIONS, PATIENCE, ImplicitStep
from .integrator import CHUNK, UNSOLVED, VANISHED, Failure
from .methods import Method
from .stage import StageEquation
from .state import State
from .tableau import TABLEAUS

Array = Any

SAFETY, SMALLEST, LARGEST = 0.9, 0.2, 10.0
"""The step-size controller's safety factor, and the bounds of h_new / h."""


def scaled(rhs: RightHandSide, error_norm: str, rtol: float, atol: float) -> Callable:
    """`measure(δθ, θ, drive)`: the size of a displacement of the parameters in units of the tolerance.

    "parameters": the root mean square of δθ / (atol + rtol |θ|). "metric": how far it moves the mass,
    (E|Jδθ|²)^½ against atol s + rtol (E|T − ET|²)^½, s the spread of the reference, which does not see directions that
    move nothing.
    """
    xp = rhs.backend.xp

    def parameters(delta: Array, theta: Array, drive: Drive) -> Array:
        return xp.sqrt(xp.mean((delta / (atol + rtol * xp.abs(theta))) ** 2))

    def metric(delta: Array, theta: Array, drive: Drive) -> Array:
        x, moved = rhs.backend.jvp(lambda p: rhs.flow.transport(p, drive.z), theta, delta)
        weights, total = drive.weights, rhs.backend.devices.total
        spread = xp.sqrt(total(weights @ xp.sum((x - total(weights @ x)) ** 2, axis=1)))
        return xp.sqrt(total(weights @ xp.sum(moved**2, axis=1))) / (atol * rhs.flow.frame.scale + rtol * spread)

    return metric if error_norm == "metric" else parameters


class Stepper:
    """A compiled step of `method`, and the decision whether it is good."""

    def __init__(self, rhs: RightHandSide, method: Method, linear: str = "auto"):
        self.rhs, self.method = rhs, method
        self.tableau = TABLEAUS[method.name]
        iterations = ITERATIONS if method.step_size is None else PATIENCE
        one_step = ImplicitStep(StageEquation(rhs, linear), self.tableau, iterations)
        measure = scaled(rhs, method.error_norm, method.rtol, method.atol)

        def step(theta: Array, k: Array, h: Array, drive: Drive) -> tuple:
            made = one_step(theta, k, h, drive, lambda delta: measure(delta, theta, drive))
            size = measure(made.error, theta, drive)
            return made.theta, made.velocity, size, made.converged, made.evaluations, made.products

        compile_ = rhs.backend.compile
        self.struggling = 0
        self.step, self.start = compile_(step), compile_(one_step.start)
        self.measure = compile_(measure)

    def judge(self, size: float) -> tuple[bool, float]:
        """(whether the step is good, h_new / h) for an error of `size`, infinite where a stage was not solved."""
        if self.method.step_size is not None:
            return bool(np.isfinite(size)), 1.0
        if not np.isfinite(size):
            self.struggling = 4  # the error estimate knows nothing of it: h grows slowly for some steps
            return False, 0.5
        factor = SAFETY * size ** (-1 / self.tableau.error_order) if size > 0 else LARGEST
        if size >= 1:
            return False, min(max(factor, SMALLEST), SAFETY)
        self.struggling = max(self.struggling - 1, 0)
        return True, min(max(factor, SMALLEST), 1.3 if self.struggling else LARGEST)

    def first(self, theta: Array, k: Array, span: float, drive: Drive) -> float:
        """A first h: so small that an explicit Euler step stays within the tolerance's reach (§II.4 of the book)."""
        size = float(self.measure(k, theta, drive))
        # h |f| is a hundred times the tolerance: small against every scale of f, and the controller grows it
        return min(span, 100.0 ** (1 / self.tableau.error_order) / size if size > 0 else span)


class ImplicitSteps:
    """An `Integrator`: steps of an implicit method, adaptive or of `method.step_size`."""

    chunk = CHUNK

    def __init__(self, rhs: RightHandSide, method: Method):
        self.rhs, self.method, self.stepper = rhs, method, Stepper(rhs, method)

    def advance(self, state: State, stop: float, limit: int) -> tuple[State, Failure | None]:
        rhs, stepper, as_ = self.rhs, self.stepper, self.rhs.backend.asarray
        drive = rhs.drive(state.time)
        theta, stepper.struggling = as_(state.theta), 0
        k = stepper.start(theta, drive)
        h = self._first(state, theta, k, stop - state.time, drive)
        knots: list[tuple[float, np.ndarray]] = []
        state = replace(state, evaluations=state.evaluations + 1, knots=())
        for _ in range(limit):
            left = stop - state.time
            used = left if h > left * (1 - 1e-12) else h
            new, k_new, size, converged, evaluations, _ = stepper.step(theta, k, as_(used), drive.when(as_(state.time)))
            state = replace(state, evaluations=state.evaluations + int(evaluations))
            good, factor = stepper.judge(float(size) if bool(converged) else np.inf)
            if not good:
                h = used * factor
                state = replace(state, step=h, rejected=state.rejected + 1)
                if self.method.step_size is not None:
                    return replace(state, knots=tuple(knots[:-1])), UNSOLVED
                if not h > 1e-14 * max(1.0, abs(state.time)):
                    return replace(state, knots=tuple(knots[:-1])), VANISHED
                continue
            theta, k = new, k_new
            # a step cut short by a stop says little of the one that was meant
            h = max(h, used * factor) if used < h else used * factor
            time = stop if used == left else state.time + used
            state = replace(state, time=time, theta=rhs.backend.to_numpy(theta), step=h, accepted=state.accepted + 1)
            knots.append((state.time, state.theta))
            if time == stop:
                break
        return replace(state, knots=tuple(knots[:-1])), None

    def _first(self, state: State, theta: Array, k: Array, span: float, drive: Drive) -> float:
        if self.method.step_size is not None:
            return span / self.method.count(span)
        return state.step or self.stepper.first(theta, k, span, drive)
