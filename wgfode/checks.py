"""The functions that users give, tried on sample points as a run will use them, so that a mistake shows at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .arrays import kind, same_framework, traced
from .backend.protocol import Backend
from .errors import InputError, shown
from .functions import Given

Array = Any
Function = Callable[[Array], Array]

HOW = "docs/writing-functions.md tells how V, W and b are written"
STRATA = 8
"""Parts into which a segment is cut; each holds one random node and its mirror image."""
SEGMENTS = 32
"""Segments on which a function is compared with its gradient."""
SIGMAS = 10.0
"""By how many of its own errors an integrated gradient must miss."""
LEAST = 5e-3
"""The least miss that matters, as a share of the function's variation."""


@dataclass(frozen=True)
class Trial:
    """Sample points (N, d) of the reference, its densities there (N,) where the energy needs them, and a framework.

    Without a framework functions are tried on numpy arrays, and one that does not take them is left for the trial
    that follows when one is bound; gradients are tried then too.
    """

    points: np.ndarray
    densities: np.ndarray | None = None
    backend: Backend | None = None
    t: Any = 0.0
    args: Any = None
    """What functions that name `t` and `args` are tried with; without `args`, those that name them wait."""
    _rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0), compare=False, repr=False)
    _vectors: bool = False
    """Whether the function on trial gives a vector (d,) a point, and no number."""

    def can(self, given: Given) -> bool:
        """Whether all is known that a function of the user's asks for."""
        return "args" not in given.names or self.args is not None

    def function(self, name: str, f: Function, x: np.ndarray) -> np.ndarray | None:
        """f(x) as numpy (N,), or None where f does not take numpy arrays and no framework is bound yet.

        x is (N, d), or (N,) for a function of one number, elementwise. Raises `InputError`, calling f by its `name`,
        where f fails, has another shape, is not finite, mixes points, is made of numbers that require grad, or has
        a gradient that fails, is not finite, or is not that of f.
        """
        found = self.values(name, f, x)
        if found is None:
            return None
        self._by_itself(name, f, x, found)
        if self.backend is not None:
            self._slopes(name, f, x, found)
        return found

    def velocity(self, name: str, f: Function, x: np.ndarray) -> np.ndarray | None:
        """As `function`, of an f that maps points (N, d) to (N, d).

        f itself drives the flow, and its derivatives only serve implicit steps: they must exist, and jumps are allowed.
        """
        trial = replace(self, _vectors=True)
        found = trial.values(name, f, x)
        if found is None:
            return None
        trial._by_itself(name, f, x, found)
        if self.backend is not None:
            trial._finite(name, x, trial._gradient(name, f, x))
        return found

    def values(self, name: str, f: Function, x: np.ndarray) -> np.ndarray | None:
        """f(x) as numpy (N,), float64, checked as by `function` but for gradients and mixed points."""
        there = x if self.backend is None else self.backend.asarray(x)
        try:
            with np.errstate(all="ignore"):
                value = f(there)
        except Exception as error:
            if self.backend is None:
                return None
            raise InputError(f"{name} failed on {self._arrays(x)}: {words(error)}. {self._cure(name, f, x)}") from error
        if self.backend is None and not isinstance(value, (np.ndarray, np.generic)) and not _is_scalar(value):
            return None  # a tensor of its own: a framework decides
        self._is_real_array(name, f, x, there, value)
        found = np.asarray(value if self.backend is None else self.backend.to_numpy(value), dtype=float)
        if not np.isfinite(found).all():
            worst = int(np.argmin(np.isfinite(found).reshape(len(x), -1).all(axis=1)))
            raise InputError(
                f"{name} must be finite on the reference's points, but {name}({shown(x[worst])}) = {found[worst]}"
            )
        return found

    def _is_real_array(self, name: str, f: Function, x: np.ndarray, there: Array, value: Any) -> None:
        """Raise `InputError` where f(x) is no array of the points' framework, precision and number."""
        if traced(value):
            raise InputError(
                f"{name} holds {kind(value)}: the run would cut its derivative off without a word. Physical parameters "
                f"go through args=, def {name}(x, args); or use {name} with numbers that require no grad (for a "
                "module, module.requires_grad_(False))"
            )
        shape = f"(N, d) to {'(N, d)' if self._vectors else '(N,)'}" if x.ndim == 2 else "(N,) to (N,), elementwise"
        found = getattr(value, "shape", None)
        if found is None or tuple(found) != self._shape(x):
            gave = f"shape {tuple(found)}" if found is not None else kind(value)
            raise InputError(f"{name} must map {shape}: on {self._arrays(x)} it gave {gave}. {self._cure(name, f, x)}")
        if not same_framework(value, there):
            raise InputError(
                f"{name} must give arrays like its points, but on {self._arrays(x)} it gave {kind(value)}. "
                f"{self._cure(name, f, x)}"
            )
        dtype = np.asarray(value if self.backend is None else self.backend.to_numpy(value[:1])).dtype
        least = np.dtype("float64" if self.backend is None else self.backend.dtype)
        # jax promotes what is more precise, torch mixes nothing
        rough = dtype != least if kind(there) == "a torch tensor" else dtype.itemsize < least.itemsize
        if dtype.kind != "f" or (self.backend is not None and rough):
            raise InputError(
                f"{name} must give real numbers as precise as its points, but on {least} points it gave {dtype}: make "
                f"its constants with dtype=x.dtype, or run with dtype='float32'; {HOW}"
            )

    def _by_itself(self, name: str, f: Function, x: np.ndarray, found: np.ndarray) -> None:
        """Raise `InputError` where f(x) at a point depends on the other points."""
        half = len(x) // 2
        if half < 1:
            return
        again = self.values(name, f, np.concatenate([x[:half], x[: len(x) - half]]))
        if again is None:
            return
        gap = np.abs(again[:half] - found[:half]).reshape(half, -1).max(axis=1)
        if gap.max() > 1e3 * self._eps * (np.abs(found).max() + np.abs(again).max()):
            raise InputError(
                f"{name} must act on each point by itself and give the same number each time, but beside other points "
                f"{name}({shown(x[int(gap.argmax())])}) differs by {gap.max():.3g}. {HOW}"
            )

    def _slopes(self, name: str, f: Function, x: np.ndarray, found: np.ndarray) -> None:
        """Raise `InputError` where f's gradient by the framework fails, or is not that of f."""
        assert self.backend is not None
        self._finite(name, x, self._gradient(name, f, x))
        if len(x) < 2:
            return
        begin, end = x[: min(len(x), SEGMENTS)], np.roll(x, -1, axis=0)[: min(len(x), SEGMENTS)]
        rise = np.roll(found, -1)[: len(begin)] - found[: len(begin)]
        # two independent rules, whose difference tells their error; mirrored nodes are exact for linear gradients
        shift = self._rng.random((2, STRATA, len(begin))) / 2
        nodes = (np.arange(STRATA)[:, None] + np.stack([shift, 1 - shift], axis=1)) / STRATA  # (2, 2, STRATA, K)
        path = end - begin
        along = nodes.reshape(nodes.shape + (1,) * (x.ndim - 1))
        where = begin + along * path
        gradient = self._gradient(name, f, where.reshape(-1, *x.shape[1:])).reshape(where.shape)
        gradient = np.where(np.isfinite(gradient), gradient, 0.0)  # a node may be a cusp, which has no mass
        slope = gradient * path
        slope = slope.sum(-1) if x.ndim == 2 else slope
        rules = slope.mean(axis=(1, 2))  # (2, K)
        miss = np.abs(rise - rules.mean(axis=0))
        size = np.abs(found[: len(begin)]) + np.abs(rise)
        reach = np.abs(np.concatenate([begin, end])).max() * np.abs(gradient).sum(-1 if x.ndim == 2 else None).mean()
        rounding = 50 * self._eps * (size.sum() + len(begin) * reach)
        if miss.sum() <= LEAST * np.abs(rise).sum() + SIGMAS * np.abs(rules[0] - rules[1]).sum() + rounding:
            return
        k = int(miss.argmax())
        raise InputError(
            f"the gradient of {name} by {self.backend.name} is not that of {name}: from {shown(begin[k])} to "
            f"{shown(end[k])} {name} changes by {rise[k]:.6g}, and its gradient says {rules[:, k].mean():.6g}. "
            f"Something in {name} is cut off from differentiation (no_grad, detach, stop_gradient, round, a "
            f"comparison), or {name} jumps; {HOW}"
        )

    def _gradient(self, name: str, f: Function, x: np.ndarray) -> np.ndarray:
        """The framework's gradient of Σf at points, like x."""
        assert self.backend is not None
        sum_ = self.backend.xp.sum
        try:
            gradient = self.backend.compile(self.backend.grad(lambda points: sum_(f(points))))(self.backend.asarray(x))
            found = np.asarray(self.backend.to_numpy(gradient), dtype=float)
        except Exception as error:
            raise InputError(
                f"{name} cannot be differentiated by {self.backend.name}: {words(error)}. {self._cure(name, f, x)}"
            ) from error
        return found

    def _finite(self, name: str, x: np.ndarray, gradient: np.ndarray) -> None:
        """Raise `InputError` where a gradient of f, like x, is not finite."""
        finite = np.isfinite(gradient).reshape(len(x), -1).all(axis=1)
        if not finite.all():
            worst = int(np.argmin(finite))
            raise InputError(
                f"the gradient of {name} must be finite where the points are, but at x={shown(x[worst])} it is "
                f"{shown(gradient[worst])}"
            )

    def _shape(self, x: np.ndarray) -> tuple[int, ...]:
        """The shape that f(x) must have."""
        return x.shape if self._vectors else x.shape[:1]

    @property
    def _eps(self) -> float:
        return float(np.finfo("float64" if self.backend is None else self.backend.dtype).eps)

    def _arrays(self, x: np.ndarray) -> str:
        what = "numpy arrays" if self.backend is None else f"{self.backend.name} arrays of {self.backend.dtype}"
        return f"{what} of shape {x.shape}"

    def _cure(self, name: str, f: Function, x: np.ndarray) -> str:
        """What would make f right, found by trying it otherwise."""

        def shape_of(make: Callable[[], Any]) -> tuple[int, ...] | None:
            try:
                with np.errstate(all="ignore"):
                    return tuple(make().shape)
            except Exception:  # it only looks for words
                return None

        backend, whole = self.backend, self._shape(x)
        there = x if backend is None else backend.asarray(x)
        library = {"torch": "torch.func.vmap", "jax": "jax.vmap"}.get("" if backend is None else backend.name, "vmap")
        if shape_of(lambda: f(there)) != whole and x.ndim == 2 and shape_of(lambda: f(there[0])) == whole[1:]:
            otherwise = "write it for rows" if self._vectors else "sum over the last axis"
            return f"It takes a single point (d,): hand over {library}({name}), or {otherwise}; {HOW}"
        if backend is not None:
            other = "float32" if backend.dtype == "float64" else "float64"
            if (
                shape_of(lambda: f(backend.xp.astype(there, getattr(backend.xp, other))))
                == whole
                != shape_of(lambda: f(there))
            ):
                return f"It takes {other}: convert it (module.double()), or run with dtype='{other}'; {HOW}"
            if shape_of(lambda: f(x)) == whole:
                return (
                    f"It works on numpy arrays, and the run hands it {backend.name} arrays that it "
                    f"differentiates: write "
                    "it over array_api_compat.array_namespace(x), and tables as an interpolation in the framework "
                    f"(jnp.interp, torch.searchsorted); {HOW}"
                )
        return f"It must be made of operations on batches of points, row by row, that can be differentiated; {HOW}"


def words(error: Exception) -> str:
    """The kind of an error and its first line, for a message."""
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {text if len(text) <= 200 else text[:199] + '…'}"


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, complex, str, list, tuple))
