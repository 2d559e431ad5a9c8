"""GCR, the Krylov method of the implicit stages: nonsymmetric, and its search space can be kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..backend.protocol import Backend
from .iterative import norm

Array = Any


class Space(NamedTuple):
    """Search directions P with M P, whose rows are orthonormal; rows not yet used are zero."""

    directions: Array
    """P, (capacity, m)."""
    images: Array
    """M P, (capacity, m)."""
    count: Array
    """Products with M so far; the row to write next is `count` mod capacity."""


def empty_space(backend: Backend, size: int, capacity: int) -> Space:
    """A space without directions, for vectors (m,) with m = `size`."""
    rows = backend.asarray(np.zeros((capacity, size)))
    return Space(rows, rows, backend.asarray(0.0))


def gcr(
    backend: Backend,
    apply: Callable[[Array], Array],
    rhs: Array,
    space: Space,
    *,
    rtol: float,
    max_steps: int,
    precondition: Callable[[Array], Array] = lambda r: r,
) -> tuple[Array, Space, Array]:
    """(x, the grown space, |rhs − Mx| / |rhs|) with M x ≈ `rhs`, (m,).

    The generalized conjugate residual method of S. C. Eisenstat, H. C. Elman & M. H. Schultz, SIAM J. Numer.
    Anal. 20 (1983) 345–357: the residual of GMRES, without its Hessenberg matrix. What an earlier solve
    with the same M has learned is used first (E. de Sturler, "Nested Krylov methods based on GCR", J.
    Comput. Appl. Math. 67 (1996)): all stages of a step share one search space. Once it is full the oldest direction
    makes room.
    """
    xp = backend.xp
    capacity = space.directions.shape[0]
    rows = backend.asarray(np.arange(capacity))  # whole numbers as reals: they share a loop with arrays
    goal = rtol * norm(xp, rhs)
    known = space.images @ rhs
    x, r = space.directions.T @ known, rhs - space.images.T @ known

    def proceed(state: tuple) -> Array:
        _, r, _, _, _, steps = state
        return (norm(xp, r) > goal) & (steps < max_steps)

    def step(state: tuple) -> tuple:
        x, r, P, Q, count, steps = state
        p = precondition(r)
        q = apply(p)
        size = norm(xp, q)
        for _ in range(2):  # once is not enough (Kahan and Parlett)
            overlap = Q @ q
            p, q = p - overlap @ P, q - overlap @ Q
        length = norm(xp, q)
        # a direction that is already there (to rounding) brings nothing: the iteration ends
        spent = ~(length > 1e-12 * size)
        scale = xp.where(spent, xp.zeros_like(length), 1 / xp.where(spent, xp.ones_like(length), length))
        p, q = scale * p, scale * q
        gain = xp.sum(q * r)
        here = (rows == count % capacity)[:, None]
        P, Q = xp.where(here, p[None], P), xp.where(here, q[None], Q)
        return x + gain * p, r - gain * q, P, Q, count + 1, xp.where(spent, xp.full_like(steps, max_steps), steps + 1)

    state = (x, r, *space, 0 * space.count)
    x, r, P, Q, count, _ = backend.while_loop(proceed, step, state)
    largest = norm(xp, rhs)
    return x, Space(P, Q, count), norm(xp, r) / xp.where(largest > 0, largest, xp.ones_like(largest))
