"""The certificate against the true error, where the exact Lagrangian map is known.

    python -m wgfode.validation.certificate_study

Each row is a run with a map and a number of driving points, made once; its certificate is then read with
`SEEDS` sets of held-out points, since it is a function of the steps and of these. `error` is W₂ itself
where it is known: of Gaussians in closed form (Bures), and in one dimension the map error
(E|T − T_exact|²)^½ on many tail-aware points, as monotone maps are optimal there. Elsewhere it is the map error, which
is at least W₂. `bound` is the median `w2_bound` and `least` the smallest, `se` the median standard error, `steps` the
part of the integrator, `sharp` bound/error. The bound must be at least the error, up to two standard errors, with every
seed: `broken` counts those with which it is not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm

from .. import problems
from ..adapters import torchdiffeq as adapter
from ..certificate import Certificate, Reading
from ..energies import Entropy, PorousMedium, Potential
from ..flow import GradientFlow, Segment
from ..maps import Affine, Map, Residual
from ..monitor.held_out import HeldOut
from ..points import MonteCarlo, Sobol, Tailed
from ..references import Barenblatt
from ..rhs import mean_and_error
from ..stepping.integrator import states
from ..stepping.methods import Method
from ..stepping.state import State
from .exact import OrnsteinUhlenbeck, PorousMediumHarmonic, Quantile1D

SEEDS = 32
"""Sets of held-out points a run."""
HELD_OUT = 1024
"""How many points each of them has, as in a run with the default `evaluation`."""
MANY = 2**16
"""Points that tell the true error."""

HEAD = (
    f"{'problem':<19}{'map':<26}{'points':<14}{'t':>5}{'error':>11}{'bound':>11}{'least':>11}"
    f"{'se':>10}{'steps':>10}{'sharp':>8}{'broken':>10}"
)


@dataclass(frozen=True)
class Row:
    """One line of the table: a run at a time, its bounds and their parts with every seed (S,)."""

    problem: str
    map: str
    points: str
    time: float
    error: float
    bounds: np.ndarray
    standard_errors: np.ndarray
    steps: np.ndarray

    @property
    def broken(self) -> int:
        """With how many seeds the bound is less than the error, beyond two standard errors and rounding."""
        return int((self.error > self.bounds + 2 * self.standard_errors + 1e-12).sum())

    def __str__(self) -> str:
        bound = float(np.median(self.bounds))
        numbers = "".join(f"{number:>11.2e}" for number in (self.error, bound, self.bounds.min()))
        parts = "".join(f"{float(np.median(part)):>10.1e}" for part in (self.standard_errors, self.steps))
        return (
            f"{self.problem:<19}{self.map:<26}{self.points:<14}{self.time:>5.3g}{numbers}{parts}"
            f"{bound / self.error:>8.1f}{self.broken:>4} of {len(self.bounds)}"
        )


class Readings:
    """√δ on every seed's held-out points at once; a (θ, θ̇) that several seeds ask for is computed once."""

    def __init__(self, f: Any, n: int, seeds: range):
        self.f, self.n, self.seeds = f, n, seeds
        drawn = [f.rhs.flow.held_out(n, seed, tailed=True) for seed in seeds]
        self._z = f.rhs.backend.asarray(np.concatenate([z for z, _ in drawn]))
        self._weights = [weights for _, weights in drawn]
        self._known: dict[bytes, np.ndarray] = {}
        self._velocities: dict[bytes, np.ndarray] = {}

    def velocity(self, t: float, theta: np.ndarray, segment: Segment | None) -> np.ndarray:
        """The right-hand side at t and θ (m,)."""
        key = theta.tobytes() + repr((t, segment)).encode()
        if key not in self._velocities:
            rhs = self.f.rhs
            found = rhs.evaluate(rhs.backend.asarray(theta), rhs.drive(t, segment)).velocity
            self._velocities[key] = rhs.backend.to_numpy(found)
        return self._velocities[key]

    def squares(self, t: float, theta: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """|J θ̇ + g|² at the points of every seed, (S, n); of energies that sum over no pairs."""
        key = theta.tobytes() + velocity.tobytes() + repr(t).encode()
        if key not in self._known:
            rhs, backend = self.f.rhs, self.f.rhs.backend
            drive = rhs.drive(t).on(self._z, backend.xp.ones_like(self._z[:, 0]) / len(self._z))
            found = rhs.squared_defect(backend.asarray(theta), backend.asarray(velocity), drive)
            self._known[key] = backend.to_numpy(found).reshape(len(self.seeds), self.n)
        return self._known[key]

    def forget(self) -> None:
        """Let go of what lies behind."""
        self._known.clear()

    def of(self, seed: int) -> HeldOut:
        """The held-out points of one seed, as a certificate asks them."""
        return _OneSeed(self, self.seeds.index(seed))


class _OneSeed(HeldOut):
    def __init__(self, readings: Readings, index: int):
        self.f, self._readings, self._index = readings.f, readings, index

    def __call__(self, t: float, theta: Any, segment: Segment | None = None) -> Reading:
        velocity = self._readings.velocity(t, theta, segment)
        return {"velocity": velocity} | self.defect(t, theta, velocity)

    def defect(self, t: float, theta: Any, velocity: Any) -> Reading:
        squares, weights = self._readings.squares(t, theta, velocity)[self._index], self._readings._weights[self._index]
        return mean_and_error(np, squares, weights)


def rows(
    name: str, flow: GradientFlow, exact: Any, times: tuple[float, ...], rtol: float = 1e-6, method: str = "Tsit5",
    seeds: range = range(SEEDS), n: int = HELD_OUT, initial_error: float = 0.0,
) -> Iterator[Row]:  # fmt: skip
    """The rows of one run, one an output time."""
    atol = rtol / 100
    f = adapter.right_hand_side(flow, dtype="float64", tolerance=1e-2 * rtol)
    convexity = flow.energy.modulus
    assert convexity is not None
    readings = Readings(f, n, seeds)
    certificates = [Certificate(readings.of(seed), convexity, initial_error, rtol, atol) for seed in seeds]
    start = State(0.0, f.rhs.backend.to_numpy(f.initial()))
    for certificate in certificates:
        certificate.begin([(start.time, start.theta)])
    z, weights = Tailed(MANY, seed=12345).draw(flow.reference)
    points = f"{type(flow.points).__name__} {flow.points.size(flow.dim)}"
    how = Method(method, rtol, atol)
    for state in states(adapter.integrator(f, how), start, np.array(times), how.max_steps):
        for certificate in certificates:
            certificate.follow(state)
        if not np.isclose(times, state.time, rtol=1e-12).any():
            continue
        for certificate in certificates:
            certificate.settle()
        readings.forget()
        x = f.rhs.backend.to_numpy(f.pushforward(f.rhs.backend.asarray(state.theta), z))
        if isinstance(flow.map, Affine) and isinstance(exact, OrnsteinUhlenbeck):
            error = _bures(*_pushed(flow, z, x), exact.mean(state.time), exact.covariance(state.time))
        else:
            error = float(np.sqrt(weights @ ((x - exact.flow_map(state.time, z)) ** 2).sum(1)))
        parts = np.array([(c.bound, c.error, c.integrator) for c in certificates]).T
        yield Row(name, _short(flow.map), points, state.time, error, *parts)


def _pushed(flow: GradientFlow, z: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the image of the reference under the affine map that takes z to x."""
    fitted = np.linalg.lstsq(np.column_stack([z, np.ones(len(z))]), x, rcond=None)[0]
    A, b = fitted[:-1].T, fitted[-1]
    return A @ flow.reference.mean + b, A @ flow.reference.covariance @ A.T


def _bures(mean: np.ndarray, cov: np.ndarray, mean_: np.ndarray, cov_: np.ndarray) -> float:
    """W₂ between two Gaussians."""
    root = _root(cov_)
    # the map between them is (root (root cov root)^(-½) root); its distance from the identity, without cancellation
    move = np.linalg.solve(root, np.linalg.solve(root, _root(root @ cov @ root)).T) - np.eye(len(cov))
    return float(np.sqrt(((mean - mean_) ** 2).sum() + np.trace(move @ cov_ @ move.T)))


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _short(map_: Map) -> str:
    structure = getattr(map_, "structure", "full")
    return " ∘ ".join(re.findall(r"(\w+)\(", repr(map_))) + f", m={map_.size}" * (structure == "full") + (
        f" {structure}" if structure != "full" else "")  # fmt: skip


def _half_square(x: Any) -> Any:
    return 0.5 * (x**2).sum(-1)


def study() -> Iterator[Row]:
    """All rows, run after run."""
    ou = problems.get("ornstein-uhlenbeck-2d")
    for structure in ("full", "lower_triangular", "diagonal"):
        flow = replace(ou.flow, map=Affine(2, structure=structure), points=Sobol(64))
        yield from rows("OU 2-D", flow, ou.exact, (0.1, 0.3, 1.0))
    yield from rows("OU 2-D", replace(ou.flow, points=MonteCarlo(16)), ou.exact, (0.3, 1.0), rtol=1e-3)

    harmonic = PorousMediumHarmonic(2, 2.0, 0.5)
    # the profile of scale s is a Barenblatt profile: the same second moment fixes its time
    start = Barenblatt(2, 2.0, _barenblatt_time(harmonic))
    for points in (Sobol(64), MonteCarlo(16)):
        flow = GradientFlow(Affine(2), PorousMedium(2) + Potential(_half_square, convexity=1.0), start, points)
        yield from rows("porous+x²/2", flow, harmonic, (0.3, 1.0))

    porous = problems.get("porous-medium-2d")
    yield from rows("Barenblatt", replace(porous.flow, points=Sobol(64)), porous.exact, (0.2, 1.0))
    for width, n in ((4, 32), (4, 256), (8, 256)):
        flow = replace(porous.flow, map=Residual(2, width=width), points=Sobol(n))
        yield from rows("Barenblatt", flow, porous.exact, (0.2,), rtol=1e-4)

    yield from rows("porous-medium-2d", porous.flow, porous.exact, porous.times[1:])
    yield from rows("ornstein-uhl.-2d", ou.flow, ou.exact, ou.times[1:])

    well = problems.get("double-well-1d")
    for map_, n in _well_maps():
        flow = replace(well.flow, map=map_, points=Sobol(n))
        yield from rows("double well", flow, well.exact, (0.25, 1.0), rtol=1e-4)
    yield from rows("double-well-1d", well.flow, well.exact, well.times[1:])
    (_, potential), *_ = well.flow.energy.terms
    cold = replace(well.flow, energy=potential + 0.005 * Entropy())
    exact = Quantile1D(potential + 0.005 * Entropy(), norm(0.3, 0.3))
    yield from rows("well, D = .005", cold, exact, (0.1, 0.25, 0.5), rtol=1e-5)


def _well_maps() -> Iterator[tuple[Map, int]]:
    for width, n in ((0, 128), (4, 128), (10, 32), (10, 512), (20, 512)):
        outer = Affine(1)
        yield (outer @ Residual(1, width=width, init="axis", centre=0.3, spread=0.3) if width else outer), n


def _barenblatt_time(exact: PorousMediumHarmonic) -> float:
    """The Barenblatt time whose profile has the second moment of `exact` at its beginning."""
    from .exact import Barenblatt as Exact

    unit = Exact(exact.dim, exact.m, 1.0)
    return float((exact.second_moment(0) / unit.second_moment(0)) ** (0.5 / unit.exponent))


def main() -> int:
    """Print the table; 1 where a bound does not hold."""
    print(HEAD)
    kept = []
    for row in study():
        kept.append(row)
        print(row, flush=True)
    broken, count = sum(row.broken for row in kept), sum(len(row.bounds) for row in kept)
    print(f"\n{count - broken} of {count} bounds hold")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
