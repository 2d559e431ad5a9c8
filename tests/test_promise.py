"""What the certificate promises, W₂ ≤ w2_bound up to two standard errors, on random flows with a known answer.

In 1-D the truth is the quantile solver's. Without diffusion every particle moves by itself, in any dimension, and the
map error, which is at least W₂, is that of an ordinary differential equation solved to 1e-10.
"""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

import wgfode as wgf
from wgfode.adapters.torchdiffeq import right_hand_side
from wgfode.maps import Affine, Map, Residual
from wgfode.points import Tailed
from wgfode.potentials import Polynomial
from wgfode.validation.exact import Quantile1D

HOW: dict[str, dict[str, Any]] = {
    "explicit": {},
    "loose": {"rtol": 1e-2, "atol": 1e-3, "method": "Bosh3"},
    "euler": {"method": "Euler", "step_size": 0.01},
    "implicit": {"method": "Kvaerno5", "rtol": 1e-4, "atol": 1e-6},
    "resampled": {"resample": "auto"},
    "float32": {"dtype": "float32"},
    "metric": {},
}


class Rippled:
    """Σᵢ a xᵢ²/2 + Σᵢₖ cₖ cos(kxᵢ + φₖ): λ is at least a − Σ |cₖ| k²."""

    def __init__(self, rng: np.random.Generator):
        self.a, self.c, self.phase = rng.uniform(0.2, 2), rng.uniform(-0.3, 0.3, 2), rng.uniform(0, 6, 2)
        self.convexity = float(self.a - np.abs(self.c) @ np.array([1.0, 4.0]))

    def waves(self):
        return [(float(c), k + 1, float(p)) for k, (c, p) in enumerate(zip(self.c, self.phase, strict=True))]

    def __call__(self, x):
        cos = array_api_compat.array_namespace(x).cos
        return (0.5 * float(self.a) * x**2 + sum(c * cos(k * x + p) for c, k, p in self.waves())).sum(-1)

    def force(self, x: np.ndarray) -> np.ndarray:
        return self.a * x - sum(c * k * np.sin(k * x + p) for c, k, p in self.waves())


class Radial:
    """a|x|²/2 + 2b √(1+|x|²), b of either sign: λ is at least a + 2 min(b, 0)."""

    def __init__(self, rng: np.random.Generator):
        self.a, self.b = rng.uniform(0.2, 2), rng.uniform(-0.8, 0.8)
        self.convexity = float(self.a + 2 * min(self.b, 0.0))

    def __call__(self, x):
        square = (x**2).sum(-1)
        return 0.5 * float(self.a) * square + 2 * float(self.b) * (1 + square) ** 0.5

    def force(self, x: np.ndarray) -> np.ndarray:
        return self.a * x + 2 * self.b * x / np.sqrt(1 + (x**2).sum(-1, keepdims=True))


def maps(dim: int, width: int) -> Map:
    return Affine(dim) @ Residual(dim, width=width) if width else Affine(dim)


def broken(seed: int, how: str, kind: str, times: tuple[float, ...] = (0.1, 0.4)) -> list[str]:
    """The times at which a random flow of `kind` breaks its bound, in words."""
    rng = np.random.default_rng(seed)
    dim = 1 if kind == "diffusion" else int(rng.integers(1, 4))
    V = (Radial if kind == "radial" else Rippled)(rng)
    D, mean, spread = float(rng.uniform(0.02, 0.8)), rng.uniform(-1, 1, dim), float(rng.uniform(0.3, 1.2))
    energy = wgf.Potential(V, convexity=V.convexity)
    parts: dict[str, Any] = {"metric": wgf.Wasserstein(Polynomial(2))} if how == "metric" else {}
    flow = wgf.GradientFlow(
        maps(dim, int(rng.choice([0, 4]))), energy + D * wgf.Entropy() if kind == "diffusion" else energy,
        wgf.Gaussian(mean, spread**2 * np.eye(dim)), wgf.Sobol(int(rng.choice([24, 128])), seed=seed), **parts,
    )  # fmt: skip
    chosen: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-6} | HOW[how]
    if "step_size" in chosen:
        chosen = {name: value for name, value in chosen.items() if name not in ("rtol", "atol")}
    ds = wgf.solve(
        flow, times, integrator="torchdiffeq", evaluation=512, seed=seed, stiffness=False, on_fold="warn", **chosen
    )
    z, weights = Tailed(1024, seed=seed + 7).draw(flow.reference)
    f = right_hand_side(flow)
    exact = None if kind != "diffusion" else Quantile1D(flow.energy, norm(mean[0], spread), levels=100, rtol=1e-8)
    found = []
    for i, t in enumerate(ds.time.values.tolist()):
        x = np.asarray(f.pushforward(f.rhs.backend.asarray(ds.theta.values[i].astype(float)), z))
        if t == 0:
            continue
        if exact is not None:
            target, slack = exact.flow_map(t, z), exact.error(t)
        else:
            end = solve_ivp(lambda _, y: -V.force(y.reshape(z.shape)).ravel(), (0, t), z.ravel(),
                            rtol=1e-9, atol=1e-10).y[:, -1]  # fmt: skip
            target, slack = end.reshape(z.shape), 1e-8
        error = float(np.sqrt(weights @ ((x - target) ** 2).sum(1)))
        bound, se = float(ds.w2_bound[i]), float(ds.w2_bound_error[i])
        slack += 1e-6 if how == "float32" else 1e-12
        if not error <= bound + 2 * se + slack:
            found.append(f"{kind} {how} seed {seed} t={t}: {error:.3g} > {bound:.3g} ± {se:.2g}, {ds.attrs['status']}")
    return found


@pytest.mark.parametrize(
    ("seed", "how", "kind"),
    [(0, "explicit", "diffusion"), (1, "implicit", "particles"), (2, "loose", "radial"), (3, "euler", "particles")],
)
def test_the_bound_holds(seed: int, how: str, kind: str) -> None:
    assert broken(seed, how, kind, times=(0.1,)) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["diffusion", "particles", "radial"])
@pytest.mark.parametrize("how", HOW)
def test_the_bound_holds_many(how: str, kind: str) -> None:
    assert [words for seed in range(100, 108) for words in broken(seed, how, kind)] == []
