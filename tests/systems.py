"""Least-squares systems of known spectrum, and how the solvers' tests solve them."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np

from wgfode.backend import load
from wgfode.solvers import CG, LSMR, MINRES, Auto, Cholesky, Eigh, NormalProblem, Nystrom, Solution, Solver

ROWS, SIZE = 60, 24
SOLVERS = [Cholesky(), Eigh(), MINRES(), LSMR(), CG(), Nystrom(shift=1e-8, rank=8), Auto()]
UNSHIFTED = [Cholesky(shift=0), Eigh(shift=0), MINRES(shift=0), LSMR(shift=0), CG(shift=0)]
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
        return solver.solve(solver.init(problem, tolerance), problem.rhs if drop_target else None, start)

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
    sigma = solver.shift * np.trace(gram) / len(gram) if solver.resolve(len(gram)).shifted else 0.0
    return gram + sigma * np.eye(len(gram)), matrix.T @ target, sigma


def relative_error(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.linalg.norm(found - true) / np.linalg.norm(true))
