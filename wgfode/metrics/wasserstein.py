"""The exact metric G = E[(PJ)ᵀ(PJ)], P the projection in L²(ρ_θ) onto gradient fields.

P is a least-squares projection onto the gradients of a dictionary of potentials at the pushed points
(`potentials.py`): nothing is trained. In 1-D every field is a gradient: P is the identity, and G = Ĝ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend.protocol import Backend
from ..errors import InputError, choice, positive, positive_int, settle
from ..potentials import Potentials
from ..pushforward import Pushed
from ..solvers.auto import DENSE_SIZE
from ..solvers.problem import GramProblem, NormalProblem
from ..tangent import Tangent
from .base import Metric
from .projection import Projection
from .relaxed import Relaxed

Array = Any


@dataclass(frozen=True)
class Wasserstein(Metric):
    """G: min_ξ E|P(Jξ) − g|², with P onto the gradients of `potentials`.

    What the dictionary does not see is free under G, and a map would drift there. Generalized
    eigenvalues w ∈ [0, 1] of G y = w Ĝ y tell: w is the fraction of a direction's kinetic energy that moves the
    density, as far as the dictionary can see. The G-problem is solved where w is large and the Ĝ-problem
    elsewhere, with f(w) = 1/(1 + (threshold/w)^power) between them.

    - `form` "dense" is that filter; "matrix_free" is E|P(Jξ − g)|² + blend·E|Jξ − g|², which needs no
      matrix; "auto" takes the filter up to some 2000 parameters.
    - a dictionary with more potentials than points can tell apart wants a larger `threshold`, such as 0.1.
    - the velocity has the sampling error of the points: take `matched` ones, or `GaussHermite`.
    - a nonlinear map has directions that points and dictionary hardly see: take `solver=Eigh(shift=1e-5)`.

    Raises `InputError` for anything out of range; warns where there are fewer points than potentials.
    """

    potentials: Potentials
    threshold: float = 1e-2
    power: int = 6
    blend: float = 1e-2
    form: str = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.potentials, Potentials):
            raise InputError(f"potentials must be a dictionary of wgfode.potentials, got {self.potentials!r}")
        settle(
            self,
            threshold=positive("threshold", self.threshold),
            power=positive_int("power", self.power),
            blend=positive("blend", self.blend),
            form=choice("form", self.form, ("auto", "dense", "matrix_free")),
        )

    def count(self, dim: int) -> int:
        """See `Metric.count`; 0 in 1-D, where P is the identity."""
        count = self.potentials.size(dim)
        return count if dim > 1 else 0

    def check(self, dim: int, points: int, what: str = "points") -> str | None:
        """See `Metric.check`: the warning of fewer `what` than potentials."""
        count = self.count(dim)
        if count:
            self.potentials.check(dim, points, what)
        if points >= count:
            return None
        return (
            f"there are {points} {what} and {count} potentials: the projection onto their gradients overfits, and "
            "Wasserstein tends to Relaxed. Use more points or fewer potentials"
        )

    def dense(self, size: int) -> bool:
        """Whether the filter is used for `size` parameters."""
        return self.form == "dense" or (self.form == "auto" and size <= DENSE_SIZE)

    def problem(self, tangent: Tangent, weights: Array, g: Array, gradient: Array | None = None) -> NormalProblem:
        """The linear problem whose solution ξ is −θ̇; arguments as in `Metric.problem`."""
        if tangent.z.shape[1] == 1:
            return Relaxed().problem(tangent, weights, g, gradient)
        project = Projection(tangent.backend, self.potentials, tangent.x, weights)
        pose = self._filtered if self.dense(tangent.size) else self._blended
        return pose(tangent, weights, project, g, gradient)

    def diagnose(
        self, held_out: Pushed, defect: Array, g: Array, driving: Callable[[], tuple[Tangent, Array]]
    ) -> dict[str, Array]:
        """See `Metric.diagnose`:

        - `residual_projected` E|P(Jξ − g)|² ≤ `residual` E|Jξ − g|²: δ₀ as far as the dictionary sees, for only
          P g moves the density;
        - `projection_error` E|g − Pg|²/E|g|²: a dictionary too poor shows here, and a drift that is no gradient;
        - `metric_spectrum` w, largest first, of the driving points (the filter only).
        """
        backend, xp = held_out.backend, held_out.backend.xp

        def size(field: Array) -> Array:
            return held_out.mean(xp.sum(field**2, axis=1))

        if g.shape[1] == 1:
            return {"residual_projected": size(defect), "projection_error": 0 * size(g)}
        project = Projection(backend, self.potentials, held_out.x, held_out.weights)
        force = size(g)
        report = {
            "residual_projected": size(project(defect)),
            "projection_error": size(g - project(g)) / xp.where(force > 0, force, xp.ones_like(force)),
        }
        tangent, weights = driving()
        if self.dense(tangent.size):
            report["metric_spectrum"] = self.spectrum(tangent, weights)
        return report

    def spectrum(self, tangent: Tangent, weights: Array) -> Array:
        """The eigenvalues w of K = S H⁻¹ Sᵀ, (L,), largest first; NaN where K is not finite."""
        xp = tangent.backend.xp
        project = Projection(tangent.backend, self.potentials, tangent.x, weights)
        S, H = project.pulled(tangent), shifted(xp, tangent.backend, tangent.gram(weights))
        K = S @ xp.linalg.solve(H, S.T)
        finite = xp.all(xp.isfinite(K))  # LAPACK may raise on NaN
        w = xp.linalg.eigvalsh(xp.where(finite, 0.5 * (K + K.T), xp.zeros_like(K)))
        return xp.flip(xp.where(finite, w, xp.full_like(w, float("nan"))), axis=(0,))

    def _filtered(
        self, tangent: Tangent, weights: Array, project: Projection, g: Array, gradient: Array | None
    ) -> NormalProblem:
        """[f w + (1−f)] η = f b_G + (1−f) b_Ĝ along the generalized eigenvectors.

        f is rational, so no eigenvectors are needed. With H = Ĝ + a slight shift, G = SᵀS and the
        eigenvalues w as those of K = S H⁻¹ Sᵀ (L, L), it is, in the parameters,

            (H − Sᵀ (1−K) q(K) S) ξ = b_Ĝ − Sᵀ q(K) S H⁻¹ (b_Ĝ − b_G),    q(w) = f(w)/w
        """
        xp = tangent.backend.xp
        S, H = project.pulled(tangent), shifted(xp, tangent.backend, tangent.gram(weights))
        solved = xp.linalg.solve(H, S.T)  # H⁻¹Sᵀ
        K = S @ solved
        identity = tangent.backend.asarray(np.eye(K.shape[0]))
        q = self.quotient(xp, identity, K)
        inner = (identity - K) @ q
        matrix = H - S.T @ (0.5 * (inner + inner.T)) @ S
        if gradient is not None:  # ∇F itself: b_G and b_Ĝ are one
            return GramProblem.of(tangent.backend, matrix, gradient)
        seen = project.coordinates(g)
        plain = tangent.adjoint(weights[:, None] * g)
        rhs = plain - S.T @ (q @ (solved.T @ (plain - S.T @ seen)))
        return GramProblem.of(tangent.backend, matrix, rhs)

    def quotient(self, xp: Any, identity: Array, K: Array) -> Array:
        """q(K) = K^(p−1) (K^p + τ^p)⁻¹, (L, L)."""
        lower = identity
        for _ in range(self.power - 1):
            lower = lower @ K
        q = xp.linalg.solve(lower @ K + self.threshold**self.power * identity, lower)
        return 0.5 * (q + q.T)

    def _blended(
        self, tangent: Tangent, weights: Array, project: Projection, g: Array, gradient: Array | None
    ) -> NormalProblem:
        """|Qᵀ√w(Jξ − g)|² + ε |√w(Jξ − g)|², matrix-free."""
        backend, xp, shape = tangent.backend, tangent.backend.xp, tangent.z.shape
        root, epsilon, count, devices = project.root, self.blend**0.5, project.basis.shape[1], backend.devices

        def both(field: Array) -> Array:
            return xp.concat([project.coordinates(field), epsilon * (root * field).reshape(-1)])

        def adjoint(y: Array) -> Array:
            return tangent.adjoint(root * (project.combined(y[:count]) + epsilon * y[count:]).reshape(shape))

        target = None if gradient is not None else both(g)
        rows = project.basis.shape[0] + project.basis.shape[1]

        def mean_diagonal() -> Array:
            return project.mean_diagonal(tangent) + self.blend * tangent.mean_diagonal(weights)

        def gram() -> Array:
            S = project.pulled(tangent)
            return S.T @ S + self.blend * tangent.gram(weights)

        return NormalProblem(
            backend=backend,
            rhs=adjoint(target) if gradient is None else (1 + self.blend) * gradient,
            apply=lambda xi: both(tangent.apply(xi)),
            adjoint=adjoint,
            form_gram=gram,
            mean_diagonal=mean_diagonal,
            target=target,
            rows=rows,
            square=lambda y: xp.sum(y[:count] ** 2) + devices.total(xp.sum(y[count:] ** 2)),
        )


def shifted(xp: Any, backend: Backend, gram: Array) -> Array:
    """Ĝ + 1e-10 of its mean diagonal (more in float32), (m, m): positive definite to rounding."""
    m = gram.shape[0]
    shift = max(1e-10, 10 * m * float(xp.finfo(gram.dtype).eps))
    return gram + shift * xp.mean(xp.linalg.diagonal(gram)) * backend.asarray(np.eye(m))
