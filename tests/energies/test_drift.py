"""Drifts that are no gradients and diffusion matrices: what they are, mixed with other terms, and bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import xarray as xr

import wgfode as wgf
from wgfode import Diffusion, Drift, Entropy, InputError, Potential, plots
from wgfode.backend import Backend, load
from wgfode.certificate import absent
from wgfode.cli.table import table
from wgfode.drive import Drive
from wgfode.maps import Affine
from wgfode.potentials import Polynomial
from wgfode.problems import linear, quadratic
from wgfode.pushforward import push
from wgfode.rhs import RightHandSide
from wgfode.storage import write
from wgfode.validation.compare import compare
from wgfode.validation.exact import LinearDrift

QUIET: dict[str, Any] = {"integrator": "torchdiffeq", "evaluation": 64, "stiffness": False, "progress": False}
S, R = np.array([[1.5, 0.4], [0.4, 0.6]]), np.array([[0.0, -2.0], [2.0, 0.0]])
D = np.array([[0.5, 0.2], [0.2, 0.3]])
MEAN, COVARIANCE, TARGET = np.array([1.0, -0.5]), np.array([[0.5, 0.1], [0.1, 0.3]]), np.array([0.3, 0.2])


def bowl(x):
    return 0.5 * (x**2).sum(-1)


def inward(x):
    return -x


def flow(energy: wgf.Energy, **parts: Any) -> wgf.GradientFlow:
    known: dict[str, Any] = {"map": Affine(2), "reference": wgf.Gaussian(MEAN, COVARIANCE)}
    known |= {"points": wgf.Sobol(128, seed=0), "energy": energy}
    return wgf.GradientFlow(**known | parts)


def exact(diffusion: np.ndarray = D) -> LinearDrift:
    return LinearDrift(TARGET, S + R, diffusion, MEAN, COVARIANCE)


MIXED = quadratic(S, TARGET) + linear(R, TARGET) + 0.1 * Entropy() + Diffusion(D - 0.1 * np.eye(2))


def test_gradients_are_what_other_terms_have(backend: Backend) -> None:
    reference = wgf.Gaussian.standard(2)
    z, w = wgf.Sobol(32, seed=3).draw(reference)
    theta = np.array([1.2, 0.3, -0.1, 0.8, 0.4, -0.2])
    drive = Drive(backend.asarray(z), backend.asarray(w))
    rho = push(backend, Affine(2), reference, backend.asarray(theta), drive, density=True)
    for one, other in ((Drift(inward), Potential(bowl)), (Diffusion(0.7 * np.eye(2)), 0.7 * Entropy())):
        wanted = sum(c * backend.to_numpy(term.gradient(rho)) for c, term in other.terms)
        np.testing.assert_allclose(backend.to_numpy(one.gradient(rho)), wanted, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("energy", [MIXED, linear(S + R, TARGET) + Diffusion(D)], ids=["mixed", "plain"])
def test_parts_of_one_equation(energy: wgf.Energy) -> None:
    """Gradient and rotation, isotropic and matrix diffusion, together or apart: the same exact flow."""
    ds = wgf.solve(flow(energy), [0.3, 1.0], **QUIET, rtol=1e-9, atol=1e-11)
    found = compare(ds, exact())
    assert found["map_error"].max() < 1e-7
    assert (ds["w2_bound"].values >= found["map_error"].values)[1:].all()
    assert ds["w2_bound"].max() < 1e-6
    assert ds.attrs["convexity"] == pytest.approx(np.linalg.eigvalsh(S)[0])


@pytest.mark.parametrize("form", ["dense", "matrix_free"])
def test_the_exact_metric_projects_the_drift_too(form: str) -> None:
    """A lower triangular map has no rotations: with G only what moves mass is followed, in J and in g alike."""
    energy, lower = linear(S + R, TARGET) + Diffusion(D), Affine(2, structure="lower_triangular")
    metric, points = wgf.Wasserstein(Polynomial(2), form=form), wgf.Sobol(128, seed=0, matched=True)
    more = {"certificate": False, "rtol": 1e-8, "atol": 1e-10}
    plain, projected = (
        wgf.solve(flow(energy, map=lower, metric=m, points=points), [0.5], **QUIET, **more)
        for m in (wgf.Relaxed(), metric)
    )
    wanted = exact().covariance(0.5)
    gaps = []
    for ds in (plain, projected):
        corner = np.concatenate([np.zeros((1, 2)), np.eye(2)])
        images = flow(energy, map=lower).transport(ds["theta"].values[-1], corner)
        M = (images[1:] - images[0]).T
        gaps.append(np.abs(M @ COVARIANCE @ M.T - wanted).max())
    assert gaps[0] > 0.02
    assert gaps[1] < {"dense": 1e-6, "matrix_free": 1e-2}[form]
    assert projected["residual_projected"].values[-1] < 0.02 * projected["residual"].values[-1]


@pytest.mark.parametrize("method", ["Kvaerno3", "proximal"])
def test_implicit_methods(method: str) -> None:
    more = {"step_size": 0.02} if method == "proximal" else {"rtol": 1e-4, "atol": 1e-6}
    ds = wgf.solve(flow(MIXED), [0.1], **QUIET, certificate=False, method=method, **more)
    assert compare(ds, exact())["map_error"].values[-1] < (2e-2 if method == "proximal" else 1e-4)


# ---- what has no energy


def test_the_energy_is_of_the_terms_that_have_one(tmp_path: Path) -> None:
    ds = wgf.solve(flow(MIXED), [0.1, 0.2], **QUIET)
    assert ds["term"].values.tolist() == ["potential", "entropy"]
    np.testing.assert_allclose(ds["energy"], ds["energy_term"].sum("term"))
    assert ds.attrs["without_energy"] == "drift, diffusion"
    assert "energy" in plots.pictures(ds)
    assert table(ds).splitlines()[0].split()[:2] == ["t", "energy"]
    rhs = RightHandSide(flow(MIXED), load("torch"), 1e-8)
    z, weights = (rhs.backend.asarray(part) for part in (ds["z"].values, ds["weight"].values))
    theta = rhs.backend.asarray(ds["theta"].values[-1])
    assert float(rhs.energy(theta, Drive(z, weights))) == pytest.approx(float(ds["energy"][-1]))


def test_a_run_without_any_energy(tmp_path: Path) -> None:
    ds = wgf.solve(flow(linear(S + R, TARGET)), [0.1, 0.2], **QUIET, attributes={"note": "no energy"})
    assert not {"energy", "energy_term", "term"} & set(ds.variables)
    back = xr.open_dataset(write(ds, tmp_path / "run.nc"))
    assert back.attrs["without_energy"] == "drift"
    assert table(back).splitlines()[0].split()[:2] == ["t", "defect"]
    assert {file.stem for file in plots.draw(back, tmp_path)} == {"residual", "samples"}


def test_the_energy_estimator_refuses_them_by_name() -> None:
    for energy, name in ((linear(R, TARGET), "Drift"), (Potential(bowl) + Diffusion(D), r"Diffusion\(\[\[0.5")):
        with pytest.raises(InputError, match=f"estimator='energy'.*{name}.*velocity"):
            flow(energy, estimator="energy")


def test_checkpoints_know_the_drift(tmp_path: Path) -> None:
    path, run = tmp_path / "run.ckpt", {**QUIET, "certificate": False}
    whole = wgf.solve(flow(MIXED), [0.1, 0.2], **run)
    wgf.solve(flow(MIXED), [0.1, 0.2], **run, checkpoint=path)
    again = wgf.solve(flow(MIXED), [0.1, 0.2], **run, checkpoint=path, resume=True)
    np.testing.assert_array_equal(whole["theta"], again["theta"])
    turned = quadratic(S, TARGET) + linear(1.01 * R, TARGET) + 0.1 * Entropy() + Diffusion(D - 0.1 * np.eye(2))
    with pytest.raises(wgf.CheckpointError, match="energy"):
        wgf.solve(flow(turned), [0.1, 0.2], **run, checkpoint=path, resume=True)


# ---- the bound


def test_moduli_add_up() -> None:
    assert (Drift(inward, monotonicity=1.0) + Diffusion(D)).modulus == 1.0
    assert (2 * Drift(inward, monotonicity=1.0) + Potential(bowl, convexity=1.0) + Entropy()).modulus == 3.0
    assert (Diffusion(D) + Drift(inward)).modulus is None
    assert (-Drift(inward, monotonicity=1.0)).modulus is None
    assert "monotonicity" in absent(Drift(inward) + Diffusion(D))


def test_the_bound_of_a_map_that_cannot_turn() -> None:
    """Far from exact, and still above W2."""
    energy, diagonal = linear(S + R, TARGET) + Diffusion(D), Affine(2, structure="diagonal")
    ds = wgf.solve(flow(energy, map=diagonal), [0.2, 0.6, 1.5], **QUIET)
    found = compare(ds, exact())
    error = np.linalg.norm(ds["mean"].values - np.array([exact().mean(t) for t in ds["time"].values]), axis=1)
    assert found["bures"].values[-1] > 0.05
    assert (ds["w2_bound"].values[1:] >= np.maximum(found["bures"], error)[1:]).all()


# ---- bad input


def one_point(x):
    return jnp.stack([x[1], -x[0]]) if isinstance(x, jax.Array) else np.stack([x[1], -x[0]]) + 0 * x[:1].sum()


BAD = {
    "b no function": (lambda: Drift(3.0), "b must be a function"),
    "b's shape": (lambda: flow(Drift(bowl)), r"b must map \(N, d\) to \(N, d\).*gave shape \(64,\)"),
    "b's columns": (lambda: flow(Drift(lambda x: x[:, :1])), r"gave shape \(64, 1\)"),
    "b of a point": (lambda: flow(Drift(one_point)), "takes a single point.*vmap"),
    "b is nan": (lambda: flow(Drift(lambda x: x * np.nan)), r"b must be finite.*= \[nan nan\]"),
    "b mixes points": (lambda: flow(Drift(lambda x: x - x.mean(0))), "b must act on each point by itself"),
    "monotonicity": (lambda: Drift(inward, monotonicity="high"), "monotonicity must be a number"),
    "asymmetric": (lambda: Diffusion([[1.0, 0.2], [0.1, 1.0]]), "symmetric, but differs from its transpose by 0.1"),
    "indefinite": (lambda: Diffusion([[1.0, 2.0], [2.0, 1.0]]), "semidefinite.*-1"),
    "another dimension": (lambda: flow(Diffusion(np.eye(3))), r"shape \(3, 3\), and the flow has dimension 2"),
    "a function": (lambda: Diffusion(lambda x: x), "constant.*depends on x is not supported"),
    "a number": (lambda: Diffusion(0.5), r"shape \(d, d\), got \(\); for D = c·I write c \* Entropy"),
    "a vector": (lambda: Diffusion([0.5, 0.5]), r"got \(2,\)"),
    "words": (lambda: Diffusion("half"), "must hold numbers"),
    "nan": (lambda: Diffusion([[np.nan]]), "finite"),
    "requires grad": (lambda: Diffusion(torch.eye(2, requires_grad=True)), "requires grad"),
    "backward": (lambda: -1 * Diffusion(D), "must be > 0"),
    "subtracted": (lambda: Potential(bowl) - Diffusion(D), "must be > 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    make, named = BAD[case]
    with pytest.raises(InputError, match=named):
        make()


def test_a_drift_is_tried_on_the_frameworks_arrays() -> None:
    def rounded(x):  # float32 out of float64
        return x.float() if isinstance(x, torch.Tensor) else -x

    def numpy_alone(x):
        return np.asarray(x) * 1.0 if isinstance(x, np.ndarray) else torch.as_tensor(np.sin(x.detach().numpy()))

    right = flow(Drift(inward))
    for b, named in ((rounded, "as precise"), (numpy_alone, "b cannot be differentiated by torch")):
        with pytest.raises(InputError, match=named):
            RightHandSide(replace(right, energy=Drift(b)), load("torch"), 1e-8)


def test_a_drift_that_jumps_is_one() -> None:
    """As the potential with a kink is, whose gradient jumps."""

    def towards(x):
        return (x < 0) * 1.0 - (x > 0) * 1.0 if isinstance(x, np.ndarray) else -torch.sign(x)

    assert RightHandSide(flow(Drift(towards)), load("torch"), 1e-8)


def test_a_float32_run() -> None:
    ds = wgf.solve(flow(MIXED), [0.2], **QUIET, dtype="float32", certificate=False)
    assert compare(ds, exact())["map_error"].values[-1] < 1e-4


def test_an_energy_at_one_time() -> None:
    """Functions of x alone and numbers are left, which give what the whole gives at that time and parameters."""
    energy = (
        Potential(lambda x, t: (1 + t) * (x**2).sum(-1))
        + wgf.coefficient(lambda t, args: args["D"] * (1 + t)) * Entropy()
        - Drift(lambda x, t, args: args["D"] * t * x, monotonicity=0.0)
        + 2 * wgf.coefficient(lambda t: 3 + t) * wgf.Interaction(lambda x, args: args["D"] * (x**2).sum(-1))
        + Diffusion(D)
    )
    fixed = energy.at(0.5, {"D": 0.4})
    assert fixed.names == frozenset()
    assert [c for c, _ in fixed.terms] == pytest.approx([1.0, 0.6, -1.0, 7.0, 1.0])
    x = np.array([[1.0, 2.0], [0.0, -1.0]])
    V, _, b, W, matrix = (term for _, term in fixed.terms)
    np.testing.assert_allclose(V.V(x), [7.5, 1.5])  # type: ignore[attr-defined]
    np.testing.assert_allclose(b.b(x), 0.2 * x)  # type: ignore[attr-defined]
    np.testing.assert_allclose(W.W(x), [2.0, 0.4])  # type: ignore[attr-defined]
    assert b.monotonicity == 0.0  # type: ignore[attr-defined]
    assert matrix == Diffusion(D)
