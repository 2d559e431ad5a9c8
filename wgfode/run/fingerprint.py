"""What makes two runs the same run: how every part of it is written, and what its functions compute.

How a function is written does not tell what it does: it may read a file, a global variable, an array behind a compiled
call. What it computes at some points does not tell what it does elsewhere. A checkpoint holds both.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ..drive import Drive
from ..pushforward import reference_score
from ..rhs import RightHandSide
from ..version import __version__
from .contents import digest

if TYPE_CHECKING:
    from .settings import Settings

PARTS = ("map", "energy", "reference", "points", "metric", "solver", "estimator", "jumps")
DIGITS = {"float64": 10, "float32": 4}
"""Digits that count of a computed value, relative to the largest of its kind: the same machine computes the same
bits only while its threads share out sums in the same way, and the last few digits are where that shows."""
AWAY = 0.1
"""How far from the initial parameters the map is looked at: there, all maps are the identity."""


def fingerprint(rhs: RightHandSide, settings: Settings) -> dict[str, str]:
    """All on which a run's states depend, in words and digests, by the names that a refusal uses."""
    written = {name: describe(getattr(rhs.flow, name)) for name in PARTS}
    return {
        "wgfode": __version__,
        **settings.fingerprint(),
        "args": describe(settings.args),
        **written,
        "initial parameters": describe(rhs.backend.to_numpy(rhs.initial())),
        **computed(rhs),
    }


def describe(value: Any) -> str:
    """`value` as its repr, without addresses, and a digest of all that it holds."""
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    text = text if len(text) <= 160 else text[:160] + "…"
    return f"{text} #{digest(value)}"


def computed(rhs: RightHandSide) -> dict[str, str]:
    """Digests of what the parts of a flow compute at the points that drive it first, around the initial parameters."""
    flow, backend = rhs.flow, rhs.backend
    xp, at_all = backend.xp, backend.devices.gathered
    drive, count = rhs.drive(), flow.points.size(flow.dim)
    theta = rhs.initial()
    direction = backend.asarray(AWAY * np.random.default_rng(0).uniform(-1.0, 1.0, flow.size))

    def parts(theta: Any, drive: Drive) -> dict[str, list[Any]]:
        z, weights = drive.z, drive.weights
        found = {"reference": [at_all(z), at_all(weights)]}
        if flow.reference.has_density:
            known = [flow.reference.log_density(z), reference_score(backend, flow.reference, z)]
            found["reference"] += map(at_all, known)
        found["map"] = [at_all(flow.transport(theta + direction, z))]
        rho = rhs.pushed(theta, drive)
        for coefficient, term in flow.energy.terms:
            known = [at_all(term.gradient(rho)), *([term.value(rho)] if term.has_energy else [])]
            found.setdefault(f"energy ({term.name})", []).extend(coefficient * part for part in known)
        # of the field x: what the metric makes of it does not depend on the energy
        found["metric"] = [flow.metric.problem(rhs.tangent(theta, z), weights, rho.x + xp.ones_like(z)).rhs]
        return found

    def on_host(name: str, value: Any) -> np.ndarray:
        array = backend.to_numpy(value)
        return array[:count] if array.ndim and name != "metric" else array  # without what fills up the devices

    values = backend.compile(parts)(theta, drive)
    return {
        f"{name}, as computed on the driving points": rounded([on_host(name, value) for value in held], backend.dtype)
        for name, held in values.items()
    }


def rounded(arrays: list[np.ndarray], dtype: str) -> str:
    """A digest of arrays of numbers, up to the last digits of `dtype`."""
    sha = hashlib.sha256()
    for array in arrays:
        values = np.asarray(array, dtype=np.float64)
        values = np.where(np.isnan(values), np.nan, values)  # one NaN is as good as another
        finite = np.abs(values[np.isfinite(values)])
        size = 10.0 ** np.ceil(np.log10(finite.max())) if finite.size and finite.max() > 0 else 1.0
        sha.update(f"{values.shape} {size:g}\0".encode())
        sha.update((np.round(values / size, DIGITS[dtype]) + 0.0).tobytes())  # + 0.0: −0 is 0
    return sha.hexdigest()[:12]
