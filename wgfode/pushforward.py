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
    and `jacobian` = det ∂_zT with its sign (N,), of all that has carried the points, are None where no density was
    asked for. `t` and `args` are those of the `Drive`, for functions that name them.
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


def carried(backend: Backend, reference: Reference, z: Array, weights: Array) -> tuple[Array, ...]:
    """Points z (N, d) of the reference's origin where its layers have carried them, as a `Drive` takes them:

    (y, weights), and where there is a density (y, weights, log λ, ∇log λ, log|det|) at y. What has not been carried is
    (z, weights): its density is known anywhere.
    """
    if not reference.layers:
        return z, weights
    if not reference.has_density:
        for layer in reference.layers:
            z = layer.call(z)
        return z, weights
    log_density, score = reference.origin.log_density(z), reference_score(backend, reference.origin, z)
    log_det = 0.0 * log_density
    for layer in reference.layers:
        image = layer.push(z, score)
        z, score, log_det = image.x, image.score, log_det + image.log_det
    return z, weights, log_density - log_det, score, log_det


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
    z, weights = drive.z, drive.weights
    theta, t, args = backend.devices.shared((theta, drive.t, drive.args))
    if not density:
        return Pushed(backend, map(theta, z), weights, t=t, args=args)
    before = None
    if score:
        before = reference_score(backend, reference, z) if drive.score is None else drive.score
    image = map.push(backend, theta, z, before)
    log_density = (reference.log_density(z) if drive.log_density is None else drive.log_density) - image.log_det
    log_det = image.log_det if drive.log_det is None else image.log_det + drive.log_det
    jacobian = image.sign * backend.xp.exp(log_det)
    return Pushed(backend, image.x, weights, log_density, image.score, jacobian, t, args)
