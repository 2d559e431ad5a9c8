"""Which part of a right-hand side is not finite, where, and why a run could not go on."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..drive import Drive
from ..pushforward import Pushed
from ..rhs import RightHandSide

Array = Any

CONCENTRATED = 0.05
"""How near neighbouring points have come, beside the reference's, where a run that stops tells of concentration."""
PROBES = 100
"""Places at which the path ahead is searched."""


def explain(rhs: RightHandSide, t: float, theta: np.ndarray, horizon: float = 0.0) -> str:
    """What is not finite in the right-hand side at θ (m,), as the end of a sentence; empty if all is.

    Where all is finite at θ, which was the last good state, the path ahead is searched up to `horizon` units of
    time, along a straight line. The trouble is named as a term's (value or gradient), the log-determinant's, the
    score's or the map's, with the worst point; or as a concentration of the mass, which ends in steps that vanish, in a
    Jacobian lost to rounding, or in the last of `max_steps`.
    """
    drive = rhs.drive(t)
    fields = rhs.backend.compile(lambda parameters: _fields(rhs.pushed(parameters, drive)))

    def trouble(parameters: np.ndarray) -> str:
        found = fields(rhs.backend.asarray(parameters))
        rho = Pushed(rhs.backend, found["x"], drive.weights, found.get("log_density"), found.get("score"),
                     t=drive.t, args=drive.args)  # fmt: skip
        return _not_finite(rhs, rho, drive.z)

    here = trouble(theta)
    if here:
        return f"; {here}"
    try:
        velocity = rhs.backend.to_numpy(rhs.evaluate(rhs.backend.asarray(theta), drive).velocity)
    except Exception as error:  # a user's function may raise; this only looks for words
        return f"; the right-hand side raises {type(error).__name__}: {error}"
    if not np.isfinite(velocity).all():
        return "; the linear solve gives a velocity that is not finite, though the driving force is finite"
    for ahead in np.geomspace(1e-9 * horizon, horizon, PROBES) if horizon > 0 else ():
        there = trouble(theta + ahead * velocity)
        if there:
            return f"; ahead, about t={t + ahead:.6g}, {there}"
    return _concentration(rhs, theta, drive)


def _concentration(rhs: RightHandSide, theta: np.ndarray, drive: Drive) -> str:
    """What to say where a run stops and all is finite, but mass has drawn together: a blow-up in finite time."""
    to_numpy = rhs.backend.to_numpy
    x = to_numpy(rhs.pushed(rhs.backend.asarray(theta), drive).x)

    def nearest(points: np.ndarray) -> float:
        gaps = np.linalg.norm(np.diff(points[np.argsort(points[:, 0])], axis=0), axis=1)
        return float(np.median(gaps))

    points, origin = rhs.flow.points, rhs.flow.reference.origin
    before, now = nearest(points.draw(origin, points.segment(float(drive.t)))[0]), nearest(x)
    if not now < CONCENTRATED * before:
        return ""
    return (
        f"; the density concentrates: neighbouring points have drawn together from {before:.2g} to {now:.2g}. Under an "
        "attraction that is stronger than the diffusion the solution itself may blow up (collapse to points) in finite "
        "time, and then no run goes further"
    )


def _fields(rho: Pushed) -> dict[str, Array]:
    found = {"x": rho.x, "log_density": rho.log_density, "score": rho.score}
    return {name: value for name, value in found.items() if value is not None}


def _not_finite(rhs: RightHandSide, rho: Pushed, z: Array) -> str:
    named: dict[str, Any] = {
        "the map T": lambda: rho.x,
        "log-det": lambda: rho.log_density,
        "score": lambda: rho.score,
    }
    for _, term in rhs.flow.energy.terms:
        if term.has_energy:
            named[f"value of {term!r}"] = lambda term=term: term.value(rho)
        named[f"gradient of {term!r}"] = lambda term=term: term.gradient(rho)
    to_numpy = rhs.backend.to_numpy
    for name, compute in named.items():
        value = compute()
        array = np.asarray(0.0 if value is None else to_numpy(value), dtype=float)
        if np.isfinite(array).all():
            continue
        if not array.ndim:  # a mean: its gradient, or the points themselves, tell where
            gradient = name.replace("value of", "gradient of")
            array = np.asarray(to_numpy(named[gradient]()), dtype=float)
            if np.isfinite(array).all():
                return f"{name} is not finite"
        finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        worst = int(np.argmin(finite))
        x, start = to_numpy(rho.x)[worst], to_numpy(z)[worst]
        count = int((~finite).sum())
        others = f" ({count} of {len(finite)} points)" if count > 1 else ""
        return f"{name} is not finite at x={x}, the image of z={start}{others}"
    return ""
