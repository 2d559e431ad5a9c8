"""What is eliminated before an iteration changes its length, never the solution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import wgfode as wgf
from wgfode.backend import Backend, load
from wgfode.maps import Affine, Map, Planar, Residual
from wgfode.rhs import RightHandSide
from wgfode.solvers import LSMR, MINRES, Cholesky, NormalProblem, Solver

SHIFT = 1e-6
MAPS: list[Map] = [
    Affine(3) @ Residual(3, width=6),
    Affine(3, "diagonal") @ Planar(3, layers=4),
    Planar(3, layers=2) @ Affine(3),
    Affine(3) @ Affine(3),
]


def quartic(x):
    return (x**4).sum(1) / 4 + x[:, 0] * x[:, 1]


def posed(map_: Map, backend: Backend, distance: float = 0.3) -> NormalProblem:
    """The problem at parameters away from the identity, with the energy far from its minimum."""
    flow = wgf.GradientFlow(map_, wgf.Potential(quartic), wgf.Gaussian.standard(3), wgf.Sobol(128, seed=0))
    rhs = RightHandSide(flow, backend, 1e-6)
    theta = map_.initial() + distance * np.random.default_rng(0).standard_normal(map_.size)
    return rhs.problem(backend.asarray(theta), rhs.drive())


def solved(solver: Solver, problem: NormalProblem, b=None, start=None):
    return solver.solve(solver.init(problem, 1e-6), b, start)


@pytest.mark.parametrize("map_", MAPS, ids=repr)
@pytest.mark.parametrize("kind", [LSMR, MINRES], ids=lambda kind: kind.name)
def test_the_solution_is_that_of_the_dense_solve(map_: Map, kind: type[LSMR] | type[MINRES]) -> None:
    backend = load("torch")
    problem, solver = posed(map_, backend), kind(rtol=1e-11, shift=SHIFT)
    rng = np.random.default_rng(1)
    b, start = (backend.asarray(rng.standard_normal(map_.size)) for _ in range(2))
    b = problem.apply_gram(b)
    for rhs, guess in ((None, None), (None, start), (b, None)):
        expected = solved(Cholesky(shift=SHIFT), problem, rhs)
        found = solved(solver, problem, rhs, guess)
        assert float(found.relative_residual) < 1e-9
        scale = float(problem.backend.xp.sum(expected.xi**2)) ** 0.5
        np.testing.assert_allclose(found.xi, expected.xi, atol=2e-5 * scale)
        moved, missed = problem.apply(expected.xi), problem.apply(found.xi - expected.xi)
        assert float((missed**2).sum() / (moved**2).sum()) ** 0.5 < 1e-7


def test_a_reported_residual_is_that_of_the_whole_system() -> None:
    problem = posed(MAPS[0], load("torch"))
    found = solved(LSMR(rtol=1e-3, shift=SHIFT), problem)
    left = problem.residual(found.xi, SHIFT * problem.mean_diagonal())
    expected = float((left**2).sum() / (problem.rhs**2).sum()) ** 0.5
    assert float(found.relative_residual) == pytest.approx(expected, rel=1e-6)
    assert 1e-9 < expected <= 1e-3


def test_an_affine_map_needs_no_iteration(backend: Backend) -> None:
    problem = posed(Affine(3), backend)
    found = solved(LSMR(rtol=1e-12, shift=SHIFT), problem)
    assert int(found.steps) == 0
    expected = backend.to_numpy(solved(Cholesky(shift=SHIFT), problem).xi)
    np.testing.assert_allclose(backend.to_numpy(found.xi), expected, rtol=1e-10, atol=1e-12)


def test_the_iteration_is_shorter_and_the_velocity_no_worse() -> None:
    problem = posed(Affine(3) @ Residual(3, width=20), load("torch"), 0.1)
    exact = solved(Cholesky(shift=SHIFT), problem).xi
    solver = LSMR(rtol=1e-3, shift=SHIFT)
    errors, steps = [], []
    for each in (problem, replace(problem, block=None)):
        found = solved(solver, each)
        errors.append(float((problem.apply(found.xi - exact) ** 2).sum()))
        steps.append(int(found.steps))
    assert steps[0] < steps[1] / 2
    assert errors[0] < 1.5 * errors[1]


@pytest.mark.parametrize(
    "map_", [Affine(3) @ Residual(3, width=6), Affine(3, "diagonal") @ Planar(3, layers=4)], ids=repr
)
def test_parameters_of_their_own_sizes_are_eliminated_too(map_: Map) -> None:
    """A reference of very different extents gives parameters sizes: the shift is then relative to these."""
    backend = load("torch")
    reference = wgf.Gaussian([1.0, 0.0, -2.0], np.diag([4.0, 1e-2, 1.0]))
    flow = wgf.GradientFlow(map_, wgf.Potential(quartic), reference, wgf.Sobol(128, seed=0))
    rhs = RightHandSide(flow, backend, 1e-6)
    assert not isinstance(rhs.sizes, float)
    theta = map_.initial() + 0.1 * np.random.default_rng(0).standard_normal(map_.size)
    problem = rhs.problem(backend.asarray(theta), rhs.drive())
    block = problem.block
    assert block is not None
    P = backend.asarray(np.random.default_rng(1).standard_normal((block.left.shape[0], block.right.shape[0])))
    moved = block.take(problem.apply_gram(block.put(P)))
    np.testing.assert_allclose(moved, block.left @ P @ block.right, rtol=1e-11, atol=1e-12)
    found = [solved(each(rtol=1e-11, shift=SHIFT), problem) for each in (LSMR, MINRES)]
    exact = solved(Cholesky(shift=SHIFT), problem)
    for each in found:
        missed = problem.apply(each.xi - exact.xi)
        assert float((missed**2).sum() / (problem.target**2).sum()) ** 0.5 < 1e-7


def test_without_a_shift_nothing_is_eliminated() -> None:
    """The solution of least norm is one of all unknowns together."""
    problem = posed(Affine(3) @ Affine(3), load("torch"))
    solver = LSMR(rtol=1e-12, shift=0.0)
    found = solved(solver, problem).xi
    plain = solved(solver, replace(problem, block=None)).xi
    np.testing.assert_array_equal(found, plain)


def test_what_is_not_finite_comes_back_as_such() -> None:
    backend = load("torch")
    problem = posed(Affine(3) @ Residual(3, width=4), backend)
    bad = replace(problem, rhs=problem.rhs * float("nan"), target=problem.target * float("nan"))
    found = solved(LSMR(shift=SHIFT), bad)
    assert not np.isfinite(backend.to_numpy(found.xi)).all()
    assert not np.isfinite(float(found.relative_residual))
