"""An equinox module as a map."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ...arrays import unpack
from ...checks import words
from ...errors import InputError, positive_int, shown
from ...maps.checked import HOW
from ...maps.model import Model, checked_start, finite_parameters

Array = Any


class EquinoxModel(Model):
    """`from_equinox`: F_θ(z) = module(z) at each point, with the module's arrays taken from θ (m,)."""

    framework = "jax"

    def __init__(self, module: Any, dim: int, start: str = "identity"):
        if not isinstance(module, eqx.Module) or not callable(module):
            raise InputError(
                f"module must be an equinox.Module that can be called on a point (d,), got {shown(module)}. A plain "
                "function is wgf.maps.Custom(function, initial, dim)"
            )
        self._take(module, positive_int("dim", dim), start)

    def _take(self, module: Any, dim: int, start: str) -> None:
        self.dim, self.start = dim, checked_start(start)
        own, rest = eqx.partition(module, eqx.is_inexact_array, is_leaf=_is_kept)
        leaves, self._structure = jax.tree_util.tree_flatten_with_path(own)
        self._parts = [np.asarray(leaf) for _, leaf in leaves]
        # numpy arrays, so that nothing depends on the mode in which jax is now
        self._rest = jax.tree.map(lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf, rest)
        names = [jax.tree_util.keystr(path) for path, _ in leaves]
        self._theta0 = finite_parameters(dict(zip(names, self._parts, strict=True)))
        self._words = shown(module, 120)
        self._look()

    def _look(self) -> None:
        """Raise `InputError` where the module does not take points to points; what it computes is tried in a flow."""
        # in jax's own precision: what a bijection makes by itself has that, and a scan mixes none
        own = jax.dtypes.canonicalize_dtype(float)
        theta, z = (jax.ShapeDtypeStruct(shape, own) for shape in ((self.size,), (2, self.dim)))
        try:
            found = jax.eval_shape(self.model, theta, z)
            shape = found.shape
        except Exception as error:
            raise InputError(
                f"{self!r} failed on points (N, {self.dim}): {words(error)}. {self.cure()}; {HOW}"
            ) from error
        if shape != z.shape:
            raise InputError(
                f"{self!r} must take a point (d,) of d = {self.dim} numbers to as many, but it gave shape {shape[1:]}: "
                f"make its last layer of width {self.dim}; {HOW}"
            )

    @property
    def size(self) -> int:
        return len(self._theta0)

    def initial(self) -> np.ndarray:
        return self._theta0.copy()

    def _with(self, theta: Array) -> Any:
        """The module with the arrays of θ, in θ's precision."""
        own = jax.tree.unflatten(self._structure, unpack(theta, *(part.shape for part in self._parts)))
        rest = jax.tree.map(lambda leaf: jnp.asarray(leaf, theta.dtype) if _is_real(leaf) else leaf, self._rest)
        return eqx.combine(own, rest, is_leaf=_is_kept)

    def model(self, theta: Array, z: Array) -> Array:
        return jax.vmap(self._with(theta))(z)

    def difference(self, theta: Array, theta0: Array, u: Array) -> Array:
        # in one batch: a compiler may round two evaluations differently
        both = jax.vmap(lambda p: self.model(p, u))(jnp.stack([theta, theta0]))
        return both[0] - both[1]

    def module(self, theta: Any) -> Any:
        """The user's module with the parameters θ (m,), numbers of any library, in its own precision."""
        values = np.asarray(theta, dtype=float)
        if values.shape != (self.size,):
            raise InputError(f"theta must hold the m={self.size} parameters, got shape {values.shape}")
        pieces = unpack(values, *(part.shape for part in self._parts))
        own = [jnp.asarray(piece.astype(part.dtype)) for piece, part in zip(pieces, self._parts, strict=True)]
        rest = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, self._rest)
        return eqx.combine(jax.tree.unflatten(self._structure, own), rest, is_leaf=_is_kept)

    def cure(self) -> str:
        return (
            "It must take one point (d,) to (d,) by operations of jax: dropout and other random layers need "
            "eqx.nn.inference_mode(module)"
        )

    def __repr__(self) -> str:
        return f"from_equinox({self._words}, m={self.size}, dim={self.dim}, start={self.start!r})"


def _is_real(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"


def _is_kept(leaf: Any) -> bool:
    """Whether a part of a module says of itself that it is not to be trained."""
    if importlib.util.find_spec("paramax") is None:
        return False
    return isinstance(leaf, importlib.import_module("paramax").NonTrainable)
