"""One call: flow and times in, dataset out."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .adapters.base import AdaptedRightHandSide
from .backend import precision
from .certificate import Certificate, absent
from .dataset import add
from .errors import InputError, choice, positive_int, real, whole
from .flow import GradientFlow
from .monitor.held_out import HeldOut
from .points.on_demand import Scheduled
from .run import checkpoint as checkpoints
from .run.fingerprint import describe
from .run.run import SAME_TIME, Run
from .stepping import stiffness as _stiffness
from .stepping.automatic import Automatic
from .stepping.methods import AUTO, SEMI_IMPLICIT, Method

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger("wgfode")

BACKENDS = {"diffrax": "jax", "torchdiffeq": "torch", "scipy": "torch"}
"""The framework of each integrator."""
INTEGRATORS = tuple(BACKENDS)
BOUNDS = ("w2_bound", "w2_bound_error", "w2_bound_integrator")
UNITS = {"float64": 1e3, "float32": 1e2}
"""Spread of the reference beyond which, or below whose inverse, a run is refused for its units."""
READ_ON_THE_WAY = 1024
"""The most held-out points for what is read at every step: the bound, over-fitting, folds. An interaction's cost
grows with their square."""
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
    certificate: bool = True,
    initial_error: float = 0.0,
    resample: str | None = None,
    on_fold: str = "stop",
    checkpoint: str | Path | None = None,
    resume: bool = False,
    attributes: dict[str, Any] | None = None,
) -> xr.Dataset:
    """Integrate `flow` from t = 0 and return the dataset at 0 and `times`.

    - `times`: increasing, >= 0;
    - `integrator`: "diffrax" or "torchdiffeq"; `method` means the same with either, and "auto" chooses by the
      stiffness that it finds; or "scipy", for Radau, BDF and LSODA. "proximal" and "bilevel" are the source's
      semi-implicit scheme, in steps of `step_size` (`wgfode.stepping.proximal`, `wgfode.stepping.bilevel`);
    - `rtol`, `atol`: tolerances on the parameters, or `step_size` for fixed steps;
    - `error_norm`: measure a step's error in the "parameters" or in the "metric", as displaced mass ‖J δθ‖;
    - `stiffness`: add the spectral radius of the right-hand side's Jacobian, and what it recommends;
    - `evaluation`, `seed`: how many held-out points carry the diagnostics, and their seed;
    - `progress`: a progress bar on stderr; `attributes` are added to the dataset's;
    - `certificate`: carry `w2_bound` along (`wgfode.certificate`), at one or two more right-hand sides a step;
      `initial_error` is its E₀ = W₂(λ, ρ₀), where the flow was to start from a ρ₀ other than the reference λ;
    - `resample`: "auto" begins a new segment with fresh driving points when the run overfits the old ones;
    - `on_fold`: "stop" or "warn" when the map loses injectivity on held-out points;
    - `checkpoint`: a file from which the run can be taken up again, written atomically every few steps (at
      most once a second), at every output time and at the end. With `resume` the run goes on from it, if it
      is there; without, an old one is kept beside it, as NAME.old.

    A run that cannot go on (vanishing steps, NaN, lost injectivity, Ctrl-C) returns what it had, with
    `status` saying where and why it stopped. Raises `InputError` for wrong arguments, before any work;
    `CheckpointError` for a checkpoint that is torn, or of another run or version; `StorageError` where the
    first checkpoint cannot be written.
    """
    times_ = _checked_times(times)
    integrator = choice("integrator", integrator, INTEGRATORS)
    dtype = choice("dtype", dtype, ("float64", "float32"))
    how = Method(method, rtol, atol, step_size, max_steps, error_norm)
    how.fits(dtype)
    evaluation, seed = positive_int("evaluation", evaluation), whole("seed", seed, 0)
    if warning := flow.metric.check(flow.dim, evaluation, "held-out points (evaluation)"):
        log.warning("%s", warning)
    on_fold = choice("on_fold", on_fold, ("stop", "warn"))
    if real("initial_error", initial_error) < 0:
        raise InputError(f"initial_error must be >= 0, got {initial_error!r}")
    if resample is not None:
        choice("resample", resample, ("auto",))
        flow = replace(flow, points=(schedule := Scheduled(flow.points)))
    else:
        schedule = None
    spread, limit = float(np.sqrt(np.trace(flow.reference.covariance) / flow.dim)), UNITS[dtype]
    if not 1 / limit <= spread <= limit:
        raise InputError(
            f"reference has spread {spread:.2g}, outside {1 / limit:g} … {limit:g} ({dtype}): the parameters then "
            "differ so much in size that the linear solver loses the small ones. Choose units in which it is about 1"
        )
    if resume and checkpoint is None:
        raise InputError("resume=True needs checkpoint=PATH, the file to resume from")
    place = None if checkpoint is None else checkpoints.check(checkpoint)
    adapter = importlib.import_module(f".adapters.{integrator}", __package__)
    with precision(BACKENDS[integrator], dtype):
        adaptive = step_size is None
        f = adapter.right_hand_side(flow, dtype=dtype, device=device, tolerance=1e-2 * rtol if adaptive else 1e-6)
        # a dictionary needs more points than it has potentials to be judged
        held_out = HeldOut(f, min(evaluation, max(READ_ON_THE_WAY, 2 * flow.metric.count(flow.dim))), seed)
        bound = None
        if certificate and (convexity := flow.energy.modulus) is not None:
            tolerances = (rtol, atol) if adaptive else (1e-6, 1e-8)
            bound = Certificate(held_out, convexity, float(initial_error), *tolerances)
        make = functools.partial(adapter.integrator, f)
        methods: list[str] = [] if how.name == AUTO else [how.name]
        if how.name in SEMI_IMPLICIT:
            stepper = importlib.import_module(f".stepping.{how.name}", __package__).integrator(f.rhs, how)
        elif how.name == AUTO:
            stepper = Automatic(f.rhs, make, how, float(times_[-1]), methods)
        else:
            stepper = make(how)
        # adaptive steps end where they must; fixed ones at every output time, as they know no tolerance
        stops = _stops(times_[-1:] if adaptive else times_[1:], f.jump_times(0.0, times_[-1]))
        course = Run(f, stepper, how, times_, stops, held_out, bound, schedule,
                     stop_on_fold=on_fold == "stop", notes=methods)  # fmt: skip
        if place is not None:
            settings = {
                "integrator": integrator, "dtype": dtype, "device": str(device), "times": times_.tolist(),
                "evaluation": evaluation, "seed": seed, "certificate": bound is not None,
                "initial_error": float(initial_error), "resample": resample,
            }  # fmt: skip
            course.keep(place, _fingerprint(f, how, settings), resume)
        course.run(progress)
        saved, last = course.saved, course.last
        if last.rejected > MANY_REJECTIONS * max(last.accepted, 1) and last.rejected > 10:
            log.warning(
                "%d steps were rejected beside %d accepted: the right-hand side is rough at this tolerance. "
                "A larger shift, a tighter rtol of the linear solver, or more points make it smoother",
                last.rejected, last.accepted,
            )  # fmt: skip
        times_saved, thetas = [state.time for state in saved], [state.theta for state in saved]
        used = (methods or [how.name])[-1].split()[-1]
        radii, advice = (
            _stiffness.report(f.rhs, times_saved, thetas, used, last.accepted) if stiffness else (None, None)
        )
        if advice:
            log.info(advice)
        known = {
            "recommendation": advice,
            "methods": ", ".join(methods) if how.name == AUTO else None,
            "error_norm": how.error_norm,
            "integrator": integrator,
            "method": how.name,
            "rtol": rtol if adaptive else None,
            "atol": atol if adaptive else None,
            "step_size": step_size,
            "max_steps": max_steps,
            "output_times": " ".join(map(repr, times_.tolist())),
            "resample": resample,
            "on_fold": on_fold,
            "stiffness": "on" if stiffness else "off",
            "certificate": "on" if certificate else "off",
            "initial_error": float(initial_error),
            "device": device if isinstance(device, str) else None,
            "w2_bound_absent": absent(flow.energy) or "certificate=False",
        }
        dataset = f.dataset(times_saved, thetas, evaluation, seed, **(known | course.attributes() | (attributes or {})))
        if bound is not None:
            add(dataset, dict(zip(BOUNDS, np.array(course.bounds).T, strict=True)))
            del dataset.attrs["w2_bound_absent"]
            dataset.attrs |= {"convexity": bound.convexity, "w2_bound_quadrature_error": bound.quadrature}
        if radii is not None:
            name = "spectral radius of the right-hand side's Jacobian"
            dataset["stiffness"] = ("time", radii, {"long_name": name, "units": "1"})
        return dataset


def _fingerprint(f: AdaptedRightHandSide, how: Method, settings: dict[str, Any]) -> dict[str, str]:
    """The settings on which a run's states depend, for a checkpoint to recognise its run."""
    flow = f.rhs.flow
    parts = {name: getattr(flow, name) for name in (
        "map", "energy", "reference", "points", "metric", "solver", "estimator")}  # fmt: skip
    parts["initial parameters"] = f.rhs.backend.to_numpy(f.initial())
    described = {name: describe(part) for name, part in parts.items()}
    numbers = settings | {name: getattr(how, name) for name in ("name", "rtol", "atol", "step_size", "error_norm")}
    numbers["method"] = numbers.pop("name")
    return {"wgfode": metadata.version("wgfode")} | {name: repr(value) for name, value in numbers.items()} | described


def _stops(times: np.ndarray, jumps: np.ndarray) -> np.ndarray:
    """Where a run must stop: at output times and jumps. A jump within rounding of an output time stands for it."""
    met = np.isclose(times[:, None], jumps, rtol=SAME_TIME, atol=0).any(axis=1)
    return np.union1d(times[~met], jumps)


def _checked_times(times: Sequence[float]) -> np.ndarray:
    try:
        array = np.asarray(None if isinstance(times, str) else list(times), dtype=float)
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
