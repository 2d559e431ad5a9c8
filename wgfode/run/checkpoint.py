"""Checkpoints: a run between two steps, on disk, whole or not at all.

A file is one line, `wgfode checkpoint VERSION SHA256`, followed by an npz archive of arrays and of a JSON header,
whose digest the line holds. A file that was cut or changed is found out before anything in it is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import storage
from ..errors import InputError, WgfodeError
from ..stepping.state import State

VERSION = 3
"""The version of the format; a file of another one is refused."""
MAGIC = b"wgfode checkpoint"


class CheckpointError(WgfodeError, RuntimeError):
    """A checkpoint cannot be used: of another problem or version, torn, or no checkpoint at all."""


@dataclass(frozen=True)
class Snapshot:
    """What a run needs to go on."""

    state: State
    saved: list[State]
    """(t, θ) at the output times so far, as states."""
    carried: dict[str, Any]
    """What else travels, as JSON holds it."""
    knots: list[State] = field(default_factory=list)
    """The last steps, for the paths of the output times and of the certificate."""
    ends: list[State] = field(default_factory=list)
    """(t, θ) at which the segments before the present one ended."""


def check(name: str, path: str | Path) -> Path:
    """The place of a checkpoint, once it is sure that files can be written there; else `InputError` with its name."""
    try:
        place = Path(os.path.realpath(path))
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a path, got {path!r}") from None
    what = f"{name}={str(path)!r}"
    if not place.parent.is_dir():
        raise InputError(f"{what} cannot be written: no directory {str(place.parent)!r}")
    if place.is_dir():
        raise InputError(f"{what} is a directory")
    storage.probe(place.parent, what)
    return place


def write(place: Path, snapshot: Snapshot, fingerprint: dict[str, str]) -> None:
    """Put the snapshot at `place`, atomically; raises `StorageError` where the system refuses, the old file kept."""
    state = snapshot.state
    header = {
        "fingerprint": fingerprint,
        "state": {"time": state.time, "step": state.step, "accepted": state.accepted,
                  "rejected": state.rejected, "evaluations": state.evaluations},
        "carried": snapshot.carried,
    }  # fmt: skip
    arrays = {
        "theta": state.theta,
        **_stacked("saved", snapshot.saved),
        **_stacked("knot", snapshot.knots),
        **_stacked("end", snapshot.ends),
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
    }
    if state.memory is not None:
        arrays["memory"] = np.asarray(state.memory)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    payload = buffer.getvalue()
    line = b"%s %d %s\n" % (MAGIC, VERSION, hashlib.sha256(payload).hexdigest().encode())
    storage.replace_file(place, lambda temporary: storage.write_through(temporary, line + payload))


def _stacked(name: str, states: list[State]) -> dict[str, np.ndarray]:
    """The θ one after the other: those of different segments may differ in length."""
    return {
        f"{name}_times": np.array([state.time for state in states]),
        f"{name}_sizes": np.array([len(state.theta) for state in states], int),
        f"{name}_thetas": np.concatenate([state.theta for state in states]) if states else np.zeros(0),
    }


def _cut(name: str, arrays: dict[str, np.ndarray]) -> list[State]:
    """The reverse of `_stacked`."""
    thetas = np.split(arrays[f"{name}_thetas"], np.cumsum(arrays[f"{name}_sizes"])[:-1])
    return [State(float(t), theta) for t, theta in zip(arrays[f"{name}_times"], thetas, strict=False)]


def taken_up(place: Path, fingerprint: dict[str, str], resume: bool) -> Snapshot | None:
    """The snapshot to go on from, or None for a run that begins: then an old file is moved aside, as NAME.old."""
    if not place.exists():
        return None
    if resume:
        return read(place, fingerprint)
    os.replace(place, place.with_name(place.name + ".old"))
    return None


def read(place: Path, fingerprint: dict[str, str]) -> Snapshot:
    """The snapshot at `place`, of the run that `fingerprint` describes; else `CheckpointError`, which says why not."""

    def refuse(why: str) -> CheckpointError:
        return CheckpointError(f"checkpoint {str(place)!r} {why}")

    try:
        content = place.read_bytes()
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from error
    line, _, payload = content.partition(b"\n")
    words = line[:200].removeprefix(MAGIC).split()
    if not content.startswith(MAGIC + b" ") or len(words) != 2:
        raise refuse("is not a wgfode checkpoint, or torn in its first line")
    if words[0] != str(VERSION).encode():
        raise refuse(f"has format version {words[0].decode(errors='replace')}, and this wgfode reads {VERSION}")
    if hashlib.sha256(payload).hexdigest().encode() != words[1]:
        raise refuse("is torn or was changed: its contents do not match their digest")
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes())
        known, theta = header["fingerprint"], arrays["theta"]
        saved, knots, ends = (_cut(name, arrays) for name in ("saved", "knot", "end"))
        state = State(**header["state"], theta=theta, memory=arrays.get("memory"))
        snapshot = Snapshot(state, saved, header["carried"], knots, ends)
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise refuse(f"does not hold what a checkpoint holds: {error!r}") from error
    for name in dict.fromkeys((*known, *fingerprint)):
        if known.get(name) != fingerprint.get(name):
            raise refuse(f"is of another run: its {name} is {known.get(name)}, and here it is {fingerprint.get(name)}")
    return snapshot
