"""Functions of time that jump: steps end where they do, on either side their own value counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wgfode as wgf
from wgfode.errors import InputError
from wgfode.maps import Affine

QUICK: dict[str, Any] = {"evaluation": 16, "stiffness": False, "progress": False}
JUMP, BEFORE, AFTER = 0.35, 1.0, -3.0


def switched(x: Any, t: Any) -> Any:
    """V = s x, s = 1 and from t = .35 on −3: means move with velocity −s, exactly linear on either side."""
    return (BEFORE + (AFTER - BEFORE) * (t >= JUMP)) * x[:, 0]


def flow(**changes: Any) -> wgf.GradientFlow:
    parts: dict[str, Any] = {
        "map": Affine(1), "energy": wgf.Potential(switched, convexity=0.0), "reference": wgf.Gaussian.standard(1),
        "points": wgf.Sobol(16, seed=0, matched=True), "solver": wgf.Cholesky(1e-12), "jumps": (JUMP,),
    }  # fmt: skip
    return wgf.GradientFlow(**(parts | changes))


def moved(ds: Any) -> np.ndarray:
    """How far the points are from where they began, (time, point)."""
    return (ds["x"] - ds["z"]).values[1:, :, 0]


def mean(t: float) -> float:
    return -BEFORE * min(t, JUMP) - AFTER * max(t - JUMP, 0.0)


TIMES = [0.2, 0.35, 0.5, 0.8]


@pytest.mark.parametrize("method", ["Tsit5", "dopri5", "Kvaerno3", "euler", "proximal"])
def test_steps_end_at_jumps(method: str) -> None:
    """A constant velocity on either side is exact for every method, also at times between the ends of steps."""
    more = {"step_size": 0.1} if method in ("euler", "proximal") else {"rtol": 1e-6, "atol": 1e-8}
    certificate = method == "Tsit5"
    ds = wgf.solve(flow(), TIMES, integrator="torchdiffeq", method=method, certificate=certificate, **more, **QUICK)
    np.testing.assert_allclose(moved(ds), np.array([mean(t) for t in TIMES])[:, None] + np.zeros(16), atol=1e-6)
    assert ds.attrs["rejected_steps"] == 0
    assert ds.attrs["jumps"] == [JUMP]
    if certificate:
        assert ds["w2_bound"].max() < 1e-5


@pytest.mark.parametrize("integrator", ["diffrax"])
def test_diffrax(integrator: str) -> None:
    ds = wgf.solve(flow(), TIMES, integrator=integrator, certificate=False, **QUICK)
    np.testing.assert_allclose(moved(ds), np.array([mean(t) for t in TIMES])[:, None] + np.zeros(16), atol=1e-6)
    assert ds.attrs["rejected_steps"] == 0


def test_a_jump_that_is_not_told_costs_steps() -> None:
    ds = wgf.solve(flow(jumps=()), TIMES, integrator="torchdiffeq", certificate=False, **QUICK)
    assert ds.attrs["rejected_steps"] > 0


def test_jumps_outside_of_a_run_do_nothing() -> None:
    still = flow(energy=wgf.Potential(lambda x, t: x[:, 0]), jumps=(-1.0, 0.0, 5.0))
    plain = flow(energy=wgf.Potential(lambda x, t: x[:, 0]), jumps=())
    one, two = (
        wgf.solve(f, [0.5], integrator="torchdiffeq", certificate=False, **QUICK)["theta"].values
        for f in (still, plain)
    )
    np.testing.assert_array_equal(one, two)


def test_beside_resampling() -> None:
    both = flow(points=wgf.Sobol(16, seed=0, matched=True, resample_every=0.2))
    np.testing.assert_allclose(both.jump_times(0.0, 0.7), [0.2, JUMP, 0.4, 0.6])
    assert [both.segment(t) for t in (0.0, 0.34, JUMP, 0.41)] == [(0, 0), (1, 0), (1, 1), (2, 1)]
    assert both.within(JUMP, both.segment(0.3)) < JUMP
    assert both.within(JUMP, both.segment(JUMP)) == JUMP
    ds = wgf.solve(both, TIMES, integrator="torchdiffeq", certificate=False, **QUICK)
    np.testing.assert_allclose(moved(ds), np.array([mean(t) for t in TIMES])[:, None] + np.zeros(16), atol=1e-6)


BAD = {
    "order": ({"jumps": (0.5, 0.2)}, "jumps must be strictly increasing"),
    "number": ({"jumps": 0.5}, "jumps must be a sequence of times, got 0.5"),
    "words": ({"jumps": ("soon",)}, "jumps must be a number"),
    "nan": ({"jumps": (float("nan"),)}, "jumps must be"),
    "no t": ({"energy": wgf.Potential(lambda x: x[:, 0])}, "of functions that name t, and none"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    change, named = BAD[case]
    with pytest.raises(InputError, match=named):
        flow(**change)
