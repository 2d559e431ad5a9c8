"""Comparison: exact identities, known Gaussian figures, floors, grids as references."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import norm, qmc

from wgfode.energies import Entropy, Potential
from wgfode.errors import InputError
from wgfode.validation.compare.errors import bures, compare
from wgfode.validation.compare.floors import bures_floor, effective_number, quantile_floor, quantile_w2, standard_error
from wgfode.validation.convergence import cases
from wgfode.validation.exact import Barenblatt, OrnsteinUhlenbeck, QuadraticAttraction, Ring, Solution, double_well
from wgfode.validation.exact.gridded import GridSolution
from wgfode.validation.grid import solve_grid

N = 2**12


def normals(dim, n=N, seed=0):
    return norm.ppf(qmc.Sobol(dim, rng=np.random.default_rng(seed)).random(n))


def dataset(times, z, images, log_densities=None):
    """A run with the given images of z, and log-densities there, at each time."""
    d = z.shape[1]
    variables = {
        "z": (("point", "component"), z),
        "weight": ("point", np.full(len(z), 1 / len(z))),
        "x": (("time", "point", "component"), np.array(images)),
    }
    if log_densities is not None:
        variables["log_density"] = (("time", "point"), np.array(log_densities))
    return xr.Dataset(variables, coords={"time": list(times), "component": np.arange(d)})


def as_run(exact, times, z):
    """The exact solution as if it were a run."""
    images = [exact.flow_map(t, z) for t in times]
    return dataset(times, z, images, [exact.log_density(t, x) for t, x in zip(times, images, strict=True)])


def still(z, variance=1.0, shift=0.0):
    """A run at t = 0 alone: z scaled and shifted, with its normal density."""
    x = shift + np.sqrt(variance) * z
    log = norm.logpdf(x, shift, np.sqrt(variance)).sum(1)
    return dataset([0.0], z, [x], [log])


def standard(dim):
    return OrnsteinUhlenbeck(np.zeros(dim), np.eye(dim), 1.0, np.zeros(dim), np.eye(dim))


SOLUTIONS = {
    "ou": (OrnsteinUhlenbeck([1.0, 1.0], np.diag([1.0, 3.0]), 0.5, [0.0, 0.2], np.eye(2)), 1.0),
    "double well": (double_well(), 0.3),
    "ring": (Ring(), 0.4),
    "attraction": (QuadraticAttraction(1.0, [0.3], [[0.36]]), 0.6),
}


@pytest.mark.parametrize("name", SOLUTIONS)
def test_the_exact_solution_has_no_error(name):
    exact, scale = SOLUTIONS[name]
    z = exact.mean(0.0) + scale * normals(exact.dim, 512)
    found = compare(as_run(exact, [0.0, 0.4, 1.0], z), exact)
    for figure in ("map_error", "mean_error", "covariance_error", "variance_error", "kl", "l1"):
        assert np.abs(found[figure]).max() <= 1e-14, figure
    assert {1: "w2", 2: "w2_radial"}[exact.dim] in found or name == "ou"


def test_the_front():
    exact = Barenblatt(2, 2, 0.2)
    z = exact.sample(0.0, 500, 0)
    run = as_run(exact, [0.0, 1.0], z)
    found = compare(run, exact)
    assert found.front_error.values == pytest.approx([0, 0], abs=1e-15)
    assert found.l1.values == pytest.approx([0, 0], abs=1e-14)
    run["x"] = run["x"] * 1.01
    assert compare(run, exact).front_error.values == pytest.approx([0.01, 0.01], rel=1e-12)


@given(st.floats(0.3, 3.0), st.floats(-1.0, 1.0))
@settings(max_examples=25, deadline=None)
def test_known_figures_of_normal_densities(variance, shift):
    """Map error, KL, L1, W2 and moments of N(shift, variance) against N(0, 1)."""
    found = compare(still(normals(1), variance, shift), standard(1)).isel(time=0)
    w2 = np.hypot(shift, np.sqrt(variance) - 1)
    kl = 0.5 * (variance + shift**2 - 1 - np.log(variance))
    grid = np.linspace(-12, 12, 40001)
    l1 = np.abs(norm.pdf(grid, shift, np.sqrt(variance)) - norm.pdf(grid)).sum() * (grid[1] - grid[0])
    assert found.map_error == pytest.approx(w2, abs=2e-3)
    assert found.w2 == pytest.approx(w2, abs=2e-3)
    assert found.bures == pytest.approx(w2, abs=2e-3)
    assert found.l1 == pytest.approx(l1, abs=2e-3)
    assert found.mean_error == pytest.approx(abs(shift), abs=2e-3)
    assert found.covariance_error == pytest.approx(abs(variance - 1), abs=1e-2)
    assert found.variance_error == pytest.approx(abs(variance - 1), abs=1e-2)
    assert found.kl == pytest.approx(kl, abs=max(4 * float(found.kl_floor), 2e-3))


@given(st.floats(0.3, 3.0), st.floats(-2.0, 2.0), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_inequalities(variance, shift, dim):
    """0 <= L1 <= 2, KL >= 0, Pinsker's L1² <= 2 KL, and the moments' distance below the map error."""
    found = compare(still(normals(dim, 1024), variance, shift), standard(dim)).isel(time=0)
    assert 0 <= found.l1 <= 2
    assert found.kl >= 0
    assert found.l1**2 <= 2 * (found.kl + 4 * found.kl_floor) + 1e-3
    assert found.bures <= found.map_error + 0.1
    assert all(found[name] >= 0 for name in found if name.endswith("_floor"))


def test_l1_counts_mass_outside_either_support():
    """Disjoint supports are 2 apart; uniform on [0, 1] against uniform on [0, 2], and the reverse, are 1 apart."""

    class Uniform(Solution):
        dim = 1

        def __init__(self, low, high):
            self.low, self.high = low, high

        def mean(self, t):
            return np.array([0.5 * (self.low + self.high)])

        def covariance(self, t):
            return np.array([[(self.high - self.low) ** 2 / 12]])

        def log_density(self, t, x):
            inside = (x[:, 0] >= self.low) & (x[:, 0] <= self.high)
            return np.where(inside, -np.log(self.high - self.low), -np.inf)

        def sample(self, t, n, seed):
            return np.random.default_rng(seed).uniform(self.low, self.high, (n, 1))

    u = ndtr(normals(1))

    def run(width):
        return dataset([0.0], u, [width * u], [np.full(N, -np.log(width))])

    assert compare(run(1.0), Uniform(2, 3)).l1 == pytest.approx([2])
    assert compare(run(1.0), Uniform(0, 2)).l1 == pytest.approx([1])
    assert compare(run(2.0), Uniform(0, 1)).l1 == pytest.approx([1], abs=1e-3)
    assert compare(run(2.0), Uniform(0, 1)).kl == np.inf
    assert np.isnan(compare(run(2.0), Uniform(0, 1)).kl_floor)
    # no map is known: W2 is to independent samples, and its floor is what such samples show
    found = compare(run(1.0), Uniform(0, 1)).isel(time=0)
    assert "map_error" not in found
    assert found.w2 <= 4 * found.w2_floor
    assert found.mean_error <= 4 * found.mean_error_floor


def test_w2_bound_by_the_map_where_the_map_is_not_monotone():
    """The mirrored map has the right density: W2, KL and L1 see no error, the map error does."""
    z = np.concatenate([normals(1), -normals(1)])
    found = compare(dataset([0.0], z, [-z], [norm.logpdf(z[:, 0])]), standard(1)).isel(time=0)
    assert found.map_error == pytest.approx(2, abs=1e-2)
    assert found.w2 <= 1e-12
    assert found.l1 <= 1e-14


@pytest.mark.parametrize("dim", [1, 3])
def test_floors_fall_as_one_over_the_root_of_n(dim):
    names = ["map_error", "mean_error", "covariance_error", "kl", "l1", "bures"]
    few, many = (compare(still(normals(dim, n), 1.5, 0.2), standard(dim)) for n in (2**9, 2**13))
    for name in names:
        assert float(few[f"{name}_floor"][0] / many[f"{name}_floor"][0]) == pytest.approx(4, rel=0.25), name


def test_floors_are_what_independent_points_show():
    """The spread of an estimate over repetitions is its standard error; W2 and Bures floors are reached."""
    rng = np.random.default_rng(0)
    repeats = [compare(still(rng.standard_normal((400, 1)), 1.3, 0.1), standard(1)).isel(time=0) for _ in range(200)]
    for name in ("map_error", "kl", "l1"):
        spread = np.std([float(one[name]) for one in repeats])
        assert np.median([float(one[f"{name}_floor"]) for one in repeats]) == pytest.approx(spread, rel=0.25), name
    distances = []
    for _ in range(300):
        x = rng.standard_normal((500, 3)) * [1.0, 2.0, 0.5]
        cov = np.cov(x, rowvar=False, bias=True)
        distances.append(bures(x.mean(0), cov, np.zeros(3), np.diag([1.0, 4.0, 0.25])))
    floor = bures_floor(np.diag([1.0, 4.0, 0.25]), 500)
    assert np.sqrt(np.mean(np.square(distances))) == pytest.approx(floor, rel=0.05)


def test_known_floors():
    assert bures_floor(np.eye(10), 1e4) == pytest.approx(np.sqrt((10 + 110 / 4) / 1e4))
    floor = quantile_floor(lambda seed: np.random.default_rng(seed).standard_normal(10_000))
    assert floor == pytest.approx(0.016, rel=0.3)
    assert standard_error([1.0, -1.0, 1.0, -1.0], np.full(4, 0.25)) == pytest.approx(0.5)
    assert np.isnan(standard_error([1.0, np.inf], [0.5, 0.5]))
    assert effective_number(np.full(50, 0.02)) == pytest.approx(50)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.floats(-3, 3))
@settings(max_examples=50, deadline=None)
def test_quantile_w2(values, shift):
    a = np.array(values)
    assert quantile_w2(a, a + shift) == pytest.approx(abs(shift), abs=1e-7)
    assert quantile_w2(a, a[::-1]) <= 1e-12
    # a point of weight 2 is two points
    weights = np.ones(len(a))
    weights[0] = 2
    assert quantile_w2(a, np.append(a, a[0]), weights) <= 1e-6
    assert quantile_w2(a, [0.0]) == pytest.approx(np.sqrt((a**2).mean()), abs=1e-7)


def test_bures_of_rotated_covariances():
    c, s = np.cos(0.7), np.sin(0.7)
    A = np.array([[c, -s], [s, c]]) @ np.diag([3.0, 0.2]) @ np.array([[c, s], [-s, c]])
    zero = np.zeros(2)
    assert bures(zero, A, zero, A) <= 1e-14
    assert bures(zero, np.diag([4.0, 1.0]), np.array([3.0, 0.0]), np.eye(2)) == pytest.approx(np.sqrt(10))


@pytest.mark.parametrize(("name", "cells"), [("double-well-1d", 200), ("barenblatt-2d-m2", 64), ("ou-2d", 64)])
def test_a_grid_as_the_reference(name, cells):
    """The exact solution against the grid shows the grid's error, which the coarser grid foretells."""
    case = cases()[name]
    precision = np.linalg.inv([[0.625, -0.375], [-0.375, 0.625]])
    exact = {
        "double-well-1d": double_well(),
        "barenblatt-2d-m2": Barenblatt(2, 2, 0.2),
        "ou-2d": OrnsteinUhlenbeck([1.0, 1.0], precision, 1.0, [0, 0], np.eye(2)),
    }[name]
    fine, coarse = (solve_grid(case.energy, case.density0, case.box, n, [0, case.time]) for n in (cells, cells // 2))
    run = as_run(exact, [0.0, 0.5 * case.time, case.time], exact.sample(0.0, 4000, 1))
    found = compare(run, fine, coarse)
    assert found.time.values.tolist() == [0, case.time]  # those that both hold
    assert float(found.l1[1]) == pytest.approx(case.expected[0], rel=0.5)
    assert float(found.l1_reference[1]) == pytest.approx(case.expected[0], rel=0.7)
    assert found.mean_error[1] <= 4 * found.mean_error_floor[1] + 1e-3
    if exact.dim == 1:
        assert found.w2[1] <= 2e-3
        assert found.map_error[1] == pytest.approx(float(found.w2[1]), rel=1e-6)


def test_a_grid_keeps_its_mass_and_sign():
    case = cases()["barenblatt-2d-m2"]
    grid = GridSolution(solve_grid(case.energy, case.density0, case.box, 48, [0, 1.0]))
    axis = np.linspace(-2.7, 2.7, 400)
    x = np.stack([part.ravel() for part in np.meshgrid(axis, axis)], axis=1)
    density = grid.density(1.0, x)
    assert density.min() >= 0
    assert density.sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-3)
    assert np.isneginf(grid.log_density(1.0, [[9.0, 0.0]]))


def test_bad_input():
    run, exact = still(normals(2, 64)), standard(2)
    with pytest.raises(InputError, match="run has dimension 2, and the reference has 1"):
        compare(run, standard(1))
    with pytest.raises(InputError, match="no weight"):
        compare(run.drop_vars("weight"), exact)
    with pytest.raises(InputError, match="dataset of solve_grid"):
        compare(run, run)
    energy = Potential(lambda x: 0.5 * (x**2).sum(1)) + Entropy()
    grid = solve_grid(energy, lambda x: norm.pdf(x).prod(1), [(-6, 6)], 50, [0.5])
    with pytest.raises(InputError, match="none in common"):
        compare(still(normals(1, 64)), grid)
    with pytest.raises(InputError, match=r"not t=0\.25"):
        GridSolution(grid).density(0.25, [[0.0]])
    with pytest.raises(NotImplementedError):
        GridSolution(grid).flow_map(0.5, [[0.0]])
    with pytest.raises(InputError, match="a must be numbers"):
        quantile_w2([], [1.0])
