"""How the radius of the aggregation ring depends on the kernel.

    python examples/ring_sensitivity.py               to t = 10
    python examples/ring_sensitivity.py --until 1 --width 6 --points 64

Points that attract one another from afar and repel from near, W(x) = b|x|⁴/4 − a|x|²/2, end on a ring of radius
√(a/3b). The derivatives of the radius in a and b go back through the whole run, and end at those of the formula.
"""

from __future__ import annotations

import argparse

import torch
import torchdiffeq

import wgfode as wgf
from wgfode.adapters.torchdiffeq import right_hand_side


def W(x, args):
    """b|x|⁴/4 − a|x|²/2, (N, 2) → (N,)."""
    r2 = (x**2).sum(-1)
    return args["b"] * r2**2 / 4 - args["a"] * r2 / 2


def flow_of(width: int, points: int) -> wgf.GradientFlow:
    """The flow of `wgf.problems.get("aggregation-ring")`, with the kernel's parameters as `args`."""
    return wgf.GradientFlow(
        map=wgf.maps.Affine(2) @ wgf.maps.Residual(2, width=width, centre=1.25, spread=0.42),
        energy=wgf.Interaction(W),
        reference=wgf.Gaussian([1.25, 1.25], [[0.18, 0.0], [0.0, 0.18]]),
        points=wgf.Sobol(points, seed=0),
        solver=wgf.Cholesky(shift=1e-4),
    )


def radius(flow: wgf.GradientFlow, args: dict[str, torch.Tensor], until: float, step: float) -> torch.Tensor:
    """The rms distance of the points from their mean at the time `until`."""
    f = right_hand_side(flow, args=args)
    times = torch.tensor([0.0, until], dtype=torch.float64)
    theta = torchdiffeq.odeint(f, f.initial(), times, method="rk4", options={"step_size": step})[-1]
    x = f.pushforward(theta, flow.points.draw(flow.reference)[0])
    return ((x - x.mean(0)) ** 2).sum(1).mean().sqrt()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--until", type=float, default=10.0)
    parser.add_argument("--step", type=float, default=0.025)
    parser.add_argument("--width", type=int, default=20)
    parser.add_argument("--points", type=int, default=256)
    arguments = parser.parse_args()
    args = {name: torch.tensor(1.0, dtype=torch.float64, requires_grad=True) for name in "ab"}
    found = radius(flow_of(arguments.width, arguments.points), args, arguments.until, arguments.step)
    found.backward()
    ring = 3**-0.5
    print(f"{'':12}{'t = ' + format(arguments.until, 'g'):>12}{'ring':>12}")
    rows = (found.item(), ring), (args["a"].grad.item(), ring / 2), (args["b"].grad.item(), -ring / 2)
    for name, (value, end) in zip(("radius", "∂/∂a", "∂/∂b"), rows, strict=True):
        print(f"{name:12}{value:12.6f}{end:12.6f}")


if __name__ == "__main__":
    main()
