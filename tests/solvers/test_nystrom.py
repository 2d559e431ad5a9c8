"""The preconditioned solver: what the sketch of G is worth (the rest: test_solvers.py and test_krylov.py)."""

from __future__ import annotations

import numpy as np
import pytest

import wgfode as wgf
from wgfode.backend import load
from wgfode.derivative import Linearization
from wgfode.problems import quadratic
from wgfode.rhs import RightHandSide
from wgfode.solvers import MINRES, NormalProblem
from wgfode.stepping.stage import StageEquation

SIZE, LARGE = 60, 20


def problem(backend, tail: float = 1e-4, tilt: float = 0.0) -> NormalProblem:
    """`LARGE` singular values from 1 to 10, the others from `tail` down."""
    rng = np.random.default_rng(3)
    left, right = (np.linalg.qr(rng.standard_normal((n, SIZE)))[0] for n in (90, SIZE))
    values = np.concatenate([np.geomspace(10, 1, LARGE), np.geomspace(tail, tail * 1e-3, SIZE - LARGE)])
    matrix = left @ np.diag(values) @ right.T + tilt * rng.standard_normal((90, SIZE))
    return NormalProblem.from_matrix(backend, matrix, rng.standard_normal(90))


def test_the_sketch_is_g_where_the_rank_is_enough(backend):
    it = problem(backend, tail=1e-9)
    U, values = map(backend.to_numpy, wgf.Nystrom(rank=30).sketch(it))
    gram = backend.to_numpy(it.form_gram())
    np.testing.assert_allclose(U @ np.diag(values) @ U.T, gram, atol=1e-10 * np.linalg.norm(gram, 2))
    np.testing.assert_allclose(U.T @ U, np.eye(30), atol=1e-8)
    assert (np.diff(values) <= 0).all()


def test_it_undercuts_g(backend):
    """0 ≤ Nyström ≤ G, for any rank: the theorem that makes it a preconditioner."""
    it = problem(backend, tail=1.0)
    U, values = map(backend.to_numpy, wgf.Nystrom(rank=12).sketch(it))
    left = backend.to_numpy(it.form_gram()) - U @ np.diag(values) @ U.T
    assert values.min() >= 0
    assert np.linalg.eigvalsh(left).min() > -1e-10


def test_only_what_was_missed_is_left_to_the_iteration(backend):
    it = problem(backend)
    solvers = [MINRES(shift=1e-6), *(wgf.Nystrom(shift=1e-6, rank=rank) for rank in (5, 15, 25))]
    plain, *steps = [int(solver.solve(solver.init(it, 1e-10)).steps) for solver in solvers]
    assert steps[0] > steps[1] > steps[2]
    assert steps[2] <= 3 < plain


def test_a_sketch_of_a_near_g_will_do(backend):
    here, there = problem(backend), problem(backend, tilt=1e-3)
    solver = wgf.Nystrom(shift=1e-4, rank=25)
    known = solver.init(here, 1e-9)
    alone = solver.solve(solver.init(there, 1e-9))
    near = solver.init(there, 1e-9, near=known)
    borrowed = solver.solve(near)
    assert near.sketch is known.sketch
    assert float(near.sigma) == float(solver.init(there, 1e-9).sigma) != float(known.sigma)
    assert int(borrowed.steps) <= int(alone.steps) + 10
    np.testing.assert_allclose(backend.to_numpy(borrowed.xi), backend.to_numpy(alone.xi), rtol=1e-6)


def test_rank_is_checked():
    with pytest.raises(wgf.InputError, match="rank must be"):
        wgf.Nystrom(rank=0)


def test_more_columns_than_g_has_rank_bring_no_noise():
    """Seen: with single precision and a kernel, an error of 18 where the sketch held all of G."""
    backend = load("torch", "float32")
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((60, 15)) @ rng.standard_normal((15, 24))
    it = NormalProblem.from_matrix(backend, matrix, rng.standard_normal(60))
    solver = wgf.Nystrom(shift=1e-8, rank=24)
    xi = backend.to_numpy(solver.solve(solver.init(it, 1e-5)).xi)
    true = np.linalg.lstsq(matrix, backend.to_numpy(it.target), rcond=1e-6)[0]
    assert np.linalg.norm(xi - true) < 2e-3 * np.linalg.norm(true)


def test_a_matrix_free_stage_is_that_of_a_factorisation(backend):
    """M⁻¹(G + σ)r by GCR with the sketch as preconditioner, against the dense inverse."""
    from wgfode.solvers.gcr import empty_space, gcr

    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    A = axes @ np.diag([1.0, 50.0, 2500.0]) @ axes.T
    flow = wgf.GradientFlow(
        map=wgf.maps.Affine(3) @ wgf.maps.Planar(3, layers=3),
        energy=quadratic((A + A.T) / 2, np.ones(3)) + wgf.Entropy(),
        reference=wgf.Gaussian.standard(3), points=wgf.Sobol(64, seed=0), solver=wgf.Nystrom(shift=1e-4, rank=20),
    )  # fmt: skip
    rhs = RightHandSide(flow, backend, 1e-10)
    equation = StageEquation(rhs, "krylov")
    theta = backend.asarray(flow.map.initial() + 0.05 * np.random.default_rng(1).standard_normal(flow.size))
    here: Linearization = equation.at(theta, rhs.drive())
    k, gh = here.velocity, backend.asarray(1e-2)
    product = equation.product(here, k, gh)
    r = backend.asarray(np.random.default_rng(2).standard_normal(flow.size))
    space = empty_space(backend, flow.size, flow.size)
    target = equation.metric(here, r)
    found, _, left = gcr(backend, product, target, space, rtol=1e-9, max_steps=100,
                         precondition=equation.preconditioner(here))  # fmt: skip
    assert float(left) < 1e-8
    dense = equation.inverse(here, k, gh)(r)
    np.testing.assert_allclose(backend.to_numpy(found), backend.to_numpy(dense), rtol=1e-4, atol=1e-6)
