"""The Krylov solvers against scipy's, step by step, and what they report against what is true."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg
from systems import EPS, KRYLOV, ROWS, SIZE, SOLVERS, example, jit, relative_error, shifted, solve

from wgfode.solvers import LSMR, MINRES, NormalProblem, Nystrom


def counts(backend) -> tuple[int, ...]:
    """Numbers of steps to compare at: each is a compilation in jax."""
    return (1, 2, 3, 6, 11) if backend.name == "torch" else (6,)


@pytest.mark.parametrize("kind", ["regular", "singular", "ill"])
def test_minres_iterates_are_scipys(backend, kind):
    matrix, target = example(kind)
    for steps in counts(backend):
        solver = MINRES(max_steps=steps, shift=1e-6)
        gram, rhs, _ = shifted(solver, matrix, target)
        theirs = scipy.sparse.linalg.minres(gram, rhs, rtol=1e-15, maxiter=steps)[0]
        ours, _, taken = solve(backend, solver, matrix, target, tolerance=1e-15)
        assert taken == steps
        # rounding errors part the two on the ill-conditioned one, as the vectors lose their orthogonality
        assert relative_error(ours, theirs) < (1e-4 if kind == "ill" else 1e-9)


@pytest.mark.parametrize("kind", ["regular", "singular", "ill"])
def test_lsmr_iterates_are_scipys(backend, kind):
    matrix, target = example(kind)
    for steps in counts(backend):
        solver = LSMR(max_steps=steps, shift=1e-3)
        damp = np.sqrt(shifted(solver, matrix, target)[2])
        theirs = scipy.sparse.linalg.lsmr(matrix, target, damp, atol=0, btol=0, conlim=0, maxiter=steps)[0]
        ours, _, taken = solve(backend, solver, matrix, target, tolerance=1e-15)
        assert taken == steps
        assert relative_error(ours, theirs) < (1e-4 if kind == "ill" else 1e-9)


@pytest.mark.parametrize("kind", ["regular", "ill"])
def test_lsmr_starts_as_scipys(backend, kind):
    """Undamped, where scipy's x0 means the same."""
    matrix, target = example(kind)
    start = np.random.default_rng(2).standard_normal(SIZE)
    theirs = scipy.sparse.linalg.lsmr(matrix, target, atol=0, btol=0, conlim=0, maxiter=5, x0=start)[0]
    ours, *_ = solve(backend, LSMR(max_steps=5, shift=0), matrix, target, tolerance=1e-15, start=start)
    assert relative_error(ours, theirs) < 1e-9


@pytest.mark.parametrize("start", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("solver", [*SOLVERS, MINRES(max_steps=3), LSMR(max_steps=3)], ids=str)
@pytest.mark.parametrize("kind", ["regular", "singular", "ill"])
def test_reported_residual_is_true(backend, solver, kind, start):
    matrix, target = example(kind)
    gram, rhs, _ = shifted(solver, matrix, target)
    guess = np.linalg.lstsq(matrix, target)[0] + 1e-3 if start else None
    xi, residual, steps = solve(backend, solver, matrix, target, start=guess)
    true = np.linalg.norm(rhs - gram @ xi) / np.linalg.norm(rhs)
    rounding = 50 * EPS["float64"] * np.linalg.norm(gram, 2) * np.linalg.norm(xi) / np.linalg.norm(rhs)
    assert residual == pytest.approx(true, rel=1e-6, abs=rounding)
    if getattr(solver, "max_steps", None) == 3:  # too few, and said so
        assert steps == 3
        assert residual > 1e-6
    elif not solver.resolve(SIZE).direct:
        assert residual <= solver.goal(1e-10)
        assert 3 < steps <= 500


@pytest.mark.parametrize("kind", KRYLOV, ids=lambda kind: kind.name)
def test_rtol_overrides_the_tolerance(backend, kind):
    matrix, target = example("regular")
    of_rank = {"rank": 4} if kind is Nystrom else {}
    _, loose, few = solve(backend, kind(rtol=1e-2, **of_rank), matrix, target, tolerance=1e-12)
    _, tight, many = solve(backend, kind(rtol=1e-9, **of_rank), matrix, target, tolerance=1e-1)
    assert tight <= 1e-9 < loose <= 1e-2
    assert few < many


@pytest.mark.parametrize("kind", KRYLOV, ids=lambda kind: kind.name)
def test_a_solution_is_no_work(backend, kind):
    matrix, target = example("regular")
    gram, rhs, _ = shifted(kind(), matrix, target)
    solution = np.linalg.solve(gram, rhs)
    xi, _, steps = solve(backend, kind(), matrix, target, start=solution)
    assert steps == 0
    assert np.array_equal(xi, solution)


def test_minres_outside_of_the_range(backend):
    """G ξ = b without a solution: finite, least squares, and the residual says so."""
    matrix, target = example("singular")
    gram = matrix.T @ matrix
    kernel = np.linalg.svd(matrix)[2][-1]
    rhs = matrix.T @ target + 0.5 * kernel
    problem, solver = NormalProblem.from_matrix(backend, matrix, target), MINRES(shift=0)
    run = jit if backend.name == "jax" else lambda f: f
    found = run(lambda: solver.solve(solver.init(problem, 1e-10), backend.asarray(rhs)))()
    xi = backend.to_numpy(found.xi)
    assert float(found.relative_residual) == pytest.approx(0.5 / np.linalg.norm(rhs), rel=1e-6)
    assert np.linalg.norm(gram @ (rhs - gram @ xi)) < 1e-6 * np.linalg.norm(rhs)


def test_lsmr_without_a_target_is_minres(backend):
    matrix, target = example("ill")
    ours = solve(backend, LSMR(shift=1e-4), matrix, target, drop_target=True)
    theirs = solve(backend, MINRES(shift=1e-4), matrix, target)
    assert np.array_equal(ours[0], theirs[0])
    assert ours[2] == theirs[2]
    assert LSMR.needs_target
    assert not MINRES.needs_target


def test_lsmr_loses_fewer_digits_than_minres(backend):
    """What LSMR is for: cond(A) = 1e5, and cond(G) = 1e10.

    The goal is below what can be reached. With one that can, the error is that of stopping there, up to cond(G) times
    the goal for either solver, and which of the two stops the luckier way is a matter of the last bit.
    """
    errors = []
    for seed in range(9):
        rng = np.random.default_rng(seed)
        left, right = (np.linalg.qr(rng.standard_normal((rows, 12)))[0] for rows in (ROWS, 12))
        matrix = left @ np.diag(np.logspace(0, -5, 12)) @ right.T
        true = rng.standard_normal(12)
        found = [solve(backend, kind(shift=0), matrix, matrix @ true, 1e-15)[0] for kind in (LSMR, MINRES)]
        errors.append([relative_error(xi, true) for xi in found])
    ours, theirs = np.median(errors, axis=0)
    assert ours < 0.03 * theirs
    assert np.max(errors, axis=0)[0] < 1e-7
