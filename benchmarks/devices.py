"""What a right-hand side costs a process as points and parameters grow: `python benchmarks/devices.py [--devices 1 4]`.

The points are split over processes of torch (gloo), each of which has a core of its own only where there are as many:
the figures are seconds of its own process time and the most memory that it took for the evaluation, beyond what the
imports take. One evaluation is a velocity with `STEPS` iterations of LSMR, of a residual map in 10 dimensions. What
needs more than `--room` gigabytes a process says so and is not started.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

DIM, STEPS = 10, 10
TABLES, FIELDS, FIXED = 8, 12, 0.05
"""Numbers held at once of a point, for each unit of the map and for each dimension, and gigabytes whatever the points:
found by measurement, rounded up."""
GIGABYTE = 2.0**30


def width_of(parameters: int) -> int:
    """The units of the residual map that has about as many parameters."""
    return max(1, parameters // (2 * DIM + 1))


def need(points: int, parameters: int, devices: int) -> float:
    """Gigabytes that a process takes for its points, and for what it has of all parameters."""
    each = -(-points // devices)
    return FIXED + 8 * (each * (TABLES * width_of(parameters) + FIELDS * DIM) + 12 * parameters) / GIGABYTE


def exchanged(parameters: int) -> float:
    """Megabytes of one all-reduce: an m-vector in float64. One is due in each iteration."""
    return 8 * parameters / 1e6


def measure(points: int, parameters: int, devices: int) -> None:
    """One process of a row: prints its seconds and its gigabytes."""
    import torch

    import wgfode as wgf
    from wgfode.adapters.torchdiffeq import right_hand_side

    torch.set_num_threads(1)
    flow = wgf.GradientFlow(
        map=wgf.maps.Residual(DIM, width=width_of(parameters)),
        energy=wgf.Potential(lambda x: ((x**2).sum(-1) - 1) ** 2 / 4),
        reference=wgf.Gaussian.standard(DIM),
        points=wgf.MonteCarlo(points, seed=0),
        solver=wgf.LSMR(rtol=1e-15, max_steps=STEPS, shift=1e-8),
    )
    f = right_hand_side(flow, mesh=devices if devices > 1 else None)
    theta = f.initial() + 0.01
    f.rhs.drive(0.0)  # draws the points
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    f(0.0, theta)
    spent, after = time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if f.rhs.backend.devices.first:
        print(spent, (after - before) * 1024 / GIGABYTE)


def row(points: int, parameters: int, devices: int) -> str:
    """The figures of one process of `devices`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(devices)}
    command = [sys.executable, __file__, "--measure", *map(str, (points, parameters, devices))]
    started = [
        subprocess.Popen(command, env=os.environ | shared | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(devices)
    ]
    told = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        return "failed"
    seconds, gigabytes = map(float, told[0].split())
    return f"{seconds:9.2f} s {gigabytes:8.2f} GB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, nargs="+", default=[10**4, 10**5, 10**6])
    parser.add_argument("--parameters", type=int, nargs="+", default=[10**3, 10**4, 10**5])
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--room", type=float, default=4.0, help="gigabytes for all processes together")
    parser.add_argument("--measure", type=int, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        return measure(*arguments.measure)
    print(f"{'N':>8} {'m':>7} {'processes':>9}   {'MB summed':>9}   seconds and memory of each")
    for parameters in arguments.parameters:
        for points in arguments.points:
            for devices in arguments.devices:
                estimate = need(points, parameters, devices)
                fits = estimate * devices <= arguments.room
                found = row(points, parameters, devices) if fits else "not started"
                print(f"{points:8} {parameters:7} {devices:9}   {exchanged(parameters):9.3f}   {found}"
                      f"   needs {estimate:.2f} GB", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
