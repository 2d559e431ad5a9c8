"""A run is taken up again only where all its functions still compute the same, however they are written."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace

import wgfode as wgf
from wgfode.adapters.torchdiffeq import right_hand_side
from wgfode.arrays import like
from wgfode.maps import Affine
from wgfode.potentials import Potentials
from wgfode.run.contents import digest
from wgfode.run.fingerprint import computed, rounded

LONG = np.ones(5000)
"""Longer than what numpy prints."""
SCALE = 1.0


def weighted(weights: np.ndarray, x: Any) -> Any:
    return like(weights, x).mean() * (x**2).sum(-1) / 2


def of_global(x: Any) -> Any:
    return SCALE * (x**2).sum(-1) / 2


def helper(x: Any) -> Any:
    return of_global(x)


class Slotted:
    __slots__ = ("weights",)

    def __init__(self, weights: np.ndarray):
        self.weights = weights

    def __call__(self, x: Any) -> Any:
        return weighted(self.weights, x)

    def method(self, x: Any) -> Any:
        return self(x)


class Opaque:
    """Nothing that it holds can be seen from outside."""

    def __init__(self, factor: float):
        self.get = Hidden(factor).get

    def __call__(self, x: Any) -> Any:
        return self.get() * (x**2).sum(-1) / 2


class Hidden:
    __slots__ = ()
    values: dict[int, float] = {}  # noqa: RUF012 - shared on purpose

    def __init__(self, factor: float):
        Hidden.values[0] = factor

    def get(self) -> float:
        return Hidden.values[0]


def closure(weights: np.ndarray) -> Callable:
    return lambda x: weighted(weights, x)


def last_changed() -> np.ndarray:
    weights = LONG.copy()
    weights[2500] = 20_001.0  # in the part that is not printed; the mean is 5
    return weights


WAYS: dict[str, Callable[[np.ndarray], Callable]] = {
    "partial over a long array": lambda w: functools.partial(weighted, w),
    "nested partial": lambda w: functools.partial(functools.partial(lambda a, w, x: a * weighted(w, x), 1.0), w),
    "closure over an array": closure,
    "callable object": Slotted,
    "method of an object": lambda w: Slotted(w).method,
    "partial of a method": lambda w: functools.partial(Slotted(w).method),
    "default argument": lambda w: lambda x, w=w: weighted(w, x),
}


def flow(V: Callable, **changes: Any) -> wgf.GradientFlow:
    parts: dict[str, Any] = {"map": Affine(1), "energy": wgf.Potential(V, convexity=1.0) + 0.3 * wgf.Entropy(),
             "reference": wgf.Gaussian.standard(1), "points": wgf.Sobol(16)}  # fmt: skip
    return wgf.GradientFlow(**(parts | changes))


def run(problem: wgf.GradientFlow, path: Path, resume: bool, end: float = 0.01) -> None:
    wgf.solve(problem, [end], integrator="torchdiffeq", checkpoint=path, resume=resume, rtol=1e-3, evaluation=16,
              stiffness=False, certificate=False)  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_another_function_is_refused_however_it_is_held(tmp_path: Path, way: str) -> None:
    path, make = tmp_path / "run.ckpt", WAYS[way]
    run(flow(make(LONG)), path, False)
    run(flow(make(LONG.copy())), path, True)
    with pytest.raises(wgf.CheckpointError, match="its energy"):
        run(flow(make(last_changed())), path, True)


@pytest.mark.parametrize("V", [of_global, helper, lambda x: helper(x)], ids=["itself", "through a function", "lambda"])
def test_a_global_that_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, V: Callable) -> None:
    path = tmp_path / "run.ckpt"
    run(flow(V), path, False)
    run(flow(V), path, True)
    monkeypatch.setitem(of_global.__globals__, "SCALE", 5.0)
    with pytest.raises(wgf.CheckpointError, match="its energy"):
        run(flow(V), path, True)


def test_what_cannot_be_read_counts_by_what_it_computes(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    run(flow(Opaque(1.0)), path, False)
    run(flow(Opaque(1.0)), path, True)
    with pytest.raises(wgf.CheckpointError, match=r"its energy \(potential\), as computed on the driving points"):
        run(flow(Opaque(5.0)), path, True)


class Trained(Potentials):
    """Potentials whose factor is kept where nobody sees it."""

    factor = 1.0

    def size(self, dim: int) -> int:
        return dim

    def gradients(self, x: Any) -> Any:
        powers = like(np.eye(x.shape[1]), x)
        return powers[None] * (1 + 0 * x[:, :, None]) + Trained.factor * powers[None] * x[:, :, None] ** 2


class Hiding:
    factor = 1.0

    @classmethod
    def log_density(cls, z: Any) -> Any:
        return -cls.factor * array_namespace(z).sum(z**2, axis=-1) / 2

    @classmethod
    def W(cls, x: Any) -> Any:
        return cls.factor * (x**2).sum(-1)

    @classmethod
    def U(cls, rho: Any) -> Any:
        return cls.factor * rho**2


def normal(u: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri

    return ndtri(u)


def log_density(z: Any) -> Any:
    return Hiding.log_density(z)


PARTS: dict[str, tuple[type, dict[str, Any]]] = {
    "reference": (Hiding, {"reference": wgf.Custom(2, normal, log_density)}),
    r"energy \(interaction\)": (Hiding, {"energy": wgf.Interaction(lambda x: Hiding.W(x))}),
    r"energy \(internal energy\)": (Hiding, {"energy": wgf.InternalEnergy(lambda r: Hiding.U(r))}),
    "metric": (Trained, {"metric": wgf.Wasserstein(Trained())}),
}


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_named_by_what_it_computes(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    owner, changes = PARTS[name]
    problem = flow(lambda x: (x**2).sum(-1), **{"map": Affine(2), "reference": wgf.Gaussian.standard(2)} | changes)
    path = tmp_path / "run.ckpt"
    run(problem, path, False)
    run(problem, path, True)
    monkeypatch.setattr(owner, "factor", 5.0)
    with pytest.raises(wgf.CheckpointError, match=f"its {name}, as computed on the driving points"):
        run(problem, path, True)


@pytest.mark.parametrize("name", wgf.problems.names())
def test_named_problems_compute_the_same_again(name: str) -> None:
    found = [computed(right_hand_side(wgf.problems.get(name).flow).rhs) for _ in range(2)]
    assert found[0] == found[1]


def test_the_last_bits_do_not_count() -> None:
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=1000), 3)
    noise = 1 + 1e-15 * rng.normal(size=1000)
    assert rounded([values], "float64") == rounded([values * noise], "float64")
    assert rounded([values], "float64") != rounded([values * (1 + 1e-8)], "float64")
    assert rounded([np.array([1.0, 1e-17])], "float64") == rounded([np.array([1.0, -1e-18])], "float64")
    assert rounded([np.zeros(3)], "float64") != rounded([np.full(3, np.nan)], "float64")
    assert rounded([1e-30 * values], "float64") != rounded([2e-30 * values], "float64")


def test_digests_follow_what_is_held_once() -> None:
    deep: list = [0]
    for _ in range(60):
        deep = [deep, deep]  # 2^60 ways down
    assert digest(deep)
    a, b = [1, 2], [1, 2]
    assert digest([a, a]) == digest([a, b])
    assert digest(functools.partial(weighted, LONG)) != digest(functools.partial(weighted, last_changed()))
    assert digest(Slotted(LONG)) != digest(Slotted(last_changed()))
    assert digest(np.array([1, None], object)) != digest(np.array([2, None], object))
