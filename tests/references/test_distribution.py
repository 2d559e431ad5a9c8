"""References made of the distribution objects of other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import wgfode as wgf
from wgfode.backend import load, precision
from wgfode.references import Custom, from_distribution

U = np.random.default_rng(0).random((7, 1))


@pytest.mark.parametrize(
    "frozen",
    [
        stats.norm(1, 2), stats.uniform(-1, 3), stats.t(8, 1, 2), stats.cauchy(0, 2), stats.laplace(1),
        stats.logistic(1, 2), stats.gumbel_r(1, 2), stats.gumbel_l(), stats.hypsecant(1, 3),
        stats.expon(2), stats.gamma(5, scale=2),
        stats.chi2(8), stats.weibull_min(4, scale=2), stats.lognorm(0.5, 1, 2), stats.beta(4, 5, -1, 3),
    ],
    ids=lambda frozen: frozen.dist.name,
)  # fmt: skip
def test_numbers_of_scipy(frozen: Any) -> None:
    reference = from_distribution(frozen)
    z = frozen.ppf(U)
    for array in (z, load("torch").asarray(z)):
        np.testing.assert_allclose(np.asarray(reference.log_density(array)), frozen.logpdf(z)[:, 0], rtol=1e-10)
    if isinstance(reference, Custom):
        np.testing.assert_allclose(reference.from_uniform(U), z)
    if np.isfinite(frozen.support()[0]):
        assert reference.log_density(np.array([[frozen.support()[0] - 1.0]])) == -np.inf


def test_independent_numbers_and_vectors_of_scipy() -> None:
    frozen = stats.gamma([3, 5], scale=[1, 2])
    reference = from_distribution(frozen)
    z = frozen.ppf(np.c_[U, U[::-1]])
    assert reference.dim == 2
    np.testing.assert_allclose(reference.log_density(z), frozen.logpdf(z).sum(-1), rtol=1e-10)
    cov = np.array([[2.0, 0.5], [0.5, 1.0]])
    assert from_distribution(stats.multivariate_normal([1, 2], cov)) == wgf.Gaussian([1, 2], cov)


def of_torch() -> list[Any]:
    import torch
    import torch.distributions as D

    zero, one = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    two = D.Independent(D.Normal(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).double(), one / 2), 1)
    return [
        D.Normal(1.0, 2.0), D.Laplace(zero, one), D.Independent(D.Normal(zero, one), 1), D.StudentT(8 * one),
        D.MixtureSameFamily(D.Categorical(one), two),
        D.TransformedDistribution(D.Normal(zero, one), [D.SigmoidTransform(), D.AffineTransform(1.0, 3.0)]),
    ]  # fmt: skip


@pytest.mark.parametrize("k", range(6))
def test_distributions_of_torch(k: int) -> None:
    distribution = of_torch()[k]
    reference = from_distribution(distribution)
    u = np.random.default_rng(1).random((4096, reference.dim))
    z = reference.from_uniform(u)
    np.testing.assert_array_equal(z, reference.from_uniform(u))
    backend = load("torch")
    squeezed = backend.asarray(z if reference.dim > 1 else z[:, 0])
    wanted = distribution.log_prob(squeezed)
    wanted = wanted.sum(-1) if wanted.ndim > 1 else wanted
    np.testing.assert_allclose(reference.log_density(z), wanted.numpy(), rtol=1e-6)
    np.testing.assert_allclose(reference.log_density(backend.asarray(z[0])), wanted[0].numpy(), rtol=1e-6)
    # the density is that of the samples: E[(z − c)·∇log λ] = −d
    score = backend.grad(lambda x: reference.log_density(x).sum())(backend.asarray(z)).numpy()
    products = ((z - np.median(z, axis=0)) * score).sum(-1)
    assert abs(products.mean() + reference.dim) < 5 * products.std() / 64


def test_a_normal_density_is_gaussian_and_a_flow_starts_from_a_mixture() -> None:
    import torch

    normal = torch.distributions.MultivariateNormal(torch.zeros(2), 2 * torch.eye(2))
    assert from_distribution(normal) == wgf.Gaussian(np.zeros(2), 2 * np.eye(2))
    flow = wgf.GradientFlow(
        wgf.maps.Affine(2), wgf.Potential(lambda x: (x**2).sum(-1) / 2) + wgf.Entropy(),
        from_distribution(of_torch()[4]), wgf.Sobol(64, seed=0),
    )  # fmt: skip
    run = wgf.solve(
        flow, [0.1], integrator="torchdiffeq", evaluation=256, stiffness=False, certificate=False, rtol=1e-3
    )
    assert run.attrs["status"] == "completed"
    np.testing.assert_allclose(run["mean"][1], np.exp(-0.1) * run["mean"][0], atol=5e-2)
    with pytest.raises(wgf.InputError, match="integrator='torchdiffeq'"):
        wgf.solve(flow, [0.1], integrator="diffrax")


def test_distributions_of_numpyro_and_flowjax() -> None:
    numpyro = pytest.importorskip("numpyro.distributions")
    flowjax = pytest.importorskip("flowjax.distributions")
    u = np.random.default_rng(1).random((5, 2))
    wanted = stats.norm([0, 1], 2)
    for distribution in (
        numpyro.Normal(np.array([0.0, 1.0]), 2.0).to_event(1),
        flowjax.Normal(np.array([0.0, 1.0]), np.array([2.0, 2.0])),
    ):
        reference = from_distribution(distribution)
        z = reference.from_uniform(u)
        np.testing.assert_allclose(z, wanted.ppf(u), atol=1e-5)
        with precision("jax", "float64"):
            found = reference.log_density(load("jax").asarray(z))
        np.testing.assert_allclose(np.asarray(found), wanted.logpdf(z).sum(-1), rtol=1e-5)


def test_what_is_no_reference() -> None:
    import torch
    import torch.distributions as D

    lone = torch.nn.Linear(2, 2)
    single = D.TransformedDistribution(D.Normal(torch.zeros(2), torch.ones(2)), [Through(lone)])
    for value, words in (
        ("normal", "must be one of torch.distributions"),
        (D.Normal, "hand over what it makes"),
        (D.Poisson(1.0), "whole numbers"),
        (D.Normal(torch.zeros(2, 2), 1.0), r"vectors \(d,\), got one of shape \(2, 2\)"),
        (stats.poisson(3), "is not known as a reference"),
        (stats.norm(np.zeros((2, 2))), r"numbers or arrays \(d,\)"),
        (single, r"module\.double\(\)"),
    ):
        with pytest.raises(wgf.InputError, match=words):
            from_distribution(value)


def Through(module: Any) -> Any:
    """A transform by a single-precision module, as that of a trained flow."""
    import torch.distributions as D

    class Transform(D.Transform):
        domain = codomain = D.constraints.real_vector
        bijective = True

        def _inverse(self, y: Any) -> Any:
            return module(y)

        def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
            return x.sum(-1)

    return Transform()
