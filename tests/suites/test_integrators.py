"""Every method on every integrator, by the same short run with a known end."""

from __future__ import annotations

import numpy as np
import pytest

import wgfode as wgf
from wgfode.stepping import methods

FRAMEWORKS = ("torchdiffeq", "diffrax")
END, STEP = 0.1, 0.02
FIXED = ("Euler", "Midpoint", "Heun", "ImplicitEuler", *methods.SEMI_IMPLICIT)
"""Methods without an error estimate on some integrator."""


def pairs() -> list:
    """(integrator, method): scipy has its own; on diffrax most are slow to compile."""
    found = [pytest.param("scipy", name) for name in methods.SCIPY]
    for name in methods.METHODS:
        if name not in methods.SCIPY:
            trains = name == "bilevel"
            found.append(pytest.param("torchdiffeq", name, marks=pytest.mark.slow if trains else ()))
            quick = name in ("Euler", "Tsit5")
            found.append(pytest.param("diffrax", name, marks=() if quick else pytest.mark.slow))
    return found


def flow() -> wgf.GradientFlow:
    """∂ρ/∂t = ∂((x − 1)ρ)/∂x + ρ'' from N(0, 1): the mean is 1 − e^(−t), and the variance stays."""
    return wgf.GradientFlow(
        map=wgf.maps.Affine(1),
        energy=wgf.Potential(lambda x: 0.5 * ((x - 1) ** 2).sum(-1), convexity=1.0) + wgf.Entropy(),
        reference=wgf.Gaussian.standard(1),
        points=wgf.GaussHermite(6),
        solver=wgf.Cholesky(1e-12),
    )


@pytest.mark.parametrize(("integrator", "method"), pairs())
def test_it_arrives(integrator: str, method: str) -> None:
    step = STEP if method in FIXED else None
    ds = wgf.solve(
        flow(), [END], integrator=integrator, method=method, step_size=step,
        evaluation=64, stiffness=False, certificate=False,
    )  # fmt: skip
    assert ds.attrs["status"] == "completed"
    scale, shift = ds["theta"].values[-1]
    first_order = method in ("Euler", "ImplicitEuler", "proximal", "bilevel")
    assert abs(shift - (1 - np.exp(-END))) < (2e-3 if first_order else 1e-4)
    assert abs(scale - 1) < (2e-2 if method == "bilevel" else 1e-4)
