"""The certificate against the true error, where the exact Lagrangian map is known.

    python -m wgfode.validation.certificate_study

Each row is a run with a map and a number of driving points. `error` is W₂ itself
where it is known: of Gaussians in closed form (Bures), and in one dimension the map error
(E|T − T_exact|²)^½ on held-out points, as monotone maps are optimal there. Elsewhere it is the map error, which
is at least W₂. `bound` is `w2_bound`, `se` its standard error, `steps` the part of the integrator,
`sharp` bound/error. The bound must be at least the error, up to two standard errors.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import problems
from ..energies import PorousMedium, Potential
from ..flow import GradientFlow
from ..maps import Affine, Map, Residual
from ..points import MonteCarlo, Sobol
from ..references import Barenblatt
from ..solve import solve
from .exact import OrnsteinUhlenbeck, PorousMediumHarmonic

HEAD = (
    f"{'problem':<15}{'map':<26}{'points':<14}{'t':>5}"
    f"{'error':>11}{'bound':>11}{'se':>10}{'steps':>10}{'sharp':>8}  holds"
)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    problem: str
    map: str
    points: str
    time: float
    error: float
    bound: float
    standard_error: float
    steps: float

    @property
    def holds(self) -> bool:
        """Whether the bound is at least the error, within its sampling error and rounding."""
        return self.error <= self.bound + 2 * self.standard_error + 1e-12

    def __str__(self) -> str:
        numbers = f"{self.error:>11.2e}{self.bound:>11.2e}{self.standard_error:>10.1e}{self.steps:>10.1e}"
        return (
            f"{self.problem:<15}{self.map:<26}{self.points:<14}{self.time:>5.2g}{numbers}"
            f"{self.bound / self.error:>8.1f}  {'yes' if self.holds else 'NO'}"
        )


def rows(
    name: str, flow: GradientFlow, exact: Any, times: tuple[float, ...], rtol: float = 1e-6, **arguments: Any
) -> Iterator[Row]:
    """The rows of one run, one an output time."""
    chosen: dict[str, Any] = {
        "integrator": "torchdiffeq", "evaluation": 2048, "stiffness": False, "rtol": rtol, "atol": rtol / 100,
    }  # fmt: skip
    dataset = solve(flow, times, **(chosen | arguments))
    weights, z = dataset["weight"].values, dataset["z"].values
    points = f"{type(flow.points).__name__} {flow.points.size(flow.dim)}"
    for i, t in enumerate(dataset["time"].values.tolist()):
        if t == 0:
            continue
        x = dataset["x"].values[i]
        bound, standard_error, steps = (
            float(dataset[part].values[i]) for part in ("w2_bound", "w2_bound_error", "w2_bound_integrator")
        )
        if isinstance(flow.map, Affine) and isinstance(exact, OrnsteinUhlenbeck):
            error = _bures(*_pushed(flow, z, x), exact.mean(t), exact.covariance(t))
        else:
            error = float(np.sqrt(weights @ ((x - exact.flow_map(t, z)) ** 2).sum(1)))
        yield Row(name, _short(flow.map), points, t, error, bound, standard_error, steps)


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

    well = problems.get("double-well-1d")
    for map_, n in _well_maps():
        flow = replace(well.flow, map=map_, points=Sobol(n))
        yield from rows("double well", flow, well.exact, (0.25, 1.0), rtol=1e-4)


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
    failed = sum(not row.holds for row in kept)
    print(f"\n{len(kept) - failed} of {len(kept)} bounds hold")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
