"""Potentials of target densities: log densities as samplers and libraries write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wgfode as wgf
from wgfode.adapters.torchdiffeq import right_hand_side
from wgfode.backend import load, precision
from wgfode.run.contents import digest

MEAN, COV = np.array([1.0, -1.0]), np.array([[1.0, 0.3], [0.3, 0.5]])
PRECISION = np.linalg.inv(COV)
P00, P01, P11 = PRECISION[0, 0], PRECISION[0, 1], PRECISION[1, 1]


def of_rows(x: Any) -> Any:
    """log N(MEAN, COV), up to a constant, of points (N, 2)."""
    a, b = x[:, 0] - 1, x[:, 1] + 1
    return -(P00 * a**2 + 2 * P01 * a * b + P11 * b**2) / 2


def of_one(x: Any) -> Any:
    """The same of one point (2,)."""
    a, b = x[0] - 1, x[1] + 1
    return -(P00 * a**2 + 2 * P01 * a * b + P11 * b**2) / 2


def with_args(x: Any, args: Any) -> Any:
    """The same of one point, about a mean in `args`."""
    return of_one(x - args["shift"])


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("n", [1, 2, 3, 7])  # as many points as dimensions, and one more
def test_rows_and_single_points_give_the_same_potential(framework: str, n: int) -> None:
    with precision(framework, "float64"):
        backend = load(framework)
        x = backend.asarray(np.random.default_rng(0).standard_normal((n, 2)) + 3)
        wanted = -backend.to_numpy(of_rows(x))
        for f in (of_rows, of_one):
            V = wgf.Potential.from_log_density(f).V
            np.testing.assert_allclose(backend.to_numpy(V(x)), wanted, rtol=1e-14)
            gradient = backend.grad(lambda points, V=V: backend.xp.sum(V(points)))(x)
            np.testing.assert_allclose(backend.to_numpy(gradient), (backend.to_numpy(x) - MEAN) @ PRECISION, rtol=1e-12)


@pytest.mark.parametrize("f", [of_rows, with_args])
def test_a_flow_rests_at_the_target(f: Any) -> None:
    flow = wgf.GradientFlow(
        wgf.maps.Affine(2), wgf.Potential.from_log_density(f) + wgf.Entropy(), wgf.Gaussian.standard(2),
        wgf.GaussHermite(3),
    )  # fmt: skip
    args = {"shift": np.zeros(2)} if f is with_args else None
    before = digest(flow)
    f_ = right_hand_side(flow, args=args)
    # where the target is the image of the reference, the flow rests
    root = np.linalg.cholesky(COV)
    z = np.random.default_rng(1).standard_normal((5, 2))
    theta = fitted(flow, lambda points: points @ root.T + MEAN)
    np.testing.assert_allclose(f_.pushforward(theta, z).numpy(), z @ root.T + MEAN, atol=1e-12)
    np.testing.assert_allclose(f_(0.0, f_.rhs.backend.asarray(theta)).numpy(), 0.0, atol=1e-10)
    assert np.abs(f_(0.0, f_.initial()).numpy()).max() > 0.1
    assert digest(flow) == before  # a checkpoint knows the flow again, though it has been asked


def fitted(flow: wgf.GradientFlow, affine: Any) -> np.ndarray:
    """The θ of an affine map whose image of points is that of `affine`: the map is affine in θ."""
    z = np.random.default_rng(0).standard_normal((9, 2))
    zero = flow.transport(np.zeros(flow.size), z)
    columns = [(flow.transport(row, z) - zero).ravel() for row in np.eye(flow.size)]
    return np.linalg.lstsq(np.array(columns).T, (affine(z) - zero).ravel(), rcond=None)[0]


def test_torch_distributions_are_targets_and_the_elementwise_are_refused() -> None:
    torch = pytest.importorskip("torch")
    normal = torch.distributions.Normal(torch.zeros(2), torch.ones(2))
    x = load("torch").asarray(np.array([[0.5, -1.0], [2.0, 0.0], [1.0, 1.0]]))
    joint = torch.distributions.Independent(normal, 1)
    V = wgf.Potential.from_log_density(joint.log_prob).V
    np.testing.assert_allclose(V(x).numpy(), -joint.log_prob(x).numpy())
    flow = wgf.GradientFlow(
        wgf.maps.Affine(2), wgf.Potential.from_log_density(normal.log_prob) + wgf.Entropy(), wgf.Gaussian.standard(2)
    )
    with pytest.raises(wgf.InputError, match=r"−log_density must map \(N, d\) to \(N,\)"):
        wgf.solve(flow, [1.0], integrator="torchdiffeq")
    with pytest.raises(wgf.InputError, match="log_density must be a function"):
        wgf.Potential.from_log_density(normal)
