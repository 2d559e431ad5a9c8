"""The options of `wgfode.solve` as those of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, TypeVar

import typer

from ..run.options import Option
from ..run.settings import OPTIONS, Settings, default

F = TypeVar("F", bound=Callable[..., None])


def with_options(command: F) -> F:
    """Give a command of `**options` an option for each of `solve`; those that are not given reach it as None."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    made = [as_parameter(item.name, told, default(item)) for item in fields(Settings)
            if (told := OPTIONS[item.name]).command is not None]  # fmt: skip
    command.__signature__ = signature.replace(parameters=own + made)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in own + made}
    return command


def as_parameter(name: str, told: Option, default: Any) -> inspect.Parameter:
    """One option, as typer reads it: None where it is not given."""
    form, flag = told.command, name.replace("_", "-")
    assert form is not None
    is_switch = told.kind.type is bool
    declared = f"--{flag}/--no-{flag}" if is_switch and default is not False else f"--{flag}"
    otherwise = form.default or ({True: flag}.get(default) if is_switch else default)
    words = form.help or told.help
    text = f"{words[0].upper()}{words[1:]}." + (f" [default: {otherwise}]" if otherwise is not None else "")
    about = typer.Option(declared, help=text, metavar=form.metavar, show_default=False)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[told.kind.type | None, about])


__all__ = ["with_options"]
