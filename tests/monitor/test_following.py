"""A map that cannot follow says so, an equilibrium does not; folds are told wherever there is a determinant."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import wgfode as wgf
from wgfode import problems
from wgfode.cli.table import table
from wgfode.maps import Affine, Basis
from wgfode.monitor.warnings import Warnings

QUICK: dict[str, Any] = {
    "integrator": "torchdiffeq", "rtol": 1e-3, "atol": 1e-5, "stiffness": False, "certificate": False, "evaluation": 128
}  # fmt: skip


def affine_on_wells(structure: str = "full") -> wgf.GradientFlow:
    well = problems.get("double-well-1d").flow
    return wgf.GradientFlow(Affine(1, structure=structure), well.energy, well.reference, wgf.Sobol(64))


def lower_triangular() -> wgf.GradientFlow:
    ou = problems.get("ornstein-uhlenbeck-2d").flow
    return wgf.GradientFlow(Affine(2, structure="lower_triangular"), ou.energy, ou.reference, wgf.Sobol(64))


@pytest.mark.parametrize("make", [affine_on_wells, lower_triangular])
def test_a_map_that_cannot_follow_says_so_once(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "wgfode"):
        ds = wgf.solve(make(), [0.1, 1.0], **QUICK)
    assert ds.attrs["status"] == "completed"
    assert caplog.text.count("does not follow the flow") == 1
    assert "richer map" in caplog.text
    assert ds.attrs["defect"].startswith("up to 0.")
    assert "does not follow" in ds.attrs["defect"]
    assert "does not follow" in table(ds)
    assert "defect" in table(ds).splitlines()[0]


@pytest.mark.parametrize("last", [0.5, 8.0])
def test_an_exact_map_is_quiet_at_its_equilibrium(last: float, caplog: pytest.LogCaptureFixture) -> None:
    ou = problems.get("ornstein-uhlenbeck-2d").flow
    with caplog.at_level(logging.WARNING, "wgfode"):
        ds = wgf.solve(ou, [last], **QUICK)
    assert "follow" not in caplog.text
    assert "defect" not in ds.attrs


def judge(deltas: list[float], forces: list[float], step: float = 0.1) -> Warnings:
    """The verdict on readings of these δ and E|g|²."""
    flow = SimpleNamespace(map="map", points=wgf.Sobol(8), dim=1, size=1, estimator="velocity")
    watch = Warnings(SimpleNamespace(flow=flow, solver=wgf.Eigh(), tolerance=1e-6))  # type: ignore[arg-type]
    for i, (delta, force) in enumerate(zip(deltas, forces, strict=True)):
        watch(i * step, {"residual": np.array(delta), "residual_in_sample": np.array(delta), "force": np.array(force),
                         "residual_error": np.array(0.0), "linear_residual": np.array(0.0),
                         "linear_fallback": np.array(0), "linear_steps": np.array(0)})  # fmt: skip
    return watch


def test_what_remains_at_an_equilibrium_is_no_alarm() -> None:
    decay = np.exp(-np.arange(200) / 5)
    assert judge([1e-5] * 200, list(decay + 1e-5)).strays is None


def test_a_map_that_is_stuck_after_a_violent_start_is_found() -> None:
    forces = [1e3] + [1.0] * 200
    assert judge([0.0] + [1.0] * 200, forces).strays is not None


def test_a_reading_within_its_error_is_no_alarm() -> None:
    watch = Warnings(SimpleNamespace(flow=SimpleNamespace(size=1), solver=wgf.Eigh(), tolerance=1e-6))  # type: ignore[arg-type]
    watch(0.0, {name: np.array(value) for name, value in {
        "residual": 0.1, "residual_in_sample": 0.1, "force": 1.0, "residual_error": 0.1, "linear_residual": 0.0,
        "linear_fallback": 0, "linear_steps": 0}.items()})  # fmt: skip
    assert watch.strays is None


def cubic(x: Any) -> Any:
    return (x**4).sum(-1)


def test_a_fold_without_a_density_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on, since nothing in it needs the density, which is NaN from there on."""
    flow = wgf.GradientFlow(Basis([lambda z: z**3], 1), wgf.Potential(cubic), wgf.Gaussian.standard(1), wgf.Sobol(64))
    ds = wgf.solve(flow, [0.001, 0.5], **QUICK)
    assert ds.attrs["status"] == "completed"
    assert "lost injectivity" in caplog.text
    assert ds.attrs["injectivity"].startswith("lost at t=")
    folded = ds.min_jacobian.values <= 0
    assert folded[-1]
    assert not folded[0]
    assert np.isnan(ds.log_density.values[folded]).all()
    assert np.isfinite(ds.log_density.values[~folded]).all()
    assert "injectivity" in table(ds)


@pytest.mark.parametrize("evaluation", [16, 2048])
def test_the_datasets_own_points_judge(evaluation: int) -> None:
    """What the attribute says is what the rows show, however few or many points there are."""
    flow = wgf.GradientFlow(Basis([lambda z: z**3], 1), wgf.Potential(cubic) + 1e-6 * wgf.Entropy(),
                            wgf.Gaussian.standard(1), wgf.Sobol(64))  # fmt: skip
    ds = wgf.solve(flow, [0.004, 0.02, 0.1], on_fold="warn", **(QUICK | {"evaluation": evaluation}))
    folded = ds.time.values[ds.min_jacobian.values <= 0]
    assert folded.size
    assert float(ds.attrs["injectivity"].removeprefix("lost at t=")) <= folded[0]
