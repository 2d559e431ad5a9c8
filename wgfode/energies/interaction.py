"""½∬W(x−y)ρ(x)ρ(y): attraction and repulsion between all pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..checks import Trial
from ..errors import InputError, positive_int, real, shown
from ..functions import Given
from ..pushforward import Pushed
from .base import Term, scaled_modulus

Array = Any


@dataclass(frozen=True)
class Interaction(Term):
    """½∬W(x−y)ρ(x)ρ(y), W even. `W` maps differences (N, d) to (N,), and is given `t` and `args` where it names them.

    `convexity` is the λ of ∇²W ⪰ λI, where it is known. Only its negative part is a modulus of the
    energy, because a common translation of all mass leaves W(x−y) as it is.

    **Pairs of equal points.** W is even, so a point feels no force from itself: W is never differentiated at 0, and may
    have a kink there (e^(−|x|) with a plain norm). Its value at 0, where it is finite, belongs to the sampled energy
    Σ w_i w_j W(x_i − x_j)/2, diagonal included. Where W(0) is not finite, the kernel is singular: the sums leave
    the diagonal out and are divided by 1 − Σw_i², the mass of the other pairs, in the value and in the gradient
    alike. In both cases `gradient` is that of `value` in the points, and driving and held-out points each make pairs
    among themselves. A singular kernel must be integrable at 0, |W| ≤ c |x|^(−p) with p < d.

    The sum over pairs runs in blocks of rows so that no array of differences holds more than
    `block` numbers (default 2^23, 64 MB in float64).
    """

    W: Callable[..., Array]
    convexity: float | None = None
    block: int = 2**23
    name = "interaction"
    pairs = True

    def __post_init__(self) -> None:
        if not callable(self.W):
            raise InputError(f"W must be a function of differences (N, d), got {shown(self.W)}")
        if self.convexity is not None:
            real("convexity", self.convexity)
        positive_int("block", self.block)

    def modulus_times(self, coefficient: float) -> float | None:
        return scaled_modulus(coefficient, None if self.convexity is None else min(self.convexity, 0.0))

    @cached_property
    def _given(self) -> Given:
        return Given(self.W)

    @property
    def functions(self) -> tuple[Given, ...]:
        return (self._given,)

    def at(self, t: float, args: Any = None) -> Interaction:
        return replace(self, W=self._given.at(t, args)) if self._given.names else self

    def try_functions(self, trial: Trial) -> None:
        if not trial.can(self._given):
            return
        W = self._given.at(trial.t, trial.args)
        differences = trial.points - np.roll(trial.points, 1, axis=0)
        differences = differences[np.any(differences != 0, axis=1)]
        if not len(differences):
            return
        there, back = trial.function("W", W, differences), trial.values("W", W, -differences)
        if there is None or back is None:
            return
        gap, scale = np.abs(there - back), np.abs(there).max() + np.abs(back).max()
        if gap.max() > 1e-5 * scale:
            worst = int(gap.argmax())
            raise InputError(
                f"W must be even, W(x) = W(−x), but W({shown(differences[worst])}) = {there[worst]} and "
                f"W({shown(-differences[worst])}) = {back[worst]}"
            )
        self._try_near_zero(trial, W, differences)

    def _try_near_zero(self, trial: Trial, W: Callable[[Array], Array], differences: np.ndarray) -> None:
        """Raise `InputError` where W grows towards 0 as fast as |x|^(−d), and so has no integral there."""
        there = [trial.values("W", W, scale * differences) for scale in (1e-3, 1e-4)]
        near, nearer = (np.abs(values) for values in there if values is not None)
        d = differences.shape[1]
        growth = np.log10(np.maximum(nearer, 1e-300) / np.maximum(near, 1e-300))
        if np.median(growth) > d - 0.02:
            raise InputError(
                f"W grows like |x|^(−{np.median(growth):.3g}) towards 0, which has no integral in {d} "
                f"dimensions: every "
                "energy is infinite. Use a kernel with a weaker singularity, or a regular one, such as √(|x|² "
                "+ ε²) for |x|"
            )

    def potential(self, rho: Pushed, x: Array) -> Array:
        """(W*ρ)(x) at the rows of x, (B, d) → (B,), with pairs of equal points as the class says."""
        xp, (everyone, weights), W = rho.backend.xp, rho.everyone, self._given.at(rho.t, rho.args)
        n, d = everyone.shape
        differences = x[:, None, :] - everyone[None, :, :]
        same = xp.all(differences == 0, axis=-1)
        # W meets a difference that is none of them 0 in their place: 0/0 under a mask is 0/0 in a gradient still
        apart = rho.backend.constant(everyone[:1] - everyone[-1:])
        apart = xp.where(xp.all(apart == 0), xp.ones_like(apart), apart)
        pairs = W(xp.where(same[..., None], apart, differences).reshape(-1, d)).reshape(-1, n)
        at_zero = W(xp.zeros_like(apart))
        regular = xp.isfinite(at_zero)
        pairs = xp.where(same, xp.where(regular, at_zero, xp.zeros_like(at_zero)), pairs)
        others = 1 - xp.sum(weights**2)
        return pairs @ weights / xp.where(regular, xp.ones_like(others), others)

    def value(self, rho: Pushed) -> Array:
        return 0.5 * rho.mean(rho.by_rows(lambda x: self.potential(rho, x), self.block))

    def gradient(self, rho: Pushed) -> Array:
        xp, grad = rho.backend.xp, rho.backend.grad
        return rho.by_rows(grad(lambda x: xp.sum(self.potential(rho, x))), self.block)
