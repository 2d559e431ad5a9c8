"""What a run takes for granted is tested: references fit their samples, gradients their functions, U is convex."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from array_api_compat import array_namespace, is_torch_array
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.interpolate import CubicSpline
from scipy.special import ndtri

import wgfode as wgf
from wgfode import InputError
from wgfode.backend import load
from wgfode.certificate import quadratic_convexity
from wgfode.checks import Trial
from wgfode.maps import Affine
from wgfode.references import stein

QUICK: dict[str, Any] = {"integrator": "torchdiffeq", "rtol": 1e-4, "evaluation": 256, "stiffness": False}


def bowl(x):
    return 0.5 * (x**2).sum(-1)


def flow(energy, dim: int = 1, **parts: Any) -> wgf.GradientFlow:
    known = {"map": Affine(dim), "reference": wgf.Gaussian.standard(dim), "points": wgf.Sobol(64)}
    return wgf.GradientFlow(energy=energy, **(known | parts))


# -- references: Stein's identity


@settings(max_examples=12, deadline=None)
@given(
    dim=st.integers(1, 6),
    m=st.floats(1.01, 60),
    t=st.floats(0.01, 50),
    far=st.floats(-1e6, 1e6),
    seed=st.integers(0, 99),
)
def test_stein_never_refuses_a_right_reference(dim: int, m: float, t: float, far: float, seed: int) -> None:
    """Gaussians of any shape and Barenblatts of any exponent, anywhere, and Barenblatts under a linear map."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((dim, dim)) + np.diag(10.0 ** rng.uniform(-3, 3, dim))
    gaussian, profile = wgf.Gaussian(np.full(dim, far), root @ root.T), wgf.Barenblatt(dim, m, t)
    inverse = np.linalg.inv(root)
    bent = wgf.Custom(
        dim, lambda u: profile.from_uniform(u) @ root.T, lambda z: profile.log_density(z @ inverse.T),
        lambda z: profile.score(z @ inverse.T) @ inverse,
    )  # fmt: skip
    for reference in (gaussian, profile, bent):
        stein.check(reference, reference.score)


WRONG_LAWS = {
    "uniform": wgf.Uniform([0.0, 1e3], [1e-3, 2e3]),
    "wider": wgf.Custom(1, ndtri, lambda z: -(z[:, 0] ** 2) / 8),
    "a little wider": wgf.Custom(3, ndtri, lambda z: -((z**2).sum(-1)) / 2.1),
    "shifted": wgf.Custom(2, ndtri, lambda z: -((z - 0.1) ** 2).sum(-1) / 2),
    "cut at 2": wgf.Custom(1, stats.truncnorm(-2, 2).ppf, lambda z: -(z[:, 0] ** 2) / 2),
    "one-sided": wgf.Custom(1, stats.expon.ppf, lambda z: -z[:, 0]),
    "correlated": wgf.Custom(2, lambda u: ndtri(u) @ np.array([[1.0, 0.3], [0.0, 1.0]]), lambda z: -(z**2).sum(-1) / 2),
    "wrong score": wgf.Custom(1, ndtri, lambda z: -(z[:, 0] ** 2) / 2, score=lambda z: z),
}


@pytest.mark.parametrize("dim", [30, 100, 200])
def test_stein_never_refuses_in_many_dimensions(dim: int) -> None:
    """Along the axes of a sample's own covariance the sample is wider or narrower than the law: that is no miss."""
    rng = np.random.default_rng(dim)
    turn = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    gaussian = wgf.Gaussian(100 * rng.standard_normal(dim), (turn * np.exp(rng.uniform(-6, 6, dim))) @ turn.T)
    for reference in (wgf.Gaussian.standard(dim), gaussian):
        stein.check(reference, stein.numpy_score(reference))


@pytest.mark.parametrize("name", WRONG_LAWS)
def test_references_that_are_not_their_samples(name: str) -> None:
    reference = WRONG_LAWS[name]
    with pytest.raises(InputError, match="Stein") as refusal:
        flow(wgf.Potential(bowl) + wgf.Entropy(), reference.dim, reference=reference)
    assert ("Smoothed" in str(refusal.value)) == isinstance(reference, wgf.Uniform)
    flow(wgf.Potential(bowl), reference.dim, reference=reference)  # no internal energy: samples are all that counts


@pytest.mark.parametrize(
    "law", [stats.t(1.0), stats.t(4.0), stats.gamma(1.5), stats.logistic()], ids=lambda law: law.dist.name
)
def test_heavy_and_one_sided_tails_pass(law: Any) -> None:
    wgf_law = wgf.Custom(1, law.ppf, lambda z: law.logpdf(z[:, 0]))
    stein.check(wgf_law, stein.numpy_score(wgf_law))


@pytest.mark.parametrize("framework", ["torchdiffeq", "diffrax"])
def test_a_log_density_of_one_framework_is_tested_when_that_is_bound(framework: str) -> None:
    import importlib

    def wider(z):
        return -((torch if framework == "torchdiffeq" else jnp).square(z)).sum(-1) / 8

    def own(z):
        if isinstance(z, np.ndarray):
            raise TypeError("no numpy")
        return wider(z)

    problem = flow(wgf.Entropy(), reference=wgf.Custom(1, ndtri, own))
    with pytest.raises(InputError, match="Stein"):
        importlib.import_module(f"wgfode.adapters.{framework}").right_hand_side(problem)


def test_samples_alone_are_enough_without_an_internal_energy() -> None:
    reference = wgf.Custom(1, ndtri)
    with pytest.raises(InputError, match="density"):
        flow(wgf.Entropy(), reference=reference)
    ds = wgf.solve(flow(wgf.Potential(bowl, convexity=1.0), reference=reference), [0.5], **QUICK)
    assert ds.attrs["status"] == "completed"
    assert ds.covariance.values[-1, 0, 0] == pytest.approx(np.exp(-1.0), rel=1e-2)
    assert "log_density" not in ds
    with pytest.raises(InputError, match="log_density"):
        reference.log_density(np.zeros((1, 1)))
    with pytest.raises(InputError, match="log_density"):
        wgf.Custom(1, ndtri, score=lambda z: -z)


def test_from_a_smoothed_box_the_variances_are_exact() -> None:
    """OU from a box after a little heat, against the exact variance from that start."""
    width = 0.2
    problem = flow(wgf.Potential(bowl) + wgf.Entropy(), map=Affine(1) @ wgf.maps.Residual(1, width=8, spread=0.58),
                   reference=wgf.Smoothed(wgf.Uniform([-1.0], [1.0]), width), points=wgf.Sobol(128))  # fmt: skip
    ds = wgf.solve(problem, [0.05, 0.2], **(QUICK | {"certificate": False, "evaluation": 1024}))
    exact = 1 + (1 / 3 + width**2 - 1) * np.exp(-2 * ds.time.values)
    np.testing.assert_allclose(ds.covariance.values[:, 0, 0], exact, rtol=1e-2)


# -- functions: as the run will use them

SPLINE = CubicSpline(np.linspace(-9, 9, 50), np.linspace(-9, 9, 50) ** 2)
NET = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
HELD = torch.tensor(1.0, requires_grad=True)


def in_torch(f):
    """f on tensors, and a plain bowl on numpy arrays."""
    return lambda x: f(x) if is_torch_array(x) else (x**2).sum(-1)


def _no_grad(x):
    with torch.no_grad():
        return (x**2).sum(-1)


REFUSED = {
    "a spline of scipy": (lambda x: SPLINE(x[:, 0]), "numpy"),
    "through numpy": (in_torch(lambda x: torch.as_tensor(np.cos(np.asarray(x.detach())[:, 0]))), "differentiated"),
    "a single point": (lambda x: x @ x, "vmap"),
    "a single number": (lambda x: (x**2).sum(), "vmap"),
    "a float32 module": (lambda x: NET.requires_grad_(False)(x)[:, 0], "float32"),
    "float32": (in_torch(lambda x: (x.float() ** 2).sum(-1)), "dtype"),
    "whole numbers": (lambda x: (x > 0).sum(-1), "dtype"),
    "requires grad": (in_torch(lambda x: HELD * (x**2).sum(-1)), "args"),
    "detached": (in_torch(lambda x: (x.detach() ** 2).sum(-1)), "gradient"),
    "no_grad": (in_torch(_no_grad), "gradient"),
    "rounded": (in_torch(lambda x: ((1e3 * x).round() / 1e3 * x.detach()).sum(-1)), "gradient"),
    "one of its parts cut": (in_torch(lambda x: (x**2 + 0.1 * x.detach() ** 2).sum(-1)), "gradient"),
    "a jump": (lambda x: (x**2).sum(-1) + 3.0 * (abs(x[:, 0]) > 0.5), "gradient"),
    "points mixed": (lambda x: (x**2).sum(-1) - (x**2).mean(), "by itself"),
    "another number each time": (in_torch(lambda x: x[:, 0] + torch.rand(len(x))), "by itself"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("kind", [wgf.Potential, wgf.Interaction])
def test_functions_that_would_fail_later(name: str, kind: Any) -> None:
    from wgfode.adapters.torchdiffeq import right_hand_side

    function, cure = REFUSED[name]
    with pytest.raises(InputError, match=cure) as refusal:
        right_hand_side(flow(kind(function)))
    assert len(str(refusal.value)) < 500


def test_functions_that_would_fail_later_in_jax() -> None:
    from wgfode.adapters.diffrax import right_hand_side

    for function, cure in (
        (lambda x: SPLINE(x[:, 0]), "numpy"),
        (
            lambda x: jax.lax.stop_gradient(x**2).sum(-1) if not isinstance(x, np.ndarray) else (x**2).sum(-1),
            "gradient",
        ),
        (lambda x: jnp.dot(x, x), "vmap"),
    ):
        with pytest.raises(InputError, match=cure):
            right_hand_side(flow(wgf.Potential(function)))

    def loss(scale):
        right_hand_side(flow(wgf.Potential(lambda x: scale * jnp.asarray(x**2).sum(-1))))
        return scale

    with pytest.raises(InputError, match="args"):
        jax.grad(loss)(1.0)


def test_messages_do_not_hold_every_coordinate() -> None:
    for make in (
        lambda: flow(wgf.Potential(lambda x: x.sum(-1) / 0.0), 400),
        lambda: flow(wgf.Interaction(lambda x: x.sum(-1)), 400),
        lambda: wgf.Gaussian(np.full(400, np.nan), np.eye(400)),
    ):
        with np.errstate(all="ignore"), pytest.raises(InputError) as refusal:
            make()
        assert len(str(refusal.value)) < 400


def _kinked(x):
    return abs(x).sum(-1)


def _norm(x):
    return (x**2).sum(-1) ** 0.5


def _wiggle(x):
    return array_namespace(x).sum(array_namespace(x).sin(300 * x), axis=-1)


SOUND = [bowl, _kinked, _norm, _wiggle, lambda x: (x**8).sum(-1), lambda x: 0 * x[:, 0], lambda x: 3 * x[:, 0]]


@settings(max_examples=40, deadline=None)
@example(f=_norm, dim=1, far=4.0, scale=0.0, offset=0.0, dtype="float32")  # where a node between samples is the cusp
@given(f=st.sampled_from(SOUND), dim=st.sampled_from([1, 2, 10]), far=st.floats(-6, 6), scale=st.floats(-8, 8),
       offset=st.floats(-6, 6), dtype=st.sampled_from(["float64", "float32"]))  # fmt: skip
def test_sound_functions_are_never_refused(f, dim: int, far: float, scale: float, offset: float, dtype: str) -> None:
    """Far from the origin, at any scale, beside any constant, in single precision, with kinks."""
    points, _ = wgf.Sobol(64, seed=1).draw(wgf.Gaussian(np.full(dim, 10.0**far), np.eye(dim)))
    if dtype == "float32":
        points = points.astype(dtype).astype(float)
    centre = 10.0**far if f is not bowl else 0.0
    assume(f is not _norm or abs(points - centre).any(axis=1).all())  # a sample on the cusp is refused, rightly
    Trial(points, backend=load("torch", dtype)).function(
        "V", lambda x: 10.0**scale * f(x - centre) + 10.0**offset, points
    )


# -- convexity


def test_a_concave_U_is_refused_where_the_flow_meets_it() -> None:
    for U in (lambda r: -(r**2), lambda r: r**3 - r**2, lambda r: r**0.5):
        with pytest.raises(InputError, match="U must be convex"):
            flow(wgf.InternalEnergy(U))
    for U in (lambda r: r**2, lambda r: -(r**0.5), lambda r: 0 * r, lambda r: 1e-8 * r**3):
        flow(wgf.InternalEnergy(U))


def test_a_U_that_turns_concave_along_the_run_is_warned_of() -> None:
    """U'' < 0 below a density of 0.05, which the spreading density meets after a while."""
    problem = flow(wgf.InternalEnergy(lambda r: r**3 / 6 - 0.05 * r**2 / 2), reference=wgf.Barenblatt(1, 2.0, 0.01),
                   points=wgf.Sobol(16))  # fmt: skip
    from wgfode.adapters.torchdiffeq import right_hand_side

    f = right_hand_side(problem)
    wide = f.rhs.backend.asarray([30.0, 0.0])
    assert (
        f.diagnostics(0.0, f.initial(), 16)["least_diffusivity"] > 0 > f.diagnostics(0.0, wide, 16)["least_diffusivity"]
    )


@pytest.mark.parametrize("dim", [1, 3])
def test_kinks_have_no_quadratic_convexity(dim: int) -> None:
    for V in (
        lambda x: -abs(x).sum(-1),
        lambda x: (x**2).sum(-1) + abs(x[:, 0] - 50),
        lambda x: 0 * x[:, 0] + 1.0 * (x[:, 0] > 3),
    ):
        with pytest.raises(InputError, match="not quadratic"):
            quadratic_convexity(V, dim)
    assert quadratic_convexity(lambda x: 3 * ((x - 1e3) ** 2).sum(-1) + x[:, 0], dim) == pytest.approx(6.0)


# -- the documentation


def test_the_code_in_the_documentation_runs() -> None:
    text = (Path(__file__).parents[1] / "docs" / "writing-functions.md").read_text()
    scope: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(block, scope)
    from wgfode.adapters.torchdiffeq import right_hand_side

    for name in ("V", "egg_box", "smooth_table", "learned"):
        dim = 1 if name == "smooth_table" else 2
        right_hand_side(flow(wgf.Potential(scope[name]), dim))
    for name in ("morse", "logarithmic"):
        right_hand_side(flow(wgf.Interaction(scope[name]), 2))
    from wgfode.adapters.diffrax import right_hand_side as in_jax

    in_jax(flow(wgf.Potential(scope["tabulated"])))


def test_the_code_of_general_flows_runs() -> None:
    text = (Path(__file__).parents[1] / "docs" / "general-flows.md").read_text()
    scope: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(block, scope)
    assert scope["flow"].energy.modulus == 1.0
    assert scope["b"].shape == (100, 10)
    for name in ("torchdiffeq", "diffrax"):
        importlib.import_module(f"wgfode.adapters.{name}").right_hand_side(scope["flow"])
