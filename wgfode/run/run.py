"""A run under way: what it saves at output times, what watches it, and what a checkpoint takes of it."""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..certificate import Certificate
from ..errors import IntegrationError, ProcessError, Reason
from ..monitor.fault import explain
from ..monitor.held_out import HeldOut
from ..monitor.warnings import Warnings
from ..points.on_demand import Scheduled
from ..stepping.integrator import BoundFlow, states
from ..stepping.methods import Method
from ..stepping.state import State
from ..storage import StorageError
from . import checkpoint
from .checkpoint import Snapshot
from .judge import JUDGED, SHORT, Judge
from .outputs import Knot, Outputs
from .progress import reporter
from .restart import Restart
from .segments import Segment, Segments, unfollowed

log = logging.getLogger("wgfode")

REPORT = 16
"""Most accepted steps between two looks at a run, where the integrator yields that often."""
WRITE_EVERY = 1.0
"""Least seconds between two checkpoints; one is also written at every output time and at the end."""
SAME_TIME = 1e-12
"""Relative distance within which a state's time is a stop's."""


@dataclass
class Run:
    """A run from t = 0 through `stops`, where steps end, saved at `times` (the first is 0).

    `segments` begin with that at t = 0, and become more where the map begins anew (`restart`).
    """

    segments: Segments
    method: Method
    times: np.ndarray
    stops: np.ndarray
    certificate: Certificate | None = None
    restart: Restart | None = None
    schedule: Scheduled | None = None
    """Segments of points that the run may begin (resample="auto")."""
    stop_on_fold: bool = True
    notes: list[str] = field(default_factory=list)
    """What else is said of the run along the way, e.g. by the automatic choice of a method."""
    saved: list[State] = field(init=False)
    bounds: list[tuple[float, ...]] = field(init=False)
    """The W2 bound, its standard error and its integrator's part at the saved states."""
    places: list[int] = field(init=False)
    """The segments of the saved states."""
    status: str = field(init=False, default="completed")
    reason: Reason | None = field(init=False, default=None)
    """Why the run stopped, where it did not complete."""

    def __post_init__(self) -> None:
        initial = State(0.0, self.f.rhs.backend.to_numpy(self.f.initial()))
        self.saved, self.last, self.bounds, self.places = [initial], initial, [self._bound()], [0]
        self.outputs = Outputs(self.f, self.segment.integrator, self.method)
        self._found: list[Knot] = []  # at output times since the last settling
        self.watch = Warnings(self.f.rhs)
        fixed = self.method.step_size is not None
        self.judge = Judge(self.restart, self.stop_on_fold, SHORT * float(self.times[-1]), fixed)
        self._elapsed, self._begun, self._written = 0.0, clock.perf_counter(), -np.inf
        self._reported, self._turn = 0, False
        self._keep: Callable[[], None] | None = None
        self._place: Path | None = None
        self._begin([(initial.time, initial.theta)])

    @property
    def segment(self) -> Segment:
        """The present segment."""
        return self.segments.now

    @property
    def f(self) -> BoundFlow:
        """The flow of the present segment."""
        return self.segment.f

    @property
    def held_out(self) -> HeldOut:
        """What reads the present segment."""
        return self.segment.held_out

    def _enter(self, t: float, theta: np.ndarray) -> None:
        """Go over to the segment whose map begins anew where the present one has come to θ at time t."""
        segment = self.segments.following(t, theta)
        outputs = Outputs(segment.f, segment.integrator, self.method)
        outputs.evaluations = self.outputs.evaluations
        initial = segment.f.rhs.backend.to_numpy(segment.f.initial())
        # at once: Ctrl-C must not come between
        self.segments.made.append(segment)
        self.outputs, self.watch.rhs = outputs, segment.f.rhs
        if self.certificate is not None:
            self.certificate.held_out = segment.held_out
        self.last = replace(self.last, theta=initial, knots=(), memory=None)
        self._begin([(t, initial)])

    def _begin(self, knots: list[Knot]) -> None:
        """Let the paths start from the last of some (t, θ), the last state."""
        self.outputs.begin(knots)
        if self.certificate is not None:
            self.certificate.begin(knots)

    @property
    def elapsed(self) -> float:
        """Seconds of work so far, those before a kill included."""
        return self._elapsed + clock.perf_counter() - self._begun

    def keep(self, place: Path, fingerprint: dict[str, str], resume: bool) -> None:
        """Write checkpoints to `place`; with `resume`, go on from the one there, if there is one.

        Without, an old file is moved aside, as NAME.old. Raises `CheckpointError` for one that is not this run's.
        """
        devices = self.f.rhs.backend.devices
        found = devices.agreed(lambda: checkpoint.taken_up(place, fingerprint, resume))
        if found is not None:
            self.restore(found)
            log.info("resumed at t=%.6g", self.last.time)
        self._place = place
        if devices.first:
            self._keep = lambda: checkpoint.write(place, self.snapshot(), fingerprint)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot instead of from t = 0."""
        carried = snapshot.carried
        if self.schedule is not None:
            self.schedule.begins[:] = carried["begins"]
        for end in snapshot.ends:
            self._enter(end.time, end.theta)
        self.last, self.saved = snapshot.state, snapshot.saved
        self.bounds, self.places = [tuple(bound) for bound in carried["bounds"]], carried["places"]
        self._elapsed, self.judge.folded = carried["elapsed"], carried["folded"]
        self._reported = self.last.accepted
        self.watch.restore(carried["watch"])
        self.outputs.evaluations = carried["output_evaluations"]
        if self.certificate is not None:
            self.certificate.restore(carried["certificate"])
        self._begin([(knot.time, knot.theta) for knot in snapshot.knots])
        self.notes[:] = carried["notes"]

    def snapshot(self) -> Snapshot:
        """The run as it stands at the last report."""
        carried = {
            "elapsed": self.elapsed,
            "status": self.status,
            "bounds": self.bounds,
            "places": self.places,
            "folded": self.judge.folded,
            "notes": self.notes,
            "output_evaluations": self.outputs.evaluations,
            "watch": self.watch.carried(),
            "certificate": None if self.certificate is None else self.certificate.carried(),
            "begins": [] if self.schedule is None else self.schedule.begins,
        }
        knots = [State(*knot) for knot in self.outputs.knots]
        return Snapshot(self.last, self.saved, carried, knots, [State(t, theta) for t, theta in self.segments.ends])

    def run(self, progress: bool) -> None:
        """Follow the run to its end, or to what ends it; `status`, `saved` and `last` say how it went."""
        self._write(force=True, careful=True)
        try:
            with reporter(progress, float(self.times[-1])) as report:
                for state in self._states():
                    verdict = self.judge(self.segment, self.last, state)
                    self.last, self._turn = verdict.state, verdict.again
                    if verdict.stop is not None:
                        raise verdict.stop
                    self._note(verdict.anew)
                    report(self.last)
        except IntegrationError as error:
            self.status, self.reason = str(error), error.reason
        except ProcessError as error:
            kept = "" if self._place is None else f"; the last checkpoint is {str(self._place)!r}, for resume=True"
            raise ProcessError(f"stopped after t={self.last.time:.6g} because {error}{kept}") from error
        except KeyboardInterrupt:
            if self.f.rhs.backend.devices.processes > 1:
                raise  # nothing can be summed any more: the others may be at another step
            self.status = f"stopped at t={self.last.time:.6g} because it was interrupted"
            self.reason = Reason.interrupted
        self._finish()

    def _states(self) -> Iterator[State]:
        while (left := self.stops[self.stops > self.last.time]).size:
            now, chunk = self.segment, JUDGED if self.judge.restarts(self.segment) else None
            for state in states(now.integrator, self.last, left, self.method.max_steps, self.f, chunk):
                yield state
                if self._turn:  # from another state, or with other points
                    self._turn = False
                    break
            else:
                return

    def _note(self, needed: bool) -> None:
        """Save, measure and write what is due at the last state; where it is `needed` the map begins anew there."""
        state = self.last
        self._follow(state)
        given = self.restart is not None and self._meets(self.restart.times)
        anew = needed or (given and state.time > self.segment.begin)
        if not (anew or self._meets(self.stops)) and state.accepted - self._reported < REPORT:
            return
        self._reported = state.accepted
        output = bool(self._found)
        readings = self._settle() or [(state.time, self.held_out(state.time, state.theta))]
        parted = any([self.watch(time, reading) for time, reading in readings])
        if state.time < self.times[-1]:
            if parted and self.schedule is not None:
                self.schedule.begins.append(state.time)
                self._turn = True
                log.info("fresh points from t=%.6g", state.time)
            if anew:
                self._begin_anew(needed)
        self._write(force=output or anew)

    def _meets(self, times: Any) -> bool:
        """Whether the last state is at one of them."""
        return bool(np.isclose(times, self.last.time, rtol=SAME_TIME, atol=0).any())

    def _begin_anew(self, needed: bool) -> None:
        """Let the map begin anew at the last state; the step size is kept."""
        last, passed = self.last, self.last.time - self.segment.begin
        if needed and passed < self.judge.shortest:
            raise unfollowed(last.time, f"the map had to begin anew within {passed:.2g}")
        self._enter(last.time, last.theta)
        self._turn = True
        log.info("the map begins anew at t=%.6g", last.time)
        if needed:
            self.segment.check(self.last.theta, self.watch.largest)

    def _follow(self, state: State) -> None:
        """Take note of a state for what is read between states."""
        self._found += (new := self.outputs.follow(state, self._due(state)))
        for time, theta in new:  # what the dataset will show between two states
            earlier = self.judge.folded is None or time < self.judge.folded
            if earlier and self.held_out.smallest_jacobian(theta) <= 0:
                self.judge.folded = time
        if self.certificate is not None:
            self.certificate.follow(state)

    def _due(self, state: State) -> list[float]:
        """The output times up to a state, those within rounding of it included, that are not found yet."""
        past = self._found[-1][0] if self._found else self.saved[-1].time
        return self.times[(self.times > past) & (self.times <= state.time * (1 + SAME_TIME))].tolist()

    def _settle(self) -> list[tuple[float, dict[str, np.ndarray]]]:
        """Save what was found, with its bounds; the certificate's readings since the last time."""
        it, found = self.certificate, self._found
        readings = [] if it is None else it.settle([time for time, _ in found])
        self.saved += [State(*knot) for knot in found]
        self.bounds += [()] * len(found) if it is None else it.outputs
        self.places += [len(self.segments.made) - 1] * len(found)
        self._found = []
        return readings

    def _bound(self) -> tuple[float, ...]:
        it = self.certificate
        return () if it is None else (it.bound, it.error, it.integrator)

    def _finish(self) -> None:
        self._follow(self.last)  # Ctrl-C may have come between
        self._settle()
        self._write(force=True)
        if self.status == "completed":
            return
        # after the checkpoint: resumed, the run goes on from its last state, which is no output time of it
        if self.reason is not Reason.interrupted:
            sudden = self.reason in (Reason.step_vanished, Reason.not_finite)
            horizon = float(self.times[-1]) - self.last.time if sudden else 0.0
            self.status += explain(self.f.rhs.alone(), self.last.time, self.last.theta, horizon)
        log.error(self.status)
        if self.last.time > self.saved[-1].time * (1 + SAME_TIME):
            self.saved.append(State(self.last.time, self.last.theta))
            self.bounds.append(self._bound())
            self.places.append(len(self.segments.made) - 1)

    def _write(self, force: bool = False, careful: bool = False) -> None:
        """Write a checkpoint if one is due. A disk that refuses does not end a run, unless it has only begun."""
        now = clock.perf_counter()
        if self._keep is None or not (force or now - self._written >= WRITE_EVERY):
            return
        try:
            self._keep()
            self._written = now
        except StorageError as error:
            if careful:
                raise
            log.warning("at t=%.6g: %s. The run goes on, with the checkpoint before", self.last.time, error)
