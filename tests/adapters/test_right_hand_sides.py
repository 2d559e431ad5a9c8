"""The right-hand side in the hands of torchdiffeq and diffrax, as users hold it."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import partial
from types import ModuleType

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torchdiffeq

import wgfode as wgf
from wgfode import InputError, problems
from wgfode.adapters import diffrax as for_diffrax
from wgfode.adapters import scipy as for_scipy
from wgfode.adapters import torchdiffeq as for_torch
from wgfode.adapters.torchdiffeq.tsit5 import Tsit5Solver

# without what these tests do not look at, and jax would compile
solve = partial(wgf.solve, stiffness=False, certificate=False)
PROBLEM = problems.get("ornstein-uhlenbeck-2d")


def flow(**changes) -> wgf.GradientFlow:
    return replace(PROBLEM.flow, **({"points": wgf.Sobol(64, seed=0)} | changes))


def map_error(x: np.ndarray, z: np.ndarray, t: float) -> float:
    return float(np.sqrt(((x - PROBLEM.exact.flow_map(t, z)) ** 2).sum(1).mean()))


Z = np.random.default_rng(0).standard_normal((50, 2))


class TestTorchdiffeq:
    @pytest.mark.parametrize(
        ("method", "options", "bound"),
        [
            ("dopri8", None, 1e-5),
            ("dopri5", None, 1e-5),
            ("bosh3", None, 1e-5),
            ("fehlberg2", None, 2e-4),
            ("adaptive_heun", None, 1e-5),
            ("euler", {"step_size": 0.005}, 2e-2),
            ("midpoint", {"step_size": 0.02}, 5e-3),
            ("heun2", {"step_size": 0.02}, 5e-3),
            ("heun3", {"step_size": 0.02}, 1e-3),
            ("rk4", {"step_size": 0.02}, 1e-4),
            ("explicit_adams", {"step_size": 0.005, "max_order": 4}, 1e-3),
            ("implicit_adams", {"step_size": 0.005}, 1e-3),
            ("scipy_solver", {"solver": "RK45"}, 1e-5),
        ],
    )
    def test_every_method(self, method: str, options: dict | None, bound: float) -> None:
        f = for_torch.right_hand_side(flow())
        times = torch.tensor([0.0, 0.1, 0.3], dtype=torch.float64)
        theta = torchdiffeq.odeint(f, f.initial(), times, method=method, rtol=1e-6, atol=1e-8, options=options)
        assert theta.shape == (3, 6)
        assert map_error(f.pushforward(theta[-1], Z).numpy(), Z, 0.3) < bound

    def test_no_graph_grows_unasked(self) -> None:
        f = for_torch.right_hand_side(flow())
        assert torch.is_grad_enabled()
        assert not f(torch.tensor(0.0), f.initial()).requires_grad
        theta = f.initial().requires_grad_()
        assert f(torch.tensor(0.0), theta).requires_grad
        with torch.no_grad():
            assert not f(torch.tensor(0.0), theta).requires_grad

    def test_dtype_is_kept(self) -> None:
        f = for_torch.right_hand_side(flow(solver=wgf.Cholesky(shift=1e-5)), dtype="float32", tolerance=1e-5)
        assert f.initial().dtype == torch.float32
        theta = torchdiffeq.odeint(f, f.initial(), torch.tensor([0.0, 0.3]), rtol=1e-4, atol=1e-5)
        assert theta.dtype == torch.float32
        assert map_error(f.pushforward(theta[-1], Z).numpy(), Z, 0.3) < 1e-3

    def test_resampling_times_are_jumps(self) -> None:
        f = for_torch.right_hand_side(flow(points=wgf.MonteCarlo(200, seed=0, resample_every=0.1)))
        jumps = f.jump_times(0.0, 0.3)
        np.testing.assert_allclose(jumps, [0.1, 0.2])
        theta = torchdiffeq.odeint(
            f, f.initial(), torch.tensor([0.0, 0.3], dtype=torch.float64), rtol=1e-6, atol=1e-8,
            options={"jump_t": torch.as_tensor(jumps)},
        )  # fmt: skip
        assert map_error(f.pushforward(theta[-1], Z).numpy(), Z, 0.3) < 1e-5

    def test_to_dataset(self) -> None:
        f = for_torch.right_hand_side(flow())
        times = torch.tensor([0.0, 0.1])
        theta = torchdiffeq.odeint(f, f.initial(), times)
        ds = f.to_dataset(times, theta, evaluation=32)
        assert ds.x.shape == (2, 32, 2)
        assert ds.attrs["integrator"] == "torchdiffeq"
        with pytest.raises(InputError, match="theta must be"):
            f.to_dataset(times, theta[0])

    def test_tsit5_has_order_five_and_its_interpolant_order_four(self) -> None:
        """On ẏ = y cos t, whose solution is known: the tableau is right where the errors fall as they should."""

        class Plain:
            def __call__(self, t, y, perturb=None):
                return y * torch.cos(t)

            def callback_step(self, *_):
                pass

            callback_accept_step = callback_reject_step = callback_step

        def error(h: float, at: float) -> float:
            y0 = torch.ones(1, dtype=torch.float64)
            solver = Tsit5Solver(
                Plain(), y0, rtol=1e30, atol=1e30, norm=lambda x: x.abs().max(), first_step=h, max_step=h, min_step=h
            )
            y = solver.integrate(torch.tensor([0.0, at], dtype=torch.float64))[-1]
            return abs(float(y) - np.exp(np.sin(at)))

        assert np.log2(error(0.2, 2.0) / error(0.1, 2.0)) > 4.5
        assert np.log2(error(0.2, 1.9) / error(0.1, 1.95)) > 3


class TestDiffrax:
    def test_a_term_and_a_solution(self) -> None:
        f = for_diffrax.right_hand_side(flow())
        sol = diffrax.diffeqsolve(
            f.term, diffrax.Tsit5(), 0.0, 0.3, None, f.initial(), saveat=diffrax.SaveAt(ts=jnp.array([0.0, 0.1, 0.3])),
            stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-8),
        )  # fmt: skip
        assert map_error(np.asarray(f.pushforward(sol.ys[-1], Z)), Z, 0.3) < 1e-5
        ds = f.to_dataset(sol, evaluation=32)
        assert ds.attrs["accepted_steps"] == int(sol.stats["num_accepted_steps"])
        assert ds.attrs["status"] == "completed"

    def test_padding_of_saved_steps_is_dropped(self) -> None:
        f = for_diffrax.right_hand_side(flow())
        sol = diffrax.diffeqsolve(
            f.term, diffrax.Tsit5(), 0.0, 0.1, 0.05, f.initial(), saveat=diffrax.SaveAt(steps=True, t0=True),
            max_steps=16,
        )  # fmt: skip
        assert f.to_dataset(sol, evaluation=16).sizes["time"] == 3

    def test_vmap_over_initial_parameters(self) -> None:
        f = for_diffrax.right_hand_side(flow())

        def last(theta):
            return diffrax.diffeqsolve(
                f.term, diffrax.Tsit5(), 0.0, 0.1, None, theta,
                stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-8),
            ).ys[-1]  # fmt: skip

        starts = f.initial() + 0.05 * jax.random.normal(jax.random.key(0), (3, 6))
        together = jax.vmap(last)(starts)
        np.testing.assert_allclose(together[1], last(starts[1]), rtol=1e-6, atol=1e-8)

    def test_compiled_once(self) -> None:
        f = for_diffrax.right_hand_side(flow())
        for t in (0.0, 0.1):
            f(t, f.initial() + t)
        assert f.evaluate._cache_size() == 1

    def test_resampling_inside_one_solve(self) -> None:
        f = for_diffrax.right_hand_side(flow(points=wgf.MonteCarlo(200, seed=0, resample_every=0.1)))
        controller = diffrax.ClipStepSizeController(
            diffrax.PIDController(rtol=1e-6, atol=1e-8), jump_ts=f.jump_times(0.0, 0.3)
        )
        sol = diffrax.diffeqsolve(f.term, diffrax.Tsit5(), 0.0, 0.3, None, f.initial(), stepsize_controller=controller)
        assert map_error(np.asarray(f.pushforward(sol.ys[-1], Z)), Z, 0.3) < 1e-5
        # the points really change
        theta = f.initial() + 0.1 * np.arange(6)
        one, two = (np.asarray(f.drive(t).z) for t in (0.05, 0.15))
        assert np.abs(one - two).max() > 0.1
        assert np.isfinite(np.asarray(f(0.05, theta))).all()

    def test_float64_needs_x64_and_says_so(self) -> None:
        with jax.enable_x64(False), pytest.raises(InputError, match="jax_enable_x64"):
            for_diffrax.right_hand_side(flow())

    def test_resampling_where_x64_is_on_in_a_local_context_only(self) -> None:
        """The points come through a callback, whose thread sees the global switch."""
        moving = flow(points=wgf.MonteCarlo(100, seed=0, resample_every=0.05))
        jax.config.update("jax_enable_x64", False)
        try:
            ds = solve(moving, [0.1], evaluation=64)
        finally:
            jax.config.update("jax_enable_x64", True)
        assert ds.attrs["status"] == "completed"
        assert map_error(ds.x.values[-1], ds.z.values, 0.1) < 1e-5

    @pytest.mark.parametrize("x64", [True, False])
    def test_float32_whatever_the_global_switch(self, x64: bool) -> None:
        with jax.enable_x64(x64):
            ds = solve(flow(), [0.1], integrator="diffrax", dtype="float32", rtol=1e-4, atol=1e-5, evaluation=64)
        assert ds.attrs["status"] == "completed"
        assert ds.theta.dtype == np.float32
        assert map_error(ds.x.values[-1], ds.z.values, 0.1) < 1e-3

    def test_a_dense_solution_has_no_times(self) -> None:
        f = for_diffrax.right_hand_side(flow(points=wgf.Sobol(16)))
        sol = diffrax.diffeqsolve(
            f.term, diffrax.Euler(), 0.0, 0.1, 0.1, f.initial(), saveat=diffrax.SaveAt(dense=True)
        )
        with pytest.raises(InputError, match="no saved times"):
            f.to_dataset(sol)

    def test_segments_are_those_of_the_points(self) -> None:
        f = for_diffrax.right_hand_side(flow(points=wgf.MonteCarlo(8, seed=0, resample_every=0.1)))
        for t in (0.0, 0.1, np.nextafter(0.3, 0), 0.3, 0.7, 0.75):
            expected = f.rhs.drive(t).z
            np.testing.assert_array_equal(f.drive(t).z, expected)

    def test_solve_leaves_the_global_switch_alone(self) -> None:
        with jax.enable_x64(False):
            ds = solve(flow(), [0.05], evaluation=16)
            assert ds.theta.dtype == np.float64
            assert not jax.config.jax_enable_x64


@pytest.mark.parametrize("adapter", [for_torch, for_diffrax, for_scipy])
class TestAny:
    def test_pickled_it_gives_the_same(self, adapter: ModuleType) -> None:
        f = adapter.right_hand_side(flow(points=wgf.Sobol(16)), tolerance=1e-6)
        g = pickle.loads(pickle.dumps(f))
        theta = f.rhs.backend.asarray(f.rhs.flow.map.initial() + 0.1)
        theta = np.asarray(theta) if adapter is for_scipy else theta
        np.testing.assert_array_equal(f(0.0, theta), g(0.0, theta))
        assert g.rhs.tolerance == f.rhs.tolerance

    def test_parameters_of_a_wrong_shape_are_refused(self, adapter: ModuleType) -> None:
        f = adapter.right_hand_side(flow(points=wgf.Sobol(16)))
        for shape in ((5,), (6, 1), ()):
            theta = f.rhs.backend.asarray(np.zeros(shape))
            for call in (lambda theta=theta: f(0.0, theta), lambda theta=theta: f.pushforward(theta, Z)):
                with pytest.raises(InputError, match="theta must hold the m=6"):
                    call()


def test_the_same_method_with_either_integrator() -> None:
    """Tsit5 takes the same first step, so the runs agree to far below their tolerance."""
    runs = [
        solve(flow(), [0.1, 0.3], integrator=name, method="tsit5", rtol=1e-7, atol=1e-9, evaluation=64)
        for name in ("diffrax", "torchdiffeq")
    ]
    np.testing.assert_allclose(runs[0].theta, runs[1].theta, atol=1e-7)
    assert abs(runs[0].attrs["accepted_steps"] - runs[1].attrs["accepted_steps"]) <= 3


@pytest.mark.parametrize("integrator", ["diffrax", "torchdiffeq"])
class TestSolve:
    def test_fixed_steps(self, integrator: str) -> None:
        ds = solve(flow(), [0.1, 0.3], integrator=integrator, method="Euler", step_size=0.005, evaluation=64)
        assert ds.attrs["accepted_steps"] == 60
        assert ds.attrs["rhs_evaluations"] == 60
        assert ds.attrs["status"] == "completed"

    def test_nan_on_the_way_stops_with_a_partial_dataset(self, integrator: str) -> None:
        """A V that is finite where the flow starts and NaN where it goes."""

        def trap(x):
            return (x[..., 0] * 1.0 - 5) ** 2 + (x[..., 1]) ** 2 + 0 * (4.0 - x[..., 0]) ** 0.5

        moving = flow(energy=wgf.Potential(trap))
        moving = replace(moving, reference=wgf.Gaussian([0.0, 0.0], 0.1 * np.eye(2)))
        ds = solve(moving, [0.05, 0.1, 5.0], integrator=integrator, evaluation=64)
        assert ds.attrs["status"].startswith("stopped at t=")
        assert "not finite" in ds.attrs["status"]
        assert ds.sizes["time"] >= 3
        assert np.isfinite(ds.theta).all()

    def test_lost_injectivity_stops(self, integrator: str) -> None:
        """Anti-diffusive data: the affine map is pushed through a singular matrix by a coarse Euler step."""
        ds = solve(flow(), [0.5, 5.0], integrator=integrator, method="Euler", step_size=0.5, evaluation=64)
        assert "injectivity" in ds.attrs["status"] or "finite" in ds.attrs["status"]

    def test_max_steps(self, integrator: str) -> None:
        ds = solve(flow(), [0.1, 1.0], integrator=integrator, max_steps=5, evaluation=64)
        assert "max_steps=5" in ds.attrs["status"]

    def test_resampling(self, integrator: str) -> None:
        moving = flow(points=wgf.MonteCarlo(100, seed=0, resample_every=0.1))
        ds = solve(moving, [0.25], integrator=integrator, evaluation=64)
        assert map_error(ds.x.values[-1], ds.z.values, 0.25) < 1e-5

    def test_fixed_steps_have_no_slivers(self, integrator: str) -> None:
        """Output times, resampling times and multiples of the step differ by rounding: they are one time."""
        moving = flow(points=wgf.MonteCarlo(16, seed=0, resample_every=0.005))
        times = np.linspace(0, 0.3, 16)[1:].tolist()
        ds = solve(moving, times, integrator=integrator, method="Euler", step_size=0.005, evaluation=64)
        assert ds.attrs["accepted_steps"] == ds.attrs["rhs_evaluations"] == 60
        assert ds.time.values.tolist() == [0.0, *times]
