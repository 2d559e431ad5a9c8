"""Runs against exact solutions, as the maximum over the output times. The long ones are benchmarks/figures.py."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import wgfode as wgf
from wgfode.maps import Affine
from wgfode.problems import Problem

# without what these tests do not look at, and jax would compile
solve = partial(wgf.solve, stiffness=False, certificate=False)


def map_error(problem: Problem, integrator: str, **options: float) -> float:
    """The largest (E|T_θ(z) − T_exact(z)|²)^½ over the output times."""
    ds = solve(problem.flow, problem.times, integrator=integrator, evaluation=512, **options)  # type: ignore[arg-type]
    assert ds.attrs["status"] == "completed"
    exact, z = problem.exact, ds.z.values
    gaps = [ds.x.values[i] - exact.flow_map(float(t), z) for i, t in enumerate(ds.time.values)]
    return max(float(np.sqrt((gap**2).sum(axis=1).mean())) for gap in gaps)


@pytest.mark.parametrize("integrator", ["torchdiffeq", "diffrax"])
def test_ten_dimensions_affine_200_points(integrator: str) -> None:
    problem = wgf.problems.get("fokker-planck-10d")
    problem = replace(problem, flow=replace(problem.flow, map=Affine(10), points=wgf.Sobol(200, seed=0)))
    assert map_error(problem, integrator, rtol=1e-8, atol=1e-10) <= 1e-6


def test_barenblatt_by_an_affine_map() -> None:
    problem = wgf.problems.get("porous-medium-2d")
    problem = replace(problem, flow=replace(problem.flow, points=wgf.Sobol(128, seed=0)))
    assert map_error(problem, "torchdiffeq", rtol=1e-7, atol=1e-9) <= 1e-6


def test_double_well_in_one_dimension() -> None:
    """In 1-D the map is monotone, so this is the Wasserstein-2 error."""
    problem = wgf.problems.get("double-well-1d")
    problem = replace(problem, flow=replace(problem.flow, points=wgf.Sobol(512, seed=0)))
    assert map_error(problem, "torchdiffeq", rtol=1e-4, atol=1e-6) <= 2e-3


@pytest.mark.slow
@pytest.mark.parametrize("integrator", ["diffrax", "torchdiffeq"])
def test_ring(integrator: str) -> None:
    problem = wgf.problems.get("aggregation-ring")
    assert map_error(replace(problem, times=(0.0, 0.5, 1.0, 2.0, 4.0)), integrator, rtol=1e-5, atol=1e-7) <= 1e-2
