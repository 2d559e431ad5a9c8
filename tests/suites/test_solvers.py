"""Every solver: numpy's solution, the true residual, zeros, NaN, single precision, batches and derivatives."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from suites.subjects import compiled, examples, name_of
from systems import ROWS, SIZE, example, relative_error, solve

from wgfode.backend import load
from wgfode.solvers import NormalProblem

SOLVERS = examples("solver")
every = pytest.mark.parametrize("solver", SOLVERS, ids=name_of)


@every
@pytest.mark.parametrize("kind", ["regular", "singular"])
def test_it_is_numpys_solution(backend: Any, solver: Any, kind: str) -> None:
    """On a full rank, and the one of least norm where G is singular; with the residual that it says."""
    matrix, target = example(kind)
    xi, residual, steps = solve(backend, solver, matrix, target)
    assert relative_error(xi, np.linalg.pinv(matrix) @ target) < 1e-6
    rhs = matrix.T @ target
    assert abs(residual - np.linalg.norm(rhs - matrix.T @ (matrix @ xi)) / np.linalg.norm(rhs)) < 1e-6
    assert 0 <= steps <= 500


@every
def test_zero(backend: Any, solver: Any) -> None:
    matrix, target = example("regular")
    for a, y in ((matrix, 0 * target), (0 * matrix, target)):
        xi, residual, _ = solve(backend, solver, a, y)
        assert (xi == 0).all()
        assert residual == 0


@every
@pytest.mark.parametrize("where", ["matrix", "target"])
def test_not_finite_comes_back_as_not_finite(backend: Any, solver: Any, where: str) -> None:
    matrix, target = example("regular")
    (matrix if where == "matrix" else target)[(3,)] = np.nan
    xi, residual, _ = solve(backend, solver, matrix, target)
    assert not np.isfinite(xi).all()
    assert not np.isfinite(residual)


@every
@pytest.mark.parametrize("kind", ["regular", "singular", "zero columns"])
def test_single_precision(backend: Any, solver: Any, kind: str) -> None:
    matrix, target = example(kind)
    xi, residual, _ = solve(backend, solver, matrix, target, tolerance=1e-5, dtype="float32")
    assert relative_error(xi, np.linalg.pinv(matrix) @ target) < 2e-4
    assert residual < 2e-5


@every
def test_many_right_hand_sides_at_once(solver: Any) -> None:
    """Under jax.vmap (torch's cannot batch a loop that ends by its data)."""
    backend, (matrix, _) = load("jax"), example("regular")
    targets = np.random.default_rng(1).standard_normal((3, ROWS))

    def one(target: Any) -> Any:
        return solver.solve(solver.init(NormalProblem.from_matrix(backend, matrix, target), 1e-10)).xi

    found = backend.to_numpy(compiled(backend, backend.vmap(one))(backend.asarray(targets)))
    for xi, target in zip(found, targets, strict=True):
        assert relative_error(xi, np.linalg.lstsq(matrix, target)[0]) < 1e-6


@every
def test_torch_differentiates_it_implicitly(solver: Any) -> None:
    """By `root`, in both modes, against differences."""
    backend = load("torch")
    base, tilt, target = (backend.asarray(part) for part in (*example("regular")[:1], *example("regular", 1)))

    def xi(t: Any) -> Any:
        problem = NormalProblem.from_matrix(backend, base + torch.sin(t[0]) * tilt, target * t[1])
        state = solver.init(problem, 1e-13)
        return backend.root(
            lambda guess: -problem.residual(guess, state.sigma),
            lambda: (solver.solve(state).xi, None),
            lambda _, y: solver.solve(state, y).xi,
            backend.asarray(np.zeros(SIZE)),
        )[0]

    t, step = backend.asarray([0.3, 1.2]), 1e-5
    plain = torch.no_grad()(xi)
    columns = [(plain(t + step * e) - plain(t - step * e)) / (2 * step) for e in backend.asarray(np.eye(2))]
    expected = torch.stack(columns, dim=1)
    close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-7)
    close(torch.func.jacrev(xi)(t), expected)
    close(torch.func.jvp(xi, (t,), (torch.ones_like(t),))[1], expected.sum(1))
