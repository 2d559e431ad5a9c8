"""The examples run, each in a process of its own, as a user starts them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import wgfode as wgf

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=EXAMPLES, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def module(name: str) -> ModuleType:
    """An example in this process, where its small form costs less."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize("integrator", ["torchdiffeq", "diffrax"])
def test_by_hand(integrator: str) -> None:
    assert "energy" in run("by_hand.py", integrator)


def test_literal_algorithm_beside_the_default() -> None:
    rows = run("literal_algorithm.py", "--until", "0.02", "--points", "128", "--integrator", "torchdiffeq").splitlines()
    table = {row.split()[0]: row.split() for row in rows[1:]}
    assert table["literal"][4] == "4"
    assert table["literal"][-1] == table["default"][-1] == "completed"
    assert float(table["default"][3]) < float(table["literal"][3])


def test_parameters_estimated_from_snapshots() -> None:
    example = module("estimate")
    # one Gauss–Newton step: the whole way from FIRST is the example's own
    found, error = example.estimate(example.snapshots(400_000, 0), steps=5, first=0.97 * example.TRUE, tries=2)
    np.testing.assert_allclose(found, example.TRUE, rtol=0.02)
    assert (np.abs(found - example.TRUE) < 4 * error).all()


def test_sensitivity_of_the_ring() -> None:
    import torch

    example = module("ring_sensitivity")
    # an affine map, whose G needs no shift: a shift's own change is no part of the derivative
    flow = replace(example.flow_of(width=4, points=64), map=wgf.maps.Affine(2), solver=wgf.Cholesky(shift=0.0))

    def radius(a: float, b: float, *, grad: bool = False) -> tuple[float, list[float]]:
        def tensor(value: float) -> torch.Tensor:
            return torch.tensor(value, dtype=torch.float64, requires_grad=grad)

        args = {"a": tensor(a), "b": tensor(b)}
        found = example.radius(flow, args, 0.1, 0.025)
        if grad:
            found.backward()
        return found.item(), [args[name].grad.item() for name in "ab"] if grad else []

    _, slopes = radius(1.0, 1.0, grad=True)
    h = 1e-4
    differences = [
        (radius(1 + h, 1.0)[0] - radius(1 - h, 1.0)[0]) / (2 * h),
        (radius(1.0, 1 + h)[0] - radius(1.0, 1 - h)[0]) / (2 * h),
    ]
    np.testing.assert_allclose(slopes, differences, rtol=1e-6)


def test_a_posterior_beside_nuts() -> None:
    example = module("posterior")
    # with an affine map alone, a normal law: what it misses of the skewed posterior is in the tolerances
    example.flow = replace(example.flow, map=wgf.maps.Affine(2), points=wgf.Sobol(128, seed=0))
    run = example.by_flow(2.0, evaluation=1024, integrator="torchdiffeq")
    found = dict(zip(example.LABELS, example.figures(run.x.values[-1]), strict=True))
    # 4 chains of 25000 draws by numpyro, standard errors 0.007, 0.03 and 0.002
    assert abs(found["mean alpha"] - 0.943) < 0.06
    assert abs(found["mean beta"] - 9.94) < 0.3
    assert abs(found["sd alpha"] - 0.863) < 0.06
