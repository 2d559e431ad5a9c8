"""A nonlinear flow whose drift has a known monotonicity, so that a run's bound can be held against its true error."""

from __future__ import annotations

import numpy as np

from ...errors import real
from ...references import Gaussian
from .paths import Arch
from .solution import Manufactured

ARCH_NOISE = 0.1
"""D on the odd coordinates."""


def arch(dim: int, bend: float = 1.0, until: float = 1.0) -> Manufactured:
    """The `Arch` path from the standard normal, with noise on the odd coordinates alone, for t in [0, until].

    There the drift is (0, bend s(x) − D(y − bend·t s(x))) in each pair (x, y), |s'| <= 1, and the largest eigenvalue of
    its symmetrized Jacobian is at most (√(D² + c²) − D)/2, c = |bend|(1 + D until). (Noise on x would add s'' times y,
    which has no bound.) Raises `InputError` for numbers out of range.
    """
    c = abs(bend) * (1 + ARCH_NOISE * real("until", until))
    noise = np.diag(ARCH_NOISE * (np.arange(dim) % 2.0))
    monotonicity = (ARCH_NOISE - float(np.hypot(ARCH_NOISE, c))) / 2
    return Manufactured(Arch(dim, bend), Gaussian.standard(dim), noise, monotonicity)
