"""Every dictionary of potentials: gradient fields, alike in both frameworks and precisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from suites.subjects import examples, name_of

from wgfode.backend import load
from wgfode.errors import InputError

every = pytest.mark.parametrize("potentials", examples("potentials"), ids=name_of)
X = np.random.default_rng(5).standard_normal((6, 3))


def fields(potentials: Any, x: np.ndarray, name: str = "torch", dtype: str = "float64") -> np.ndarray:
    backend = load(name, dtype)
    found = potentials.gradients(backend.asarray(x))
    assert str(found.dtype).endswith(dtype)
    return backend.to_numpy(found)


@every
def test_fields_are_gradients(potentials: Any) -> None:
    """Their Jacobians are symmetric."""
    assert fields(potentials, X).shape == (6, 3, potentials.size(3))
    if getattr(potentials, "count", None):
        pytest.skip("its inducing points move with x")
    h = 1e-5
    moved = [(fields(potentials, X + h * e) - fields(potentials, X - h * e)) / (2 * h) for e in np.eye(3)]
    jacobian = np.stack(moved, axis=2)  # (N, i, ∂j, L)
    np.testing.assert_allclose(jacobian, jacobian.transpose(0, 2, 1, 3), atol=1e-8)
    assert np.abs(fields(potentials, X)).max() > 0.1


@every
def test_frameworks_and_precisions_agree(potentials: Any) -> None:
    ours = fields(potentials, X)
    np.testing.assert_allclose(ours, fields(potentials, X, "jax"), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours, fields(potentials, X, "torch", "float32"), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours, fields(potentials, X, "jax", "float32"), rtol=1e-4, atol=1e-4)


@every
def test_they_say_where_they_do_not_fit(potentials: Any) -> None:
    potentials.check(3, 100)
    for dim, points in ((2, 100), (3, 1)):
        try:
            potentials.check(dim, points)
        except InputError:
            with pytest.raises(InputError, match="potentials"):
                potentials.check(dim, points)
        else:
            rows = np.ones((points, dim)) * np.arange(1, points + 1)[:, None]
            assert fields(potentials, rows).shape == (points, dim, potentials.size(dim))
