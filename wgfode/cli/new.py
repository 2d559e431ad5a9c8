"""`wgfode new`: a problem file to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..storage import probe
from .common import exit_status, say

TEMPLATE = '''"""A Fokker–Planck flow in a quadratic potential, in two dimensions."""

# wgfode run {file} --out run.nc --plots plots
# wgfode run {file} --help      all options: --integrator, --method, --rtol, --until, --checkpoint, --resume, …

import wgfode as wgf


def V(x, args):
    """The potential, points (N, d) to (N,). It must work on torch and on jax arrays: operators and methods do."""
    first, second = x[:, 0] - 1, x[:, 1]
    return args["k"] * (first**2 + first * second + second**2) / 2


flow = wgf.GradientFlow(
    # what the densities can look like. For other shapes than Gaussians compose it, outer @ inner:
    # wgf.maps.Affine(2) @ wgf.maps.Residual(2, width=20)
    map=wgf.maps.Affine(2),
    # beside Potential: Interaction(W), PorousMedium(m), InternalEnergy(U), and Drift(b), which is no gradient.
    # convexity is a λ with ∇²V ≥ λ, where one is known: with it the run carries an error bound
    energy=wgf.Potential(V, convexity=0.5) + wgf.coefficient(lambda args: args["D"]) * wgf.Entropy(),
    # also the initial density
    reference=wgf.Gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]),
    # at which expectations are taken
    points=wgf.Sobol(256, seed=0),
)

# A flow and `times = […]` alone will do. A problem has more: tolerances, an exact solution to compare with, and the
# physical parameters, which every function that names `args` is given.
problem = wgf.problems.Problem(
    name="quadratic",
    description="Fokker–Planck in a quadratic potential",
    flow=flow,
    times=[0.1, 0.5, 1.0],  # what the dataset shows; 0 is always there
    rtol=1e-6,
    atol=1e-8,
    args={{"k": 1.0, "D": 0.5}},
)
'''


def new(file: Annotated[Path, typer.Argument(metavar="FILE.py", help="Where to write it.")]) -> None:
    """Write a commented problem file that runs."""
    with exit_status():
        if file.suffix != ".py":
            raise InputError(f"FILE must end in .py, got {str(file)!r}")
        if file.exists():
            raise InputError(f"FILE={str(file)!r} is there already: choose another name")
        if not file.parent.is_dir():
            raise InputError(f"FILE={str(file)!r} cannot be written: no directory {str(file.parent)!r}")
        probe(file.parent, f"FILE={str(file)!r}")
        file.write_text(TEMPLATE.format(file=file.name), encoding="utf-8")
        say(f"{file} written; next: wgfode run {file}")
