"""A run opened again answers at any time, through its chain of maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wgfode as wgf
from wgfode import storage
from wgfode.errors import InputError
from wgfode.maps import Affine, Basis

QUICK: dict[str, Any] = {"evaluation": 64, "stiffness": False, "certificate": False, "integrator": "torchdiffeq"}
OU = wgf.problems.get("ornstein-uhlenbeck-2d")


def cubic() -> wgf.GradientFlow:
    """x' = −4x³, by maps that fold unless they begin anew."""
    map, energy = (
        Basis([lambda z: z**3, lambda z: z], 1),
        wgf.Potential(lambda x: (x**4).sum(-1)) + 1e-9 * wgf.Entropy(),
    )
    return wgf.GradientFlow(map, energy, wgf.Gaussian.standard(1), wgf.Sobol(64))


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    ds = wgf.solve(cubic(), [0.01, 0.05, 0.2], restart="auto", **QUICK)
    assert int(ds.segment[-1]) >= 2
    storage.write(ds, path := tmp_path_factory.mktemp("opened") / "run.nc")
    return ds, wgf.load(path, cubic())


def test_the_saved_times(chained: tuple[Any, Any]) -> None:
    ds, run = chained
    z = ds.z.values
    for i, t in enumerate(ds.time.values):
        x = run.pushforward(z, t)
        np.testing.assert_allclose(x, ds.x.values[i], atol=1e-13)
        np.testing.assert_allclose(run.inverse(x, t), z, atol=1e-7)
        np.testing.assert_allclose(run.log_density(x, t), ds.log_density.values[i], atol=1e-6)


def test_between_them_and_beside_a_restart(chained: tuple[Any, Any]) -> None:
    """The images are continuous through a restart, and near the exact ones between."""
    ds, run = chained
    z = np.linspace(-1.5, 1.5, 7)[:, None]
    for begin in ds.segment_begin.values[1:3]:
        before, after = run.pushforward(z, begin * (1 - 1e-9)), run.pushforward(z, begin * (1 + 1e-9))
        np.testing.assert_allclose(before, after, atol=1e-6)
    np.testing.assert_allclose(run.pushforward(z, 0.1), z / np.sqrt(1 + 0.8 * z**2), atol=2e-2)


def test_a_named_problem_needs_no_flow(tmp_path: Path) -> None:
    ds = wgf.solve(OU.flow, [0.1, 0.3], restart=[0.2], attributes={"problem": OU.name, "points_seed": 0}, **QUICK)
    storage.write(ds, path := tmp_path / "run.nc")
    run = wgf.load(path)
    x = run.sample(20_000, 0.25, seed=3)
    np.testing.assert_allclose(x.mean(0), OU.exact.mean(0.25), atol=0.05)
    np.testing.assert_allclose(np.cov(x.T), OU.exact.covariance(0.25), atol=0.08)
    np.testing.assert_allclose(np.exp(run.log_density(x[:50], 0.25)), OU.exact.density(0.25, x[:50]), rtol=1e-3)
    with pytest.raises(InputError, match="t must lie in"):
        run.sample(3, 0.4)
    with pytest.raises(InputError, match=r"points must be \(N, 2\)"):
        run.inverse([[1.0]], 0.1)
    with pytest.raises(InputError, match="map of 5 parameters"):
        wgf.load(path, wgf.GradientFlow(Affine(2, "lower_triangular"), OU.flow.energy, OU.flow.reference))
    moved = wgf.GradientFlow(OU.flow.map, OU.flow.energy, wgf.Gaussian([50.0, 0.0], np.eye(2)))
    with pytest.raises(InputError, match="segment 1 begins elsewhere"):
        wgf.load(path, moved)
    with pytest.raises(InputError, match="flow is needed"):
        wgf.load(ds.drop_attrs().assign_attrs({k: v for k, v in ds.attrs.items() if k != "problem"}))
