"""The options of `wgfode.solve`: each is one field here, with its default, its check and its words.

The signature and the docstring of `solve`, the options of `wgfode run`, the fingerprint of a checkpoint and the
attributes of a dataset are all made from these fields. A new option is a field here and the place that uses it.
"""

# ruff: noqa: RUF009 - an option is a field
from __future__ import annotations

import difflib
import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import InputError, choice, positive, positive_int, real, settle, whole
from ..stepping.methods import METHODS, Method
from ..storage import check_attribute
from .checkpoint import check as checked_checkpoint
from .integrators import INTEGRATORS, first_installed
from .options import (
    DEVICE,
    NUMBER,
    PLACE,
    SWITCH,
    TIMES,
    TREE,
    WHOLE,
    WORD,
    Command,
    anything,
    option,
    optional,
    options_of,
    switch,
)
from .restart import KIND as RESTART
from .restart import Restart
from .restart import checked as checked_restart

if TYPE_CHECKING:
    import xarray as xr


def output_times(name: str, times: Sequence[float]) -> tuple[float, ...]:
    """`times`, increasing and finite, with 0 before them; else `InputError`."""
    try:
        if isinstance(times, str):  # whose letters may be digits
            raise TypeError
        array = np.asarray(list(times), dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be numbers, got {times!r}") from None
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"{name} must be a non-empty sequence of numbers, got shape {array.shape}")
    if not np.isfinite(array).all() or array[0] < 0 or (np.diff(array) <= 0).any():
        raise InputError(f"{name} must be finite, >= 0 and increasing, got {array.tolist()}")
    array = array if array[0] == 0 else np.concatenate([[0.0], array])
    if array.size == 1:
        raise InputError(f"{name} must hold a time after 0, got {times!r}")
    return tuple(array.tolist())


def not_negative(name: str, value: Any) -> float:
    """`value` as a finite float >= 0, else an `InputError` that names it."""
    if (number := real(name, value)) < 0:
        raise InputError(f"{name} must be >= 0, got {value!r}")
    return number


def one_of(*words: str) -> Callable[[str, Any], str]:
    """The check of an option that is one of `words`."""
    return lambda name, value: choice(name, value, words)


def own_attributes(name: str, value: Any) -> dict[str, Any]:
    """The user's attributes, once it is sure that files hold them and that none is the run's own."""
    if not isinstance(value, Mapping):
        raise InputError(f"{name} must be a dictionary of names and values, got {value!r}")
    taken = {told.attribute for told in OPTIONS.values()} | {"status"}
    for key, held in value.items():
        check_attribute(key, held, name)
        if key in taken:
            raise InputError(f"{name} must not name {key!r}, which the run itself writes: choose another name")
    return dict(value)


@dataclass(frozen=True)
class Settings:
    """How a run is made, every option checked. Raises `InputError` for one that is wrong, by its name."""

    times: tuple[float, ...] = option(
        MISSING, "the output times, increasing, >= 0", TIMES, output_times,
        fingerprint=True, attribute="output_times", command=None,
    )  # fmt: skip
    args: Any = option(
        None,
        "physical parameters, given to the functions of the flow that name `args`: any tree (dictionary, list) of "
        "numbers and arrays",
        TREE, anything, command=None,
    )  # fmt: skip
    integrator: str = option(
        None, f"who steps in time: {', '.join(INTEGRATORS)}; by default the first that is installed",
        WORD, one_of(*INTEGRATORS), fingerprint=True, factory=first_installed,
    )  # fmt: skip
    method: str = option(
        "Tsit5",
        f"the method: {', '.join(METHODS)}. Names mean the same with diffrax and torchdiffeq, and scipy has Radau, BDF "
        'and LSODA; "auto" chooses by the stiffness that it finds; "proximal" and "bilevel" are the source\'s '
        "semi-implicit scheme, in steps of `step_size`",
        WORD, one_of(*METHODS), fingerprint=True,
    )  # fmt: skip
    rtol: float = option(
        1e-6, "relative tolerance on the parameters", NUMBER, positive,
        fingerprint=True, moot_with="step_size", command=Command(default="the problem's"),
    )  # fmt: skip
    atol: float = option(
        1e-8, "absolute tolerance on the parameters", NUMBER, positive,
        fingerprint=True, moot_with="step_size", command=Command(default="the problem's"),
    )  # fmt: skip
    step_size: float | None = option(
        None, "fixed steps of this size, no tolerances", NUMBER, optional(positive), fingerprint=True
    )
    max_steps: int = option(100_000, "the most steps", WHOLE, positive_int)
    evaluation: int = option(
        4096, "how many held-out points carry the diagnostics", WHOLE, positive_int,
        fingerprint=True, attribute=None, size_of="point", command=Command(metavar="N"),
    )  # fmt: skip
    seed: int = option(
        0, "seed of the held-out points", WHOLE, lambda name, value: whole(name, value, 0),
        fingerprint=True, attribute="evaluation_seed",
        command=Command(help="seed of the driving points and of the held-out points"),
    )  # fmt: skip
    dtype: str = option(
        "float64", "the type of numbers: float64 or float32", WORD, one_of("float64", "float32"), fingerprint=True
    )
    device: Any = option(None, "the framework's device, e.g. cpu or cuda", DEVICE, anything, fingerprint=True)
    devices: int | None = option(
        None, "split the points over as many devices: jax's own, or with torch the processes that torchrun started",
        WHOLE, optional(positive_int), attribute=None, command=Command(metavar="N"),
    )  # fmt: skip
    error_norm: str = option(
        "parameters", 'what a step\'s error is measured in: "parameters", or "metric", the displaced mass ‖J δθ‖',
        WORD, one_of("parameters", "metric"), fingerprint=True,
    )  # fmt: skip
    stiffness: bool | None = option(
        None, "add the spectral radius of the right-hand side's Jacobian, and its advice; by default where cheap",
        SWITCH, optional(switch), command=Command(default="where it costs at most 5 %"),
    )  # fmt: skip
    progress: bool = option(False, "a progress bar on stderr", SWITCH, switch, attribute=None, command=None)
    certificate: bool = option(
        True, "carry `w2_bound` along, at one more right-hand side a step", SWITCH, switch, fingerprint=True
    )
    initial_error: float = option(
        0.0, "the bound's E₀ = W₂(λ, ρ₀), where the flow was to start from a ρ₀ other than the reference λ",
        NUMBER, not_negative, fingerprint=True,
    )  # fmt: skip
    restart: Restart | None = option(
        None,
        'when the map begins anew, as the identity on what it has become: times, "auto" (where it has moved the points '
        "far, or folds: the step is then undone), or a `wgfode.Restart` with criteria of your own",
        RESTART, optional(checked_restart), fingerprint=True, command=Command(metavar="TIMES|auto"),
    )  # fmt: skip
    resample: str | None = option(
        None, '"auto" begins a new segment with fresh driving points when the run overfits the old ones',
        WORD, optional(one_of("auto")), fingerprint=True,
    )  # fmt: skip
    on_fold: str = option(
        "stop", '"stop" or "warn" when the map loses injectivity on held-out points and the energy needs its density',
        WORD, one_of("stop", "warn"),
    )  # fmt: skip
    checkpoint: str | Path | None = option(
        None,
        "a file from which the run can be taken up again, written atomically every few steps (at most once a second), "
        "at every output time and at the end",
        PLACE, optional(checked_checkpoint), attribute=None,
        command=Command(default="beside --out, until the run is complete", metavar="FILE"),
    )  # fmt: skip
    resume: bool = option(
        False, "go on from the checkpoint, if there is one; without, an old one is kept beside it, as NAME.old",
        SWITCH, switch, attribute=None,
    )  # fmt: skip
    attributes: dict[str, Any] | None = option(
        None, "more attributes of the dataset: strings, numbers, and flat lists of either",
        WORD, optional(own_attributes), attribute=None, command=None,
    )  # fmt: skip

    def __post_init__(self) -> None:
        settle(self, **{name: told.check(name, getattr(self, name)) for name, told in OPTIONS.items()})
        self.how.fits(self.dtype)
        if self.resume and self.checkpoint is None:
            raise InputError("resume=True needs checkpoint=PATH, the file to resume from")

    @classmethod
    def given(cls, options: Mapping[str, Any]) -> Settings:
        """The settings of a call with these `options`; an unknown one is an `InputError` with the nearest names."""
        for name in options:
            if name not in OPTIONS:
                near = difflib.get_close_matches(name, OPTIONS, n=3, cutoff=0.5)
                hint = f"; did you mean {', '.join(near)}?" if near else ""
                raise InputError(f"solve has no option {name!r}{hint} (known: {', '.join(sorted(OPTIONS))})")
        return cls(**options)

    @functools.cached_property
    def how(self) -> Method:
        """How to step in time."""
        return Method(self.method, self.rtol, self.atol, self.step_size, self.max_steps, self.error_norm)

    @property
    def framework(self) -> str:
        """The framework of the integrator."""
        return INTEGRATORS[self.integrator][0]

    @property
    def adaptive(self) -> bool:
        """Whether steps follow tolerances."""
        return self.step_size is None

    def kept(self) -> dict[str, Any]:
        """The options as attributes of the run's dataset, from which `read` has them back."""
        found = {}
        for name, told in OPTIONS.items():
            value = getattr(self, name)
            moot = told.moot_with is not None and getattr(self, told.moot_with) is not None
            if told.attribute is not None and value is not None and not moot:
                found[told.attribute] = told.kind.write(value)
        return {name: value for name, value in found.items() if value is not None}

    @staticmethod
    def read(dataset: xr.Dataset) -> dict[str, Any]:
        """The options that `dataset` holds of the run that made it; older files may lack some."""
        found = {}
        for name, told in OPTIONS.items():
            if told.size_of is not None and dataset.sizes.get(told.size_of):
                found[name] = dataset.sizes[told.size_of]
            elif told.attribute is not None and told.attribute in dataset.attrs:
                found[name] = told.kind.read(dataset.attrs[told.attribute])
        return found

    def fingerprint(self) -> dict[str, str]:
        """The options on which a run's states depend."""
        return {name: str(getattr(self, name)) for name, told in OPTIONS.items() if told.fingerprint}


OPTIONS = options_of(Settings)
"""What there is to know of each option."""

F = TypeVar("F", bound=Callable[..., Any])


def default(item: Field) -> Any:
    """The default of a field here and now."""
    return item.default if item.default_factory is MISSING else item.default_factory()


def with_options(function: F) -> F:
    """Give a function of `**options` the signature and, in place of OPTIONS in its docstring, the words of all."""
    signature = inspect.signature(function)
    named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    named += [
        inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=default(item), annotation=item.type)
        for item in fields(Settings)
        if item.name not in signature.parameters
    ]
    function.__signature__ = signature.replace(parameters=named)  # type: ignore[attr-defined]
    if function.__doc__:  # python -OO has none
        words = "\n".join(f"- `{name}`: {told.help};" for name, told in OPTIONS.items()).removesuffix(";") + "."
        lines = [textwrap.fill(line, 112, initial_indent=" " * 4, subsequent_indent=" " * 6)
                 for line in words.splitlines()]  # fmt: skip
        function.__doc__ = function.__doc__.replace("    OPTIONS", "\n".join(lines))
    return function
