"""How far a run's map may go: what is kept of the steps that an integrator has made."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..errors import IntegrationError, Reason
from ..stepping.integrator import NOT_FINITE
from ..stepping.state import State
from .restart import Restart
from .segments import Segment, unfollowed

JUDGED = 4
"""Most steps that are judged at once, where they may be undone."""
SHORT = 1e-6
"""The shortest time between two restarts, as a share of the run's: where maps must begin anew ever more often, or fold
at once, the density tears or blows up."""

log = logging.getLogger("wgfode")


class Verdict(NamedTuple):
    """What becomes of some steps."""

    state: State
    """The state after those that are kept."""
    anew: bool = False
    """Whether the map is to begin anew there."""
    again: bool = False
    """Whether the integrator must go on from there, since that is not where it has come to."""
    stop: IntegrationError | None = None
    """What ends the run there."""


@dataclass
class Judge:
    """Judges the steps of a run by the determinants of the map's space derivative on the dataset's points.

    Without `restart` a fold ends the run (`stop_on_fold`, where the energy needs a density), or is noted as `folded`
    and told. With one that judges, the map begins anew where it has gone far, and a fold is undone; `shortest` is the
    time within which it may not have to do so twice.
    """

    restart: Restart | None
    stop_on_fold: bool
    shortest: float
    fixed: bool
    """Whether steps have a size that is given."""
    folded: float | None = None

    def restarts(self, segment: Segment) -> bool:
        """Whether the map of `segment` begins anew where it has gone far."""
        return self.restart is not None and self.restart.judged and segment.flow.transport.has_density

    def __call__(self, segment: Segment, last: State, state: State) -> Verdict:
        """The verdict on the steps from `last` to `state`."""
        if not np.isfinite(state.theta).all():
            return Verdict(last, stop=IntegrationError(state.time, NOT_FINITE.words, NOT_FINITE.reason))
        if self.restarts(segment):
            return self._far(segment, last, state)
        if self.folded is not None or (smallest := segment.held_out.smallest_jacobian(state.theta)) > 0:
            return Verdict(state)
        time, kept = state.time, last
        if stops := self.stop_on_fold and segment.flow.energy.needs_density:
            for count, knot in enumerate((*state.knots, (state.time, state.theta))):
                time, theta = knot
                if (smallest := segment.held_out.smallest_jacobian(theta)) <= 0:
                    break
                kept = state.undone(count + 1)
        what = f"the map lost injectivity (min det ∂T/∂z = {smallest:.3g} on held-out points)"
        if stops:
            return Verdict(kept, stop=IntegrationError(time, what, Reason.fold))
        self.folded = time
        log.warning("at t=%.6g %s; the run goes on, but it has no density any more", time, what)
        return Verdict(state)

    def _far(self, segment: Segment, last: State, state: State) -> Verdict:
        assert self.restart is not None
        for count, (time, theta) in enumerate((*state.knots, (state.time, state.theta))):
            jacobians = segment.held_out.jacobians(theta)
            if not jacobians.min() > 0:
                if count == 0:
                    return self._undone(segment, last, state, time)
                return Verdict(state.undone(count), anew=True)
            if self.restart.due(jacobians, segment.flow.dim):
                return Verdict(state.undone(count + 1), anew=True)
        return Verdict(state)

    def _undone(self, segment: Segment, last: State, state: State, time: float) -> Verdict:
        """After a fold in the first step from `last`, which ended at `time`.

        The map begins anew at `last`; where it had done so already, the step is a fourth of what it was.
        """
        rejected = state.rejected + state.accepted - last.accepted
        back = replace(last, rejected=rejected, evaluations=state.evaluations, knots=())
        if last.time > segment.begin:
            return Verdict(back, anew=True)
        step = (time - last.time) / 4
        if self.fixed or step < self.shortest:
            return Verdict(back, stop=unfollowed(last.time, "its first step folds, however short"))
        return Verdict(replace(back, step=step), again=True)
