"""Tsitouras' 5(4) pair for torchdiffeq, which has none in its released versions.

Coefficients from Ch. Tsitouras, Computers & Mathematics with Applications 62 (2011) 770–775.
"""

from __future__ import annotations

import torch
from torchdiffeq._impl.rk_common import RKAdaptiveStepsizeODESolver, _ButcherTableau


def _tensor(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


_A = [
    [0.161],
    [-0.008480655492356989, 0.335480655492357],
    [2.8971530571054935, -6.359448489975075, 4.3622954328695815],
    [5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525],
    [5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383],
    [0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774],
]
_ERROR = [
    -0.00178001105222577714,
    -0.0008164344596567469,
    0.007880878010261995,
    -0.1447110071732629,
    0.5823571654525552,
    -0.45808210592918697,
    1 / 66,
]
# the interpolant's weights at the middle of a step
_MID = [
    0.10741235230096871,
    0.01135625,
    0.39560903056045305,
    -0.34475214352593553,
    1.3161853649581645,
    -1.0170608542936508,
    0.031249999999999993,
]


class Tsit5Solver(RKAdaptiveStepsizeODESolver):
    """The 5(4) pair, with first-same-as-last."""

    order = 5
    tableau = _ButcherTableau(
        alpha=_tensor([0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0]),
        beta=[_tensor(row) for row in _A],
        c_sol=_tensor([*_A[-1], 0.0]),
        c_error=_tensor(_ERROR),
    )
    mid = _tensor(_MID)
