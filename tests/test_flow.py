"""GradientFlow: what does not fit together is refused at once, by name."""

from __future__ import annotations

import numpy as np
import pytest

import wgfode as wgf
from wgfode import InputError
from wgfode.maps import Affine, Identity, Map, Planar


def V(x):
    return 0.5 * (x**2).sum(-1)


def flow(**changes):
    parts = {"map": Affine(2), "energy": wgf.Potential(V) + wgf.Entropy(), "reference": wgf.Gaussian.standard(2)}
    return wgf.GradientFlow(**(parts | changes))


class Projection(Map):
    """(x, y) ↦ (θx, 0): an image without a density."""

    dim, size, has_density = 2, 1, False

    def initial(self):
        return np.ones(1)

    def __call__(self, theta, z):
        return theta[0] * z * np.array([1.0, 0.0])


CASES = {
    "dimensions": ({"map": Affine(3)}, "dimension 3"),
    "map type": ({"map": lambda theta, z: z}, "map must be"),
    "energy type": ({"energy": V}, "energy must be"),
    "reference type": ({"reference": "gaussian"}, "reference must be"),
    "points type": ({"points": 100}, "points must be"),
    "metric type": ({"metric": "relaxed"}, "metric must be"),
    "solver type": ({"solver": "cg"}, "solver must be"),
    "no parameters": ({"map": Identity(2)}, "no parameters"),
    "no density": ({"map": Projection()}, "density"),
    "estimator": ({"estimator": "velocty"}, "velocity"),
    "LSMR needs a target": ({"solver": wgf.LSMR(), "estimator": "energy"}, "MINRES"),
    "V's shape": ({"energy": wgf.Potential(lambda x: x)}, r"V must map .* gave shape \(64, 2\)"),
    "V is nan": ({"energy": wgf.Potential(lambda x: x.sum(-1) * np.nan)}, "V must be finite"),
    "V is inf": ({"energy": wgf.Potential(lambda x: 1 / (x.sum(-1) * 0))}, "V must be finite"),
    "W is odd": ({"energy": wgf.Interaction(lambda x: x.sum(-1))}, "W must be even"),
    "W's shape": ({"energy": wgf.Interaction(lambda x: x.sum())}, "W must map"),
    "U's shape": ({"energy": wgf.InternalEnergy(lambda r: r.sum())}, "U must map"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str) -> None:
    changes, named = CASES[case]
    with pytest.raises(InputError, match=named):
        flow(**changes)


def test_covariance_must_be_definite() -> None:
    with pytest.raises(InputError, match="cov"):
        wgf.Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]])


def test_a_map_without_density_is_fine_where_none_is_needed() -> None:
    assert flow(map=Projection(), energy=wgf.Potential(V)).size == 1


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_functions_of_one_framework_are_checked_when_it_is_bound(framework: str) -> None:
    """A V that takes no numpy arrays passes construction, and its mistakes show when the framework is bound."""
    import importlib

    import jax
    import torch

    tensor_like = torch.Tensor if framework == "torch" else jax.Array

    def own(x):
        if not isinstance(x, tensor_like):
            raise TypeError("own arrays only")
        return x  # the wrong shape

    problem = flow(energy=wgf.Potential(own))
    name = {"torch": "torchdiffeq", "jax": "diffrax"}[framework]
    with pytest.raises(InputError, match="V must map"):
        importlib.import_module(f"wgfode.adapters.{name}").right_hand_side(problem)


def test_a_failing_V_says_so() -> None:
    from wgfode.adapters.torchdiffeq import right_hand_side

    def broken(x):
        raise RuntimeError("no such file")

    with pytest.raises(InputError, match=r"V failed .* no such file"):
        right_hand_side(flow(energy=wgf.Potential(broken)))


def test_names_suggest_the_nearest() -> None:
    with pytest.raises(InputError, match="fokker-planck-10d"):
        wgf.problems.get("fokker-plank-10d")
    with pytest.raises(InputError, match="Tsit5"):
        wgf.solve(flow(), [1.0], method="tsit")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"times": []}, "times"),
        ({"times": [0.0]}, "times"),
        ({"times": [1.0, 0.5]}, "increasing"),
        ({"times": [1.0, 1.0]}, "increasing"),
        ({"times": [-1.0, 1.0]}, ">= 0"),
        ({"times": [np.nan]}, "finite"),
        ({"times": "soon"}, "times"),
        ({"integrator": "scpy"}, "integrator"),
        ({"rtol": 0.0}, "rtol"),
        ({"rtol": 1e-8, "dtype": "float32"}, "float32"),
        ({"dtype": "float16"}, "dtype"),
        ({"evaluation": 0}, "evaluation"),
        ({"step_size": -0.1}, "step_size"),
        ({"max_steps": 0}, "max_steps"),
        ({"method": "Euler"}, "step_size"),
    ],
)
def test_solve_refuses(arguments: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        wgf.solve(flow(), **({"times": [0.1]} | arguments))


def test_planar_and_affine_compose_to_one_flow() -> None:
    assert flow(map=Affine(2) @ Planar(2, layers=3)).size == 6 + 15


def test_a_notebook_shows_the_parts() -> None:
    flow = wgf.GradientFlow(wgf.maps.Affine(1), wgf.Potential(lambda x: (x**2).sum(-1)), wgf.Gaussian.standard(1))
    text = flow._repr_html_()
    assert "Affine(dim=1" in text
    assert "&lt;lambda&gt;" in text
    assert "<lambda>" not in text
