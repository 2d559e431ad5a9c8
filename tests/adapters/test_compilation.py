"""What a run on jax compiles: few programs, and none more for output times, fresh points, sizes or a second leg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import pytest

import wgfode as wgf
from wgfode.maps import Affine

COMPILED: list[str] = []
QUICK: dict[str, Any] = {"integrator": "diffrax", "evaluation": 16, "stiffness": False, "certificate": False}
ADAPTIVE = QUICK | {"rtol": 1e-3, "atol": 1e-5}
FIXED = QUICK | {"method": "euler", "step_size": 0.05}


def _note(event: str, _: float, **__: Any) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        COMPILED.append(event)


def bowl(x: Any) -> Any:
    return (x**2).sum(-1)


def flow(**points: Any) -> wgf.GradientFlow:
    return wgf.GradientFlow(Affine(1), wgf.Potential(bowl) + wgf.Entropy(), wgf.Gaussian.standard(1),
                            wgf.Sobol(16, seed=0, **points))  # fmt: skip


def programs(times: list[float], options: dict[str, Any], **points: Any) -> int:
    before = len(COMPILED)
    assert wgf.solve(flow(**points), times, **options).attrs["status"] == "completed"
    return len(COMPILED) - before


@pytest.fixture(scope="module", autouse=True)
def listening() -> None:
    """And the small programs of the checks are made once."""
    jax.monitoring.register_event_duration_secs_listener(_note)
    programs([0.1, 0.3], ADAPTIVE)


def test_a_run_makes_few_programs_however_many_its_output_times() -> None:
    # the steps, the right-hand side, the rows of the dataset, the folds, a displacement's size; the checks' gradients
    few = programs([0.1, 0.3], ADAPTIVE)
    assert 5 <= few <= 12
    assert programs([0.05, 0.1, 0.15, 0.2, 0.3], ADAPTIVE) == few


@pytest.mark.slow
def test_nothing_more_is_compiled_for_fresh_points_and_other_sizes() -> None:
    programs([0.1], FIXED)
    plain = programs([0.1], FIXED)
    assert programs([0.1], FIXED, resample_every=0.03) <= plain + 1  # and the callback that hands them over
    assert programs([0.1], FIXED | {"evaluation": 24}) == plain


@pytest.mark.slow
def test_nothing_more_is_compiled_for_a_second_leg(tmp_path: Path) -> None:
    place = {"checkpoint": tmp_path / "run.ckpt"}
    programs([0.1], FIXED | place)
    plain = programs([0.1], FIXED | place)
    assert programs([0.1], FIXED | place | {"resume": True}) <= plain
