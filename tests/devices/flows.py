"""Flows whose points are split over devices, and what is compared of them: for the tests and for their processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import wgfode as wgf

COUNT, ARGS = 37, {"D": 0.1}
TIMES = [0.02, 0.05]


class Weighted(wgf.MonteCarlo):
    """Random points of unequal weight."""

    def draw(self, reference: Any, segment: int = 0) -> tuple[np.ndarray, np.ndarray]:
        weights = np.random.default_rng(3).uniform(0.5, 2.0, self.n)
        return super().draw(reference, segment)[0], weights / weights.sum()


def double_well(x: Any) -> Any:
    return ((x**2).sum(-1) - 1) ** 2 / 4


def quartic(x: Any) -> Any:
    return (x**2).sum(-1) ** 2


def flow(energy: Any, map: Any, solver: Any, **more: Any) -> wgf.GradientFlow:
    return wgf.GradientFlow(map=map, energy=wgf.Potential(double_well) + energy, solver=solver,
                            reference=wgf.Gaussian.standard(2), points=Weighted(COUNT, seed=1), **more)  # fmt: skip


def flows() -> dict[str, wgf.GradientFlow]:
    """One of every way in which points are summed; the shifts keep rounding from being magnified."""
    residual = wgf.maps.Affine(2) @ wgf.maps.Residual(2, 3)
    planar = wgf.maps.Affine(2) @ wgf.maps.Planar(2, 2)
    D = wgf.coefficient(lambda args: args["D"])
    dictionary = wgf.potentials.Polynomial(1) + wgf.potentials.Kernels(3, scale=0.7)
    pairs = 0.2 * wgf.Interaction(quartic, block=200)
    return {
        "affine": flow(D * wgf.PorousMedium(2) + pairs, wgf.maps.Affine(2), wgf.Cholesky(shift=0.1)),
        "pairs": flow(D * wgf.PorousMedium(2) + pairs, residual, wgf.Cholesky(shift=0.1)),
        "matrix-free": flow(D * wgf.Entropy(), planar, wgf.LSMR(rtol=1e-13, shift=0.1)),
        "conjugate": flow(D * wgf.Entropy(), planar, wgf.solvers.CG(rtol=1e-13, shift=0.1)),
        "energy": flow(D * wgf.Entropy() + pairs, planar, wgf.Cholesky(shift=0.1), estimator="energy"),
        "projected": flow(D * wgf.Entropy(), planar, wgf.Cholesky(shift=0.1), metric=wgf.Wasserstein(dictionary)),
        "blended": flow(D * wgf.Entropy(), planar, wgf.LSMR(rtol=1e-13, shift=0.1),
                        metric=wgf.Wasserstein(dictionary, form="matrix_free")),
    }  # fmt: skip


def parameters(problem: wgf.GradientFlow) -> np.ndarray:
    """θ away from the identity."""
    return problem.transport.initial() + 0.1 * np.random.default_rng(0).standard_normal(problem.size)


def with_torch(problem: wgf.GradientFlow, mesh: Any) -> dict[str, np.ndarray]:
    """The right-hand side, its derivatives in θ and args, its Jacobian, and what a dataset says of a moment."""
    import torch

    from wgfode.adapters.torchdiffeq import right_hand_side
    from wgfode.derivative import Linearization

    D = torch.tensor(ARGS["D"], dtype=torch.float64, requires_grad=True)
    f = right_hand_side(problem, args={"D": D}, mesh=mesh, tolerance=1e-13)
    theta = torch.tensor(parameters(problem), requires_grad=True)
    velocity = f(0.0, theta)
    velocity.dot(torch.linspace(1, 2, problem.size, dtype=torch.float64)).backward()
    there = theta.detach()
    with torch.no_grad():
        jvp = Linearization(f.rhs, there, f.rhs.drive(args=ARGS)).jvp(there)
    found = {"velocity": velocity.detach(), "by theta": theta.grad, "by args": D.grad, "jvp": jvp}
    held = f.diagnostics(0.0, there, evaluation=21)
    told = ("x", "residual", "residual_error", "residual_in_sample", "energy_term", "min_jacobian")
    return {name: np.asarray(value) for name, value in found.items()} | {name: held[name] for name in told}


def with_jax(problem: wgf.GradientFlow, mesh: Any) -> dict[str, np.ndarray]:
    """The right-hand side and one derivative of it."""
    import jax

    from wgfode.adapters.diffrax import right_hand_side

    with jax.enable_x64(True):
        f = right_hand_side(problem, args=ARGS, mesh=mesh, tolerance=1e-13)
        theta = f.rhs.backend.asarray(parameters(problem))
        return {"velocity": f.rhs.backend.to_numpy(f(0.0, theta))}


def run(devices: int | None, integrator: str, checkpoint: Any = None, **more: Any) -> Any:
    """A short run, with its dataset."""
    given: dict[str, Any] = {"evaluation": 21, "rtol": 1e-6, "stiffness": False, "certificate": False, "args": ARGS}
    return wgf.solve(flows()["affine"], TIMES, integrator=integrator, devices=devices, checkpoint=checkpoint,
                     **(given | more))  # fmt: skip


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], within: float) -> list[str]:
    """What differs by more than `within` of its largest entry."""

    def gap(name: str) -> float:
        return float(np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max())

    return [f"{name}: {gap(name):.1e}" for name in expected if not gap(name) <= within]


EVERYTHING: dict[str, Callable] = {"torch": with_torch, "jax": with_jax}
