"""The source's semi-implicit scheme without training:

    θ_{k+1} = argmin_θ ⟨θ − θ_k, G(θ_k)(θ − θ_k)⟩ + 2h F(θ),     so that  G(θ_k)(θ − θ_k) + h∇F(θ) = 0

(Liu, Li, Zha & Zhou 2022, a variant of the JKO scheme). G is the flow's metric, a closed form; the equation
is solved by Newton's method, each of its linear systems by GMRES, preconditioned by G(θ_k).

With estimator="velocity" ∇F(θ) is E[J(θ_k)ᵀg_θ], J like G at θ_k: the same to the scheme's order, and for maps that are
affine in θ the same. With J(θ) in its place the map's second derivatives in θ would meet the smallest eigenvalues
of G, and the equation would have no solution near θ_k for any useful h. ("energy" takes ∇F as it is.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy

from ..drive import Drive
from ..errors import IntegrationError, Reason
from ..rhs import RightHandSide
from ..tangent import Tangent
from .fixed import EqualSteps
from .methods import Method

Array = Any

NEWTON_STEPS = 12
NEWTON_TOLERANCE = 1e-7
"""Of the equation's residual, relative to the length of an explicit step: far below the scheme's own O(h²).
A hundred rounding units where that is more, as in float32."""
KRYLOV_TOLERANCE = 1e-3
KRYLOV_STEPS = 60


class ProximalStep:
    """One step of the scheme, as a `fixed.Scheme` without memory; raises `IntegrationError` where it fails."""

    def __init__(self, rhs: RightHandSide):
        self.rhs = rhs
        self.direct = rhs.solver.direct
        self.tolerance = max(NEWTON_TOLERANCE, 100 * float(np.finfo(rhs.backend.dtype).eps))
        compile_ = rhs.backend.compile
        self._gradient = compile_(self.gradient)
        self._curvature = compile_(
            lambda theta, v, begin, drive: rhs.backend.jvp(lambda p: self.gradient(p, begin, drive), theta, v)[1]
        )
        self._start = compile_(self.start)
        self._solve = compile_(
            lambda theta, v, drive: rhs.inverse(rhs.solver.init(rhs.problem(theta, drive), rhs.tolerance), v)
        )

    def gradient(self, theta: Array, begin: Array, drive: Drive) -> Array:
        """∇F at θ, (m,): E[J(`begin`)ᵀg_θ], or the gradient of the sampled energy with estimator="energy"."""
        rhs = self.rhs
        if rhs.flow.estimator == "energy":
            return rhs.backend.grad(lambda parameters: rhs.energy(parameters, drive))(theta)
        g = rhs.driving_force(rhs.pushed(theta, drive))
        return Tangent(rhs.backend, rhs.flow.transport, begin, drive.z).adjoint(drive.weights[:, None] * g)

    def start(self, theta: Array, drive: Drive) -> tuple[Array, Array]:
        """The metric's right-hand side at θ_k, (m,), and G(θ_k)†, (m, m) (empty with an iterative solver).

        Where the dictionary does not hold g, that right-hand side is ∇F less what is lost in projecting g; the
        loss is kept as it is at θ_k, which leaves the scheme's order.
        """
        rhs = self.rhs
        problem = rhs.problem(theta, drive)
        if not self.direct:
            return problem.rhs * rhs.sizes, problem.rhs[:0]
        state = rhs.solver.init(problem, rhs.tolerance)
        identity = rhs.backend.asarray(np.eye(problem.size))
        inverse = rhs.backend.vmap(lambda e: rhs.inverse(state, e))(identity)
        return problem.rhs * rhs.sizes, inverse

    def __call__(
        self, theta: np.ndarray, h: float, t: float, drive: Drive, memory: np.ndarray | None = None
    ) -> tuple[np.ndarray, int, None]:
        as_, to_numpy = self.rhs.backend.asarray, self.rhs.backend.to_numpy
        begin = as_(theta)
        force, inverse = (to_numpy(part) for part in self._start(begin, drive))
        lost = force - to_numpy(self._gradient(begin, begin, drive))
        evaluations = 2

        def precondition(v: np.ndarray) -> np.ndarray:
            return inverse @ v if self.direct else to_numpy(self._solve(begin, as_(v), drive))

        def residual(new: np.ndarray) -> np.ndarray:
            """θ − θ_k + h G†∇F(θ)."""
            return new - theta + h * precondition(to_numpy(self._gradient(as_(new), begin, drive)) + lost)

        new, defect = theta, h * precondition(force)
        scale = float(np.linalg.norm(defect))
        for step in range(NEWTON_STEPS + 1):
            if np.linalg.norm(defect) <= self.tolerance * scale:
                return new, evaluations, None
            if step == NEWTON_STEPS or not np.isfinite(defect).all():
                break
            here, products = as_(new), 0

            def linear(v: np.ndarray, here: Array = here) -> np.ndarray:
                nonlocal products
                products += 1
                return v + h * precondition(to_numpy(self._curvature(here, as_(v), begin, drive)))

            krylov = scipy.sparse.linalg
            operator = krylov.LinearOperator((len(theta),) * 2, matvec=linear, dtype=np.float64)
            move, _ = krylov.gmres(operator, -defect, rtol=KRYLOV_TOLERANCE, restart=KRYLOV_STEPS, maxiter=1)
            new = new + move
            defect = residual(new)
            evaluations += products + 1
        left = float(np.linalg.norm(defect)) / scale
        raise IntegrationError(
            t, f"the proximal step of size h={h:.3g} could not be solved (relative residual {left:.1e} after "
            f"{NEWTON_STEPS} Newton steps at most); take a smaller step_size", Reason.stage_unsolved,
        )  # fmt: skip


def integrator(rhs: RightHandSide, method: Method) -> EqualSteps:
    """Proximal steps of `method.step_size`."""
    return EqualSteps(ProximalStep(rhs), rhs, method)
