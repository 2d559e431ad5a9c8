"""The solvers of G ξ = b against numpy and scipy, and what they report against what is true."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgfode.backend import load
from wgfode.errors import InputError
from wgfode.solvers import LSMR, MINRES, Auto, Cholesky, Eigh, NormalProblem, Nystrom, Solution, Solver
from wgfode.solvers.eigh import inverse_filter

ROWS, SIZE = 60, 24
SOLVERS = [Cholesky(), Eigh(), MINRES(), LSMR(), Nystrom(shift=1e-8, rank=8), Auto()]
UNSHIFTED = [Cholesky(shift=0), Eigh(shift=0), MINRES(shift=0), LSMR(shift=0)]
KRYLOV = [MINRES, LSMR, Nystrom]
EPS = {"float64": 2.2e-16, "float32": 1.2e-7}
by_name = {"ids": lambda value: getattr(value, "name", None)}


# these tests compile much and compute little
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@lru_cache
def compiled(name: str, dtype: str, solver: Solver, tolerance: float, drop_target: bool):
    """(A, y, start) → Solution, jitted in jax, so that a shape is compiled once."""
    backend = load(name, dtype)

    def run(matrix: Any, target: Any, start: Any) -> Solution:
        problem = NormalProblem.from_matrix(backend, matrix, target)
        if drop_target:
            problem = problem.with_rhs(problem.rhs)
        return solver.solve(problem, tolerance, start)

    return backend, jit(run) if name == "jax" else run


def solve(backend, solver, matrix, target, tolerance=1e-10, start=None, dtype="float64", drop_target=False):
    """The solution as numpy: (ξ, relative residual, steps)."""
    backend, run = compiled(backend.name, dtype, solver, tolerance, drop_target)
    start = None if start is None else backend.asarray(start)
    found = run(backend.asarray(matrix), backend.asarray(target), start)
    assert str(found.xi.dtype).endswith(dtype)
    assert tuple(found.xi.shape) == (matrix.shape[1],)
    return backend.to_numpy(found.xi), float(found.relative_residual), int(found.steps)


def spectrum(kind: str) -> np.ndarray:
    """Singular values of A: those of G are their squares."""
    return {
        "regular": np.linspace(1, 3, SIZE),
        "singular": np.concatenate([np.linspace(1, 3, SIZE - 9), np.zeros(9)]),
        "ill": np.logspace(0, -4, SIZE),
    }[kind]


def example(kind: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A (n, m) of a kind, and a target outside of its range."""
    rng = np.random.default_rng(seed)
    if kind == "zero columns":
        matrix = rng.standard_normal((ROWS, SIZE))
        matrix[:, ::5] = 0
    else:
        left = np.linalg.qr(rng.standard_normal((ROWS, SIZE)))[0]
        right = np.linalg.qr(rng.standard_normal((SIZE, SIZE)))[0]
        matrix = left @ np.diag(spectrum(kind)) @ right.T
    return matrix, rng.standard_normal(ROWS)


def shifted(solver: Solver, matrix: np.ndarray, target: np.ndarray):
    """(G + σ, b, σ) in numpy, independently of the solver."""
    gram = matrix.T @ matrix
    sigma = 0.0 if isinstance(solver, Eigh | Auto) else solver.shift * np.trace(gram) / len(gram)
    return gram + sigma * np.eye(len(gram)), matrix.T @ target, sigma


def relative_error(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.linalg.norm(found - true) / np.linalg.norm(true))


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
    assert (steps > 0) == isinstance(solver, MINRES | LSMR | Nystrom)


@pytest.mark.parametrize("solver", [*UNSHIFTED, *SOLVERS], ids=str)
@pytest.mark.parametrize("kind", ["singular", "zero columns"])
def test_minimum_norm(backend, solver, kind):
    matrix, target = example(kind)
    xi, residual, _ = solve(backend, solver, matrix, target)
    assert relative_error(xi, np.linalg.pinv(matrix) @ target) < 1e-6
    assert residual < 1e-9


@pytest.mark.parametrize("solver", SOLVERS, **by_name)
@pytest.mark.parametrize("kind", ["regular", "singular", "zero columns"])
def test_float32(backend, solver, kind):
    matrix, target = example(kind)
    xi, residual, _ = solve(backend, solver, matrix, target, tolerance=1e-5, dtype="float32")
    assert relative_error(xi, np.linalg.pinv(matrix) @ target) < 2e-4
    assert residual < 2e-5


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


@pytest.mark.parametrize("solver", [*SOLVERS, *UNSHIFTED], ids=str)
@pytest.mark.parametrize("kind", ["regular", "singular"])
def test_zero_right_hand_side(backend, solver, kind):
    matrix, _ = example(kind)
    xi, residual, steps = solve(backend, solver, matrix, np.zeros(ROWS))
    assert np.all(xi == 0)
    assert residual == 0
    assert steps == 0


@pytest.mark.parametrize("solver", [*SOLVERS, *UNSHIFTED], ids=str)
def test_zero_matrix(backend, solver):
    xi, residual, _ = solve(backend, solver, np.zeros((ROWS, SIZE)), np.ones(ROWS))
    assert np.all(xi == 0)
    assert residual == 0


@pytest.mark.parametrize("solver", SOLVERS, **by_name)
@pytest.mark.parametrize("where", ["matrix", "target"])
def test_not_finite_comes_back_as_not_finite(backend, solver, where):
    matrix, target = example("regular")
    (matrix if where == "matrix" else target)[(3,)] = np.nan
    xi, residual, _ = solve(backend, solver, matrix, target)
    assert not np.all(np.isfinite(xi))
    assert not np.isfinite(residual)


# ------------------------------------------------------------------ the iterations


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
    elif isinstance(solver, MINRES | LSMR | Nystrom):
        assert residual <= 1e-10
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
    problem = NormalProblem.from_matrix(backend, matrix, target).with_rhs(backend.asarray(rhs))
    run = jit if backend.name == "jax" else lambda f: f
    found = run(lambda: MINRES(shift=0).solve(problem, 1e-10))()
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
    """What LSMR is for: cond(A) = 1e5, and cond(G) = 1e10."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((rows, 12)))[0] for rows in (ROWS, 12))
    matrix = left @ np.diag(np.logspace(0, -5, 12)) @ right.T
    true = rng.standard_normal(12)
    ours, theirs = (
        relative_error(solve(backend, kind(shift=0), matrix, matrix @ true, 1e-13)[0], true)
        for kind in (LSMR, MINRES)
    )
    assert ours < 0.3 * theirs
    assert ours < 1e-6


# ------------------------------------------------------------------ the direct solvers


def test_eigh_is_unbiased_and_smooth(backend):
    xp = backend.xp
    values = np.array([-1e-3, 0.0, 1e-9, 1e-5, 1e-4, 1e-2, 1.0])
    got = backend.to_numpy(inverse_filter(xp, backend.asarray(values), backend.asarray(1e-4)))
    positive = values[2:]
    assert np.all(got[:2] == 0)
    np.testing.assert_allclose(got[2:], 1 / positive / (1 + (1e-4 / positive) ** 6), rtol=1e-12)
    assert got[-1] == 1.0
    near = backend.to_numpy(
        inverse_filter(xp, backend.asarray(1e-4 * (1 + np.array([-1e-9, 1e-9]))), xp.asarray(1e-4))
    )
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
    found = Cholesky().solve(problem, 1e-6)
    np.testing.assert_allclose(backend.to_numpy(found.xi), [1, 2, 0], atol=1e-12)


# ------------------------------------------------------------------ the problem and the choice


def test_problem(backend):
    matrix, target = example("regular")
    problem = NormalProblem.from_matrix(backend, matrix, target)
    assert (problem.size, problem.rows) == (SIZE, ROWS)
    mean = np.trace(matrix.T @ matrix) / SIZE
    assert float(problem.mean_diagonal) == pytest.approx(mean)
    formed = NormalProblem.from_matrix(backend, matrix, target)
    gram = formed.gram
    assert float(formed.mean_diagonal) == pytest.approx(mean)
    other = formed.with_rhs(backend.asarray(np.ones(SIZE)))
    assert other.gram is gram
    assert other.target is None
    assert other.rows == ROWS
    np.testing.assert_allclose(backend.to_numpy(other.rhs), 1)
    for solver in (Cholesky(1e-3), MINRES(shift=1e-3), LSMR(shift=1e-3)):
        assert float(solver.sigma(problem)) == pytest.approx(1e-3 * mean)
    assert float(Eigh(1e-3).sigma(problem)) == 0


def test_problem_forms_the_gram_once(backend):
    matrix, target = example("regular")
    calls = []
    formed = NormalProblem.from_matrix(backend, matrix, target).gram
    problem = NormalProblem(
        backend,
        backend.asarray(matrix.T @ target),
        lambda v: formed @ v,
        lambda v: v,
        lambda: calls.append(1) or formed,
        lambda: pytest.fail("the estimate is not needed where G is formed"),
    )
    solver = Cholesky()
    solver.prepare(problem)
    solver.solve(problem, 1e-6)
    solver.solve(problem.with_rhs(problem.rhs), 1e-6)
    assert calls == [1]


@pytest.mark.parametrize(
    ("size", "rows", "has_target", "name"),
    [
        (10, 1000, True, "Eigh"),
        (300, None, False, "Eigh"),
        (1000, 8000, True, "Cholesky"),
        (2000, 10_000, False, "Cholesky"),
        (2000, 10_000_000, True, "LSMR"),
        (5000, 8000, True, "LSMR"),
        (5000, 8000, False, "MINRES"),
    ],
)
def test_auto_picks_by_size(size, rows, has_target, name):
    assert Auto().pick(size, rows, has_target).name == name


@given(
    value=st.one_of(
        st.floats(max_value=-1e-300), st.just(float("nan")), st.just(float("inf")), st.text(max_size=3)
    )
)
@pytest.mark.parametrize("kind", [Cholesky, Eigh, MINRES, LSMR, Nystrom])
def test_shift_is_checked(kind, value):
    if isinstance(value, str) and value.strip().isdecimal():
        return
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
            solver.solve(problem, 1e-6, backend.asarray(target))


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
    assert residual <= 1e-10 or isinstance(solver, Eigh | Auto)


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


# ------------------------------------------------------------------ derivatives, jit and vmap (jax)


def natural(solver: Solver, backend: Any, theta: Any) -> tuple[Any, Any]:
    """ξ(θ) of (G(θ) + σ(θ)) ξ = b(θ), differentiated implicitly, and what the solver reports."""
    rng = np.random.default_rng(7)
    base, tilt, target = (jnp.asarray(rng.standard_normal(shape)) for shape in [(30, 8), (3, 30, 8), (30,)])
    matrix = base + jnp.einsum("k,kij->ij", jnp.sin(theta), tilt)
    problem = NormalProblem.from_matrix(backend, matrix, target * (1 + theta[0] ** 2))
    solver.prepare(problem)
    sigma = solver.sigma(problem)

    def found() -> tuple[Any, Any]:
        solution = solver.solve(problem, 1e-12)
        return solution.xi, (solution.relative_residual, solution.steps)

    return backend.root(
        lambda xi: -problem.residual(xi, sigma),
        found,
        lambda _, rhs: solver.solve(problem.with_rhs(rhs), 1e-12).xi,
        jnp.zeros(8),
    )


THETA = np.array([0.3, -0.2, 0.5])


@pytest.mark.parametrize(
    "solver", [Cholesky(shift=1e-2), Eigh(), MINRES(shift=1e-2), LSMR(shift=1e-2), Nystrom(shift=1e-2)], **by_name
)
def test_implicit_derivatives(solver):
    """Forward and reverse mode under jit and vmap, against central differences and each other."""
    backend = load("jax")

    def xi(theta):
        return natural(solver, backend, theta)[0]

    step = 1e-5
    points = np.concatenate([THETA + step * np.eye(3), THETA - step * np.eye(3)])
    values, (residuals, steps) = jit(jax.vmap(lambda theta: natural(solver, backend, theta)))(points)
    assert np.all(np.asarray(residuals) < 1e-11)
    assert steps.dtype == np.int32
    assert np.all((np.asarray(steps) > 0) == isinstance(solver, MINRES | LSMR | Nystrom))
    differences = np.asarray(values[:3] - values[3:]).T / (2 * step)
    close = partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-8)

    thetas = THETA + np.array([[0.0], [0.1]])
    first, second = jit(jax.vmap(jax.jacfwd(xi)))(thetas)
    close(first, differences)
    close(jit(jax.jacrev(xi))(THETA), differences)
    value, tangent = jit(lambda theta: jax.jvp(xi, (theta,), (jnp.ones(3),)))(thetas[1])
    close(value, jit(xi)(thetas[1]))
    close(tangent, second.sum(1))


def test_reports_beside_a_derivative():
    backend = load("jax")
    jacobian = jax.jacfwd(lambda theta: natural(MINRES(), backend, theta), has_aux=True)
    _, (residual, steps) = jit(jacobian)(THETA)
    assert residual < 1e-11
    assert steps > 0


@pytest.mark.parametrize("solver", [*SOLVERS, LSMR(shift=0)], ids=str)
def test_torch_differentiates_through_the_steps(solver):
    backend = load("torch")
    parts = (*example("regular"), example("regular", 1)[0])
    base, target, tilt = (backend.asarray(part) for part in parts)

    def xi(t):
        problem = NormalProblem.from_matrix(backend, base + torch.sin(t) * tilt, target)
        return solver.solve(problem, 1e-13).xi

    t, step = backend.asarray(0.3), 1e-5
    difference = (xi(t + step) - xi(t - step)) / (2 * step)
    _, tangent = torch.func.jvp(xi, (t,), (torch.ones_like(t),))
    assert relative_error(backend.to_numpy(tangent), backend.to_numpy(difference)) < 1e-6


def test_torch_and_jax_agree():
    matrix, target = example("ill")
    for solver in SOLVERS:
        ours, theirs = (solve(load(name), solver, matrix, target)[0] for name in ("torch", "jax"))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(ours).max())
