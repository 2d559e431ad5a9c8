"""Exact solutions against their PDE, their mass, their moment equations, and the tables of the literature."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, norm

import wgfode.validation.exact as exact
from wgfode.energies import Entropy, Interaction, InternalEnergy, PorousMedium, Potential
from wgfode.errors import InputError
from wgfode.validation.grid.distribution import Tabulated

A = np.linalg.inv([[0.625, -0.375], [-0.375, 0.625]])
TILTED = [[0.8, 0.3], [0.3, 0.5]]  # does not commute with A


def quadratic(x):
    return 0.5 * ((x - np.array([1.0, 1.0])[: x.shape[1]]) @ A[: x.shape[1], : x.shape[1]] * (x - 1)).sum(1)


def half_square(x):
    return 0.5 * (x**2).sum(1)


def quartic_ring(x):
    r2 = (x**2).sum(1)
    return r2**2 / 4 - r2 / 2


# name: (solution, velocity −g at points (t, x), internal pressure derivative P'(ρ), box half width, centre)
def ou(kappa=0.0, covariance0=TILTED):
    return exact.OrnsteinUhlenbeck([1.0, 1.0], A, 0.7, [0.2, -0.3], covariance0, kappa)


def drift_ou(solution, t, x):
    return (x - 1.0) @ A + solution.attraction * (x - solution.mean(t))


def drift_none(solution, t, x):
    return np.zeros_like(x)


def drift_harmonic(solution, t, x):
    return x


def drift_attraction(solution, t, x):
    return 1.3 * (x - solution.mean(t))


def drift_ring(solution, t, x):
    offset = x - solution.mean(t)
    m2 = np.trace(solution.covariance(t))
    return offset * ((offset**2).sum(1, keepdims=True) + 2 * m2 - 1)


CASES = {
    "ornstein-uhlenbeck": (ou(), drift_ou, lambda rho: 0.7 * rho),
    "mckean-vlasov": (ou(1.5), drift_ou, lambda rho: 0.7 * rho),
    "barenblatt m=2": (exact.Barenblatt(2, 2, 0.2), drift_none, lambda rho: rho**2),
    "barenblatt m=3 1-D": (exact.Barenblatt(1, 3, 0.2), drift_none, lambda rho: rho**3),
    "porous medium harmonic": (exact.PorousMediumHarmonic(2, 2, 0.5), drift_harmonic, lambda rho: rho**2),
    "attraction": (
        exact.QuadraticAttraction(1.3, [0.3, 0.1], TILTED),
        drift_attraction,
        lambda rho: 0 * rho,
    ),
    "ring": (exact.Ring(), drift_ring, lambda rho: 0 * rho),
}


def inner_points(solution, t, n=200):
    """Points of the solution itself, away from any edge of the support."""
    x = solution.sample(t, 4 * n, seed=1)
    keep = np.argsort(-solution.log_density(t, x))[: 3 * n]
    return x[keep]


@pytest.mark.parametrize("name", CASES)
def test_pde_residual(name):
    """∂ρ/∂t = ∇·(ρ drift) + ΔP(ρ), by central differences."""
    solution, drift, pressure = CASES[name]
    t, h, dim = 0.4, 2e-3, solution.dim
    x = inner_points(solution, t)
    rate = (solution.density(t + h, x) - solution.density(t - h, x)) / (2 * h)
    flux = np.zeros(len(x))
    for i in range(dim):
        e = h * np.eye(dim)[i]
        up, down = x + e, x - e
        rho_up, rho_down = solution.density(t, up), solution.density(t, down)
        flux += (rho_up * drift(solution, t, up)[:, i] - rho_down * drift(solution, t, down)[:, i]) / (2 * h)
        flux += (pressure(rho_up) + pressure(rho_down) - 2 * pressure(solution.density(t, x))) / h**2
    assert np.abs(rate - flux).max() <= 2e-3 * np.abs(rate).max()


@pytest.mark.parametrize("name", CASES)
def test_mass_and_moments_by_quadrature(name):
    solution = CASES[name][0]
    t = 0.6
    centre, half = solution.mean(t), 9 * np.sqrt(np.diag(solution.covariance(t)).max())
    n = 900 if solution.dim == 2 else 200_000
    axis = half * ((np.arange(n) + 0.5) / n * 2 - 1)
    x = centre + np.stack([g.ravel() for g in np.meshgrid(*[axis] * solution.dim)], axis=1)
    weight = solution.density(t, x) * (axis[1] - axis[0]) ** solution.dim
    assert weight.sum() == pytest.approx(1, abs=1e-4)
    assert weight @ x == pytest.approx(centre, abs=1e-4)
    assert (x - centre).T * weight @ (x - centre) == pytest.approx(solution.covariance(t), abs=2e-4)


@pytest.mark.parametrize("name", CASES)
def test_energy_identity(name):
    """dF/dt = −E|g|², g from the flow map's own speed."""
    solution, h = CASES[name][0], 1e-4
    z = solution.sample(0, 200_000, seed=3)
    speed = (solution.flow_map(0.4 + h, z) - solution.flow_map(0.4 - h, z)) / (2 * h)
    slope = (solution.energy(0.4 + h) - solution.energy(0.4 - h)) / (2 * h)
    assert slope == pytest.approx(-(speed**2).sum(1).mean(), rel=1.5e-2)


@pytest.mark.parametrize("name", CASES)
def test_flow_map_transports_the_density(name):
    """ρ_t(T(z)) det ∂T/∂z = ρ₀(z), and the map starts at the identity."""
    solution, t, h = CASES[name][0], 0.7, 1e-5
    z = inner_points(solution, 0)
    assert solution.flow_map(0, z) == pytest.approx(z, abs=1e-14)
    columns = [
        (solution.flow_map(t, z + h * e) - solution.flow_map(t, z - h * e)) / (2 * h) for e in np.eye(solution.dim)
    ]
    log_det = np.log(np.linalg.det(np.stack(columns, axis=2)))
    moved = solution.log_density(t, solution.flow_map(t, z))
    assert moved + log_det == pytest.approx(solution.log_density(0, z), abs=1e-7)


def test_ornstein_uhlenbeck_closed_form():
    solution = exact.OrnsteinUhlenbeck([1.0, 1.0], A, 1.0, [0.0, 0.0], np.eye(2))
    decay = np.diag(np.exp(-np.linalg.eigvalsh(A) * 0.5))
    axes = np.linalg.eigh(A)[1]
    E = axes @ decay @ axes.T
    limit = np.linalg.inv(A)
    assert solution.covariance(0.5) == pytest.approx(limit + E @ (np.eye(2) - limit) @ E, abs=1e-14)
    assert solution.mean(2.0) == pytest.approx([1 - np.exp(-8), 1 - np.exp(-8)], abs=1e-1)
    heat = exact.OrnsteinUhlenbeck([0.0], [[0.0]], 0.3, [0.0], [[1.0]])
    assert heat.covariance(2.0)[0, 0] == pytest.approx(1 + 2 * 0.3 * 2.0, rel=1e-14)


def test_ten_dimensional_mean_at_two():
    blocks = np.zeros((10, 10))
    blocks[:2, :2] = np.linalg.inv(A)
    blocks[:2, :2] = [[0.625, -0.375], [-0.375, 0.625]]
    blocks[[2, 3, 4, 6, 7], [2, 3, 4, 6, 7]] = 1
    blocks[[5, 8, 9], [5, 8, 9]] = 0.25
    mu = np.array([1.0, 1, 0, 0, 1, 2, 0, 0, 2, 3])
    solution = exact.OrnsteinUhlenbeck(mu, np.linalg.inv(blocks), 1.0, np.zeros(10), np.eye(10))
    assert np.abs(solution.mean(2.0) - mu).max() == pytest.approx(0.135, abs=5e-4)


@pytest.mark.parametrize(
    ("m", "dim", "height"),
    [
        (2, 1, 0.3605623926), (2, 2, 0.1994711402), (2, 5, 0.0823528107), (2, 10, 0.0458032355),
        (3, 1, 0.1837762985), (3, 2, 0.0889431666), (3, 5, 0.0367839581), (3, 10, 0.0224172747),
    ],
)  # fmt: skip
def test_barenblatt_constant(m, dim, height):
    assert exact.Barenblatt(dim, m, 0.2).height == pytest.approx(height, abs=6e-11)


def test_ring_settles_at_one_over_root_three():
    ring = exact.Ring()
    assert np.trace(ring.covariance(40.0)) == pytest.approx(1 / 3, abs=1e-8)
    assert ring.energy(40.0) == pytest.approx(-1 / 12, abs=1e-8)
    for t, distance in ((2.0, 0.130), (10.0, 0.010)):
        x = ring.sample(t, 40_000, seed=0) - ring.mean(t)
        rms = np.sqrt(((np.linalg.norm(x, axis=1) - 1 / np.sqrt(3)) ** 2).mean())
        assert rms == pytest.approx(distance, abs=1.5e-3)
    r = np.linalg.norm(ring.sample(1.0, 40_000, seed=0) - ring.mean(1.0), axis=1)
    assert (r < 0.5).mean() == pytest.approx(float(ring.radial_cdf(1.0, 0.5)), abs=8e-3)


def test_thirty_dimensional_table():
    table = {
        0.3: (-0.031303, 1.871909), 0.6: (-0.063335, 2.729730), 0.9: (-0.093959, 3.495875),
        1.2: (-0.122087, 4.141668), 1.5: (-0.147400, 4.667961), 1.8: (-0.169999, 5.088485),
    }  # fmt: skip
    solution = exact.separable_quartic(30)
    for t, (mean, variance) in table.items():
        assert solution.mean(t) == pytest.approx(np.full(30, mean), abs=1e-6)
        assert np.diag(solution.covariance(t)) == pytest.approx(np.full(30, variance), abs=1e-6)
    x = solution.sample(1.8, 50, seed=0)
    assert solution.log_density(1.8, x) == pytest.approx(
        sum(solution.marginals[0].log_density(1.8, x[:, [i]]) for i in range(30)), rel=1e-12
    )


def test_quantile_matches_ornstein_uhlenbeck_everywhere():
    """Map, density, moments and energy against the closed form."""
    closed = exact.OrnsteinUhlenbeck([0.0], [[1.0]], 1.0, [2.0], [[0.25]])
    numeric = exact.Quantile1D(Potential(half_square) + Entropy(), norm(2, 0.5))
    z = np.linspace(0, 4, 101)[:, None]
    for t in (0.1, 0.5, 2.0):
        x = closed.mean(t) + np.linspace(-5, 5, 101)[:, None] * np.sqrt(closed.covariance(t)[0, 0])
        assert numeric.flow_map(t, z) == pytest.approx(closed.flow_map(t, z), abs=2e-6)
        assert numeric.log_density(t, x) == pytest.approx(closed.log_density(t, x), abs=1e-4)
        assert numeric.energy(t) == pytest.approx(closed.energy(t), abs=1e-6)
        assert numeric.error(t) <= 1e-4


def test_quantile_matches_mckean_vlasov():
    energy = Potential(half_square) + 0.5 * Entropy() + Interaction(lambda x: 0.8 * (x**2).sum(1) / 2)
    numeric = exact.Quantile1D(energy, norm(1, 0.7), levels=100, rtol=1e-7)
    closed = exact.OrnsteinUhlenbeck([0.0], [[1.0]], 0.5, [1.0], [[0.49]], attraction=0.8)
    z = np.linspace(-1, 3, 41)[:, None]
    assert numeric.flow_map(0.5, z) == pytest.approx(closed.flow_map(0.5, z), abs=1e-4)
    assert numeric.energy(0.5) == pytest.approx(closed.energy(0.5), abs=1e-4)


@pytest.mark.parametrize("term", [PorousMedium(2), InternalEnergy(lambda r: r**2)], ids=["power", "function"])
def test_quantile_matches_barenblatt(term):
    closed = exact.Barenblatt(1, 2, 0.2)
    radius = closed.radius(0)
    numeric = exact.Quantile1D(term, beta(2, 2, loc=-radius, scale=2 * radius), levels=100, rtol=1e-8)
    z = np.linspace(-0.99, 0.99, 51)[:, None] * radius
    assert numeric.flow_map(1.0, z) == pytest.approx(closed.flow_map(1.0, z), abs=2e-4)


def test_double_well_refines():
    """W2 between successive refinements: the reference is right to 1e-4 and better."""
    solution = exact.double_well()
    finer = exact.Quantile1D(solution.functional, solution.initial, levels=800)
    for t in (0.1, 0.25, 0.5, 1.0, 2.0):
        z, x = solution.positions(t)
        weights = norm.pdf(z) / norm.pdf(z).sum()
        assert solution.error(t) <= 1e-4
        assert np.sqrt(weights @ (x - finer.positions(t)[1][::2]) ** 2) <= 1e-6


def test_tabulated_density_is_its_distribution():
    table = Tabulated(lambda x: norm.pdf(x[:, 0], 0.3, 0.3), -4, 5)
    z = np.linspace(-6, 6, 49)
    q = norm.cdf(z)
    assert table.ppf(q[z <= 0]) == pytest.approx(0.3 + 0.3 * z[z <= 0], abs=1e-8)
    assert table.isf(norm.sf(z[z > 0])) == pytest.approx(0.3 + 0.3 * z[z > 0], abs=1e-8)
    with pytest.raises(InputError, match="mass"):
        Tabulated(lambda x: 2 * norm.pdf(x[:, 0]), -9, 9)
    with pytest.raises(InputError, match="negative"):
        Tabulated(lambda x: -norm.pdf(x[:, 0]), -9, 9)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: exact.OrnsteinUhlenbeck([0.0], np.eye(2), 1.0, [0.0], [[1.0]]), "precision"),
        (lambda: exact.OrnsteinUhlenbeck([0.0], [[1.0]], -1.0, [0.0], [[1.0]]), "diffusivity"),
        (lambda: exact.OrnsteinUhlenbeck([0.0], [[1.0]], 1.0, [0.0], [[-1.0]]), "positive definite"),
        (lambda: exact.QuadraticAttraction(1.0, [0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (lambda: exact.Barenblatt(2, 1.0, 0.2), "m must be > 1"),
        (lambda: exact.Barenblatt(2, 2.0, 0.0), "t0"),
        (lambda: exact.PorousMediumHarmonic(0, 2.0, 1.0), "dim"),
        (lambda: exact.Ring(variance=-1.0), "variance"),
        (lambda: exact.Ring().density(-0.1, [[0.0, 0.0]]), "t is the time"),
        (lambda: exact.Ring().density(0.1, [0.0, 0.0]), "shape"),
        (lambda: exact.Ring().flow_map(0.1, np.zeros((3, 1))), "shape"),
        (lambda: exact.Product(()), "marginals"),
        (lambda: exact.Product((exact.Ring(),)), "dimension 1"),
        (lambda: exact.Quantile1D(3.0, norm(0, 1)), "energy"),
        (lambda: exact.Quantile1D(Interaction(lambda x: -np.log(np.abs(x[:, 0]))), norm(0, 1)), "singular"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(InputError, match=message):
        build()
