"""Cost and memory against m and N: `python benchmarks/scaling.py [planar | residual | points | implicit …] [--most M]`.

One right-hand side with 20 steps of CG (so that the work is the same at every size), or one implicit step, in a process
of its own each: milliseconds of process time, per unit of size, and the peak memory of the process. torch, one thread.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

import wgfode as wgf
from wgfode.backend import load
from wgfode.maps import Affine, Planar, Residual
from wgfode.problems import quadratic
from wgfode.rhs import RightHandSide
from wgfode.stepping.adaptive import Stepper
from wgfode.stepping.methods import Method

torch.set_num_threads(1)
DIM, POINTS, STEPS = 10, 256, 20
SIZES = {
    "planar": (1_000, 3_000, 10_000, 30_000, 100_000),
    "residual": (1_000, 3_000, 10_000, 30_000, 100_000),
    "implicit": (1_000, 3_000, 10_000, 30_000, 100_000),
    "points": (1_000, 10_000, 100_000, 1_000_000),
}
"""m of the first three, N of the last."""


def problem(part: str, size: int) -> wgf.GradientFlow:
    """A flow in d = 10 with a map of about `size` parameters, or with `size` points."""
    layers = max(1, (size - DIM * (DIM + 1)) // (2 * DIM + 1))
    inner = {
        "planar": lambda: Planar(DIM, layers=layers),
        "points": lambda: Residual(DIM, width=20),
    }.get(part, lambda: Residual(DIM, width=layers))
    energy = quadratic(np.diag(np.linspace(0.5, 2.0, DIM)), np.ones(DIM)) + wgf.Entropy()
    points = wgf.MonteCarlo(size if part == "points" else POINTS, seed=0)
    solver = wgf.Nystrom(shift=1e-4, rank=64) if part == "implicit" else wgf.CG(rtol=1e-12, max_steps=STEPS, shift=1e-6)
    return wgf.GradientFlow(Affine(DIM) @ inner(), energy, wgf.Gaussian.standard(DIM), points, solver=solver)


def measured(part: str, size: int) -> tuple[float, int, float]:
    """Milliseconds, m, and the peak memory in MB."""
    rhs = RightHandSide(problem(part, size), load("torch"), 1e-3)
    theta, drive = rhs.initial(), rhs.drive()
    if part == "implicit":
        stepper = Stepper(rhs, Method("Kvaerno5", 1e-3, 1e-5, error_norm="metric"), "krylov")
        k, h = stepper.start(theta, drive), rhs.backend.asarray(1e-4)

        def work() -> None:
            stepper.step(theta, k, h, drive)
    else:
        evaluate = rhs.backend.compile(rhs.evaluate)

        def work() -> None:
            evaluate(theta, drive)

    times = []
    for _ in range(2):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return 1e3 * min(times), rhs.flow.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(SIZES)}; all without")
    parser.add_argument("--most", type=int, default=1_000_000, help="the largest size")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        ms, m, peak = measured(args.parts[0], args.one)
        unit = args.one if args.parts[0] == "points" else m
        cost = f"{ms:10.1f} ms {1e3 * ms / unit:8.2f} µs/size {peak:8.0f} MB"
        print(f"{args.parts[0]:9s} m={m:<7d} size={args.one:<8d} {cost}")
        return
    for part in args.parts or SIZES:
        for size in SIZES[part]:
            if size <= args.most:
                subprocess.run([sys.executable, __file__, part, "--one", str(size)], check=True)


if __name__ == "__main__":
    main()
