"""The pushed density ρ_θ = T_θ#λ, known at the images of weighted points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .backend.protocol import Backend
from .drive import Drive
from .maps.base import Map
from .references import Reference

Array = Any


@dataclass(frozen=True)
class Pushed:
    """ρ_θ at points: what an energy needs to know of it.

    `x` (N, d) are the images, `weights` (N,) sum to one. `log_density` (N,), `score` = ∇log ρ (N, d)
    and `jacobian` = det ∂_zT with its sign (N,) are None where no density was asked for. `t` and `args` are those
    of the `Drive`, for functions that name them.
    """

    backend: Backend
    x: Array
    weights: Array
    log_density: Any = None
    score: Any = None
    jacobian: Any = None
    t: Any = 0.0
    args: Any = None

    def mean(self, values: Array) -> Array:
        """E_ρ of values (N, …) given at the points."""
        return self.backend.devices.total(self.weights @ values)

    def least(self, values: Array) -> Array:
        """The least of values (N,) given at the points."""
        xp, devices = self.backend.xp, self.backend.devices
        return xp.min(devices.gathered(xp.min(values)[None]))

    @cached_property
    def everyone(self) -> tuple[Array, Array]:
        """All images and their weights, on every device: for each point's sum over the others."""
        devices = self.backend.devices
        return devices.shared((devices.gathered(self.x), devices.gathered(self.weights)))

    def by_rows(self, f: Callable[[Array], Array], block: int) -> Array:
        """f(x), row by row, for an f that compares each row with every point: blocks of at most `block` numbers."""
        everyone, _ = self.everyone  # here, before f is traced
        return self.backend.by_points(f, self.x, max(1, block // (everyone.shape[0] * everyone.shape[1])))


def reference_score(backend: Backend, reference: Reference, z: Array) -> Array:
    """∇log λ at z, (N, d): closed form, or by automatic differentiation where the reference has none."""
    score = reference.score(z)
    if score is not None:
        return score
    return backend.grad(lambda points: backend.xp.sum(reference.log_density(points)))(z)


def push(
    backend: Backend,
    map: Map,
    reference: Reference,
    theta: Array,
    drive: Drive,
    *,
    density: bool,
    score: bool = True,
) -> Pushed:
    """ρ_θ at the images of the points z (N, d): log ρ(x) = log λ(z) − log|det ∂_zT|.

    Without `density` only the images are computed.
    """
    z, weights, t, args = drive
    theta, t, args = backend.devices.shared((theta, t, args))
    if not density:
        return Pushed(backend, map(theta, z), weights, t=t, args=args)
    initial = reference_score(backend, reference, z) if score else None
    image = map.push(backend, theta, z, initial)
    log_density = reference.log_density(z) - image.log_det
    jacobian = image.sign * backend.xp.exp(image.log_det)
    return Pushed(backend, image.x, weights, log_density, image.score, jacobian, t, args)
