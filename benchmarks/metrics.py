"""Which map needs which metric: the table of docs/metrics.md.

    python benchmarks/metrics.py                    every row (some ten minutes on one core)
    python benchmarks/metrics.py triangular-ou ...  the groups named
    python benchmarks/metrics.py --list             the groups' names

KL is through the log-determinant, on 4096 held-out points; covariance errors are relative, in the Frobenius norm,
with moments of the map by quadrature (no sampling). Both are given at every output time that the run reached.
"""

from __future__ import annotations

import argparse
import time as clock
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.stats import norm

import wgfode as wgf
from wgfode.arrays import like
from wgfode.maps import Affine, Coupling, Residual, Triangular
from wgfode.potentials import Kernels, Polynomial, RandomFeatures
from wgfode.problems import quadratic
from wgfode.validation.compare import compare
from wgfode.validation.exact import OrnsteinUhlenbeck, Product, Quantile1D, Rotated, Solution

Array = Any


def rotation(angle: float) -> np.ndarray:
    """The rotation of the plane by `angle`."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@dataclass(frozen=True)
class Task:
    """A problem that starts from N(mean, spread²), in the plane unless said otherwise."""

    energy: wgf.Energy
    exact: Solution
    mean: np.ndarray
    spread: float
    times: tuple[float, ...]
    points: Any
    solver: Any = field(default_factory=wgf.Auto)

    @property
    def reference(self) -> wgf.Gaussian:
        """The initial density."""
        return wgf.Gaussian(self.mean, self.spread**2 * np.eye(len(self.mean)))


def ornstein_uhlenbeck() -> Task:
    """The covariance goes from 1 to R(0.7)·diag(3, 0.2)·R(0.7)ᵀ, D = 1."""
    A = rotation(0.7) @ np.diag([1 / 3, 1 / 0.2]) @ rotation(0.7).T
    exact = OrnsteinUhlenbeck(np.zeros(2), A, 1.0, np.zeros(2), np.eye(2))
    energy = quadratic(A, np.zeros(2)) + wgf.Entropy()
    return Task(energy, exact, np.zeros(2), 1.0, (0.1, 0.3, 1.0), wgf.Sobol(1024, seed=0, matched=True))


def ornstein_uhlenbeck_10d() -> Task:
    """Precisions from 0.3 to 5 along random axes, D = 1: no tensor grid of points reaches here."""
    axes = np.linalg.qr(np.random.default_rng(1).standard_normal((10, 10)))[0]
    A = axes @ np.diag(np.geomspace(0.3, 5, 10)) @ axes.T
    exact = OrnsteinUhlenbeck(np.zeros(10), A, 1.0, np.zeros(10), np.eye(10))
    energy = quadratic(A, np.zeros(10)) + wgf.Entropy()
    return Task(energy, exact, np.zeros(10), 1.0, (0.1, 0.3, 1.0), wgf.Sobol(1024, seed=0, matched=True))


DIAGONAL = rotation(np.pi / 4)


def two_wells(x: Array) -> Array:
    """(y₁² − 1)²/4 + y₂²/2 in coordinates y turned by 45°, (N, 2) → (N,)."""
    y = x @ like(DIAGONAL, x)
    return (y[:, 0] ** 2 - 1) ** 2 / 4 + y[:, 1] ** 2 / 2


def double_well() -> Task:
    """The 2-D double well turned by 45°, D = 0.1, from N(0.3, 0.09) in each of the turned coordinates."""
    across = Quantile1D(wgf.Potential(lambda y: (y**2).sum(1) / 2) + 0.1 * wgf.Entropy(), norm(0.3, 0.3), levels=200)
    along = Quantile1D(
        wgf.Potential(lambda y: ((y**2 - 1) ** 2).sum(1) / 4) + 0.1 * wgf.Entropy(), norm(0.3, 0.3), levels=200
    )
    exact = Rotated(Product((along, across)), DIAGONAL)
    energy = wgf.Potential(two_wells) + 0.1 * wgf.Entropy()
    times = (0.1, 0.25, 0.5, 1.0, 2.0)
    return Task(energy, exact, DIAGONAL @ [0.3, 0.3], 0.3, times, wgf.Sobol(4096, seed=0))


def measure(task: Task, map: wgf.maps.Map, metric: Any, **options: Any) -> dict[str, Any]:
    """Run `map` with `metric` and compare: {"kl", "covariance": (time,), "steps", "seconds", "dataset"}."""
    flow = wgf.GradientFlow(
        map=map, energy=task.energy, reference=task.reference,
        points=task.points, metric=metric, solver=task.solver,
    )  # fmt: skip
    settings: dict[str, Any] = {"integrator": "torchdiffeq", "rtol": 1e-5, "atol": 1e-7}
    settings |= {"certificate": False, "stiffness": False}
    begin = clock.perf_counter()
    run = wgf.solve(flow, task.times, **(settings | options))
    seconds = clock.perf_counter() - begin
    errors = []
    for t, theta in zip(run["time"].values.tolist(), run["theta"].values, strict=True):
        exact = task.exact.covariance(t)
        errors.append(np.linalg.norm(covariance(map, theta, task) - exact) / np.linalg.norm(exact))
    return {
        "kl": compare(run, task.exact)["kl"].values[1:],
        "covariance": np.array(errors[1:]),
        "steps": f"{run.attrs['accepted_steps']}+{run.attrs['rejected_steps']}",
        "seconds": seconds,
        "dataset": run,
    }


def covariance(map: wgf.maps.Map, theta: np.ndarray, task: Task) -> np.ndarray:
    """The covariance of T_θ#λ, (d, d), by Gauss–Hermite quadrature; beyond the plane, of an affine map."""
    z, weights = wgf.GaussHermite(40 if map.dim == 2 else 2).draw(task.reference)
    x = map(theta, z)
    x = x - weights @ x
    return (weights[:, None] * x).T @ x


W = wgf.Wasserstein
FIRM = wgf.Eigh(shift=1e-5)
"""Under G, what points and dictionary hardly see (knots in the tails) must not move: it would grow without bound."""

GROUPS: dict[str, list[tuple[str, Any]]] = {
    "affine-ou": [
        ("Relaxed", wgf.Relaxed()),
        ("Polynomial(2)", W(Polynomial(2))),
    ],
    "affine-ou-unmatched": [
        ("Polynomial(2)", W(Polynomial(2))),
    ],
    "affine-ou-10d": [
        ("Relaxed", wgf.Relaxed()),
        ("Polynomial(2)", W(Polynomial(2))),
    ],
    "affine-ou-10d-unmatched": [
        ("Polynomial(2)", W(Polynomial(2))),
    ],
    "triangular-ou": [
        ("Relaxed", wgf.Relaxed()),
        ("Polynomial(2)", W(Polynomial(2))),
        ("Polynomial(4)", W(Polynomial(4))),
        ("Polynomial(2), blend", W(Polynomial(2), form="matrix_free")),
        ("Polynomial(2) + RandomFeatures(40), 0.1", W(Polynomial(2) + RandomFeatures(40, 3.0), threshold=0.1)),
    ],
    "triangular-wells": [
        ("Relaxed", wgf.Relaxed()),
        ("Polynomial(2)", W(Polynomial(2))),
        ("Polynomial(4)", W(Polynomial(4))),
        ("Polynomial(4) + Kernels(60)", W(Polynomial(4) + Kernels(60, 0.6))),
    ],
    "triangular-wells-coarse": [
        ("Polynomial(4) + Kernels(60)", W(Polynomial(4) + Kernels(60, 0.6))),
    ],
    "residual-wells": [
        ("Relaxed", wgf.Relaxed()),
    ],
    "coupling-ou": [
        ("Relaxed", wgf.Relaxed()),
        ("Polynomial(2)", W(Polynomial(2))),
    ],
}


def setup(group: str) -> tuple[Task, wgf.maps.Map, dict[str, Any]]:
    """The task, the map and the tolerances of a group."""
    if group == "residual-wells":
        task = double_well()
        map = Affine(2) @ Residual(2, 40, centre=tuple(task.mean), spread=task.spread)
        return task, map, {"rtol": 1e-4, "atol": 1e-6}
    if group.startswith("triangular-wells"):
        task = double_well()
        knots = 8 if group.endswith("coarse") else 20
        map = Triangular(2, 8, knots=knots, centre=tuple(task.mean), spread=1.2 * task.spread)
        return replace(task, solver=FIRM), map, {"rtol": 1e-4, "atol": 1e-6}
    task = ornstein_uhlenbeck_10d() if "10d" in group else ornstein_uhlenbeck()
    if group.startswith("affine"):
        task = replace(task, points=replace(task.points, matched=not group.endswith("unmatched")))
        return task, Affine(len(task.mean), structure="lower_triangular"), {"rtol": 1e-10, "atol": 1e-12}
    if group.startswith("coupling"):
        return task, Coupling(2, 4), {}
    return replace(task, solver=FIRM), Triangular(2, 8), {}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(GROUPS))
        return
    print("| group | metric | KL at each time | relative covariance error | projection error | steps | s |")
    print("|---|---|---|---|---|---|---|")
    for group in arguments.groups or GROUPS:
        task, map, options = setup(group)
        for label, metric in GROUPS[group]:
            found = measure(task, map, metric, **options)
            columns = [" ".join(f"{value:.1e}" for value in found[key]) for key in ("kl", "covariance")]
            unseen = found["dataset"].get("projection_error")
            columns.append("–" if unseen is None else f"{float(unseen.max()):.1e}")
            columns += [found["steps"], f"{found['seconds']:.0f}"]
            print(f"| {group} | {label} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
