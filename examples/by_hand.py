"""A flow of one's own, handed to torchdiffeq and to diffrax.

    python examples/by_hand.py torchdiffeq
    python examples/by_hand.py diffrax

A Gaussian in a double well that couples two coordinates; the dataset is printed at the end.
"""

from __future__ import annotations

import sys

import wgfode as wgf


def V(x):
    """(x₀² − 1)²/4 + (x₁ − x₀)²/2, (N, 2) → (N,)."""
    return (x[:, 0] ** 2 - 1) ** 2 / 4 + (x[:, 1] - x[:, 0]) ** 2 / 2


flow = wgf.GradientFlow(
    map=wgf.maps.Affine(2) @ wgf.maps.Residual(2, width=20, spread=0.5),
    energy=wgf.Potential(V) + 0.3 * wgf.Entropy(),
    reference=wgf.Gaussian([0.2, 0.0], [[0.25, 0.0], [0.0, 0.25]]),
    points=wgf.Sobol(512, seed=0),
)


def with_torchdiffeq():
    import torch
    import torchdiffeq

    from wgfode.adapters.torchdiffeq import right_hand_side

    f = right_hand_side(flow)
    t = torch.linspace(0, 0.5, 6, dtype=torch.float64)
    theta = torchdiffeq.odeint(f, f.initial(), t, method="dopri5", rtol=1e-4, atol=1e-6)
    return f.to_dataset(t, theta)


def with_diffrax():
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)
    from wgfode.adapters.diffrax import right_hand_side

    f = right_hand_side(flow)
    solution = diffrax.diffeqsolve(
        f.term, diffrax.Tsit5(), 0.0, 0.5, None, f.initial(),
        saveat=diffrax.SaveAt(ts=jax.numpy.linspace(0, 0.5, 6)),
        stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-6),
    )  # fmt: skip
    return f.to_dataset(solution)


if __name__ == "__main__":
    which = sys.argv[1] if len(sys.argv) > 1 else "diffrax"
    print({"torchdiffeq": with_torchdiffeq, "diffrax": with_diffrax}[which]())
