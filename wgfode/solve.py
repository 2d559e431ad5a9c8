"""One call: flow and times in, dataset out."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import time as clock
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import stiffness as _stiffness
from .bound import Bound
from .errors import InputError, IntegrationError, choice, positive_int
from .flow import GradientFlow
from .methods import AUTO, Method, State
from .progress import reporter

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger("wgfode")

INTEGRATORS = ("diffrax", "torchdiffeq", "scipy")
MANY_REJECTIONS = 0.3
"""Rejected steps as a share of accepted ones above which a run warns: a rough right-hand side."""


def solve(
    flow: GradientFlow,
    times: Sequence[float],
    *,
    integrator: str = "diffrax",
    method: str = "Tsit5",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    step_size: float | None = None,
    max_steps: int = 100_000,
    evaluation: int = 4096,
    seed: int = 0,
    dtype: str = "float64",
    device: Any = None,
    error_norm: str = "parameters",
    stiffness: bool = True,
    progress: bool = False,
    attributes: dict[str, Any] | None = None,
) -> xr.Dataset:
    """Integrate `flow` from t = 0 and return the dataset at 0 and `times`.

    - `times`: increasing, >= 0;
    - `integrator`: "diffrax" or "torchdiffeq"; `method` means the same with either, and "auto" chooses by the
      stiffness that it finds; or "scipy", for Radau, BDF and LSODA;
    - `rtol`, `atol`: tolerances on the parameters, or `step_size` for fixed steps;
    - `error_norm`: measure a step's error in the "parameters" or in the "metric", as displaced mass ‖J δθ‖;
    - `stiffness`: add the spectral radius of the right-hand side's Jacobian, and what it recommends;
    - `evaluation`, `seed`: how many held-out points carry the diagnostics, and their seed;
    - `progress`: a progress bar on stderr; `attributes` are added to the dataset's.

    A run that cannot go on (vanishing steps, NaN, lost injectivity, Ctrl-C) returns what it had, with
    `status` saying where and why it stopped. Raises `InputError` for wrong arguments, before any work.
    """
    times_ = _checked_times(times)
    integrator = choice("integrator", integrator, INTEGRATORS)
    how = Method(method, rtol, atol, step_size, max_steps, error_norm)
    how.fits(dtype)
    positive_int("evaluation", evaluation)
    adapter = importlib.import_module(f".adapters.{integrator}", __package__)
    with _double_precision(integrator, dtype):
        begin = clock.perf_counter()
        tolerance = 1e-2 * rtol if step_size is None else 1e-6
        f = adapter.right_hand_side(flow, dtype=dtype, device=device, tolerance=tolerance)
        initial = f.rhs.backend.to_numpy(f.initial())
        stops = np.union1d(times_[1:], f.jump_times(0.0, times_[-1]))
        methods = [how.name]
        if how.name == AUTO:
            methods = []
            states = _stiffness.automatic(
                f.rhs, functools.partial(adapter.integrate, f), State(0.0, initial), stops, how, methods.append
            )
        else:
            states = adapter.integrate(f, State(0.0, initial), stops, how)
        saved, last, status = _run(f, states, times_, progress)
        if last.rejected > MANY_REJECTIONS * max(last.accepted, 1) and last.rejected > 10:
            log.warning(
                "%d steps were rejected beside %d accepted: the right-hand side is rough at this tolerance. "
                "A larger shift, a tighter rtol of the linear solver, or more points make it smoother",
                last.rejected, last.accepted,
            )  # fmt: skip
        thetas = [state.theta for state in saved]
        radii, advice = (
            _stiffness.report(f.rhs, [state.time for state in saved], thetas, methods[-1].split()[-1], last.accepted)
            if stiffness else (None, None)
        )  # fmt: skip
        if advice:
            log.info(advice)
        known = {
            "recommendation": advice,
            "methods": ", ".join(methods) if how.name == AUTO else None,
            "error_norm": how.error_norm,
            "integrator": integrator,
            "method": how.name,
            "rtol": rtol if step_size is None else None,
            "atol": atol if step_size is None else None,
            "step_size": step_size,
            "accepted_steps": last.accepted,
            "rejected_steps": last.rejected,
            "rhs_evaluations": last.evaluations,
            "wall_time": clock.perf_counter() - begin,
            "status": status,
        }
        dataset = f.dataset(
            [state.time for state in saved], thetas, evaluation, seed,
            **(known | (attributes or {})),
        )  # fmt: skip
        if radii is not None:
            name = "spectral radius of the right-hand side's Jacobian"
            dataset["stiffness"] = ("time", radii, {"long_name": name, "units": "1"})
        return dataset


def _run(
    f: Bound, states: Iterator[State], times: np.ndarray, progress: bool
) -> tuple[list[State], State, str]:
    """The states at `times`, the last good state, and the status of the run."""
    last = State(0.0, f.rhs.backend.to_numpy(f.initial()))
    saved, status = [last], "completed"
    injective = f.rhs.injectivity_watch()
    try:
        with reporter(progress, times[-1]) as report:
            for state in states:
                if not np.isfinite(state.theta).all():
                    raise IntegrationError(state.time, "the parameters are not finite")
                smallest = injective(state.theta)
                if not smallest > 0:
                    raise IntegrationError(
                        state.time, f"the map lost injectivity (min det ∂T/∂z = {smallest:.3g} on held-out points)"
                    )
                last = state
                if np.isclose(times, state.time, rtol=1e-12, atol=0).any():
                    saved.append(state)
                report(state)
    except IntegrationError as error:
        status = str(error)
    except KeyboardInterrupt:
        status = f"stopped at t={last.time:.6g} because it was interrupted"
    if status != "completed":
        status += f.rhs.explain(last.time, last.theta)
        log.error(status)
        if last.time > saved[-1].time:
            saved.append(last)
    return saved, last, status


def _checked_times(times: Sequence[float]) -> np.ndarray:
    try:
        array = np.asarray(list(times), dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"times must be numbers, got {times!r}") from None
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"times must be a non-empty sequence of numbers, got shape {array.shape}")
    if not np.isfinite(array).all() or array[0] < 0 or (np.diff(array) <= 0).any():
        raise InputError(f"times must be finite, >= 0 and increasing, got {array.tolist()}")
    array = array if array[0] == 0 else np.concatenate([[0.0], array])
    if array.size == 1:
        raise InputError(f"times must hold a time after 0, got {times!r}")
    return array


def _double_precision(integrator: str, dtype: str) -> Any:
    """jax's x64 mode for the length of a run; the user's global setting stays as it is."""
    if integrator == "diffrax" and dtype == "float64":
        import jax

        return jax.enable_x64(True)
    return contextlib.nullcontext()
