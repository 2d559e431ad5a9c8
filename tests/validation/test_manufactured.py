"""Manufactured flows: every derivative that is written out, the equation that they solve, and their particles."""

from __future__ import annotations

import numpy as np
import pytest

import wgfode as wgf
from wgfode.backend import Backend
from wgfode.errors import InputError
from wgfode.references import Custom, Gaussian
from wgfode.validation import cases
from wgfode.validation.cases.manufactured import Variant, over_bound, sweeps, table
from wgfode.validation.manufactured import (
    FAMILIES,
    Banana,
    Chain,
    Manufactured,
    Rotation,
    SinhArcsinh,
    arch,
    manufactured,
)

T, H = 0.7, 1e-5
CASES = [(family, dim) for family in FAMILIES for dim in (2, 3, 10)]
every = pytest.mark.parametrize(("family", "dim"), CASES)


def made(family: str, dim: int) -> tuple[Manufactured, np.ndarray]:
    """The solution from a normal density away from the origin, with a singular diffusion, and points of its start."""
    A = np.random.default_rng(1).standard_normal((dim, dim)) / dim**0.5
    start = Gaussian(np.linspace(-0.5, 0.4, dim), 0.3 * np.eye(dim) + 0.3 * A @ A.T)
    diffusion = 0.2 * A[:, : dim - 1] @ A[:, : dim - 1].T
    solution = Manufactured(FAMILIES[family](dim), start, diffusion)
    return solution, solution.sample(0.0, 20, 3)


def slopes(f, x, h=H):
    """∂f_i/∂x_j at points by central differences: (N, d) → (N, …, d)."""
    return np.stack([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(x.shape[1])], axis=-1)


@every
def test_the_map_and_its_derivatives(family: str, dim: int) -> None:
    solution, z = made(family, dim)
    x = solution.flow_map(T, z)
    np.testing.assert_allclose(solution.flow_map(0.0, z), z, atol=1e-14)
    np.testing.assert_allclose(solution.path.inverse(T, x), z, atol=1e-12)
    assert np.abs(x - z).max() > 0.1
    speed = (solution.flow_map(T + H, z) - solution.flow_map(T - H, z)) / (2 * H)
    np.testing.assert_allclose(solution.velocity(T, x), speed, atol=1e-8)
    volume = np.linalg.slogdet(slopes(lambda y: solution.flow_map(T, y), z))
    assert (volume[0] > 0).all()
    gap = solution.log_density(T, x) + volume[1] - solution.reference.log_density(z)
    np.testing.assert_allclose(gap, 0, atol=1e-8)


@every
def test_the_density_solves_the_equation(family: str, dim: int) -> None:
    """∂ₜρ = −∇·(ρb) + ∇·(D∇ρ), over ρ, with every derivative by differences of densities and drifts."""
    solution, z = made(family, dim)
    x = solution.flow_map(T, z)

    def score(y):
        return slopes(lambda p: solution.log_density(T, p), y, 1e-4)

    def flux(y):
        return solution.drift(y, T) - score(y) @ solution.diffusion

    rate = (solution.log_density(T + H, x) - solution.log_density(T - H, x)) / (2 * H)
    divergence = np.trace(slopes(flux, x, 1e-4), axis1=1, axis2=2)
    np.testing.assert_allclose(rate + divergence + (flux(x) * score(x)).sum(1), 0, atol=2e-5 * dim)


@every
def test_particles_follow_the_map(family: str, dim: int) -> None:
    """Runge–Kutta steps along b − D∇log ρ."""
    solution, x = made(family, dim)
    z, n = x, 60
    h = T / n
    for k in range(n):
        a = solution.velocity(k * h, x)
        b = solution.velocity((k + 0.5) * h, x + h / 2 * a)
        c = solution.velocity((k + 0.5) * h, x + h / 2 * b)
        d = solution.velocity((k + 1) * h, x + h * c)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
    np.testing.assert_allclose(x, solution.flow_map(T, z), atol=2e-6)


@pytest.mark.parametrize("family", ["banana", "mixed"])
def test_frameworks_agree(backend: Backend, family: str) -> None:
    """The drift is handed a framework's arrays, and a time that it may trace."""
    solution, z = made(family, 3)
    drift = backend.compile(solution.drift)
    found = backend.to_numpy(drift(backend.asarray(z), backend.asarray(np.array(T))))
    np.testing.assert_allclose(found, solution.drift(z, T), atol=1e-12)


def test_moments_are_those_of_samples() -> None:
    solution = manufactured("mixed", 3)
    x = solution.sample(T, 100_000, 0)
    np.testing.assert_allclose(solution.mean(T), x.mean(0), atol=2e-2)
    np.testing.assert_allclose(solution.covariance(T), np.cov(x.T), atol=5e-2)


@pytest.mark.parametrize("dim", [2, 5])
def test_the_monotonicity_of_arches(dim: int) -> None:
    """(b(x) − b(y))·(x − y) ≤ −λ|x − y|² at all times, also far out, and λ is not needlessly small."""
    solution, rng = arch(dim, until=0.5), np.random.default_rng(0)
    x = rng.standard_normal((20_000, dim)) * 10.0 ** rng.uniform(-2, 3, (20_000, 1))
    y = x + rng.standard_normal(x.shape) * 10.0 ** rng.uniform(-2, 2, (20_000, 1))
    rates = []
    for t in (0.0, 0.3, 0.5):
        gap, moved = x - y, solution.drift(x, t) - solution.drift(y, t)
        rates.append(((moved * gap).sum(1) / (gap**2).sum(1)).max())
    assert solution.monotonicity is not None
    assert max(rates) <= -solution.monotonicity
    assert max(rates) >= -0.9 * solution.monotonicity
    assert solution.terms.modulus == solution.monotonicity


def test_the_bound_of_a_run_is_above_its_error() -> None:
    """A map too small for the flow, and one whose points are few."""
    for variant in (Variant("residual", 2, 2, 128, 1e-3), Variant("triangular", 2, 2, 128, 1e-3)):
        case = variant.case()
        ds = wgf.solve(
            case.flow, case.times, integrator="torchdiffeq", rtol=1e-3, atol=1e-5, evaluation=256, stiffness=False,
            progress=False,
        )  # fmt: skip
        found = over_bound(case.flow, ds, case.make_exact())
        assert found[0] == 0
        assert (found[1:] > 1e-3).all()
        assert (found[1:] < 1).all()


def test_the_table_of_the_study() -> None:
    """Orders by least squares, of the sweeps that were run in full."""
    variants = sweeps()["residual, 2-D: width"]
    errors = {variant.name: variant.width**-2.0 for variant in variants}
    assert [line.split()[-1] for line in table(errors)] == ["2.0"]
    assert table(errors)[0].startswith("residual, 2-D: width")
    assert {case.name for case in cases.chosen(["manufactured", variants[0].name])} == set(cases.MANUFACTURED)
    assert all(name == make().name for name, make in cases.MANUFACTURED.items())
    with pytest.raises(InputError, match="manufactured"):
        cases.chosen(["manufacured"])


def test_its_terms() -> None:
    assert [term.name for _, term in manufactured("banana", 2).terms.terms] == ["drift", "diffusion"]
    assert [term.name for _, term in manufactured("banana", 2, 0.0).terms.terms] == ["drift"]


NORMAL = Gaussian.standard(2)
BAD = {
    "path": (lambda: Manufactured(NORMAL, NORMAL), "path must be a Path"),
    "reference": (lambda: Manufactured(Banana(3), NORMAL), "reference must be one of dimension 3"),
    "score": (lambda: Manufactured(Banana(2), Custom(2, lambda u: u, lambda z: 0 * z[:, 0])), "score in closed form"),
    "indefinite": (lambda: manufactured("banana", 2, np.diag([1.0, -1.0])), "positive semidefinite"),
    "size": (lambda: manufactured("banana", 2, np.eye(3)), "diffusion must be of dimension 2"),
    "family": (lambda: manufactured("bananna", 2), "banana"),
    "bend": (lambda: arch(2, until="late"), "until must be a number"),
    "chain": (lambda: Chain((Banana(2), Rotation(3))), "one dimension"),
    "no chain": (lambda: Chain(()), "one dimension"),
    "coupling": (lambda: FAMILIES["coupling"](1), "at least 2"),
    "number": (lambda: SinhArcsinh(2, skew="much"), "skew must be a number"),
    "time": (lambda: manufactured("banana", 2).flow_map(-1.0, np.zeros((1, 2))), "t is the time"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    make, named = BAD[case]
    with pytest.raises(InputError, match=named):
        make()
