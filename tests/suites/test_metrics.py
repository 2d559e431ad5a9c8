"""Every metric: a symmetric positive semidefinite tensor that is not above Ĝ, in both frameworks."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from suites.subjects import compiled, examples, name_of

import wgfode as wgf
from wgfode.backend import Backend, load
from wgfode.problems import double_well_potential
from wgfode.rhs import RightHandSide

METRICS = examples("metric")
every = pytest.mark.parametrize("index", range(len(METRICS)), ids=[name_of(one) for one in METRICS])


def right_hand_side(metric: Any, backend: Backend) -> tuple[RightHandSide, Any, Any]:
    flow = wgf.GradientFlow(
        map=wgf.maps.Affine(2) @ wgf.maps.Residual(2, width=2),
        energy=wgf.Potential(double_well_potential) + 0.3 * wgf.Entropy(),
        reference=wgf.Gaussian.standard(2),
        points=wgf.Sobol(64, seed=0),
        metric=metric,
        solver=wgf.Eigh(1e-8),
    )
    rhs = RightHandSide(flow, backend, 1e-10)
    theta = flow.map.initial() + 0.2 * np.random.default_rng(3).standard_normal(flow.size)
    return rhs, backend.asarray(theta), rhs.drive()


@cache
def tensor(index: int, name: str) -> dict[str, np.ndarray]:
    """The matrix of the linear problem, its right-hand side, G e_i and the velocity."""
    backend = load(name)
    rhs, theta, drive = right_hand_side(METRICS[index], backend)

    def run(theta: Any, identity: Any) -> dict[str, Any]:
        problem = rhs.problem(theta, drive)
        applied = backend.vmap(problem.apply_gram)(identity)
        velocity = rhs.evaluate(theta, drive).velocity
        return {"gram": problem.form_gram(), "applied": applied, "rhs": problem.rhs, "velocity": velocity}

    found = compiled(backend, run)(theta, backend.asarray(np.eye(rhs.flow.size)))
    return {key: backend.to_numpy(part) for key, part in found.items()}


@every
def test_it_is_symmetric_and_positive_semidefinite(index: int) -> None:
    gram = tensor(index, "torch")["gram"]
    np.testing.assert_allclose(gram, gram.T, atol=1e-12 * np.abs(gram).max())
    values = np.linalg.eigvalsh(gram)
    assert values[0] > -1e-12 * values[-1]
    np.testing.assert_allclose(tensor(index, "torch")["applied"], gram, atol=1e-11 * values[-1])


@every
def test_it_is_not_above_the_relaxed_one(index: int) -> None:
    """A projection takes nothing but kinetic energy away (what a blend adds of Ĝ is a hundredth)."""
    (relaxed,) = (i for i, one in enumerate(METRICS) if isinstance(one, wgf.Relaxed))
    above = 1.011 * tensor(relaxed, "torch")["gram"] - tensor(index, "torch")["gram"]
    assert np.linalg.eigvalsh(above)[0] > -1e-10 * np.linalg.norm(above, 2)


@every
def test_the_residual_is_at_most_the_relaxed_one(index: int) -> None:
    """E|P(Jξ − g)|² ≤ E|Jξ − g|², wherever a metric projects."""
    rhs, theta, drive = right_hand_side(METRICS[index], load("torch"))
    report = rhs.diagnose(theta, drive, drive.on(*(rhs.backend.asarray(part) for part in rhs.flow.held_out(64))))
    assert 0 <= float(report.get("residual_projected", 0.0)) <= float(report["residual"]) * (1 + 1e-12)


@every
def test_frameworks_agree(index: int) -> None:
    ours, theirs = tensor(index, "torch"), tensor(index, "jax")
    for key in ("gram", "rhs"):
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ours["velocity"], theirs["velocity"], rtol=1e-6, atol=1e-6)
