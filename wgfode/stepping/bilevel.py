"""The source's bi-level form of the semi-implicit scheme, with a potential ψ that is trained.

A step minimises over θ, with x = T_θk(z),

    E[2∇ψ(x)·(T_θ − T_θk) − |∇ψ(x)|²] + 2hF(θ),   where ψ minimises  E|∇ψ(x) − (T_θ − T_θk)|²

so that the first two terms are ⟨θ − θ_k, G(θ_k)(θ − θ_k)⟩ without G (Liu, Li, Zha & Zhou 2022). Both levels
are descended by Adam, the inner one several times for each step of the outer one. Everything is written for
the velocity η = (θ − θ_k)/(hs) and for ψ/(hs), s the size of the velocity of the step before: they are of order one
whatever h and however near the equilibrium, so learning rates are relative, and it is h that sets the clock.
`proximal.py` solves the same equation without training.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ..arrays import unpack
from ..drive import Drive
from ..errors import IntegrationError, Reason
from ..rhs import RightHandSide
from ..tangent import Tangent
from .fixed import EqualSteps
from .methods import Method
from .proximal import ProximalStep

Array = Any

WIDTH = 32
FIRST, OUTER, INNER = 600, 200, 5
"""Outer descents in the first step (which starts from nothing) and in the others, and inner ones for each."""
OUTER_RATE, INNER_RATE = 0.1, 0.01
"""Learning rates at the start of a step; both fall to a hundredth along it."""
ALIVE = 1e-3
"""The least E|∇ψ|²/E|T_θ − T_θk|²: below it ψ is dead, the proximal term gone, and h would not set the clock."""


class Network:
    """ψ(x) = aᵀx + ½xᵀAx + cᵀtanh(W₂ tanh(W₁x + b₁)): smooth and, unlike a deep ReLU network of small weights, alive.

    The weights start at the size that keeps every layer's variance (Glorot & Bengio 2010).
    """

    def __init__(self, dim: int, width: int = WIDTH, seed: int = 0):
        self.shapes = ((dim,), (dim, dim), (width,), (width, width), (width, dim), (width,))
        rng = np.random.default_rng(seed)
        fans = (1, 1, width, width, dim, 1)
        parts = [rng.standard_normal(shape) / fan**0.5 for shape, fan in zip(self.shapes, fans, strict=True)]
        parts[0], parts[1] = 0 * parts[0], 0 * parts[1]
        self.start = np.concatenate([part.ravel() for part in parts])

    def gradient(self, xp: Any, phi: Array, x: Array) -> Array:
        """∇ψ at the rows of x, (N, d), by the chain rule."""
        a, A, c, second, first, b = unpack(phi, *self.shapes)
        inner = xp.tanh(x @ first.T + b)
        outer = xp.tanh(inner @ second.T)
        back = (1 - outer**2) * c
        back = (1 - inner**2) * (back @ second)
        return a + 0.5 * x @ (A + A.T) + back @ first


class BilevelStep:
    """One step of the scheme, as a `fixed.Scheme`, whose memory is the velocity (m,) and then ψ's parameters."""

    def __init__(self, rhs: RightHandSide, seed: int = 0):
        self.rhs, backend = rhs, rhs.backend
        self.network = Network(rhs.flow.dim, seed=seed)
        self.adam = importlib.import_module(f"..backend.adam_{backend.name}", __package__)
        self.force = ProximalStep(rhs).gradient
        self._descend, self._force = backend.compile(self.descend), backend.compile(self.force)

    def descend(
        self, theta: Array, span: Array, scale: Array, eta: Array, phi: Array, count: Array, drive: Drive
    ) -> tuple[Array, Array, Array]:
        """`count` outer descents: η, ψ's parameters, and E|∇ψ|²/E|T_θ − T_θk|² at the end; `span` = hs, `scale` = s."""
        rhs, adam, xp = self.rhs, self.adam, self.rhs.backend.xp
        backend, flow = rhs.backend, rhs.flow
        z, weights, devices = drive.z, drive.weights, backend.devices
        x = flow.transport(theta, z)

        def displacement(velocity: Array) -> Array:
            return (flow.transport(theta + span * velocity, z) - x) / span

        def inner(phi: Array, moved: Array) -> Array:
            slope = self.network.gradient(xp, devices.shared(phi), x)
            return devices.total(weights @ xp.sum((slope - moved) ** 2, axis=1))

        def outer(velocity: Array, phi: Array) -> Array:
            """Half the gradient in η, over h: s E[Jᵀ∇ψ] + ∇F(θ)."""
            new = theta + span * velocity
            push = weights[:, None] * self.network.gradient(xp, phi, x)
            return scale * Tangent(backend, flow.transport, new, z).adjoint(push) + self.force(new, new, drive)

        def one(state: tuple) -> tuple:
            index, velocity, psi = state
            fall = 0.01 ** (index / count)
            moved = displacement(adam.value(velocity))
            for _ in range(INNER):
                slope = backend.grad(lambda p: inner(p, moved))(adam.value(psi))
                psi = adam.update(psi, slope, INNER_RATE * fall)
            slope = outer(adam.value(velocity), adam.value(psi))
            return index + 1.0, adam.update(velocity, slope, OUTER_RATE * fall), psi

        begin = (0 * span, adam.start(eta), adam.start(phi))
        _, velocity, psi = backend.while_loop(lambda state: state[0] < count, one, begin)
        eta, phi = adam.value(velocity), adam.value(psi)
        size = devices.total(weights @ xp.sum(displacement(eta) ** 2, axis=1))
        learnt = devices.total(weights @ xp.sum(self.network.gradient(xp, phi, x) ** 2, axis=1))
        return eta, phi, learnt / size

    def __call__(
        self, theta: np.ndarray, h: float, t: float, drive: Drive, memory: np.ndarray | None = None
    ) -> tuple[np.ndarray, int, np.ndarray | None]:
        as_, to_numpy = self.rhs.backend.asarray, self.rhs.backend.to_numpy
        begin = as_(theta)
        if memory is None:
            count, velocity, psi = FIRST, np.zeros_like(theta), self.network.start
            scale = rms(to_numpy(self._force(begin, begin, drive)))
        else:
            count, (velocity, psi) = OUTER, np.split(memory, [self.rhs.flow.size])
            scale = rms(velocity)
        if scale == 0:  # an equilibrium
            return theta, 1, memory
        eta, phi, share = self._descend(
            begin, as_(h * scale), as_(scale), as_(velocity / scale), as_(psi), as_(float(count)), drive
        )
        velocity = scale * to_numpy(eta)
        if not np.isfinite(velocity).all():
            words = f"the bi-level step of size h={h:.3g} diverged; take a smaller step_size"
            raise IntegrationError(t, words, Reason.stage_unsolved)
        if float(share) < ALIVE:
            raise IntegrationError(t, f"ψ is dead: |∇ψ|² is {float(share):.1e} of the squared displacement")
        return theta + h * velocity, count * (1 + INNER), np.concatenate([velocity, to_numpy(phi)])


def rms(values: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(values**2)))


def integrator(rhs: RightHandSide, method: Method) -> EqualSteps:
    """Bi-level steps of `method.step_size`. The metric and the solver of the flow play no part: G is in ψ."""
    return EqualSteps(BilevelStep(rhs), rhs, method)
