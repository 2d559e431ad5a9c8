"""A zuko flow as a map."""

from __future__ import annotations

from typing import Any

import torch

from ...errors import InputError, shown
from .torch import TorchModel

Tensor = torch.Tensor


class ZukoModel(TorchModel):
    """`from_zuko`: F_θ takes the base's points to samples; its log-determinant and inverse are the flow's."""

    invertible = True

    def __init__(self, flow: Any, start: str = "identity"):
        transform = getattr(flow, "transform", flow)
        if not isinstance(flow, torch.nn.Module) or not isinstance(transform, torch.nn.Module):
            raise InputError(f"flow must be a zuko flow, or a lazy transform of one, got {shown(flow)}")
        try:
            made = transform()
        except Exception as error:
            raise InputError(
                f"flow must be a zuko flow that needs no context, but {shown(flow)} fails without one: {error}"
            ) from error
        if not hasattr(made, "call_and_ladj"):
            raise InputError(f"flow must be a zuko flow, or a lazy transform of one, got {shown(flow)}")
        dim = _features(flow, transform)
        super().__init__(_Sampling(flow, transform is not flow), dim, start)

    def model(self, theta: Tensor, z: Tensor) -> Tensor:
        return self.model_and_log_det(theta, z)[0]

    def model_and_log_det(self, theta: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return torch.func.functional_call(self._module, self._state(theta), (z, False))

    def inverse(self, theta: Tensor, x: Tensor) -> Tensor:
        return torch.func.functional_call(self._module, self._state(theta), (x, True))[0]

    def cure(self) -> str:
        return (
            "The flow must need no context, and be of closed forms: NICE, RealNVP, MAF, NSF and NCSF are; those "
            "that integrate or search within (CNF, NAF, BPF, SOSPF) cannot be differentiated by torch.func"
        )

    def _handed_back(self, module: Any) -> Any:
        return module.flow

    def __repr__(self) -> str:
        return super().__repr__().replace("from_torch", "from_zuko", 1)


class _Sampling(torch.nn.Module):
    """A zuko flow, which sends samples to its base, in the other direction; with log|det|."""

    def __init__(self, flow: torch.nn.Module, whole: bool):
        super().__init__()
        self.flow, self.whole = flow, whole

    def forward(self, points: Tensor, to_base: bool) -> tuple[Tensor, Tensor]:
        made: Any = self.flow.transform if self.whole else self.flow
        transform = made()
        moved, log_det = (transform if to_base else transform.inv).call_and_ladj(points)
        return moved, log_det if log_det.ndim == 1 else log_det.sum(dim=1)


def _features(flow: Any, transform: Any) -> int:
    """d, of the base where there is one, or the first that the transform takes."""
    base = getattr(flow, "base", None)
    if base is not None:
        return int(base().event_shape[0])
    for d in range(1, 65):
        try:
            if tuple(transform()(torch.zeros(2, d)).shape) == (2, d):
                return d
        except Exception:  # not of this dimension
            continue
    raise InputError(f"the dimension of {shown(flow)} is not known: hand over a zuko Flow with its base")
