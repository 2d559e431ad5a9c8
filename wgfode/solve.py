"""One call: flow and times in, dataset out."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .backend import load, precision
from .certificate import Certificate, absent
from .dataset import add, tell_apart
from .errors import InputError, MissingDependencyError
from .flow import GradientFlow
from .monitor.held_out import HeldOut
from .points.on_demand import Scheduled
from .run import rows
from .run.fingerprint import fingerprint
from .run.integrators import installed, integrator_of
from .run.progress import spoken
from .run.run import SAME_TIME, Run
from .run.segments import Segment, Segments
from .run.settings import Settings, with_options
from .stepping import stiffness
from .stepping.automatic import Automatic
from .stepping.integrator import Integrator
from .stepping.methods import AUTO, SEMI_IMPLICIT

if TYPE_CHECKING:
    import xarray as xr

    from .adapters.base import AdaptedRightHandSide

log = logging.getLogger("wgfode")

BOUNDS = ("w2_bound", "w2_bound_error", "w2_bound_integrator")
READ_ON_THE_WAY = 1024
"""The most held-out points for what is read at every step: the bound, over-fitting, the defect. Beyond 4 × as many
evaluation points it is a quarter of these, but not with an interaction, whose cost grows with the square."""
READ_AT_LEAST = 64
"""The fewest: the standard error of a mean is not known from a few points."""
NONE_INSTALLED = (
    "No integrator is installed here: pip install 'wgfode[torch]' brings torchdiffeq, pip install 'wgfode[jax]' diffrax"
)
MANY_REJECTIONS = 0.3
"""Rejected steps as a share of accepted ones above which a run warns: a rough right-hand side."""


@with_options
def solve(flow: GradientFlow, times: Sequence[float], **options: Any) -> xr.Dataset:
    """Integrate `flow` from t = 0 and return the dataset at 0 and `times`.

    OPTIONS

    A run that cannot go on (vanishing steps, NaN, lost injectivity, Ctrl-C) returns what it had, with
    `status` saying where and why it stopped. Raises `InputError` for wrong arguments, before any work;
    `CheckpointError` for a checkpoint that is torn, or of another run or version; `StorageError` where the
    first checkpoint cannot be written; `MissingDependencyError` where the integrator is not installed.
    """
    settings = Settings.given({"times": times, **own_framework(flow), **options})
    check_together(flow, settings)
    schedule = None if settings.resample is None else Scheduled(flow.points)
    flow = flow if schedule is None else replace(flow, points=schedule)
    adapter, context = framework(settings)
    with context:
        tolerance = 1e-2 * settings.rtol if settings.adaptive else 1e-6
        args = load(settings.framework, settings.dtype, settings.device).constant(settings.args)
        times_ = np.array(settings.times)
        methods: list[str] = [] if settings.method == AUTO else [settings.method]

        def segment(flow: GradientFlow, begin: float = 0.0) -> Segment:
            f = adapter.right_hand_side(
                flow,
                args=args,
                dtype=settings.dtype,
                device=settings.device,
                mesh=settings.devices,
                tolerance=tolerance,
            )
            f.rhs.arguments()  # missing ones show at once
            held_out = HeldOut(f, read_on_the_way(flow, settings.evaluation), settings.seed, settings.evaluation)
            return Segment(f, stepper(adapter, f, settings, methods), held_out, begin)

        first = segment(flow)
        bound = certificate(first.held_out, flow, settings)
        # adaptive steps end where they must; fixed ones at every output time, as they know no tolerance
        jumps = np.union1d(flow.jump_times(0.0, times_[-1]), restarts(settings))
        ends = stops(times_[-1:] if settings.adaptive else times_[1:], jumps)
        course = Run(
            Segments([first], segment), settings.how, times_, ends, bound, settings.restart, schedule,
            stop_on_fold=settings.on_fold == "stop", notes=methods,
        )  # fmt: skip
        if settings.checkpoint is not None:
            course.keep(Path(settings.checkpoint), fingerprint(first.f.rhs, settings), settings.resume)
        speaks = first.f.rhs.backend.devices.first
        with spoken(speaks):
            course.run(settings.progress and speaks)
            warn_of_rejections(course)
            return result(course, settings)


def own_framework(flow: GradientFlow) -> dict[str, str]:
    """The integrator for a map of one framework, as an option."""
    return {} if flow.map.framework is None else {"integrator": integrator_of(flow.map.framework)}


def check_together(flow: GradientFlow, settings: Settings) -> None:
    """Raise `InputError` where settings and flow do not fit; warn of held-out points that are too few."""
    if settings.restart is not None and settings.devices is not None and settings.devices > 1:
        raise InputError(
            "restart begins the map anew over points of one device, and devices splits them: give one of both"
        )
    if settings.restart is not None and not flow.map.starts_at_identity:
        raise InputError(f"restart needs a map that can begin anew as the identity, and {flow.map!r} starts elsewhere")
    if warning := flow.metric.check(flow.dim, settings.evaluation, "held-out points (evaluation)"):
        log.warning("%s", warning)


def framework(settings: Settings) -> tuple[Any, Any]:
    """(the adapter of the integrator, the context of its framework's precision); what is missing is named."""
    place = f"{__package__}.adapters"
    try:
        adapter = importlib.import_module(f"{place}.{settings.integrator}")
        return adapter, precision(settings.framework, settings.dtype)
    except MissingDependencyError as error:
        there = [name for name in installed() if name != settings.integrator]
        others = f"Installed here: integrator={' or '.join(map(repr, there))}" if there else NONE_INSTALLED
        raise MissingDependencyError(f"integrator={settings.integrator!r}: {error}. {others}") from error
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(place):
            raise
        raise MissingDependencyError(f"solve needs {place}, which is not here: reinstall wgfode whole") from error


def read_on_the_way(flow: GradientFlow, evaluation: int) -> int:
    """How many held-out points are read at every step."""
    most = READ_ON_THE_WAY if flow.energy.pairwise else max(READ_ON_THE_WAY, evaluation // 4)
    # a dictionary needs more points than it has potentials to be judged; of a few no error can be told
    return max(min(evaluation, max(most, 2 * flow.metric.count(flow.dim))), READ_AT_LEAST)


def certificate(held_out: HeldOut, flow: GradientFlow, settings: Settings) -> Certificate | None:
    """The bound that travels along, or None where it is not wanted or no convexity is known."""
    if not settings.certificate or (convexity := flow.energy.modulus) is None:
        return None
    relative, absolute = (settings.rtol, settings.atol) if settings.adaptive else (1e-6, 1e-8)
    return Certificate(held_out, convexity, settings.initial_error, relative, absolute * flow.frame.scale)


def stepper(adapter: Any, f: AdaptedRightHandSide, settings: Settings, methods: list[str]) -> Integrator:
    """Who steps; the automatic choice is noted in `methods`."""
    how = settings.how
    make = functools.partial(adapter.integrator, f)
    if how.name in SEMI_IMPLICIT:
        return importlib.import_module(f".stepping.{how.name}", __package__).integrator(f.rhs, how)
    return Automatic(f.rhs, make, how, settings.times[-1], methods) if how.name == AUTO else make(how)


def restarts(settings: Settings) -> np.ndarray:
    """The restart times that are given, before the end of the run."""
    given = np.array(() if settings.restart is None else settings.restart.times, dtype=float)
    return given[given < settings.times[-1]]


def warn_of_rejections(course: Run) -> None:
    """Warn of a run that threw away many steps."""
    last = course.last
    if last.rejected > MANY_REJECTIONS * max(last.accepted, 1) and last.rejected > 10:
        log.warning(
            "%d steps were rejected beside %d accepted: the right-hand side is rough at this tolerance. "
            "A larger shift, a tighter rtol of the linear solver, or more points make it smoother",
            last.rejected, last.accepted,
        )  # fmt: skip


def result(course: Run, settings: Settings) -> xr.Dataset:
    """The dataset of a run that is over."""
    bound, methods = course.certificate, course.notes
    flow = course.segments.made[0].flow
    values: dict[str, np.ndarray] = {}
    known = settings.kept() | rows.told(course) | {"points_on_the_way": course.held_out.n}
    wanted = settings.stiffness
    if wanted or (wanted is None and stiffness.affordable(len(course.saved), course.last.evaluations)):
        used = (methods or [settings.method])[-1].split()[-1]
        values["stiffness"], advice = stiffness.report(rows.spans(course), used, course.last.accepted)
        known["recommendation"] = advice
        log.info(advice)
    if settings.method == AUTO:
        known["methods"] = ", ".join(methods)
    known.pop("evaluation_seed")  # written with the points
    if bound is None:
        known["w2_bound_absent"] = absent(flow.energy) or "certificate=False"
    dataset = rows.assembled(course, settings.evaluation, settings.seed, known)
    if bound is not None:
        values |= dict(zip(BOUNDS, np.array(course.bounds).T, strict=True))
        del dataset.attrs["w2_bound_absent"]
        dataset.attrs |= {"convexity": bound.convexity, "w2_bound_quadrature_error": bound.quadrature}
    if course.restart is not None:
        values |= rows.chain(course)
    add(dataset, values)
    dataset.attrs |= settings.attributes or {}
    tell_apart(dataset)
    return dataset


def stops(times: np.ndarray, jumps: np.ndarray) -> np.ndarray:
    """Where steps must end: at `times` and jumps. A jump within rounding of one of the times stands for it."""
    met = np.isclose(times[:, None], jumps, rtol=SAME_TIME, atol=0).any(axis=1)
    return np.union1d(times[~met], jumps)
