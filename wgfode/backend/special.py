"""Special functions of arrays whose framework is not known."""

from __future__ import annotations

from typing import Any

import scipy
from array_api_compat import is_jax_array, is_torch_array

Array = Any


def log_ndtr(x: Array) -> Array:
    """log Φ(x), elementwise, to full precision in both tails."""
    if is_jax_array(x):
        from jax.scipy.special import log_ndtr as function

        return function(x)
    if is_torch_array(x):
        import torch

        # torch's own log_ndtr is not batched by vmap
        tail = torch.clamp(x, max=-1.0) * -(0.5**0.5)
        below = torch.log(torch.special.erfcx(tail) / 2) - tail**2
        above = torch.log1p(-torch.special.erfc(torch.clamp(x, min=-1.0) * 0.5**0.5) / 2)
        return torch.where(x < -1, below, above)
    return scipy.special.log_ndtr(x)
