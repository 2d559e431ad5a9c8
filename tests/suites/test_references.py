"""Every reference: its density integrates to one, the score is its gradient, samples have its moments."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from suites.subjects import examples, name_of

from wgfode.points import Sobol

every = pytest.mark.parametrize("reference", examples("reference"), ids=name_of)


@every
def test_the_density_integrates_to_one(reference: Any) -> None:
    cells = 600 if reference.dim == 1 else 500
    spread = 9 * np.sqrt(np.diag(reference.covariance))
    mids = (np.arange(cells) + 0.5) / cells
    axes = [m - s + 2 * s * mids for m, s in zip(reference.mean, spread, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, reference.dim)
    cell = np.prod(2 * spread / cells)
    assert np.exp(reference.log_density(grid)).sum() * cell == pytest.approx(1, abs=1e-2)


@every
def test_the_score_is_the_gradient(reference: Any) -> None:
    """Against differences, and automatic differentiation on both frameworks."""
    z = reference.from_uniform(np.random.default_rng(1).uniform(0.15, 0.85, (20, reference.dim)))
    step, basis = 1e-5, np.eye(reference.dim)
    moved = [[reference.log_density(z + s * step * e) for s in (1, -1)] for e in basis]
    difference = np.stack([(there - back) / (2 * step) for there, back in moved], axis=1)
    by_torch = torch.func.grad(lambda x: reference.log_density(x).sum())(torch.as_tensor(z)).numpy()
    by_jax = np.asarray(jax.jit(jax.grad(lambda x: reference.log_density(x).sum()))(jnp.asarray(z)))
    np.testing.assert_allclose(by_torch, by_jax, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(by_torch, difference, rtol=1e-6, atol=1e-7)
    if (score := reference.score(z)) is not None:
        np.testing.assert_allclose(score, by_torch, rtol=1e-9, atol=1e-10)


@every
def test_samples_have_its_moments(reference: Any) -> None:
    z, weights = Sobol(2**14, seed=3).draw(reference)
    mean = weights @ z
    covariance = (z - mean).T @ ((z - mean) * weights[:, None])
    scale = np.abs(reference.covariance).max()
    np.testing.assert_allclose(mean, reference.mean, atol=2e-3 * math.sqrt(scale))
    np.testing.assert_allclose(covariance, reference.covariance, atol=8e-3 * scale)


@every
def test_frameworks_agree_and_dtypes_are_kept(reference: Any) -> None:
    z = reference.from_uniform(np.random.default_rng(4).random((40, reference.dim)))
    functions = [reference.log_density] + ([] if reference.score(z) is None else [reference.score])
    for f in functions:
        expected = f(z)
        tolerance = {"rtol": 1e-13, "atol": 1e-13 * np.abs(expected).max()}
        np.testing.assert_allclose(f(torch.as_tensor(z)).numpy(), expected, **tolerance)
        np.testing.assert_allclose(np.asarray(jax.jit(f)(jnp.asarray(z))), expected, **tolerance)
        singles = z.astype(np.float32), torch.as_tensor(z, dtype=torch.float32), jnp.asarray(z, "float32")
        for single in singles:
            assert f(single).dtype == single.dtype
            assert type(f(single)) is type(single)
            assert np.isfinite(np.asarray(f(single))).all()
