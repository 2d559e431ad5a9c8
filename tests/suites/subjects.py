"""What the suites are put to: every class of each kind in the package, with the arguments of its examples.

A class that is found and has no entry in `EXAMPLES` fails `test_subjects.py`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import equinox as eqx
import jax
import numpy as np
import torch
from array_api_compat import array_namespace
from test_architecture import sources

from wgfode.backend import Backend
from wgfode.energies import Term
from wgfode.maps import Affine, Basis, Identity, Map, Planar, Residual
from wgfode.maps.frame import Frame
from wgfode.points import MonteCarlo, Points, Sobol
from wgfode.potentials import Kernels, Polynomial, Potentials, RandomFeatures
from wgfode.problems import ring_kernel
from wgfode.references import Reference, Uniform
from wgfode.solvers import Solver

Array = Any


def swirl(z: Array) -> Array:
    """R³ → R³, mixing components."""
    xp = array_namespace(z)
    return xp.stack([xp.sin(z[:, 1]), z[:, 2] * z[:, 0], xp.tanh(z[:, 0])], axis=1)


def cubic(z: Array) -> Array:
    return z**3


def quartic(x: Array) -> Array:
    return (x**4).sum(-1) + x[..., 0] * x[..., -1]


def whirl(x: Array) -> Array:
    """A velocity that is no gradient, in any dimension."""
    xp = array_namespace(x)
    return xp.roll(x, 1, axis=-1) - xp.roll(x, -1, axis=-1) + xp.sin(x)


def squared(rho: Array) -> Array:
    return rho**2


def laplace_quantile(u: np.ndarray) -> np.ndarray:
    return np.where(u < 0.5, np.log(2 * u), -np.log(2 - 2 * u))


def laplace_log_density(z: Array) -> Array:
    xp = array_namespace(z)
    return -xp.sum(xp.abs(z), axis=-1) - z.shape[-1] * math.log(2)


def warped(theta: Array, z: Array) -> Array:
    """Not the identity at any θ of interest."""
    xp = array_namespace(z)
    return xp.tanh(z @ theta["in"] + theta["rest"][0]) @ theta["in"].T + theta["rest"][1] * z[:, :1]


def module() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))


RNG = np.random.default_rng(0)


def flows() -> dict[str, list[dict[str, Any]]]:
    """Examples of the maps that need jax's modules and libraries of flows, where those are installed."""
    found: dict[str, list[dict[str, Any]]] = {
        "EquinoxModel": [{"module": eqx.nn.Linear(3, 3, key=jax.random.key(0)), "dim": 3}],
        "ZukoModel": [],
        "FlowjaxModel": [],
    }
    if importlib.util.find_spec("zuko"):
        zuko = importlib.import_module("zuko")
        torch.manual_seed(0)
        found["ZukoModel"] = [
            {"flow": zuko.flows.NICE(3, transforms=2, hidden_features=(4,), activation=torch.nn.Tanh)}
        ]
    if importlib.util.find_spec("flowjax"):
        bijections = importlib.import_module("flowjax.bijections")
        found["FlowjaxModel"] = [{"bijection": bijections.Loc(np.ones(3))}]
    return found


EXAMPLES: dict[str, list[dict[str, Any]]] = {
    # maps
    "Affine": [{"dim": 3}, {"dim": 3, "structure": "lower_triangular"}, {"dim": 3, "structure": "diagonal"}],
    "Identity": [{"dim": 3}],
    "Basis": [{"functions": (swirl, cubic), "dim": 3}],
    "Planar": [{"dim": 3, "layers": 4, "init": "axis", "centre": (1.0, 0.0, 2.0), "spread": 0.5}],
    "Residual": [{"dim": 3, "width": 5}],
    "Ridge": [
        {"dim": 3, "width": 5},
        {"dim": 1, "width": 8, "tolerance": 1e-2},
        {"dim": 2, "width": 4, "init": "axis", "seed": 1},
    ],
    "NeuralODE": [{"dim": 3, "width": 4, "steps": 3}],
    "Triangular": [{"dim": 1, "width": 3}, {"dim": 4, "width": 3, "knots": 4, "centre": (0.0, 1.0, -1.0, 2.0)}],
    "Coupling": [{"dim": 2, "layers": 4}, {"dim": 5, "layers": 3, "width": 4, "centre": 1.0, "spread": 2.0, "seed": 3}],
    "Compose": [{"maps": (Affine(3), Planar(3, layers=2), Basis([swirl], 3), Identity(3), Residual(3, width=3))}],
    "Whitened": [
        {
            "map": Affine(2) @ Residual(2, width=3),
            "frame": Frame(np.array([3.0, -1.0]), np.array([[2.0, 0], [0.9, 0.4]])),
        }
    ],
    "map.Custom": [{"function": warped, "initial": {"in": np.eye(3), "rest": [np.ones(3), 0.5]}, "dim": 3}],
    "TorchModel": [{"module": module(), "dim": 3}],
    **flows(),
    "Model": [],
    "Laid": [],
    "Ridges": [],
    # terms of an energy
    "Potential": [{"V": quartic, "convexity": -1.0}],
    "Interaction": [{"W": ring_kernel}, {"W": ring_kernel, "block": 100}],
    "Entropy": [{}],
    "PorousMedium": [{"m": 2}, {"m": 2.5}],
    "InternalEnergy": [{"function": squared}],
    "Internal": [],
    "Scaled": [],  # a coefficient times a term, which tests/test_args.py tries
    "Drift": [{"b": whirl}, {"b": whirl, "monotonicity": -1.0}],
    "Diffusion": [{"matrix": np.diag([0.5, 0.0])}, {"matrix": [[2.0, 0.3], [0.3, 0.1]]}],
    # solvers
    "Cholesky": [{}, {"shift": 0}],
    "Eigh": [{}, {"shift": 0}],
    "MINRES": [{}, {"shift": 0}],
    "LSMR": [{}, {"shift": 0}],
    "CG": [{}, {"shift": 0}],
    "Nystrom": [{"shift": 1e-8, "rank": 8}],
    "Auto": [{}],
    "Krylov": [],
    "Direct": [],
    # metrics
    "Relaxed": [{}],
    "Wasserstein": [
        {"potentials": Polynomial(2)},
        {"potentials": Polynomial(2) + RandomFeatures(3) + Kernels(4), "form": "matrix_free"},
    ],
    # points
    "Seeded": [],
    "MonteCarlo": [{"n": 32}, {"n": 33, "seed": 5, "matched": True}],
    "Sobol": [{"n": 32}, {"n": 33, "seed": 5, "resample_every": 0.5, "matched": True}],
    "Tailed": [{"n": 64, "seed": 1, "resample_every": 0.5}],
    "Lattice": [{"n": 40}, {"n": 65, "seed": 5, "resample_every": 0.5}],
    "GaussHermite": [{"order": 5}],
    "Scheduled": [{"inner": MonteCarlo(16), "begins": [0.5]}, {"inner": Sobol(16, matched=True)}],
    # references
    "Gaussian": [{"mean": [1.0, -2.0], "cov": [[2.0, 0.6], [0.6, 1.0]]}],
    "Uniform": [{"low": [-1.0, 2.0], "high": [3.0, 2.5]}],
    "Smoothed": [{"reference": Uniform([-1.0, 2.0], [3.0, 2.5]), "width": 0.3}],
    "Barenblatt": [
        {"dim": 2, "m": 2.0, "t": 0.7, "centre": [0.3, -0.2]},
        {"dim": 1, "m": 3.0, "t": 2.0},
        {"dim": 2, "m": 1.05, "t": 1.0},
    ],
    "Carried": [],  # known at the points that were carried alone: tests/run/test_restart.py
    "Custom": [{"dim": 2, "from_uniform": laplace_quantile, "log_density": laplace_log_density}],
    # dictionaries of potentials
    "Polynomial": [{"degree": 1}, {"degree": 3}],
    "RandomFeatures": [{"n": 5, "scale": 0.7, "seed": 2}],
    "Kernels": [{"centres": RNG.standard_normal((4, 3)), "scale": 1.3}, {"centres": 4}],
    "Sum": [{"parts": (Polynomial(2), RandomFeatures(3), Kernels(np.zeros((1, 3))))}],
}
"""Arguments of examples, by the name of the class; none for a base of others."""


def kinds() -> dict[str, tuple[type, ...]]:
    """The base of each kind."""
    if importlib.util.find_spec("wgfode.metrics.base"):
        metrics = (importlib.import_module("wgfode.metrics.base").Metric,)
    else:
        metrics = tuple(
            getattr(importlib.import_module(f"wgfode.metrics.{name.lower()}"), name)
            for name in ("Relaxed", "Wasserstein")
        )
    return {
        "map": (Map,), "term": (Term,), "solver": (Solver,), "metric": metrics, "points": (Points,),
        "reference": (Reference,), "potentials": (Potentials,),
    }  # fmt: skip


@cache
def classes(kind: str) -> tuple[type, ...]:
    """Every class of the kind in the package that can be made, by name."""
    for module in sources():
        missing = module.endswith("models.flowjax") and not importlib.util.find_spec("flowjax")
        if not missing and not module.startswith("wgfode.validation") and not module.endswith("__main__"):
            importlib.import_module(module)
    found: set[type] = set()
    todo = list(kinds()[kind])
    while todo:
        one = todo.pop()
        todo += one.__subclasses__()
        public = one.__module__.split(".")[0] == "wgfode" and not one.__name__.startswith("_")
        if public and not inspect.isabstract(one) and (one not in kinds()[kind] or kind == "metric"):
            found.add(one)
    bases = set() if len(kinds()[kind]) > 1 else set(kinds()[kind])
    return tuple(sorted(found - bases, key=lambda one: one.__name__))


def arguments(kind: str) -> list[tuple[type, dict[str, Any]]]:
    """Each found class with the arguments of each of its examples."""
    return [(one, given) for one in classes(kind) for given in examples_of(kind, one)]


def examples_of(kind: str, one: type) -> list[dict[str, Any]]:
    """The examples' arguments of a class, which stand under its kind too where two classes have one name."""
    return EXAMPLES.get(f"{kind}.{one.__name__}", EXAMPLES.get(one.__name__, []))


def examples(kind: str) -> list[Any]:
    """The examples of every class of the kind."""
    return [one(**given) for one, given in arguments(kind)]


def compiled(backend: Backend, f: Callable[..., Any]) -> Callable[..., Any]:
    """f without a graph, or jitted with little effort: these tests compile much and compute little."""
    if backend.name == "torch":
        return torch.no_grad()(f)
    return jax.jit(f, compiler_options={"xla_backend_optimization_level": 0})


def name_of(subject: Any) -> str:
    """A subject's name among tests: its repr, without the addresses that differ from process to process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(subject))[:60]
