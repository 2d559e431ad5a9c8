"""What one evaluation of the right-hand side costs: `python benchmarks/rhs.py [ROW …] [--against PATH] [--errors]`.

Milliseconds of process time with one thread, and units of ∇F, the compiled gradient of the sampled energy on the same
points: only the units can be compared between machines. `--against` is a work tree of another release, measured in the
same run. `--errors` adds |J(ξ − ξ*)|/|g|, with ξ* solved to 1e-4 of |g|.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import numpy as np
import torch

import wgfode as wgf
from wgfode.backend import load
from wgfode.maps import Affine, Map, Planar, Residual
from wgfode.problems import quadratic, quartic_potential
from wgfode.rhs import RightHandSide

jax.config.update("jax_enable_x64", True)
torch.set_num_threads(1)
SECONDS = 1.0
"""Process time to spend on repetitions of one figure, in TURNS turns; MOST is the end of it."""
TURNS, MOST = 5, 20


class Network(Map):
    """A user's map: z + a network of one hidden layer, of which nothing else is known."""

    dim = 10
    width = 50

    def __init__(self) -> None:
        self.inner = Residual(self.dim, width=self.width)

    @property
    def size(self) -> int:
        return self.inner.size

    def initial(self) -> np.ndarray:
        return self.inner.initial()

    def __call__(self, theta: Any, z: Any) -> Any:
        return self.inner(theta, z)


def matrix_free(error: float) -> wgf.solvers.Solver:
    """A solver to a velocity `error`; releases before CG know residuals only, of which a hundredth is asked."""
    solvers: Any = wgf.solvers
    if hasattr(solvers, "CG"):
        return solvers.CG(rtol=error, shift=1e-6)
    return solvers.LSMR(rtol=1e-2 * error, shift=1e-6)


ROWS: dict[str, Callable[[], tuple[Map, int, wgf.solvers.Solver]]] = {
    "planar20": lambda: (Affine(10) @ Planar(10, layers=20), 1024, wgf.Cholesky()),
    "planar60": lambda: (Affine(10) @ Planar(10, layers=60), 2000, matrix_free(1e-2)),
    "residual120": lambda: (
        Affine(30) @ Residual(30, width=120, init="axis", scale=0.6), 2048, matrix_free(1e-2)
    ),
    "diagonal100": lambda: (Affine(100, "diagonal"), 512, wgf.Auto()),
    "full100": lambda: (Affine(100), 512, wgf.Auto()),
    "network": lambda: (Network(), 1024, wgf.Auto()),
}  # fmt: skip


def process_times(*functions: Callable[[], Any]) -> list[float]:
    """Milliseconds of the fastest of some runs of each function, after one that compiles.

    They take turns, so that what else the machine does meets all alike; a short one runs more often in its turn.
    """
    for f in functions:
        f()
    best, spent = [float("inf")] * len(functions), [0.0] * len(functions)
    for turn in range(MOST):
        for i, f in enumerate(functions):
            until = spent[i] + SECONDS / TURNS
            while True:
                begin = time.process_time()
                f()
                took = time.process_time() - begin
                best[i], spent[i] = min(best[i], took), spent[i] + took
                if spent[i] >= until:
                    break
        if turn + 1 >= 3 and min(spent) >= SECONDS:
            break
    return [1e3 * value for value in best]


def measured(row: str, framework: str, errors: bool) -> str:
    """One line: ms of the right-hand side and of ∇F, their ratio, the solver and its steps."""
    map_, n, solver = ROWS[row]()
    rng = np.random.default_rng(0)
    potential = quadratic(np.diag(np.linspace(0.5, 2.0, map_.dim)), np.ones(map_.dim))
    if row == "residual120":  # an affine map alone would follow a quadratic one
        potential = wgf.Potential(quartic_potential, convexity=-0.64)
    flow = wgf.GradientFlow(
        map_, potential + wgf.Entropy(), wgf.Gaussian.standard(map_.dim),
        wgf.Sobol(n, seed=0), solver=solver,
    )  # fmt: skip
    backend = load(framework)
    rhs = RightHandSide(flow, backend, 1e-6)
    z, weights = map(backend.asarray, rhs.drawn(0))
    # releases before `Drive` take the two as they are
    drive = (rhs.drive(),) if hasattr(rhs, "drive") else (z, weights)
    size = 0.05 / map_.dim**0.5
    theta = backend.asarray(map_.initial() + size * rng.standard_normal(map_.size))
    evaluate = backend.compile(lambda theta: rhs.evaluate(theta, *drive)[:3])
    gradient = backend.compile(lambda theta: backend.grad(lambda p: rhs.energy(p, *drive))(theta))
    wait = jax.block_until_ready if framework == "jax" else lambda value: value
    total, unit = process_times(lambda: wait(evaluate(theta)), lambda: wait(gradient(theta)))
    velocity, residual, steps = (backend.to_numpy(part) for part in evaluate(theta))
    line = (
        f"{row:12s} {framework:6s} m={map_.size:<6d} {total:9.2f} ms {unit:8.2f} ms {total / unit:7.1f} "
        f"{rhs.solver.name:9s} {int(steps):5d} {float(residual):9.1e}"
    )
    if errors:
        exact = RightHandSide(wgf.GradientFlow(
            flow.map, flow.energy, flow.reference, flow.points, solver=matrix_free(1e-4)
        ), backend, 1e-6)  # fmt: skip
        best = backend.compile(lambda theta: exact.evaluate(theta, *drive)[0])(theta)
        missed = backend.jvp(lambda p: map_(p, z), theta, backend.asarray(velocity) - best)[1]
        g = rhs.driving_force(rhs.pushed(theta, *drive))
        line += f" {float((weights @ (missed**2).sum(1) / (weights @ (g**2).sum(1))) ** 0.5):9.1e}"
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; all without")
    parser.add_argument("--against", metavar="PATH", help="a work tree of another release, measured in the same run")
    parser.add_argument("--errors", action="store_true", help="add the velocity's error, of |g|")
    parser.add_argument("--framework", choices=("jax", "torch"), help="one framework alone")
    args = parser.parse_args()
    print("row          framework          rhs       grad F   ratio solver    steps  residual", flush=True)
    for row in args.rows or ROWS:
        for framework in [args.framework] if args.framework else ("jax", "torch"):
            print(measured(row, framework, args.errors), flush=True)
            if args.against:
                command = [sys.executable, __file__, row, "--framework", framework]
                environment = os.environ | {"PYTHONPATH": args.against}
                other = subprocess.run(command, env=environment, capture_output=True, text=True)
                lines = (other.stdout if other.returncode == 0 else other.stderr).splitlines()
                print("   before:   " + lines[-1].removeprefix(row).strip(), flush=True)


if __name__ == "__main__":
    main()
