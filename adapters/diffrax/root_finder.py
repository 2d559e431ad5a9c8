"""The root finder of diffrax's implicit methods: a chord iteration that also works matrix-free.

diffrax 0.7.2's own (`VeryChord`) takes "not yet converged after two iterations" for divergence, waits for a
contraction rate that cannot be measured once the increment is rounding error, and stops gradients through
what is no array in the state of a matrix-free linear solver, which raises. tests/stepping/test_esdirk.py runs both side
by side: once diffrax's own does as well there, this file can go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx

Array = Any

KAPPA = 1e-2
"""What may be left of the error, in units of the tolerance."""


class _State(eqx.Module):
    jacobian: lx.AbstractLinearOperator
    factors: Any
    size: Array
    before: Array
    step: Array
    result: optx.RESULTS


class Chord(optx.AbstractRootFinder):
    """Newton's method with the Jacobian of its start (E. Hairer & G. Wanner, *Solving ODEs II*, §IV.8).

    An increment is measured against `rtol` × the root mean square of the unknown, and never against the step-size
    controller's tolerances: those are about y, the unknown is dy/dt. Only an increment that grows is
    divergence. `linear_solver` may be dense (LU; the default) or matrix-free, such as `lineax.GMRES`.
    """

    rtol: float = 1e-3
    atol: float = 0.0
    norm: Callable[[Any], Array] = optx.rms_norm
    linear_solver: lx.AbstractLinearSolver = lx.AutoLinearSolver(well_posed=None)

    def init(
        self, fn: Any, y: Any, args: Any, options: dict, f_struct: Any, aux_struct: Any, tags: frozenset
    ) -> _State:
        if "init_state" in options:  # the linearisation of an earlier stage of the step
            return options["init_state"]
        jacobian = lx.linearise(lx.JacobianLinearOperator(lambda u, a: fn(u, a)[0], y, args, tags=tags))
        size = jnp.asarray(jnp.inf, jnp.result_type(*jax.tree.leaves(y)))
        factors = _constant(self.linear_solver.init(jacobian, options={}))
        done: Any = optx.RESULTS.successful
        return _State(jacobian, factors, size, size, jnp.asarray(0), done)

    def step(self, fn: Any, y: Any, args: Any, options: dict, state: _State, tags: frozenset) -> tuple:
        value, aux = fn(y, args)
        factors = _constant(state.factors)
        solution = lx.linear_solve(state.jacobian, value, self.linear_solver, state=factors, throw=False)
        new = jax.tree.map(lambda a, b: a - b, y, solution.value)
        scale = self.atol + self.rtol * self.norm(new)
        size = self.norm(solution.value) / jnp.where(scale > 0, scale, 1)
        result = optx.RESULTS.promote(solution.result)
        return new, _State(state.jacobian, state.factors, size, state.size, state.step + 1, result), aux

    def terminate(self, fn: Any, y: Any, args: Any, options: dict, state: _State, tags: frozenset) -> tuple:
        rate = state.size / state.before  # 0 in the first iteration
        known = state.step >= 2
        left = jnp.where(rate < 1, rate / (1 - jnp.minimum(rate, 0.999)), jnp.inf) * state.size
        rounding = 100 * jnp.finfo(state.size.dtype).eps / self.rtol
        converged = (known & (left < KAPPA)) | (state.size < jnp.maximum(0.01 * KAPPA, rounding))
        diverged = (state.step >= 1) & (~jnp.isfinite(state.size) | (known & (rate > 2) & ~converged))
        failed = state.result != optx.RESULTS.successful
        result = optx.RESULTS.where(diverged, optx.RESULTS.nonlinear_divergence, optx.RESULTS.successful)
        return converged | diverged | failed, optx.RESULTS.where(failed, state.result, result)

    def postprocess(
        self, fn: Any, y: Any, aux: Any, args: Any, options: dict, state: _State, tags: frozenset, result: Any
    ) -> tuple:
        return y, aux, {}


def _constant(tree: Any) -> Any:
    """Stop gradients through the real arrays of a tree that holds other things too."""
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)
