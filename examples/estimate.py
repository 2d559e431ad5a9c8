"""The parameters of V and the diffusivity D, estimated from snapshots of samples.

    python examples/estimate.py

Particles that nobody can follow one by one are seen at four times: independent samples of a Fokker–Planck flow in a
potential of unknown stiffness, coupling and centre, with an unknown D. The flow's moments are matched to those of
the samples, each weighed by its sampling error; their derivatives go forward through torchdiffeq.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import torchdiffeq
from scipy import optimize

import wgfode as wgf
from wgfode.adapters.torchdiffeq import right_hand_side
from wgfode.validation.exact import OrnsteinUhlenbeck

NAMES = ("stiffness 0", "stiffness 1", "coupling", "centre 0", "centre 1", "D")
TRUE = np.array([2.0, 0.8, 0.5, 1.0, -1.5, 0.4])
FIRST = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 1.0])
TIMES = (0.2, 0.4, 0.6, 1.0)
MEAN, COVARIANCE = np.array([-1.0, 1.0]), np.diag([0.5, 0.2])


def V(x, args):
    """½ (x − c)ᵀ K (x − c), (N, 2) → (N,)."""
    k0, k1, coupling, c0, c1, _ = args
    first, second = x[:, 0] - c0, x[:, 1] - c1
    return (k0 * first**2 + k1 * second**2) / 2 + coupling * first * second


flow = wgf.GradientFlow(
    map=wgf.maps.Affine(2),
    energy=wgf.Potential(V) + wgf.coefficient(lambda args: args[5]) * wgf.Entropy(),
    reference=wgf.Gaussian(MEAN, COVARIANCE),
    points=wgf.GaussHermite(3),  # exact for an affine map
    solver=wgf.Cholesky(shift=0.0),
)


def snapshots(number: int, seed: int) -> list[np.ndarray]:
    """Samples (number, 2) at each of `TIMES`, of the true flow's closed form."""
    k0, k1, coupling, *centre, D = TRUE
    exact = OrnsteinUhlenbeck(np.array(centre), np.array([[k0, coupling], [coupling, k1]]), D, MEAN, COVARIANCE)
    return [exact.sample(t, number, seed + i) for i, t in enumerate(TIMES)]


def features(x):
    """The monomials whose means are matched, points (N, 2) to (N, 5)."""
    return [x[:, 0], x[:, 1], x[:, 0] ** 2, x[:, 0] * x[:, 1], x[:, 1] ** 2]


def estimate(
    data: list[np.ndarray], steps: int = 10, first: np.ndarray = FIRST, tries: int = 50
) -> tuple[np.ndarray, np.ndarray]:
    """The parameters, in the order of `NAMES`, and their standard errors."""
    seen = np.array([np.stack(features(x)).mean(1) for x in data])
    error = np.array([np.stack(features(x)).std(1) / np.sqrt(len(x)) for x in data])
    z, weights = flow.points.draw(flow.reference)
    times = torch.tensor([0.0, *TIMES], dtype=torch.float64)

    f = right_hand_side(flow, args=FIRST.tolist())

    def misses(parameters: torch.Tensor) -> torch.Tensor:
        def rate(t, theta):
            return f(t, theta, list(parameters))

        theta = torchdiffeq.odeint(rate, f.initial(), times, method="rk4", options={"step_size": TIMES[-1] / steps})
        clouds = [torch.stack(features(f.pushforward(row, z))) for row in theta[1:]]
        means = torch.stack(clouds) @ torch.as_tensor(weights)
        return ((means - torch.as_tensor(seen)) / torch.as_tensor(error)).ravel()

    def numbers(p: np.ndarray) -> np.ndarray:
        return misses(torch.as_tensor(p)).detach().numpy()

    def slopes(p: np.ndarray) -> np.ndarray:
        return torch.func.jacfwd(misses)(torch.as_tensor(p)).numpy()

    found = optimize.least_squares(numbers, first, slopes, x_scale="jac", xtol=1e-5, ftol=1e-5, max_nfev=tries)
    # every miss has variance one; those of one time are correlated, which makes the errors estimates
    return found.x, np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=400_000, help="samples at each time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=10, help="steps of the fourth-order Runge–Kutta method")
    arguments = parser.parse_args()
    found, error = estimate(snapshots(arguments.samples, arguments.seed), arguments.steps)
    print(f"{'':12}{'true':>10}{'estimated':>12}{'std. error':>12}{'off by':>10}")
    for name, true, value, width in zip(NAMES, TRUE, found, error, strict=True):
        print(f"{name:12}{true:10.4f}{value:12.4f}{width:12.4f}{abs(value / true - 1):10.2%}")


if __name__ == "__main__":
    main()
