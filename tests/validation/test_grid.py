"""The grid solvers: errors against exact cell averages, orders, structure, independence, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import wgfode.validation.exact as exact
from wgfode.energies import Entropy, Interaction, InternalEnergy, PorousMedium, Potential
from wgfode.errors import InputError
from wgfode.validation.convergence import cases, faults, half_square, order, ring_kernel, study
from wgfode.validation.grid import Tabulated, cell_averages, solve_grid, solve_quantile
from wgfode.validation.grid.convolution import Convolution
from wgfode.validation.grid.mesh import coarsen, make_mesh
from wgfode.validation.grid.scharfetter_gummel import bernoulli
from wgfode.validation.grid.solve import choose
from wgfode.validation.grid.terms import split

CASES = cases()
EXACT = [name for name, case in CASES.items() if case.exact]


def bell(mean, deviation):
    return lambda x: norm.pdf(x, mean, deviation).prod(1)


@pytest.mark.parametrize("name", EXACT)
def test_errors_and_structure_on_coarse_grids(name):
    """The two coarser meshes of the table: L1, mass, positivity, energy."""
    case = CASES[name]
    for row, expected in zip(study(case, case.cells[:2]), case.expected, strict=False):
        assert row.error <= 1.5 * expected
        assert faults(row.dataset) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_errors_and_order_on_the_whole_table(name):
    case = CASES[name]
    rows = study(case)
    assert all(row.error <= 1.5 * expected for row, expected in zip(rows, case.expected, strict=True))
    assert [faults(row.dataset) for row in rows] == [[]] * len(rows)
    assert order(rows) >= (1.5 if name == "barenblatt-2d-m3" else 1.8)


@pytest.mark.slow
def test_ring_with_diffusion_on_the_whole_table():
    case = CASES["ring-2d-diffusion"]
    rows = study(case)
    assert all(row.error <= 1.5 * expected for row, expected in zip(rows, case.expected, strict=True))
    assert order(rows) >= 1.9


@pytest.mark.slow
def test_front_order_over_five_grids():
    assert order(study(CASES["barenblatt-2d-m3"], (64, 90, 128, 180, 256))) >= 1.5


def test_ring_with_diffusion_refines():
    rows = study(CASES["ring-2d-diffusion"], (32, 64), reference=128)
    assert rows[1].error <= 1.5 * CASES["ring-2d-diffusion"].expected[0]
    assert faults(rows[1].dataset) == []


def test_sum_of_all_terms_refines_at_second_order():
    rows = study(CASES["all-terms-2d"], (32, 64), reference=128)
    assert order(rows) >= 1.85
    assert [faults(row.dataset) for row in rows] == [[], []]


@pytest.mark.parametrize(
    "energy",
    [
        0.1 * Entropy() + 0.3 * PorousMedium(2) + Potential(half_square) + Interaction(ring_kernel),
        PorousMedium(1.5) + Potential(half_square),
        PorousMedium(5) + Interaction(half_square),
        InternalEnergy(lambda r: 0.5 * r**2 + 0.1 * r * np.log(r)) + Potential(half_square),
        Potential(half_square),
        Potential(half_square) + Interaction(lambda x: -0.2 * np.abs(x[:, 0]) + x[:, 0] ** 2 / 2),
        0.5 * Entropy() + Interaction(half_square),
    ],
    ids=["all", "m=1.5", "m=5 with W", "function", "V", "V and W", "McKean-Vlasov"],
)
def test_structure_for_any_sum(energy):
    solution = solve_grid(energy, bell(0.3, 0.4), [(-5, 5)], 200, [0, 0.5, 2])
    assert faults(solution) == []
    assert np.diff(solution.energy).max() < 0


def test_structure_over_a_long_run():
    """At the steady state steps grow without bound, and nothing drifts."""
    case = CASES["double-well-1d"]
    solution = solve_grid(case.energy, case.density0, case.box, 200, [0, 300])
    assert faults(solution) == []
    axis = solution.x.values
    gibbs = np.exp(-(((axis**2 - 1) ** 2) / 4) / 0.1)
    assert solution.density[-1].values == pytest.approx(gibbs / gibbs.sum() / (axis[1] - axis[0]), abs=1e-4)


def test_a_run_that_starts_at_equilibrium_with_energy_zero():
    """The guard on the energy is not tripped by rounding."""
    energy = Potential(lambda x: half_square(x) + 0.5 * np.log(2 * np.pi)) + Entropy()
    solution = solve_grid(energy, bell(0, 1), [(-7, 7)], 100, [0, 200])
    assert np.abs(solution.energy).max() <= 1e-4
    assert solution.attrs["steps"] <= 200


def test_gibbs_density_is_stationary():
    """The discrete Gibbs density is a fixed point of both diffusive schemes, also far from resolved drift."""
    mesh = make_mesh([(-3, 3), (-2, 4)], (24, 30))
    V = mesh.points() @ [3.0, -1.0] + half_square(mesh.points()) * 4
    gibbs = np.exp(-V / 0.3).reshape(mesh.cells)
    gibbs /= gibbs.sum() * mesh.volume
    energy = 0.3 * Entropy() + Potential(lambda x: x @ [3.0, -1.0] + 4 * half_square(x))
    for also in (energy, energy + 1e-300 * PorousMedium(2)):
        scheme = choose(mesh, split(also, 2))
        assert np.abs(scheme.rate(gibbs, None)).max() <= 1e-11 * scheme.radius(gibbs, None)


def test_equal_functions_give_equal_solutions():
    """U given as a function against the same U by name."""
    by_name = solve_grid(PorousMedium(3), bell(0, 0.5), [(-4, 4)], 100, [0.5])
    by_function = solve_grid(InternalEnergy(lambda r: r**3 / 2), bell(0, 0.5), [(-4, 4)], 100, [0.5])
    assert by_function.density.values == pytest.approx(by_name.density.values, abs=1e-6)


def test_reflection_and_transposition():
    """The solution of the mirrored problem is the mirrored solution; axes may be swapped."""
    energy = 0.2 * Entropy() + Potential(lambda x: x[:, 0] ** 2 + 0.3 * x[:, 0] + 2 * x[:, 1] ** 2)
    swapped = 0.2 * Entropy() + Potential(lambda x: x[:, 1] ** 2 - 0.3 * x[:, 1] + 2 * x[:, 0] ** 2)
    long, short = (-3, 3), (-2.5, 2.5)
    one = solve_grid(energy, bell([0.2, 0], [0.4, 0.3]), [long, short], (40, 30), [0.3])
    two = solve_grid(swapped, bell([0, -0.2], [0.3, 0.4]), [short, long], (30, 40), [0.3])
    assert two.density[0].values.T[::-1] == pytest.approx(one.density[0].values, abs=1e-12)


@pytest.mark.parametrize("name", ["double-well-1d", "barenblatt-1d-m2", "attraction-1d"])
def test_quantile_solver_agrees_with_the_grid(name):
    """Two methods that share nothing but the energy."""
    case = CASES[name]
    grid = solve_grid(case.energy, case.density0, case.box, 400, [0, case.time])
    (low, high) = case.box[0]
    start = Tabulated(case.density0, low, high)
    quantile = solve_quantile(case.energy, start, [0, case.time], levels=200, rtol=1e-7)
    assert grid["mean"].values[:, 0] == pytest.approx(quantile["mean"].values, abs=2e-4)
    assert grid.covariance.values[:, 0, 0] == pytest.approx(quantile.variance.values, abs=2e-3)
    assert grid.energy.values == pytest.approx(quantile.energy.values, rel=2e-3)


def test_quantile_solver_is_second_order_in_w2():
    closed = exact.OrnsteinUhlenbeck([0.0], [[1.0]], 1.0, [2.0], [[0.25]])
    errors = []
    for n in (50, 100, 200):
        run = solve_quantile(Potential(half_square) + Entropy(), norm(2, 0.5), [0.5], levels=n)
        z = run.level.values
        truth = closed.mean(0.5)[0] + np.sqrt(closed.covariance(0.5)[0, 0]) * z
        weights = norm.pdf(z) / norm.pdf(z).sum()
        errors.append(np.sqrt(weights @ (run.position.values[0] - truth) ** 2))
    assert np.log2(np.divide(errors[:-1], errors[1:])) == pytest.approx([2, 2], abs=0.15)
    assert errors[-1] <= 1e-3


def test_convolution_is_the_full_sum():
    mesh = make_mesh([(-1, 1), (0, 3)], (9, 14))
    rho = np.random.default_rng(0).random(mesh.cells)
    x = mesh.points()
    pairs = ring_kernel((x[:, None] - x[None]).reshape(-1, 2)).reshape(len(x), -1)
    direct = (pairs @ rho.ravel()).reshape(mesh.cells) * mesh.volume
    assert Convolution(mesh, ring_kernel)(rho) == pytest.approx(direct, abs=1e-12)


def test_bernoulli_and_cell_averages():
    delta = np.array([-800.0, -3.0, -1e-9, 0.0, 1e-9, 1e-5, 2.0, 800.0])
    forward, backward = bernoulli(delta)
    assert forward[[0, 3, 7]] == pytest.approx([800.0, 1.0, 0.0], abs=1e-12)
    assert forward[6] == pytest.approx(2 / np.expm1(2), rel=1e-14)
    assert backward == pytest.approx(forward + delta, abs=1e-12)
    step = cell_averages(lambda x: (x[:, 0] > 0.03).astype(float), [(-1, 1)], 40)
    assert step[20] == pytest.approx(0.4, abs=0.04)
    assert coarsen(np.arange(8.0), 4) == pytest.approx([1.5, 5.5])


def test_dataset_layout_and_round_trip(tmp_path):
    solution = solve_grid(0.5 * Entropy(), bell(0, [0.5, 0.4]), [(-3, 3), (-2.5, 2.5)], (32, 40), [0, 0.1])
    assert solution.density.dims == ("time", "x", "y")
    assert solution.density.shape == (2, 32, 40)
    assert {"mass", "energy", "minimum", "mean", "covariance", "energy_step", "step_time"} <= set(solution)
    assert solution.covariance.dims == ("time", "component", "component_")
    assert solution.covariance[1].values == pytest.approx(np.diag([0.25 + 0.1, 0.16 + 0.1]), abs=5e-3)
    assert all("long_name" in solution[name].attrs and "units" in solution[name].attrs for name in solution.variables)
    assert solution.step_time[-1] == 0.1
    assert len(solution.energy_step) == solution.attrs["steps"] + 1
    solution.to_netcdf(tmp_path / "run.nc", engine="scipy")


STEEP = Potential(lambda x: 50 * half_square(x)) + 0.02 * Entropy()
SINGULAR = Interaction(lambda x: -np.log(np.abs(x[:, 0])))
GOOD = {
    "energy": Potential(half_square) + Entropy(),
    "density0": bell(0, 1),
    "box": [(-7, 7)],
    "cells": 100,
    "times": [0, 0.1],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": [(-7, 1)]}, r"too small.*4.97e-02 of the mass.*wall x = 1 .*outwards"),
        ({"box": [(-7, 7), (-1, 7)], "density0": bell(0, [1, 1])}, "wall y = -1"),
        ({"density0": lambda x: 0.5 * bell(0, 1)(x)}, "mass 0.5 .*normalise=True"),
        ({"density0": lambda x: bell(0, 1)(x) - 1e-3}, "density0 must be >= 0"),
        ({"density0": lambda x: np.full(len(x), np.nan)}, "density0 is not finite"),
        ({"density0": lambda x: 0 * x[:, 0]}, "no mass"),
        ({"density0": lambda x: bell(0, 1)(x)[:, None]}, "density0 must map"),
        ({"energy": STEEP}, r"too few cells.*Péclet.*cells="),
        ({"energy": SINGULAR}, r"W is singular: W\(0\) = inf.*regularise"),
        ({"energy": Interaction(lambda x: x[:, 0])}, "W must be even"),
        ({"energy": Potential(lambda x: x)}, "V must map"),
        ({"energy": Potential(lambda x: x.clamp(0))}, "V fails on a numpy array"),
        ({"energy": Potential(lambda x: 1 / np.where(x[:, 0] > 6, 0, 1.0))}, "V is not finite at"),
        ({"energy": 3}, "energy must be an energy"),
        ({"box": [(-7, 7)] * 3}, "1 and 2 dimensions"),
        ({"box": [(7, -7)]}, "low < high"),
        ({"box": 7}, "d pairs"),
        ({"box": [(-7, np.inf)]}, "finite"),
        ({"cells": 4}, "at least 8"),
        ({"cells": 100.5}, "whole number"),
        ({"cells": (100, 100)}, "cells must be an int or 1"),
        ({"times": [0, 0.2, 0.1]}, "strictly increasing"),
        ({"times": [-1, 0.1]}, ">= 0"),
        ({"times": []}, "non-empty"),
        ({"tolerance": 0}, "tolerance"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input(change, message):
    with pytest.raises(InputError, match=message):
        solve_grid(**(GOOD | change))


def test_normalise_divides_by_the_mass():
    half = solve_grid(**(GOOD | {"density0": lambda x: 0.5 * bell(0, 1)(x), "normalise": True}))
    assert half.mass.values == pytest.approx([1, 1], abs=1e-14)
    assert half.density.values == pytest.approx(solve_grid(**GOOD).density.values, abs=1e-10)
