"""Users' models as maps, each against an exact solution: the table of docs/models.md.

    python benchmarks/models.py                       every row
    python benchmarks/models.py mlp-torch nice ...    the models named
    python benchmarks/models.py --problem ornstein-uhlenbeck ...

`error` is the distance of the map from the exact one, (E|T(z) − T_exact(z)|²)^½ on 1024 held-out points at the last
time, which is no less than the Wasserstein-2 error; `bound` is `w2_bound` of the run.
"""

from __future__ import annotations

import argparse
import logging
import time as clock
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import wgfode as wgf
from wgfode.adapters.models import from_equinox, from_flowjax, from_torch, from_zuko
from wgfode.validation.compare import compare


def mlp_torch(dim: int) -> wgf.maps.Map:
    """z plus a tanh network of 16 units."""
    import torch

    torch.manual_seed(0)
    layers = torch.nn.Linear(dim, 16), torch.nn.Tanh(), torch.nn.Linear(16, dim)
    return from_torch(torch.nn.Sequential(*layers), dim)


def mlp_equinox(dim: int) -> wgf.maps.Map:
    """The same in equinox."""
    import equinox as eqx
    import jax

    return from_equinox(eqx.nn.MLP(dim, dim, 16, 1, activation=jax.numpy.tanh, key=jax.random.key(0)), dim)


def nice(dim: int) -> wgf.maps.Map:
    """A zuko NICE of three couplings."""
    import torch
    import zuko

    torch.manual_seed(0)
    return from_zuko(zuko.flows.NICE(dim, transforms=3, hidden_features=(8,), activation=torch.nn.Tanh))


def nsf(dim: int) -> wgf.maps.Map:
    """A zuko neural spline flow of two transforms with four bins."""
    import torch
    import zuko

    torch.manual_seed(0)
    return from_zuko(zuko.flows.NSF(dim, transforms=2, bins=4, hidden_features=(6,), activation=torch.nn.Tanh))


def _flowjax(make: str, dim: int) -> wgf.maps.Map:
    import flowjax.flows
    import jax
    from flowjax.distributions import StandardNormal

    flow = getattr(flowjax.flows, make)(
        jax.random.key(0), base_dist=StandardNormal((dim,)), flow_layers=2, nn_width=8, nn_activation=jax.numpy.tanh
    )
    return from_flowjax(flow)


def coupling(dim: int) -> wgf.maps.Map:
    """A flowjax coupling flow of two layers."""
    return _flowjax("coupling_flow", dim)


def maf(dim: int) -> wgf.maps.Map:
    """A flowjax masked autoregressive flow of two layers, with tanh in its conditioner."""
    return _flowjax("masked_autoregressive_flow", dim)


MODELS: dict[str, Callable[[int], wgf.maps.Map]] = {
    "mlp-torch": mlp_torch, "nice": nice, "nsf": nsf, "mlp-equinox": mlp_equinox, "coupling": coupling, "maf": maf,
}  # fmt: skip


def attraction(x: Any) -> Any:
    """½|x|²."""
    return 0.5 * (x**2).sum(-1)


def named(name: str) -> tuple[wgf.GradientFlow, Any]:
    """A named problem, and the exact solution of it."""
    problem = wgf.problems.get(name)
    return problem.flow, problem.exact


def aggregation() -> tuple[wgf.GradientFlow, Any]:
    """The aggregation of N(0, I) under W = ½|x|²: every point goes to e^(−t) z."""
    flow = wgf.GradientFlow(wgf.maps.Affine(2), wgf.Interaction(attraction, convexity=0.0), wgf.Gaussian.standard(2))
    return flow, None


PROBLEMS: dict[str, tuple[Callable[[], tuple[wgf.GradientFlow, Any]], float]] = {
    "ornstein-uhlenbeck": (lambda: named("ornstein-uhlenbeck-2d"), 0.3),
    "aggregation": (aggregation, 1.0),
    "porous-medium": (lambda: named("porous-medium-2d"), 0.4),
    "double-well": (lambda: named("double-well-1d"), 0.5),
}
"""What makes each problem, and the time to which it is run."""
COUPLED = ("nice", "coupling")
"""Models that need two coordinates."""


def row(model: str, problem: str, n: int) -> str:
    """One run as a line of the table."""
    (make, until) = PROBLEMS[problem]
    flow, exact = make()
    flow = replace(flow, map=MODELS[model](flow.dim), points=wgf.Sobol(n, seed=0), solver=wgf.Auto())
    begin = clock.perf_counter()
    run = wgf.solve(flow, [until], evaluation=1024, stiffness=False, rtol=1e-4, atol=1e-6, max_steps=200)
    seconds = clock.perf_counter() - begin
    if exact is None:
        gap = run.x[-1] - np.exp(-float(run.time[-1])) * run.z
        error = float(np.sqrt((run.weight * (gap**2).sum("component")).sum()))
    else:
        error = float(compare(run, exact).map_error[-1])
    bound = f"{float(run.w2_bound[-1]):.1e}" if "w2_bound" in run else "none"
    solver = run.attrs["solver"].partition("→ ")[2]
    steps = f"{run.attrs['accepted_steps']} + {run.attrs['rejected_steps']}"
    return (
        f"| {problem} | {model} | {flow.size} | {float(run.time[-1]):g} of {until:g} | {solver} | {steps} "
        f"| {error:.1e} | {bound} | {seconds:.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=[], help=f"of {', '.join(MODELS)}; all if none")
    parser.add_argument("--problem", action="append", choices=PROBLEMS, help="all if none")
    parser.add_argument("--points", type=int, default=512, help="driving points")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    print("| problem | model | m | time | solver | steps | error | bound | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for problem in arguments.problem or PROBLEMS:
        for model in arguments.models or MODELS:
            if not (model in COUPLED and problem == "double-well"):
                print(row(model, problem, arguments.points), flush=True)


if __name__ == "__main__":
    main()
