"""Implicit against explicit methods on stiff gradient flows: `python benchmarks/stiffness.py [PART …] [--fast]`.

Parts: affine, planar, memory, front, well. Seconds are those of one run after compilation, on whatever else the
machine does; only ratios within one table mean something.
"""

from __future__ import annotations

import argparse
import logging
import resource
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import wgfode as wgf
from wgfode.adapters import diffrax as diffrax_adapter
from wgfode.adapters import torchdiffeq as torch_adapter
from wgfode.problems import double_well_potential, quadratic
from wgfode.stepping.adaptive import ImplicitSteps, Stepper
from wgfode.stepping.integrator import states
from wgfode.stepping.methods import Method
from wgfode.stepping.state import State
from wgfode.validation import exact as exact_solutions
from wgfode.validation.exact import OrnsteinUhlenbeck

jax.config.update("jax_enable_x64", True)
DIM = 10


def anisotropic(map_: Any, points: int, solver: Any) -> tuple[wgf.GradientFlow, OrnsteinUhlenbeck]:
    """Ornstein–Uhlenbeck, d = 10, precision eigenvalues 1 … 1e4 in random axes, from N(0, I)."""
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, DIM)))[0]
    A = axes @ np.diag(np.geomspace(1, 1e4, DIM)) @ axes.T
    A, mean = (A + A.T) / 2, np.ones(DIM)
    flow = wgf.GradientFlow(map=map_, energy=quadratic(A, mean) + wgf.Entropy(), reference=wgf.Gaussian.standard(DIM),
                            points=wgf.Sobol(points, seed=0), solver=solver)  # fmt: skip
    return flow, OrnsteinUhlenbeck(mean, A, 1.0, np.zeros(DIM), np.eye(DIM))


def run(
    flow: wgf.GradientFlow, end: float, integrator: str, method: Method, tolerance: float, warm: bool
) -> tuple[Any, State, float, str]:
    """(right-hand side, last state, seconds after compilation, how it ended)."""
    adapter = {"diffrax": diffrax_adapter, "torchdiffeq": torch_adapter}[integrator]
    f = adapter.right_hand_side(flow, tolerance=tolerance)
    start = State(0.0, f.rhs.backend.to_numpy(f.initial()))
    stops = np.array([end * 1e-6, end])
    last, begin, how = start, time.perf_counter(), "completed"
    try:
        for state in states(adapter.integrator(f, method), start, stops, method.max_steps):
            if last is start and warm:  # the first stop is there to compile
                begin = time.perf_counter()
            last = state
    except wgf.IntegrationError as error:
        how = str(error)
    return f, last, time.perf_counter() - begin, how


def row(*cells: Any) -> None:
    print("| " + " | ".join(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells) + " |", flush=True)


def head(title: str, *names: str) -> None:
    print(f"\n{title}\n")
    row(*names)
    row(*["---"] * len(names))


def map_error(f: Any, exact: Any, t: float, theta: np.ndarray) -> float:
    z, weights = f.rhs.flow.held_out(2048)
    x = f.rhs.backend.to_numpy(f.pushforward(theta, z))
    return float(np.sqrt(weights @ ((x - exact.flow_map(t, z)) ** 2).sum(1)))


def divergence(f: Any, exact: Any, t: float, theta: np.ndarray) -> float:
    """KL(ρ_θ | ρ), every point counting >= 0."""
    z, weights = f.rhs.flow.held_out(2048)
    x, log = (f.rhs.backend.to_numpy(part) for part in (f.pushforward(theta, z), f.log_density(theta, z)))
    ratio = log - exact.log_density(t, x)
    return float(weights @ (ratio + np.expm1(-ratio)))


def affine(fast: bool) -> None:
    end = 2.0
    head(f"Ornstein–Uhlenbeck, d = {DIM}, stiffness 1e4, affine map (m = 110), t ∈ [0, {end:g}], rtol 1e-6",
         "integrator", "method", "accepted", "rejected", "right-hand sides", "map error", "seconds")  # fmt: skip
    cases = [("diffrax", "Kvaerno5"), ("torchdiffeq", "Kvaerno5"), ("diffrax", "Kvaerno4"), ("diffrax", "KenCarp5")]
    cases += [] if fast else [("diffrax", "Tsit5")]
    for integrator, name in cases:
        flow, exact = anisotropic(wgf.maps.Affine(DIM), 256, wgf.Cholesky())
        f, last, seconds, how = run(flow, end, integrator, Method(name, 1e-6, 1e-8), 1e-8, True)
        row(integrator, name, last.accepted, last.rejected, last.evaluations, 
            map_error(f, exact, last.time, last.theta), seconds if how == "completed" else how)  # fmt: skip


def planar(fast: bool) -> None:
    short = 0.02 if fast else 0.3
    head("The same with affine ∘ planar (m = 530, 256 points), rtol 1e-4, error norm of the metric",
         "metric solver", "method", "M", "t", "accepted", "rejected", "right-hand sides", "KL", "seconds")  # fmt: skip
    implicit = [("Nystrom", "Kvaerno5", "krylov"), ("Cholesky", "Kvaerno5", "dense")]
    # the explicit method with the solver that is fastest for it; to t = 2 it takes more than an hour
    explicit = [("Cholesky", "Tsit5", "–")]
    cases = [(short, *case) for case in implicit + explicit] + [(2.0, *case) for case in implicit]
    for end, solver, name, linear in cases:
        flow, exact = anisotropic(
            wgf.maps.Affine(DIM) @ wgf.maps.Planar(DIM, layers=20), 256, getattr(wgf, solver)(shift=1e-4)
        )
        method = Method(name, 1e-4, 1e-6, error_norm="metric")
        if name == "Kvaerno5":
            last, seconds, how, f = implicit_by_hand(flow, end, method, linear)
        else:
            f, last, seconds, how = run(flow, end, "diffrax", method, 1e-6, True)
        kind = {"krylov": "matrix-free", "dense": "factorised"}.get(linear, linear)
        row(f"{solver}(1e-4)", name, kind, end, last.accepted, last.rejected, last.evaluations,
            divergence(f, exact, last.time, last.theta), seconds if how == "completed" else how)  # fmt: skip


def implicit_by_hand(flow: wgf.GradientFlow, end: float, method: Method, linear: str) -> tuple[State, float, str, Any]:
    """A run on jax with `linear` ("dense" or "krylov") forced, compiled beforehand."""
    from wgfode.stepping import stage

    f = diffrax_adapter.right_hand_side(flow, tolerance=1e-6)
    threshold, stage.DENSE = stage.DENSE, 10**9 if linear == "dense" else 0
    try:
        last = State(0.0, np.asarray(f.initial()))
        begin, how = time.perf_counter(), "completed"
        try:
            for state in states(ImplicitSteps(f.rhs, method), last, np.array([end * 1e-6, end]), method.max_steps):
                if last.time == 0:
                    begin = time.perf_counter()
                last = state
        except wgf.IntegrationError as error:
            how = str(error)
        return last, time.perf_counter() - begin, how, f
    finally:
        stage.DENSE = threshold


def memory(fast: bool) -> None:
    head("One matrix-free implicit step (Kvaerno5, Nystrom(1e-4, rank 128), 256 points, d = 10) against m",
         "m", "residuals", "products with M", "seconds", "µs / (m · (residuals + products))", "peak MB")  # fmt: skip
    for layers in (20, 100, 300) if fast else (20, 60, 190, 570, 950):
        flow, _ = anisotropic(
            wgf.maps.Affine(DIM) @ wgf.maps.Planar(DIM, layers=layers), 256, wgf.Nystrom(shift=1e-4, rank=128)
        )
        f = diffrax_adapter.right_hand_side(flow, tolerance=1e-4)
        stepper = Stepper(f.rhs, Method("Kvaerno5", 1e-3, 1e-5, error_norm="metric"), "krylov")
        theta, drive = f.initial(), f.rhs.drive()
        k = stepper.start(theta, drive)
        h = f.rhs.backend.asarray(1e-6)
        made = stepper.step(theta, k, h, drive)
        begin = time.perf_counter()
        made = jax.block_until_ready(stepper.step(theta, k, h, drive))
        seconds = time.perf_counter() - begin
        work = float(made[4]) + float(made[5])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        row(flow.size, int(made[4]), int(made[5]), seconds, 1e6 * seconds / flow.size / work, int(peak))


def agreement(
    title: str, flow: wgf.GradientFlow, end: float, rtol: float, error: Callable[[Any, State], float] | None
) -> None:
    head(
        title,
        "integrator",
        "method",
        "accepted",
        "rejected",
        "right-hand sides",
        "seconds",
        "distance to Tsit5",
        "error",
    )
    reference = None
    for integrator, name in (("diffrax", "Tsit5"), ("diffrax", "Kvaerno5"), ("torchdiffeq", "Kvaerno5")):
        f, last, seconds, how = run(flow, end, integrator, Method(name, rtol, rtol * 1e-2), rtol * 1e-2, True)
        z, weights = flow.held_out(1024)
        x = f.rhs.backend.to_numpy(f.pushforward(last.theta, z))
        reference = x if reference is None else reference
        gap = float(np.sqrt(weights @ ((x - reference) ** 2).sum(1)))
        took = seconds if how == "completed" else how
        row(integrator, name, last.accepted, last.rejected, last.evaluations, took, gap,
            error(f, last) if error else "–")  # fmt: skip


def front(fast: bool) -> None:
    exact = exact_solutions.Barenblatt(2, 3.0, 0.2)
    flow = wgf.GradientFlow(map=wgf.maps.Affine(2) @ wgf.maps.Residual(2, width=8), energy=wgf.PorousMedium(3),
                            reference=wgf.Barenblatt(2, 3, 0.2), points=wgf.Sobol(512, seed=0))  # fmt: skip
    agreement("Porous medium, m = 3, 2-D, Barenblatt profile from t₀ = 0.2; affine ∘ residual, t ∈ [0, 2], rtol 1e-5",
              flow, 2.0, 1e-5, lambda f, last: map_error(f, exact, last.time, last.theta))  # fmt: skip


def well(fast: bool) -> None:
    flow = wgf.GradientFlow(map=wgf.maps.Affine(1) @ wgf.maps.Residual(1, width=20, init="axis"),
                            energy=wgf.Potential(double_well_potential) + 0.01 * wgf.Entropy(),
                            reference=wgf.Gaussian([0.3], [[0.09]]), points=wgf.Sobol(512, seed=0))  # fmt: skip
    agreement(
        "Double well, D = 0.01 (metastable), affine ∘ residual (width 20), t ∈ [0, 1.5], rtol 1e-5",
        flow,
        1.5,
        1e-5,
        None,
    )


PARTS = {"affine": affine, "planar": planar, "memory": memory, "front": front, "well": well}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--fast", action="store_true", help="shorter runs, without the explicit ones that take minutes")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    for name in chosen.parts or PARTS:
        PARTS[name](chosen.fast)
