"""The solvers of G ξ = b against numpy, the problem they are handed, and the choice between them."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from systems import EPS, KRYLOV, ROWS, SIZE, SOLVERS, UNSHIFTED, by_name, example, jit, relative_error, shifted, solve

from wgfode.backend import load
from wgfode.errors import InputError
from wgfode.solvers import LSMR, MINRES, Auto, Cholesky, Eigh, NormalProblem, Nystrom
from wgfode.solvers.eigh import inverse_filter

# ------------------------------------------------------------------ the solution


@pytest.mark.parametrize("start", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("solver", UNSHIFTED, **by_name)
@pytest.mark.parametrize("kind", ["regular", "ill"])
def test_unique_solution(backend, solver, kind, start):
    matrix, target = example(kind)
    true = np.linalg.lstsq(matrix, target)[0]
    guess = np.random.default_rng(5).standard_normal(SIZE) if start else None
    xi, residual, steps = solve(backend, solver, matrix, target, start=guess)
    # a residual ρ bounds the error by ρ cond(G)
    condition = np.linalg.cond(matrix) ** 2
    assert relative_error(xi, true) < 2 * max(1e-10, 1e3 * EPS["float64"]) * condition
    assert residual <= max(1e-10, 20 * EPS["float64"] * condition if "E" in solver.name else 0)
    assert (steps > 0) == (not solver.direct)


@pytest.mark.parametrize("solver", [*UNSHIFTED, *SOLVERS], ids=str)
@pytest.mark.parametrize("kind", ["singular", "zero columns"])
def test_minimum_norm(backend, solver, kind):
    matrix, target = example(kind)
    xi, residual, _ = solve(backend, solver, matrix, target)
    assert relative_error(xi, np.linalg.pinv(matrix) @ target) < 1e-6
    assert residual < 1e-9


@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_unreachable_tolerance_in_float32(backend, solver):
    """Noise is not pursued: a kernel would amplify it."""
    matrix, target = example("singular")
    xi, residual, _ = solve(backend, solver, matrix, target, tolerance=1e-12, dtype="float32")
    assert relative_error(xi, np.linalg.pinv(matrix) @ target) < 1e-4
    assert residual < 1e-5


@pytest.mark.parametrize(
    "solver", [Cholesky(1e-3), MINRES(shift=1e-3), LSMR(shift=1e-3), Nystrom(shift=1e-3)], **by_name
)
@pytest.mark.parametrize("kind", ["regular", "singular", "ill"])
def test_shifted_solution(backend, solver, kind):
    matrix, target = example(kind)
    gram, rhs, _ = shifted(solver, matrix, target)
    xi, *_ = solve(backend, solver, matrix, target, tolerance=1e-12)
    assert relative_error(xi, np.linalg.solve(gram, rhs)) < 1e-8


# ------------------------------------------------------------------ the direct solvers


def test_eigh_is_unbiased_and_smooth(backend):
    xp = backend.xp
    values = np.array([-1e-3, 0.0, 1e-9, 1e-5, 1e-4, 1e-2, 1.0])
    got = backend.to_numpy(inverse_filter(xp, backend.asarray(values), backend.asarray(1e-4)))
    positive = values[2:]
    assert np.all(got[:2] == 0)
    np.testing.assert_allclose(got[2:], 1 / positive / (1 + (1e-4 / positive) ** 6), rtol=1e-12)
    assert got[-1] == 1.0
    near = backend.to_numpy(inverse_filter(xp, backend.asarray(1e-4 * (1 + np.array([-1e-9, 1e-9]))), xp.asarray(1e-4)))
    assert abs(near[1] / near[0] - 1) < 1e-7


def test_filter_does_not_overflow_in_float32(backend):
    single = load(backend.name, "float32")
    values = single.asarray([0.0, 1e-30, 1e-10, 1.0, 1e30])
    got = single.to_numpy(inverse_filter(single.xp, values, single.asarray(1e-10)))
    assert np.all(np.isfinite(got))
    assert got[3] == pytest.approx(1)


@pytest.mark.parametrize("shift", [0.0, 1e-9])
def test_cholesky_falls_back(backend, shift):
    """float32, singular: the factorisation cannot succeed, or should not be trusted where it does."""
    matrix, target = example("singular")
    found = solve(backend, Cholesky(shift), matrix, target, dtype="float32")
    filtered = solve(backend, Eigh(), matrix, target, dtype="float32")
    np.testing.assert_allclose(found[0], filtered[0], rtol=1e-4, atol=1e-6)


def test_cholesky_falls_back_on_an_indefinite_gram(backend):
    gram = backend.asarray(np.diag([1.0, 1.0, -0.1]))
    problem = NormalProblem(
        backend, backend.asarray([1.0, 2.0, 0.0]), lambda v: v, lambda v: v, lambda: gram, lambda: gram[0, 0]
    )
    solver = Cholesky()
    found = solver.solve(solver.init(problem, 1e-6))
    np.testing.assert_allclose(backend.to_numpy(found.xi), [1, 2, 0], atol=1e-12)


# ------------------------------------------------------------------ the problem and the choice


def test_problem(backend):
    matrix, target = example("regular")
    problem = NormalProblem.from_matrix(backend, matrix, target)
    assert (problem.size, problem.rows) == (SIZE, ROWS)
    gram, mean = matrix.T @ matrix, np.trace(matrix.T @ matrix) / SIZE
    np.testing.assert_allclose(backend.to_numpy(problem.form_gram()), gram, rtol=1e-12)
    assert float(problem.mean_diagonal()) == pytest.approx(mean)
    xi, b = np.random.default_rng(0).standard_normal((2, SIZE))
    left = problem.residual(backend.asarray(xi), 0.5, backend.asarray(b))
    np.testing.assert_allclose(backend.to_numpy(left), b - gram @ xi - 0.5 * xi, rtol=1e-12)
    for solver in SOLVERS:
        state = solver.init(problem, 1e-6)
        sigma = solver.shift * mean if solver.resolve(SIZE).shifted else 0
        assert float(state.sigma) == pytest.approx(sigma)
        np.testing.assert_allclose(backend.to_numpy(state.gram), gram, rtol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_a_state_serves_every_right_hand_side(backend, solver):
    """One `init`, then b of the problem, another b, and a batch of them: an inverse."""
    matrix, target = example("regular")

    def run(matrix, target, other):
        state = solver.init(NormalProblem.from_matrix(backend, matrix, target), 1e-12)
        batch = () if backend.name == "torch" and not solver.resolve(SIZE).direct else (
            backend.vmap(lambda b: solver.solve(state, b).xi)(backend.asarray(np.eye(SIZE))),)  # fmt: skip
        return solver.solve(state).xi, solver.solve(state, other).xi, *batch

    run = jit(run) if backend.name == "jax" else run
    b = np.random.default_rng(1).standard_normal(SIZE)
    found = [backend.to_numpy(x) for x in run(*map(backend.asarray, (matrix, target, b)))]
    gram = shifted(solver, matrix, target)[0]
    for xi, right in zip(found, (matrix.T @ target, b, np.eye(SIZE)), strict=False):
        np.testing.assert_allclose(gram @ xi.T, right, atol=1e-10 * np.abs(right).max())


def test_a_direct_solver_forms_g_and_factorises_once(backend):
    matrix, target = example("regular")
    calls = []
    formed = NormalProblem.from_matrix(backend, matrix, target).form_gram()
    problem = NormalProblem(
        backend,
        backend.asarray(matrix.T @ target),
        lambda v: formed @ v,
        lambda v: v,
        lambda: calls.append(1) or formed,
        lambda: pytest.fail("the diagonal is at hand where G is formed"),
    )
    for solver in (Cholesky(), Eigh()):
        calls.clear()
        state = solver.init(problem, 1e-6)
        for b in (None, problem.rhs):
            solver.solve(state, b)
        assert state.gram is formed
        assert calls == [1]


@pytest.mark.parametrize(
    ("size", "rows", "name"),
    [
        (10, 1000, "Eigh"),
        (300, None, "Eigh"),
        (1000, 8000, "Cholesky"),
        (2000, 10_000, "Cholesky"),
        (2000, 10_000_000, "CG"),
        (5000, 8000, "CG"),
    ],
)
def test_auto_picks_by_size(size, rows, name):
    assert Auto().resolve(size, rows).name == name


@given(value=st.one_of(st.floats(max_value=-1e-300), st.just(float("nan")), st.just(float("inf")), st.text(max_size=3)))
@pytest.mark.parametrize("kind", [Cholesky, Eigh, MINRES, LSMR, Nystrom])
def test_shift_is_checked(kind, value):
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            assume(not 0 <= float(value) < float("inf"))  # the text of a good number is one
    with pytest.raises(InputError, match="shift"):
        kind(shift=value)


@given(value=st.one_of(st.floats(max_value=0), st.floats(min_value=1), st.just(float("nan"))))
@pytest.mark.parametrize("kind", KRYLOV)
def test_rtol_is_checked(kind, value):
    with pytest.raises(InputError, match="rtol"):
        kind(rtol=value)


@given(value=st.one_of(st.integers(max_value=0), st.floats(), st.booleans()))
@pytest.mark.parametrize("kind", KRYLOV)
def test_max_steps_is_checked(kind, value):
    with pytest.raises(InputError, match="max_steps"):
        kind(max_steps=value)


def test_shapes_are_checked(backend):
    matrix, target = example("regular")
    with pytest.raises(InputError, match="matrix and target"):
        NormalProblem.from_matrix(backend, matrix, target[:-1])
    problem = NormalProblem.from_matrix(backend, matrix, target)
    for solver in (MINRES(), LSMR()):
        with pytest.raises(InputError, match="start"):
            solver.solve(solver.init(problem, 1e-6), start=backend.asarray(target))


# ------------------------------------------------------------------ algebra


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), exponent=st.floats(-6, 6))
@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_units_do_not_matter(backend, solver, seed, exponent):
    """(cA, cy), so G → c²G and b → c²b: the same ξ, since the shift is relative."""
    matrix, target = example("ill", seed)
    scale = 10**exponent
    one, *_ = solve(backend, solver, matrix, target)
    other, residual, _ = solve(backend, solver, scale * matrix, scale * target)
    gram, *_ = shifted(solver, matrix, target)
    # ξ itself where it is determined: in the metric of G, up to the tolerance
    assert np.linalg.norm(gram @ (one - other)) < 3e-10 * np.linalg.norm(matrix.T @ target)
    assert residual <= 1e-10 or not solver.resolve(SIZE).shifted


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), kind=st.sampled_from(["regular", "singular"]))
@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_orthogonal_equivariance(backend, solver, seed, kind):
    """Parameters θ' = Qᵀθ: ξ' = Qᵀξ."""
    matrix, target = example(kind, seed)
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((SIZE, SIZE)))[0]
    one, *_ = solve(backend, solver, matrix, target)
    other, *_ = solve(backend, solver, matrix @ rotation, target)
    np.testing.assert_allclose(rotation @ other, one, atol=1e-6 * np.linalg.norm(one))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), factor=st.floats(-1e3, 1e3).filter(lambda c: abs(c) > 1e-3))
@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_linear_in_the_target(backend, solver, seed, factor):
    matrix, target = example("regular", seed)
    one, *_ = solve(backend, solver, matrix, target)
    other, *_ = solve(backend, solver, matrix, factor * target)
    np.testing.assert_allclose(other, factor * one, atol=1e-8 * np.linalg.norm(factor * one))
