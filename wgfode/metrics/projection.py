"""P, the projection in L²(ρ_θ) onto gradient fields, as a least-squares fit of a dictionary's gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend.protocol import Backend
from ..potentials import Potentials
from ..tangent import BLOCK, Tangent

Array = Any


class Projection:
    """P at points x (N, d) with weights (N,): onto the span of the potentials' gradients there.

    The gradients, each brought to length one, are the columns of A; Q is the upper block of the orthogonal
    factor of [A; √ε]. Then P = QQᵀ (in the coordinates √weight · v) is symmetric with 0 ≤ P ≤ 1 to
    rounding, smooth in x, and drops smoothly what a rank-deficient dictionary holds twice. ε is 1e-12, or
    the dtype's rounding unit where that is more.
    """

    def __init__(self, backend: Backend, potentials: Potentials, x: Array, weights: Array):
        xp, devices = backend.xp, backend.devices
        self.xp, self.devices = xp, devices
        self.root = xp.sqrt(weights)[:, None]
        # an orthogonal factor is no sum over points: it is computed of all of them on every device
        x, weights = devices.gathered(x), devices.gathered(weights)
        gradients = potentials.spanning(x, weights)
        count = gradients.shape[2]
        columns = (xp.sqrt(weights)[:, None, None] * gradients).reshape((-1, count))
        squares = xp.sum(columns**2, axis=0)
        columns = columns / xp.sqrt(squares + 1e-20 * xp.mean(squares))
        damping = max(1e-12, 10 * float(xp.finfo(x.dtype).eps)) ** 0.5
        augmented = xp.concat([columns, damping * backend.asarray(np.eye(count))], axis=0)
        self.basis = devices.own(xp.linalg.qr(augmented)[0][: columns.shape[0]])

    def __call__(self, field: Array) -> Array:
        """P v, (N, d) → (N, d); a point of weight 0 has no say and gets 0."""
        values = self.combined(self.coordinates(field)).reshape(field.shape)
        return values / self.xp.where(self.root > 0, self.root, self.xp.ones_like(self.root))

    def coordinates(self, field: Array) -> Array:
        """Qᵀ√w v, (N, d) → (L,): |·|² is E[v·Pv]."""
        return self.devices.total(self.basis.T @ (self.root * field).reshape(-1))

    def combined(self, coordinates: Array) -> Array:
        """Q c, (L,) → (N·d,)."""
        return self.basis @ self.devices.shared(coordinates)

    def mean_diagonal(self, tangent: Tangent) -> Array:
        """trace(SᵀS)/m of S = Qᵀ√w J, 0-dim, a block of rows of S at a time."""
        backend, shape, m = tangent.backend, tangent.z.shape, tangent.size
        squared = backend.vmap(lambda q: self.xp.sum(tangent.adjoint(self.root * q.reshape(shape)) ** 2))
        rows = max(1, BLOCK // max(m, int(np.prod(shape))))
        return self.xp.sum(backend.by_rows(squared, self.basis.T, rows)) / m

    def pulled(self, tangent: Tangent) -> Array:
        """S = Qᵀ√w J, (L, m): SᵀS = G."""
        shape = tangent.z.shape
        return tangent.backend.vmap(lambda q: tangent.adjoint(self.root * q.reshape(shape)))(self.basis.T)
