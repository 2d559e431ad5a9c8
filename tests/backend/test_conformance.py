"""Every verb of the backend protocol, on each backend, against numpy and finite differences."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
import torch

from wgfode.backend import Backend, load
from wgfode.errors import InputError

Array = Any
RNG = np.random.default_rng(0)
X, V = RNG.standard_normal((2, 5))
MATRIX = RNG.standard_normal((5, 3))
close = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-13)


def wave(backend: Backend, x: Array) -> Array:
    """A function R⁵ → R³."""
    return backend.xp.sin(x) @ backend.asarray(MATRIX) + x[0] * x[1]


def wave_jacobian(x: np.ndarray) -> np.ndarray:
    """Its Jacobian, (3, 5)."""
    jacobian = (np.cos(x)[:, None] * MATRIX).T
    jacobian[:, 0] += x[1]
    jacobian[:, 1] += x[0]
    return jacobian


def differences(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """∂f/∂x by central differences, (…, inputs)."""
    return np.stack([(f(x + step * e) - f(x - step * e)) / (2 * step) for e in np.eye(len(x))], axis=-1)


def test_every_verb_has_a_test() -> None:
    verbs = {name for name, _ in inspect.getmembers(Backend, inspect.isfunction) if not name.startswith("_")}
    tested = {name.split("__")[0].removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert verbs <= tested, f"write test_{(verbs - tested).pop()} in {__file__}"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_asarray(name: str, dtype: str) -> None:
    backend = load(name, dtype)
    for value in ([1, 2], (1.0, 2.0), np.array([1, 2]), np.array([1, 2], "float32"), backend.asarray([1.0, 2.0])):
        array = backend.asarray(value)
        assert str(array.dtype).endswith(dtype)
        assert tuple(array.shape) == (2,)
        close(backend.to_numpy(array), [1, 2])
    assert backend.asarray(3).shape == ()
    assert (backend.name, backend.dtype) == (name, dtype)


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_asarray__says_where_it_cannot(name: str) -> None:
    with pytest.raises(InputError, match="dtype"):
        load(name, "float16")
    with pytest.raises(InputError, match="device 'nowhere'"):
        load(name, device="nowhere")


def test_to_numpy(backend: Backend) -> None:
    array = backend.asarray(X)
    if backend.name == "torch":
        array.requires_grad_()
    found = backend.to_numpy(array)
    assert type(found) is np.ndarray
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, X)


def test_rows(backend: Backend) -> None:
    close(backend.to_numpy(backend.rows(X)), X)


def test_alone(backend: Backend) -> None:
    """On one device nothing changes."""
    alone = backend.alone()
    assert (alone.name, alone.dtype, alone.devices.count) == (backend.name, backend.dtype, 1)
    close(alone.to_numpy(alone.asarray(X)), X)


def test_draw(backend: Backend) -> None:
    """One seed, one draw; another, another."""
    if backend.name == "torch":
        sample = torch.distributions.Normal(torch.tensor([0.0]), 1.0).sample
    else:
        sample = lambda key, shape: jax.random.normal(key, (*shape, 1))  # noqa: E731
    first, again, other = (backend.to_numpy(backend.draw(sample, 5, seed)) for seed in (3, 3, 4))
    assert first.shape == (5, 1)
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_constant(backend: Backend) -> None:
    found = backend.grad(lambda x: backend.xp.sum(backend.constant(x**2) * x))(backend.asarray(X))
    close(backend.to_numpy(found), X**2)


def test_grad(backend: Backend) -> None:
    found = backend.grad(lambda x: backend.xp.sum(wave(backend, x)))(backend.asarray(X))
    close(backend.to_numpy(found), wave_jacobian(X).sum(0))


def test_jvp(backend: Backend) -> None:
    y, moved = backend.jvp(partial(wave, backend), backend.asarray(X), backend.asarray(V))
    close(backend.to_numpy(y), np.sin(X) @ MATRIX + X[0] * X[1])
    close(backend.to_numpy(moved), wave_jacobian(X) @ V)


def test_linearize(backend: Backend) -> None:
    y, forward, reverse = backend.linearize(partial(wave, backend), backend.asarray(X))
    close(backend.to_numpy(y), np.sin(X) @ MATRIX + X[0] * X[1])
    for scale in (1.0, -2.0):  # both are called many times
        close(backend.to_numpy(forward(scale * backend.asarray(V))), scale * wave_jacobian(X) @ V)
        w = scale * backend.asarray(V[:3])
        close(backend.to_numpy(reverse(w)), scale * wave_jacobian(X).T @ V[:3])


def test_jacobian(backend: Backend) -> None:
    found = backend.jacobian(partial(wave, backend))(backend.asarray(X))
    close(backend.to_numpy(found), wave_jacobian(X))
    expected = differences(lambda x: backend.to_numpy(wave(backend, backend.asarray(x))), X)
    np.testing.assert_allclose(backend.to_numpy(found), expected, atol=1e-9)


def test_vmap(backend: Backend) -> None:
    rows = backend.asarray(np.stack([X, V]))
    found = backend.vmap(lambda x, y: wave(backend, x) * y[0])(rows, rows)
    expected = np.stack([(np.sin(x) @ MATRIX + x[0] * x[1]) * x[0] for x in (X, V)])
    close(backend.to_numpy(found), expected)


def test_invert(backend: Backend) -> None:
    matrices = RNG.standard_normal((6, 3, 3))
    inverse, sign, log_det = map(backend.to_numpy, backend.invert(backend.asarray(matrices)))
    close(inverse @ matrices, np.broadcast_to(np.eye(3), (6, 3, 3)), atol=1e-11)
    close(sign * np.exp(log_det), np.linalg.det(matrices), rtol=1e-11)
    assert {-1.0, 1.0} == set(sign)


def test_invert__derivative(backend: Backend) -> None:
    base, tilt = np.random.default_rng(3).standard_normal((2, 4, 3, 3))

    def f(t: Array) -> Array:
        inverse, _, log_det = backend.invert(backend.asarray(base) + t[0] * backend.asarray(tilt))
        return backend.xp.sum(inverse, axis=(1, 2)) + log_det

    found = backend.jacobian(f)(backend.asarray([0.2]))
    expected = differences(lambda t: backend.to_numpy(f(backend.asarray(t))), np.array([0.2]))
    np.testing.assert_allclose(backend.to_numpy(found), expected, rtol=1e-6, atol=1e-6)
    forward = backend.jvp(f, backend.asarray([0.2]), backend.asarray([1.0]))[1]
    close(backend.to_numpy(forward), backend.to_numpy(found)[:, 0], rtol=1e-10)


@pytest.mark.parametrize("rows", [0, 1, 3, 7, 100])
def test_by_rows(backend: Backend, rows: int) -> None:
    x = RNG.standard_normal((7, 5))
    seen: list[int] = []

    def f(block: Array) -> Array:
        seen.append(block.shape[0])
        return backend.xp.sin(block) @ backend.asarray(MATRIX)

    found = backend.by_rows(f, backend.asarray(x), rows)
    close(backend.to_numpy(found), np.sin(x) @ MATRIX)
    assert max(seen) <= max(rows, 1)
    derivative = backend.grad(lambda x: backend.xp.sum(backend.by_rows(f, x, rows)))(backend.asarray(x))
    close(backend.to_numpy(derivative), np.cos(x) * MATRIX.sum(1))


def test_by_points(backend: Backend) -> None:
    """On one device it is `by_rows`."""
    x = backend.asarray(RNG.standard_normal((7, 5)))
    found = backend.by_points(backend.xp.sin, x, 3)
    close(backend.to_numpy(found), np.sin(backend.to_numpy(x)))


def test_while_loop(backend: Backend) -> None:
    def proceed(state: tuple) -> Array:
        return state[1] < 1000

    def step(state: tuple) -> tuple:
        return state[0] + state[1], 2 * state[1]

    start = (backend.asarray(0.0), backend.asarray(1.0))
    total, last = backend.while_loop(proceed, step, start)
    assert (float(total), float(last)) == (1023, 1024)
    none = backend.while_loop(proceed, step, (backend.asarray(5.0), backend.asarray(2000.0)))
    assert (float(none[0]), float(none[1])) == (5, 2000)


def test_leaves(backend: Backend) -> None:
    tree = {"D": 0.5, "A": [backend.asarray(MATRIX), None], "k": (1.0,)}
    assert len(backend.leaves(tree)) == 3


def test_as_args(backend: Backend) -> None:
    found = backend.as_args({"D": 0.5, "A": [MATRIX, None], "name": None})
    assert str(found["D"].dtype).endswith(backend.dtype)
    assert float(found["D"]) == 0.5
    close(backend.to_numpy(found["A"][0]), MATRIX)
    with pytest.raises(InputError, match="args"):
        backend.as_args({"D": "half"})


def test_compile(backend: Backend) -> None:
    x = backend.asarray(X)
    compiled = backend.compile(lambda x: (wave(backend, x), x[0]))
    for _ in range(2):
        y, first = compiled(x)
        close(backend.to_numpy(y), np.sin(X) @ MATRIX + X[0] * X[1])
        assert float(backend.to_numpy(first)) == X[0]
    assert not getattr(y, "requires_grad", False)


def test_compile__torch_keeps_a_graph_where_one_is_asked_for() -> None:
    backend = load("torch")
    x = backend.asarray(X).requires_grad_()
    compiled = backend.compile(lambda x: wave(backend, x))
    y = compiled(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    close(gradient.numpy(), wave_jacobian(X).sum(axis=0))
    with torch.no_grad():
        assert not compiled(x).requires_grad


def spd(scale: float = 1.0) -> np.ndarray:
    return MATRIX.T @ MATRIX + scale * np.eye(3)


def test_now(backend: Backend) -> None:
    """A value in the middle of a traced function, and no derivative through it."""
    seen = []

    def f(x: Array) -> Array:
        known = backend.now(lambda: backend.vmap(lambda row: 2 * row)(backend.asarray(MATRIX)))
        seen.append(known)
        return backend.xp.sum(known @ x[:3])

    close(backend.to_numpy(backend.grad(backend.compile(f))(backend.asarray(X)))[:3], 2 * MATRIX.sum(0))
    close(backend.to_numpy(seen[0]), 2 * MATRIX)


def test_cholesky(backend: Backend) -> None:
    never = lambda: (backend.asarray(np.full((3, 3), 7.0)), backend.asarray(np.ones(3)))  # noqa: E731
    solve, flag = backend.cholesky(backend.asarray(spd()), backend.asarray(1e-12), never)
    for b in (V[:3], X[:3]):
        close(backend.to_numpy(solve(backend.asarray(b))), np.linalg.solve(spd(), b), rtol=1e-11)
    assert int(flag) == 0


@pytest.mark.parametrize(
    "matrix", [np.ones((3, 3)), -np.eye(3), np.diag([1.0, 1.0, 1e-14])], ids=["singular", "indefinite", "floor"]
)
def test_cholesky__gives_way(backend: Backend, matrix: np.ndarray) -> None:
    instead = lambda: (backend.asarray(np.eye(3)), backend.asarray([1.0, 2.0, 3.0]))  # noqa: E731
    solve, flag = backend.cholesky(backend.asarray(matrix), backend.asarray(1e-12), instead)
    close(backend.to_numpy(solve(backend.asarray(V[:3]))), V[:3] * [1, 2, 3])
    assert int(flag) == 1


def test_cholesky__of_nan(backend: Backend) -> None:
    """Whichever way it takes, what is not finite does not look like a solution."""
    nan = backend.asarray(np.full((3, 3), np.nan))
    solve, _ = backend.cholesky(nan, backend.asarray(1e-12), lambda: (nan, backend.asarray(np.ones(3))))
    assert not np.isfinite(backend.to_numpy(solve(backend.asarray(V[:3])))).any()


def test_factored(backend: Backend) -> None:
    matrix = RNG.standard_normal((4, 4))
    solve = backend.factored(backend.asarray(matrix))
    for b in RNG.standard_normal((2, 4)):
        close(matrix @ backend.to_numpy(solve(backend.asarray(b))), b, atol=1e-11)
    matrix[1, 2] = np.nan
    assert np.isnan(backend.to_numpy(backend.factored(backend.asarray(matrix))(backend.asarray(np.ones(4))))).any()


# ------------------------------------------------------------------ root

THETA = np.array([0.3, -0.2, 0.5])
TILT = RNG.standard_normal((3, 5, 3))


def root_of(backend: Backend, theta: Array, calls: list[str] | None = None) -> tuple[Array, Array]:
    """The x(θ), (3,), of x³ + A(θ)x = b(θ), and the number of Newton steps; θ is closed over."""
    xp = backend.xp
    J = backend.asarray(MATRIX) + xp.einsum("k,kij->ij", xp.sin(theta), backend.asarray(TILT))
    A = J.T @ J + backend.asarray(np.eye(3))
    b = backend.asarray([1.0, -2.0, 0.5]) * (1 + theta[0] ** 2)

    def residual(x: Array) -> Array:
        return x**3 + A @ x - b

    def solve() -> tuple[Array, Array]:
        def step(state: tuple) -> tuple:
            x, count = state
            slope = A + 3 * x**2 * backend.asarray(np.eye(3))
            return x - xp.linalg.solve(slope, residual(x)[:, None])[:, 0], count + 1

        zero = backend.asarray(np.zeros(3))
        return backend.while_loop(lambda s: xp.sum(residual(s[0]) ** 2) > 1e-28, step, (zero, backend.asarray(0.0)))

    def tangent_solve(apply: Callable[[Array], Array], y: Array) -> Array:
        if calls is not None:
            calls.append("tangent")
        matrix = backend.vmap(apply)(backend.asarray(np.eye(3)))
        return xp.linalg.solve(matrix, y[:, None])[:, 0]

    return backend.root(residual, solve, tangent_solve, backend.asarray(np.zeros(3)))


def exact_derivative(backend: Backend) -> np.ndarray:
    """∂x/∂θ by central differences, (3, 3)."""
    return differences(lambda theta: backend.to_numpy(root_of(backend, backend.asarray(theta))[0]), THETA)


def test_root(backend: Backend) -> None:
    """Forward and reverse mode against finite differences of a nonlinear root."""
    f = lambda theta: root_of(backend, theta)[0]  # noqa: E731
    theta, expected = backend.asarray(THETA), exact_derivative(backend)
    assert float(root_of(backend, theta)[1]) > 2
    reverse = backend.jacobian(f)(theta)
    np.testing.assert_allclose(backend.to_numpy(reverse), expected, rtol=1e-7, atol=1e-9)
    for v in np.eye(3):
        x, forward = backend.jvp(f, theta, backend.asarray(v))
        close(backend.to_numpy(x), backend.to_numpy(f(theta)))
        np.testing.assert_allclose(backend.to_numpy(forward), expected @ v, rtol=1e-7, atol=1e-9)
    gradient = backend.grad(lambda theta: backend.xp.sum(f(theta)[:2]))(theta)
    np.testing.assert_allclose(backend.to_numpy(gradient), expected[:2].sum(0), rtol=1e-7, atol=1e-9)


def test_root__reports_have_no_derivative(backend: Backend) -> None:
    """What a solve reports beside its root is data."""
    found = backend.grad(lambda theta: backend.xp.sum(root_of(backend, theta)[1] * theta))(backend.asarray(THETA))
    close(backend.to_numpy(found), float(root_of(backend, backend.asarray(THETA))[1]))


def test_root__of_torch_in_plain_reverse_mode() -> None:
    backend, calls = load("torch"), []
    theta = backend.asarray(THETA).requires_grad_()
    x, steps = root_of(backend, theta, calls)
    assert x.requires_grad
    assert not steps.requires_grad
    assert calls == []
    rows = [torch.autograd.grad(part, theta, retain_graph=True)[0] for part in x]
    assert len(calls) == 3
    np.testing.assert_allclose(torch.stack(rows), exact_derivative(backend), rtol=1e-7, atol=1e-9)


def nodes(x: torch.Tensor) -> int:
    """The number of functions in the graph behind x."""
    seen: set[Any] = set()
    todo = [x.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [following for following, _ in node.next_functions]
    return len(seen)


def test_root__of_torch_keeps_no_graph_of_the_steps() -> None:
    backend = load("torch")
    theta = backend.asarray(THETA)
    assert root_of(backend, theta)[0].grad_fn is None  # no input requires a gradient
    theta.requires_grad_()
    with torch.no_grad():
        assert root_of(backend, theta)[0].grad_fn is None
    x = root_of(backend, theta)[0]
    assert 0 < nodes(x) < 40  # that of one residual; each Newton step would add some 15


def test_root__of_torch_is_implicit_under_no_grad_too() -> None:
    """Forward mode does not ask for the grad mode; a solve that starts at the solution has no steps to follow."""
    backend = load("torch")
    matrix = backend.asarray(spd())

    def f(t: torch.Tensor) -> torch.Tensor:
        found = torch.linalg.solve(t.detach() * matrix, torch.ones(3, dtype=torch.float64))
        solve = lambda: (found, 0)  # noqa: E731
        return backend.root(lambda x: t * (matrix @ x) - 1, solve, lambda _, y: found * 0 + _solved(t, y), found)[0]

    def _solved(t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve(t.detach() * matrix, y)

    t = backend.asarray(2.0)
    with torch.no_grad():
        x, moved = torch.func.jvp(f, (t,), (torch.ones_like(t),))
    np.testing.assert_allclose(moved, -x / 2, rtol=1e-12)


def test_root__of_torch_refuses_second_derivatives() -> None:
    """They would be wrong: what A depends on is not in reach."""
    backend = load("torch")
    scalar = lambda theta: root_of(backend, theta)[0].sum()  # noqa: E731
    for second in (torch.func.hessian(scalar), lambda t: torch.autograd.functional.hessian(scalar, t)):
        with pytest.raises(RuntimeError, match=r"differentiated once|escaped"):
            second(backend.asarray(THETA))


def test_root__of_jax_has_second_derivatives() -> None:
    backend = load("jax")
    gradient = jax.grad(lambda theta: root_of(backend, theta)[0].sum())
    found = jax.jit(jax.jacfwd(gradient))(THETA)
    expected = differences(lambda theta: np.asarray(jax.jit(gradient)(theta)), THETA)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
