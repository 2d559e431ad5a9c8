"""scipy's stiff methods with the exact Jacobian, and their failures."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import wgfode as wgf
from wgfode.adapters.scipy import right_hand_side, solve_ivp
from wgfode.errors import InputError, IntegrationError


@pytest.fixture(scope="module")
def problem() -> wgf.problems.Problem:
    return wgf.problems.get("ornstein-uhlenbeck-2d")


@pytest.mark.parametrize("method", ["Radau", "bdf", "LSODA"])
def test_methods(problem: wgf.problems.Problem, method: str) -> None:
    f = right_hand_side(problem.flow)
    solution = solve_ivp(f, (0.0, 0.3), method=method, rtol=1e-5, atol=1e-7, t_eval=[0.0, 0.1, 0.3])
    assert f.jacobians > 0 or method == "LSODA"  # which is free to see no stiffness here
    assert f.evaluations < 300
    z, _ = problem.flow.held_out(128)
    x = f.pushforward(solution.y[:, -1], z).numpy()
    assert np.abs(x - problem.exact.flow_map(0.3, z)).max() < 1e-3
    ds = f.to_dataset(solution, 64)
    assert ds.sizes["time"] == 3


def test_jax_serves_too(problem: wgf.problems.Problem) -> None:
    f, g = right_hand_side(problem.flow, backend="jax"), right_hand_side(problem.flow)
    theta = problem.flow.map.initial() + 0.1
    np.testing.assert_allclose(f(0.0, theta), g(0.0, theta), atol=1e-10)
    np.testing.assert_allclose(f.jacobian(0.0, theta), g.jacobian(0.0, theta), atol=1e-8)


def test_one_call(problem: wgf.problems.Problem) -> None:
    ds = wgf.solve(problem.flow, [0.1, 0.3], integrator="scipy", method="Radau", rtol=1e-5, atol=1e-7, evaluation=128)
    assert ds.attrs["status"] == "completed"
    assert ds.time.values.tolist() == [0.0, 0.1, 0.3]
    assert np.abs(ds.x.values[-1] - problem.exact.flow_map(0.3, ds.z.values)).max() < 1e-3


def test_failures_are_raised(problem: wgf.problems.Problem, caplog: pytest.LogCaptureFixture) -> None:
    f = right_hand_side(problem.flow)
    velocity = f.evaluate

    def dies(theta: object, *points: object) -> object:
        made = velocity(theta, *points)
        return made._replace(velocity=made.velocity * (float("nan") if f.evaluations > 60 else 1.0))

    f.evaluate = dies  # type: ignore[method-assign]
    with pytest.raises(IntegrationError, match="stopped at t="):
        solve_ivp(f, (0.0, 1e3), method="Radau", rtol=1e-8, atol=1e-10)
    with pytest.raises(InputError, match="Radau"):
        solve_ivp(f, (0.0, 1.0), method="Rado")
    with pytest.raises(InputError, match="not available with scipy"):
        wgf.solve(problem.flow, [0.1], integrator="scipy", method="Tsit5")
    with caplog.at_level(logging.CRITICAL, "wgfode"):
        ds = wgf.solve(problem.flow, [1.0], integrator="scipy", method="BDF", max_steps=4, evaluation=64,
                       stiffness=False)  # fmt: skip
    assert "max_steps=4" in ds.attrs["status"]
