"""Conjugate gradients stop when the velocity is right, neither before nor long after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from systems import example, jit, shifted

import wgfode as wgf
from wgfode.backend import Backend, load
from wgfode.maps import Affine, Map, Planar, Residual
from wgfode.rhs import RightHandSide
from wgfode.solvers import CG, NormalProblem

SHIFT = 1e-6


def quartic(x: Any) -> Any:
    return (x**4).sum(1) / 4 + x[:, 0] * x[:, 1]


def posed(map_: Map) -> NormalProblem:
    """The problem at parameters away from the identity."""
    flow = wgf.GradientFlow(map_, wgf.Potential(quartic), wgf.Gaussian.standard(3), wgf.Sobol(256, seed=0))
    rhs = RightHandSide(flow, load("torch"), 1e-6)
    theta = map_.initial() + 0.1 * np.random.default_rng(0).standard_normal(map_.size)
    return rhs.problem(rhs.backend.asarray(theta), rhs.drive())


def dense(problem: NormalProblem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(G + σ, b, y) in numpy."""
    gram = problem.backend.to_numpy(problem.form_gram())
    sigma = SHIFT * np.trace(gram) / len(gram)
    parts = (problem.backend.to_numpy(part) for part in (problem.rhs, problem.target))
    return (gram + sigma * np.eye(len(gram)), *parts)


MAPS = [
    Residual(3, width=30),
    Affine(3) @ Residual(3, width=30),
    Affine(3) @ Planar(3, layers=20),
]


@pytest.mark.parametrize("map_", MAPS, ids=repr)
def test_it_stops_at_the_velocity_error_that_was_asked_for(map_: Map) -> None:
    """Where |G + σ| is up to 1e9 times its inverse's, and the residual says nothing."""
    problem = posed(map_)
    gram, b, y = dense(problem)
    exact = np.linalg.solve(gram, b)
    counts = []
    for rtol in (1e-2, 1e-3):
        solver = CG(rtol=rtol, shift=SHIFT, max_steps=5000)
        found = solver.solve(solver.init(problem, 1e-6))
        missed = problem.backend.to_numpy(found.xi) - exact
        error = np.sqrt(missed @ gram @ missed) / np.linalg.norm(y)
        assert 0.01 * rtol < error < 1.4 * rtol
        counts.append(int(found.steps))
    assert 0 < counts[0] < counts[1] < 5000


def test_a_step_that_does_little_is_no_end() -> None:
    """A spectrum and a force with a plateau: many small eigenvalues hold most of the motion."""
    backend, rng = load("torch"), np.random.default_rng(0)
    values = np.concatenate([np.full(3, 1e3), np.geomspace(1.0, 1e-2, 40)])
    left = np.linalg.qr(rng.standard_normal((80, len(values))))[0]
    matrix, target = left * values, left @ np.concatenate([np.ones(3), np.full(40, 0.1)])
    problem = NormalProblem.from_matrix(backend, matrix, target)
    for rtol in (0.1, 0.03, 0.01):
        solver = CG(rtol=rtol, shift=1e-12)
        found = solver.solve(solver.init(problem, 1e-6))
        gram, b, _ = shifted(solver, matrix, target)
        missed = backend.to_numpy(found.xi) - np.linalg.solve(gram, b)
        assert np.sqrt(missed @ gram @ missed) < 1.4 * rtol * np.linalg.norm(target)


@pytest.mark.parametrize("map_", MAPS[:2], ids=repr)
@pytest.mark.parametrize("started", [False, True], ids=["cold", "warm"])
def test_where_only_b_is_known_it_is_measured_by_the_motion(map_: Map, started: bool) -> None:
    problem = posed(map_)
    gram, b, _ = dense(problem)
    exact = np.linalg.solve(gram, b)
    start = problem.backend.asarray(exact + 0.1 * np.random.default_rng(1).standard_normal(len(b))) if started else None
    solver = CG(rtol=1e-2, shift=SHIFT)
    found = solver.solve(solver.init(problem, 1e-6), problem.rhs, start)
    missed = problem.backend.to_numpy(found.xi) - exact
    assert 1e-4 < np.sqrt(missed @ gram @ missed / (exact @ gram @ exact)) < 1.4e-2


def test_frameworks_agree() -> None:
    matrix, target = example("regular")
    solver = CG(rtol=1e-3, shift=1e-6)

    def steps(backend: Backend) -> Any:
        problem = NormalProblem.from_matrix(backend, matrix, target)
        found = solver.solve(solver.init(problem, 1e-6))
        return found.steps, found.xi

    torch, jax = load("torch"), load("jax")
    ours, theirs = steps(torch), jit(lambda: steps(jax))()
    assert int(ours[0]) == int(theirs[0]) > 3
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6)
