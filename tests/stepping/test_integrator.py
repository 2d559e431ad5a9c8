"""One loop for every integrator: its budget, its reasons, and output times that force no steps."""

from __future__ import annotations

import logging
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import wgfode as wgf
from wgfode.adapters import scipy as for_scipy
from wgfode.adapters import torchdiffeq as for_torch
from wgfode.errors import IntegrationError, Reason
from wgfode.stepping import bilevel, proximal
from wgfode.stepping.automatic import Automatic
from wgfode.stepping.integrator import Failure, Integrator, states
from wgfode.stepping.methods import Method
from wgfode.stepping.state import State

PROBLEM = wgf.problems.get("ornstein-uhlenbeck-2d")
FLOW = replace(PROBLEM.flow, points=wgf.Sobol(32, seed=0, matched=True))
QUIET: dict[str, Any] = {"evaluation": 32, "stiffness": False, "certificate": False, "integrator": "torchdiffeq"}


def torch_steps(name: str, **changes: Any) -> Integrator:
    f = for_torch.right_hand_side(FLOW)
    method = Method(name, **changes)
    own = {"proximal": proximal, "bilevel": bilevel}
    if name == "auto":
        return Automatic(f.rhs, lambda how: for_torch.integrator(f, how), method, 50.0, [])
    return own[name].integrator(f.rhs, method) if name in own else for_torch.integrator(f, method)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Tsit5", {}),
        ("Bosh3", {}),
        ("Dopri8", {"error_norm": "metric"}),
        ("Kvaerno3", {}),
        ("ImplicitEuler", {"step_size": 0.01}),
        ("Midpoint", {"step_size": 0.01}),
        ("proximal", {"step_size": 0.01}),
        ("auto", {}),
        ("Radau", {}),
    ],
)
def test_the_budget_is_kept_exactly(name: str, changes: dict[str, Any]) -> None:
    """From the start, and by a run that goes on with most of it spent."""
    steps = for_scipy.integrator(for_scipy.right_hand_side(FLOW), Method(name)) if name == "Radau" else torch_steps(
        name, **changes)  # fmt: skip
    start = State(0.0, FLOW.map.initial())
    for begin, budget in ((start, 1), (start, 3), (replace(start, accepted=5, rejected=2), 9)):
        passed = [begin]
        with pytest.raises(IntegrationError, match=f"max_steps={budget} was reached") as caught:
            passed.extend(states(steps, begin, np.array([20.0, 50.0]), budget))
        last = passed[-1]
        assert caught.value.reason is Reason.max_steps
        assert last.accepted + last.rejected == budget
        assert caught.value.time == last.time


def test_a_reason_travels_beside_its_words() -> None:
    class Stuck:
        chunk = 4

        def advance(self, state: State, stop: float, limit: int) -> tuple[State, Failure | None]:
            return state, Failure(Reason.stage_unsolved, "of the weather")

    with pytest.raises(IntegrationError, match="stopped at t=0 because of the weather") as caught:
        list(states(Stuck(), State(0.0, np.zeros(1)), np.array([1.0]), 10))
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.time, error.words, error.reason) == (0.0, "of the weather", Reason.stage_unsolved)


@pytest.mark.parametrize("method", ["Tsit5", "Kvaerno5"])
def test_output_times_force_no_steps(method: str) -> None:
    """Many frames: the same steps, and at every frame the exact map as well as at the ends of steps."""
    few, many = (
        wgf.solve(FLOW, times, method=method, **QUIET) for times in ([0.5, 1.0], np.linspace(0, 1, 101)[1:].tolist())
    )
    assert many.attrs["accepted_steps"] == few.attrs["accepted_steps"] < 40
    np.testing.assert_array_equal(many.theta.values[[50, 100]], few.theta.values[1:])
    fine = wgf.solve(FLOW, many.time.values[1:], rtol=1e-9, atol=1e-11, **QUIET).theta.values
    error = np.abs(many.theta.values - fine).max(axis=1)
    assert error.max() < 5e-6
    assert error.max() < 3 * error[[50, 100]].max() + 1e-6


def test_a_short_stretch_between_resampling_times_is_stepped_through() -> None:
    """One step a segment has no neighbours to be interpolated with."""
    flow = replace(FLOW, points=wgf.MonteCarlo(200, seed=0, resample_every=0.1))
    times = np.linspace(0, 0.4, 17)[1:].tolist()
    ds = wgf.solve(flow, times, rtol=1e-5, atol=1e-7, **QUIET)
    for i, t in enumerate(ds.time.values):
        assert np.abs(ds.x.values[i] - PROBLEM.exact.flow_map(t, ds.z.values)).max() < 1e-4
    # the last one is read with all its frames or none
    once = wgf.solve(flow, times[-1:], rtol=1e-5, atol=1e-7, **QUIET)
    np.testing.assert_array_equal(once.theta.values[-1], ds.theta.values[-1])


def test_the_bound_at_an_output_time_is_the_one_of_a_run_that_ends_there() -> None:
    flow = replace(FLOW, map=wgf.maps.Affine(2, structure="diagonal"))
    how = QUIET | {"certificate": True, "evaluation": 128}
    inside = wgf.solve(flow, [0.13, 0.57, 1.0], **how)
    for i, t in ((1, 0.13), (2, 0.57)):
        ends = wgf.solve(flow, [t], **how)
        assert float(inside.w2_bound[i]) > 1e-3
        assert float(inside.w2_bound[i]) == pytest.approx(float(ends.w2_bound[-1]), rel=1e-4)


def overflowing() -> wgf.GradientFlow:
    """Whose driving force overflows far out, where a step that is far too long has its stages."""
    wall = wgf.Potential(lambda x: ((x - 2) ** 2).sum(-1).exp() * 1e-9)
    return replace(FLOW, map=wgf.maps.Coupling(2, layers=2), energy=wall, points=wgf.Sobol(16))


def noted(f: Any) -> list[bool]:
    """Whether each θ̇ that f gives from now on is finite."""
    finite, whole = [], f.forward

    def forward(t: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        velocity = whole(t, theta)
        finite.append(bool(torch.isfinite(velocity).all()))
        return velocity

    f.forward = forward
    return finite


@pytest.mark.parametrize(
    ("method", "error_norm"),
    [("Bosh3", "parameters"), ("Tsit5", "parameters"), ("Tsit5", "metric"), ("Dopri5", "metric"),
     ("Dopri8", "parameters")],
)  # fmt: skip
def test_a_stage_that_is_not_finite_is_a_rejected_step(method: str, error_norm: str) -> None:
    flow = overflowing()
    f = for_torch.right_hand_side(flow)
    finite = noted(f)
    start = State(0.0, flow.map.initial(), step=1e6)
    steps = for_torch.integrator(f, Method(method, 1e-3, 1e-5, error_norm=error_norm))
    with pytest.raises(IntegrationError, match="max_steps"):  # and no step size that vanishes
        list(states(steps, start, np.array([1e9]), 12))
    assert not all(finite)
    assert finite[0]


@pytest.mark.parametrize("method", ["Tsit5", "dopri5", "bosh3", "dopri8", "fehlberg2", "adaptive_heun"])
def test_odeint_rejects_it_too(method: str) -> None:
    flow = overflowing()
    f = for_torch.right_hand_side(flow)
    finite = noted(f)
    with pytest.raises(IntegrationError, match="max_num_steps"):  # and no step size that vanishes
        for_torch.odeint(f, f.initial(), torch.tensor([0.0, 1e9], dtype=torch.float64), method=method, rtol=1e-2,
                         atol=1e-3, options={"first_step": 1e6, "max_num_steps": 12})  # fmt: skip
    assert not all(finite)


def test_ctrl_c_is_told_by_its_reason(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wgfode.run.judge.Judge.__call__", interrupt)
    with caplog.at_level(logging.CRITICAL, "wgfode"):
        ds = wgf.solve(FLOW, [0.1], **QUIET)
    assert ds.attrs["stop_reason"] == Reason.interrupted.value
