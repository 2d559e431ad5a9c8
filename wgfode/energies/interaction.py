"""½∬W(x−y)ρ(x)ρ(y): attraction and repulsion between all pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import Trial
from ..errors import InputError, positive_int, real
from ..pushforward import Pushed
from .base import Term, scaled_modulus

Array = Any


@dataclass(frozen=True)
class Interaction(Term):
    """½∬W(x−y)ρ(x)ρ(y), W even. `W` maps differences (N, d) to (N,).

    `convexity` is the λ of ∇²W ⪰ λI, where it is known. Only its negative part is a modulus of the
    energy, because a common translation of all mass leaves W(x−y) as it is.

    The sum over pairs runs in blocks of rows so that no array of differences holds more than
    `block` numbers (default 2^23, 64 MB in float64).
    """

    W: Callable[[Array], Array]
    convexity: float | None = None
    block: int = 2**23
    name = "interaction"
    pairs = True

    def __post_init__(self) -> None:
        if not callable(self.W):
            raise InputError(f"W must be a function of differences (N, d), got {self.W!r}")
        if self.convexity is not None:
            real("convexity", self.convexity)
        positive_int("block", self.block)

    def modulus_times(self, coefficient: float) -> float | None:
        return scaled_modulus(coefficient, None if self.convexity is None else min(self.convexity, 0.0))

    def try_functions(self, trial: Trial) -> None:
        differences = trial.points - np.roll(trial.points, 1, axis=0)
        there, back = trial.values("W", self.W, differences), trial.values("W", self.W, -differences)
        if there is None or back is None:
            return
        gap, scale = np.abs(there - back), np.abs(there).max() + np.abs(back).max()
        if gap.max() > 1e-5 * scale:
            worst = int(gap.argmax())
            raise InputError(
                f"W must be even, W(x) = W(−x), but W({differences[worst]}) = {there[worst]} and "
                f"W({-differences[worst]}) = {back[worst]}"
            )

    def potential(self, rho: Pushed, x: Array) -> Array:
        """(W*ρ)(x) at the rows of x, (B, d) → (B,)."""
        n, d = rho.x.shape
        differences = x[:, None, :] - rho.x[None, :, :]
        pairs = self.W(differences.reshape(-1, d)).reshape(-1, n)
        return pairs @ rho.weights

    def value(self, rho: Pushed) -> Array:
        return 0.5 * rho.mean(rho.by_rows(lambda x: self.potential(rho, x), self.block))

    def gradient(self, rho: Pushed) -> Array:
        xp, grad = rho.backend.xp, rho.backend.grad
        return rho.by_rows(grad(lambda x: xp.sum(self.potential(rho, x))), self.block)
