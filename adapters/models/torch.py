"""A torch module as a map."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from ...backend import load
from ...errors import InputError, positive_int, shown
from ...maps.checked import check_model
from ...maps.model import Model, checked_start, finite_parameters

Tensor = torch.Tensor
TRIED = 16
"""Points of the standard normal on which a module is tried when it becomes a map."""


class TorchModel(Model):
    """`from_torch`: F_θ(z) = module(z), with the module's parameters taken from θ (m,)."""

    framework = "torch"

    def __init__(self, module: torch.nn.Module, dim: int, start: str = "identity"):
        if not isinstance(module, torch.nn.Module):
            made = "; it is a class: hand over what it makes" if isinstance(module, type) else ""
            raise InputError(
                f"module must be a torch.nn.Module, got {shown(module)}{made}. A plain function is "
                "wgf.maps.Custom(function, initial, dim)"
            )
        self.dim, self.start = positive_int("dim", dim), checked_start(start)
        self._module = copy.deepcopy(module)
        self._parameters = {
            name: p.detach() for name, p in self._module.named_parameters() if p.requires_grad and _settled(name, p)
        }
        if not self._parameters and any(True for _ in module.parameters()):
            raise InputError("no parameter of module requires grad: call module.requires_grad_(True) on what may flow")
        self._theta0 = finite_parameters({name: p.cpu().double().numpy() for name, p in self._parameters.items()})
        self._module.requires_grad_(False)
        self._try()

    def _try(self) -> None:
        z = np.random.default_rng(0).standard_normal((TRIED, self.dim))
        check_model(self, load("torch"), z, density=False)

    @property
    def size(self) -> int:
        return len(self._theta0)

    def initial(self) -> np.ndarray:
        return self._theta0.copy()

    def _state(self, theta: Tensor) -> dict[str, Tensor]:
        """All that the module holds, with its parameters from θ, in θ's precision."""
        held = {**dict(self._module.named_parameters()), **dict(self._module.named_buffers())}
        state = {name: value.to(theta) if value.is_floating_point() else value for name, value in held.items()}
        return state | self._named(theta)

    def _named(self, theta: Tensor) -> dict[str, Tensor]:
        """The parameters in θ by their names."""
        pieces = torch.split(theta, [p.numel() for p in self._parameters.values()])
        own = zip(self._parameters.items(), pieces, strict=True)
        return {name: piece.reshape(p.shape) for (name, p), piece in own}

    def model(self, theta: Tensor, z: Tensor) -> Tensor:
        return torch.func.functional_call(self._module, self._state(theta), (z,))

    def module(self, theta: Any) -> torch.nn.Module:
        """The user's module with the parameters θ (m,), numbers of any library, in its own precision."""
        values = torch.as_tensor(np.asarray(theta, dtype=float))
        if values.shape != (self.size,):
            raise InputError(f"theta must hold the m={self.size} parameters, got shape {tuple(values.shape)}")
        module = copy.deepcopy(self._module)
        named = dict(module.named_parameters())
        with torch.no_grad():
            for name, value in self._named(values).items():
                named[name].copy_(value).requires_grad_(True)
        return self._handed_back(module)

    def _handed_back(self, module: Any) -> Any:
        return module

    def cure(self) -> str:
        return (
            "It must take (N, d) to (N, d) by operations of torch that torch.func can differentiate: none in place, no "
            ".item(), .numpy() or branches on values, random layers in module.eval()"
        )

    def __repr__(self) -> str:
        words = shown(self._handed_back(self._module), 120)
        return f"from_torch({words}, m={self.size}, dim={self.dim}, start={self.start!r})"


def _settled(name: str, parameter: Tensor) -> bool:
    """True; raises `InputError` where a lazy module has not made its parameter, or it is complex."""
    if isinstance(parameter, torch.nn.parameter.UninitializedParameter):
        raise InputError(f"parameter {name} is not made yet: call the module once, on points (N, d), before")
    if not parameter.is_floating_point():
        raise InputError(f"the parameters must be real, but {name} is {parameter.dtype}")
    return True
