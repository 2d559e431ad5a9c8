"""The grid solvers with drifts, diffusion matrices and functions of time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from wgfode import Diffusion, Drift, Entropy, InputError, Interaction, PorousMedium, Potential, coefficient
from wgfode.validation.convergence import Case, faults, half_square, order, study
from wgfode.validation.exact import LinearDrift, kinetic_oscillator
from wgfode.validation.grid import solve_grid, solve_quantile
from wgfode.validation.grid.exchange import Exchange, selling
from wgfode.validation.grid.mesh import make_mesh
from wgfode.validation.grid.solve import choose
from wgfode.validation.grid.terms import split

B = np.array([[1.0, -2.0], [1.5, 0.7]])
D = np.array([[0.5, 0.2], [0.2, 0.3]])


def swirl(x):
    return -x @ B.T


def bell(mean, deviation):
    return lambda x: norm.pdf(x, mean, deviation).prod(1)


def linear_case(name: str, solution: LinearDrift, energy: Any, half: float, time: float = 0.4) -> Case:
    return Case(
        name, energy, lambda x: solution.density(0, x), lambda x: solution.density(time, x),
        [(-half, half)] * solution.dim, time, (), (), (),
    )  # fmt: skip


ROTATING = LinearDrift([0, 0], B, 0.4 * np.eye(2), [0.8, 0.3], [[0.4, 0.1], [0.1, 0.3]])
KINETIC = kinetic_oscillator(0.5, 1.0, [1.0, 0.0], [[0.5, 0.1], [0.1, 0.3]])
PLANE = {
    "Scharfetter-Gummel": linear_case("swirl", ROTATING, Drift(swirl) + 0.4 * Entropy(), 4.5),
    "noise without energy": linear_case("swirl", ROTATING, Drift(swirl) + Diffusion(0.4 * np.eye(2)), 4.5),
    "entropy beside a matrix": linear_case(
        "swirl", replace(ROTATING, diffusion=D + 0.1 * np.eye(2)), Drift(swirl) + 0.1 * Entropy() + Diffusion(D), 4.8
    ),
    "noise on one axis": linear_case(
        "kinetic", KINETIC, Drift(lambda x: -x @ np.array([[0, -1], [1, 0.5]]).T) + Diffusion([[0, 0], [0, 0.5]]), 4.8
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANE)
def test_second_order_on_drifts_that_are_no_gradients(name: str) -> None:
    rows = study(PLANE[name], (60, 120))
    limited = "upwind" in rows[0].dataset.attrs["scheme"]  # which cuts at the top of the bell
    assert order(rows) >= (1.7 if limited else 1.95)
    assert rows[-1].error <= 6e-3
    for row in rows:
        assert faults(row.dataset) == []
        assert "is no gradient" in row.dataset.attrs["energy_may_rise"]


def test_a_potential_that_moves() -> None:
    """dm/dt = β(t) − m for V = |x − β|²/2, β = sin 3t, and D that halves: dC/dt = −2C + 2D(t)."""

    def trap(x, t):
        return 0.5 * ((x - np.sin(3 * t)) ** 2).sum(1)

    energy = Potential(trap) + coefficient(lambda t: 0.5 + 0.4 * t) * Entropy()
    t = 0.8
    mean = 0.5 * np.exp(-t) + (np.sin(3 * t) - 3 * np.cos(3 * t) + 3 * np.exp(-t)) / 10
    variance = 0.3 * np.exp(-2 * t) + 0.5 * (1 - np.exp(-2 * t)) + 0.4 * (t - 0.5 * (1 - np.exp(-2 * t)))
    case = Case("trap", energy, bell(0.5, np.sqrt(0.3)), bell(mean, np.sqrt(variance)), [(-4, 5)], t, (), (), ())
    rows = study(case, (50, 100))
    assert order(rows) >= 1.95
    assert rows[-1].error <= 3e-3
    assert [faults(row.dataset) for row in rows] == [[], []]
    assert rows[0].dataset.attrs["energy_may_rise"] == "the functions depend on t"
    assert {"energy", "energy_step"} <= set(rows[0].dataset)
    quantile = solve_quantile(energy, norm(0.5, np.sqrt(0.3)), [t], levels=200, rtol=1e-7)
    assert [quantile["mean"].values[0], quantile.variance.values[0]] == pytest.approx([mean, variance], abs=2e-3)


def test_the_energy_is_of_its_terms_and_its_time() -> None:
    energy = Potential(lambda x, t: t * half_square(x)) + Drift(lambda x: -x)
    ds = solve_grid(energy, bell(0, 0.5), [(-3, 3)], 200, [0, 0.5])
    assert ds.energy.values == pytest.approx([0, 0.5 * ds.covariance.values[1, 0, 0] / 2])
    assert ds.attrs["without_energy"] == "drift"
    alone = solve_grid(Drift(lambda x: -x), bell(0, 0.5), [(-3, 3)], 50, [0, 0.5])
    assert not {"energy", "energy_step"} & set(alone)
    assert faults(alone) == []


def test_a_drift_is_what_its_potential_is() -> None:
    """For a quadratic V the fluxes are the same, under each of the three schemes."""
    mesh = make_mesh([(-3, 3), (-2, 4)], (24, 30))
    rho = np.random.default_rng(0).random(mesh.cells)
    for more in (0.3 * Entropy(), PorousMedium(2), 0.1 * Interaction(half_square)):
        one, two = (choose(mesh, split(e + more, 2)) for e in (2 * Drift(lambda x: -x), 2 * Potential(half_square)))
        conv = one.convolve(rho)
        assert type(one) is type(two)
        assert one.rate(rho, conv) == pytest.approx(two.rate(rho, conv), abs=1e-11 * one.leaving(rho, conv))


def test_all_terms_keep_mass_and_sign() -> None:
    energy = (
        Potential(lambda x, t: (1 + t) * half_square(x)) + Drift(swirl) + 0.2 * Interaction(half_square)
        + 0.05 * Entropy() + 0.2 * PorousMedium(2) + Diffusion(0.2 * D)
    )  # fmt: skip
    ds = solve_grid(energy, bell([0.5, 0], 0.4), [(-3, 3)] * 2, 40, [0, 0.3])
    assert faults(ds) == []
    assert ds.attrs["rejected_steps"] == 0


def test_the_line_by_quantiles() -> None:
    grid, quantile = (
        solve(Drift(lambda x: np.sin(x)) + Diffusion([[0.2]]))
        for solve in (
            lambda e: solve_grid(e, bell(0.3, 0.4), [(-5, 5)], 300, [0.5]),
            lambda e: solve_quantile(e, norm(0.3, 0.4), [0.5], levels=200, rtol=1e-7),
        )
    )
    assert "energy" not in quantile
    assert grid["mean"].values[0] == pytest.approx(quantile["mean"].values, abs=1e-4)
    assert grid.covariance.values[0, 0] == pytest.approx(quantile.variance.values, abs=2e-3)


@pytest.mark.parametrize(
    "matrix",
    [D, np.eye(2), [[1, 0.9], [0.9, 1]], [[1, -0.9], [-0.9, 5]], [[1, 0], [0, 0]], np.ones((2, 2)), [[4, -2], [-2, 1]]],
)
def test_selling(matrix) -> None:
    pairs = selling(np.array(matrix, dtype=float))
    assert all(rate > 0 for rate, _ in pairs)
    np.testing.assert_allclose(sum(rate * np.outer(e, e) for rate, e in pairs), matrix, atol=1e-12)


BAD = {
    "args": (Potential(lambda x, args: args * half_square(x)), r"functions of args.*energy.at\(t, args\)"),
    "b's shape": (Drift(lambda x: x[:, 0]) + Entropy(), r"b must map shape \(1600, 2\) to \(1600, 2\).*\(1600,\)"),
    "b is nan": (Drift(lambda x: x * np.where(x > 2.5, np.nan, 1)), "b is not finite at"),
    "size": (Diffusion([[1.0]]), r"shape \(1, 1\), and the box has dimension 2"),
    "oblique": (Diffusion(np.outer([1, np.sqrt(2)], [1, np.sqrt(2)])), r"oblique.*over \d+ cells"),
    "Péclet": (Drift(lambda x: -200 * x) + 0.1 * Entropy(), "Péclet"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    energy, named = BAD[case]
    with pytest.raises(InputError, match=named):
        solve_grid(energy, bell([0, 0], 0.4), [(-3, 3)] * 2, 40, [0.1])
    if case == "oblique":
        Exchange(make_mesh([(-3, 3)] * 2, 40), D)
