"""A run under way: what it saves at output times, what watches it, and what a checkpoint takes of it."""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..certificate import Certificate
from ..errors import IntegrationError, ProcessError, Reason
from ..monitor.fault import explain
from ..monitor.held_out import HeldOut
from ..monitor.warnings import Warnings
from ..points.on_demand import Scheduled
from ..stepping.integrator import NOT_FINITE, BoundFlow, Integrator, states
from ..stepping.methods import Method
from ..stepping.state import State
from ..storage import StorageError
from . import checkpoint
from .checkpoint import Snapshot
from .outputs import Knot, Outputs
from .progress import reporter

if TYPE_CHECKING:
    pass

log = logging.getLogger("wgfode")

REPORT = 16
"""Most accepted steps between two looks at a run, where the integrator yields that often."""
WRITE_EVERY = 1.0
"""Least seconds between two checkpoints; one is also written at every output time and at the end."""

SAME_TIME = 1e-12
"""Relative distance within which a state's time is a stop's."""


@dataclass
class Run:
    """The run of `f` from t = 0 through `stops`, where steps end, saved at `times` (the first is 0)."""

    f: BoundFlow
    integrator: Integrator
    method: Method
    times: np.ndarray
    stops: np.ndarray
    held_out: HeldOut
    certificate: Certificate | None = None
    schedule: Scheduled | None = None
    """Segments of points that the run may begin (resample="auto")."""
    stop_on_fold: bool = True
    notes: list[str] = field(default_factory=list)
    """What else is said of the run along the way, e.g. by the automatic choice of a method."""
    saved: list[State] = field(init=False)
    bounds: list[tuple[float, ...]] = field(init=False)
    """The W2 bound, its standard error and its integrator's part at the saved states."""
    status: str = field(init=False, default="completed")
    reason: Reason | None = field(init=False, default=None)
    """Why the run stopped, where it did not complete."""

    def __post_init__(self) -> None:
        initial = State(0.0, self.f.rhs.backend.to_numpy(self.f.initial()))
        self.saved, self.last, self.bounds = [initial], initial, [self._bound()]
        self.outputs = Outputs(self.f, self.integrator, self.method)
        self._found: list[Knot] = []  # at output times since the last settling
        self.watch = Warnings(self.f.rhs)
        self.folded: float | None = None
        self._elapsed, self._begun, self._written = 0.0, clock.perf_counter(), -np.inf
        self._reported, self._restart = 0, False
        self._keep: Callable[[], None] | None = None
        self._place: Path | None = None
        self._begin([(initial.time, initial.theta)])

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
        self.last, self.saved = snapshot.state, snapshot.saved
        self.bounds = [tuple(bound) for bound in carried["bounds"]]
        self._elapsed, self.folded = carried["elapsed"], carried["folded"]
        self._reported = self.last.accepted
        self.watch.restore(carried["watch"])
        self.outputs.evaluations = carried["output_evaluations"]
        if self.certificate is not None:
            self.certificate.restore(carried["certificate"])
        self._begin([(knot.time, knot.theta) for knot in snapshot.knots])
        if self.schedule is not None:
            self.schedule.begins[:] = carried["begins"]
        self.notes[:] = carried["notes"]

    def snapshot(self) -> Snapshot:
        """The run as it stands at the last report."""
        carried = {
            "elapsed": self.elapsed,
            "status": self.status,
            "bounds": self.bounds,
            "folded": self.folded,
            "notes": self.notes,
            "output_evaluations": self.outputs.evaluations,
            "watch": self.watch.carried(),
            "certificate": None if self.certificate is None else self.certificate.carried(),
            "begins": [] if self.schedule is None else self.schedule.begins,
        }
        return Snapshot(self.last, self.saved, carried, [State(*knot) for knot in self.outputs.knots])

    def run(self, progress: bool) -> None:
        """Follow the run to its end, or to what ends it; `status`, `saved` and `last` say how it went."""
        self._write(force=True, careful=True)
        try:
            with reporter(progress, float(self.times[-1])) as report:
                for state in self._states():
                    self._judge(state)
                    self.last = state
                    self._note(state)
                    report(state)
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
            for state in states(self.integrator, self.last, left, self.method.max_steps, self.f):
                yield state
                if self._restart:  # with other points from here on
                    self._restart = False
                    break
            else:
                return

    def _judge(self, state: State) -> None:
        if not np.isfinite(state.theta).all():
            raise IntegrationError(state.time, NOT_FINITE.words, NOT_FINITE.reason)
        if self.folded is not None or (smallest := self.held_out.smallest_jacobian(state.theta)) > 0:
            return
        what = f"the map lost injectivity (min det ∂T/∂z = {smallest:.3g} on held-out points)"
        if self.stop_on_fold and self.f.rhs.flow.energy.needs_density:
            raise IntegrationError(state.time, what, Reason.fold)
        self.folded = state.time
        log.warning("at t=%.6g %s; the run goes on, but it has no density any more", state.time, what)

    def _note(self, state: State) -> None:
        """Save, measure and write what is due at a state."""
        self._follow(state)
        stop = bool(np.isclose(self.stops, state.time, rtol=SAME_TIME, atol=0).any())
        if not stop and state.accepted - self._reported < REPORT:
            return
        self._reported = state.accepted
        output = bool(self._found)
        readings = self._settle()
        if not readings:
            readings = [(state.time, self.held_out(state.time, state.theta))]
        parted = any([self.watch(time, reading) for time, reading in readings])
        if parted and self.schedule is not None and state.time < self.times[-1]:
            self.schedule.begins.append(state.time)
            self._restart = True
            log.info("fresh points from t=%.6g", state.time)
        self._write(force=output)

    def _follow(self, state: State) -> None:
        new = self.outputs.follow(state, self._due(state))
        self._found += new
        for time, theta in new:  # what the dataset will show between two states
            if (self.folded is None or time < self.folded) and self.held_out.smallest_jacobian(theta) <= 0:
                self.folded = time
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

    def attributes(self) -> dict[str, Any]:
        """What the dataset's attributes say of the run."""
        found = self.watch.attributes() | {
            "accepted_steps": self.last.accepted,
            "rejected_steps": self.last.rejected,
            "rhs_evaluations": self.last.evaluations + self.outputs.evaluations,
            "wall_time": self.elapsed,
            "status": self.status,
        }
        if self.reason is not None:
            found["stop_reason"] = self.reason.value
        if self.schedule is not None:
            found["resampled_at"] = " ".join(map(repr, self.schedule.begins))
        if self.folded is not None:
            found["injectivity"] = f"lost at t={self.folded:.6g}"
        return found
