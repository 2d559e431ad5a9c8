"""The rows of a run's dataset, whichever segments they are of, and what says how its segments hang together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..dataset import build
from ..rhs import RightHandSide

if TYPE_CHECKING:
    import xarray as xr

    from .run import Run


def assembled(run: Run, evaluation: int, seed: int, attributes: dict[str, Any]) -> xr.Dataset:
    """The dataset of what a run saved, each row read in its own segment; θ of fewer parameters end in NaN."""
    rows = [
        run.segments.made[place].f.diagnostics(state.time, state.theta, evaluation, seed)
        for state, place in zip(run.saved, run.places, strict=True)
    ]
    first = run.segments.made[0].f.rhs
    width = max(segment.flow.size for segment in run.segments.made)
    return build(
        first, np.array([state.time for state in run.saved]), padded([state.theta for state in run.saved], width), rows,
        first.flow.held_out(evaluation, seed), {"evaluation_seed": seed} | attributes,
    )  # fmt: skip


def told(run: Run) -> dict[str, Any]:
    """What the dataset's attributes say of how a run went."""
    last = run.last
    found = run.watch.attributes() | {
        "accepted_steps": last.accepted,
        "rejected_steps": last.rejected,
        "rhs_evaluations": last.evaluations + run.outputs.evaluations,
        "wall_time": run.elapsed,
        "status": run.status,
    }
    if run.reason is not None:
        found["stop_reason"] = run.reason.value
    if run.schedule is not None:
        found["resampled_at"] = " ".join(map(repr, run.schedule.begins))
    if run.restart is not None:
        found["restarted_at"] = " ".join(repr(t) for t, _ in run.segments.ends)
    if run.judge.folded is not None:
        found["injectivity"] = f"lost at t={run.judge.folded:.6g}"
    return found


def chain(run: Run) -> dict[str, np.ndarray]:
    """The variables of the dataset that hold the chain of a run's maps (docs/chained.md)."""
    references = [segment.flow.reference for segment in run.segments.made]
    width = max(segment.flow.size for segment in run.segments.made)
    return {
        "segment": np.array(run.places),
        "segment_begin": np.array([segment.begin for segment in run.segments.made]),
        "segment_theta": padded([*(theta for _, theta in run.segments.ends), np.zeros(0)], width),
        "segment_mean": np.array([reference.mean for reference in references]),
        "segment_covariance": np.array([reference.covariance for reference in references]),
    }


def padded(thetas: list[np.ndarray], width: int) -> np.ndarray:
    """Parameters (m,), m at most `width`, as rows (n, width), what is missing as NaN."""
    rows = np.full((len(thetas), width), np.nan, np.result_type(*thetas))
    for row, theta in zip(rows, thetas, strict=True):
        row[: len(theta)] = theta
    return rows


def spans(run: Run) -> list[tuple[RightHandSide, list[float], list[np.ndarray]]]:
    """(right-hand side, times, parameters) of the saved states of each segment that has any."""
    found: list[tuple[RightHandSide, list[float], list[np.ndarray]]] = []
    for place, segment in enumerate(run.segments.made):
        saved = [state for state, own in zip(run.saved, run.places, strict=True) if own == place]
        if saved:
            found.append((segment.f.rhs, [state.time for state in saved], [state.theta for state in saved]))
    return found
