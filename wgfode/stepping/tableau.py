"""Singly diagonally implicit Runge–Kutta methods with an explicit first stage (ESDIRK).

All are L-stable and stiffly accurate: the last stage is the new value, and its derivative is the first
stage of the next step. The coefficients are those of A. Kværnø, "Singly diagonally implicit Runge–Kutta
methods with an explicit first stage", BIT 44 (2004) 489–502, and, for the implicit parts of the additive
methods, of C. A. Kennedy & M. H. Carpenter, "Additive Runge–Kutta schemes for convection–diffusion–reaction
equations", Appl. Numer. Math. 44 (2003) 139–181.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Tableau:
    """k₁ = f(t, θ), and for i > 1: kᵢ = f(t + cᵢh, θ + h Σ_{j<i} aᵢⱼ kⱼ + γ h kᵢ); the last row is also the weights.

    cᵢ = Σ_{j<i} aᵢⱼ + γ.
    """

    order: int
    """Of the method that the step advances with."""
    error_order: int
    """Powers of h in the error estimate, which is h Σ `error`ⱼ kⱼ."""
    gamma: float
    rows: tuple[tuple[float, ...], ...]
    """aᵢⱼ, j < i, for the implicit stages."""
    error: tuple[float, ...]

    @property
    def stages(self) -> int:
        """All stages, the explicit one included."""
        return len(self.rows) + 1

    @cached_property
    def lower(self) -> np.ndarray:
        """The strictly lower triangle, (stages, stages)."""
        full = np.zeros((self.stages, self.stages))
        for i, row in enumerate(self.rows, start=1):
            full[i, :i] = row
        return full

    @cached_property
    def nodes(self) -> np.ndarray:
        """cᵢ, (stages,)."""
        return self.lower.sum(axis=1) + np.append(0.0, np.full(self.stages - 1, self.gamma))


def _embedded(order: int, gamma: float, *rows: tuple[float, ...]) -> Tableau:
    """A method whose error estimate is the difference of its two last stages (Kværnø's construction)."""
    last, before = np.zeros(len(rows) + 1), np.zeros(len(rows) + 1)
    last[:-1], last[-1] = rows[-1], gamma
    before[:-2], before[-2] = rows[-2], gamma
    return Tableau(order, order, gamma, rows, tuple((last - before).tolist()))


def _kvaerno3() -> Tableau:
    g = 0.4358665215084590
    return _embedded(
        3,
        g,
        (g,),
        ((-4 * g**2 + 6 * g - 1) / (4 * g), (1 - 2 * g) / (4 * g)),
        ((6 * g - 1) / (12 * g), -1 / (12 * g * (2 * g - 1)), (-6 * g**2 + 6 * g - 1) / (3 * (2 * g - 1))),
    )


def _kvaerno4() -> Tableau:
    g = 0.5728160624821349

    def p(*coefficients: float) -> float:
        return float(np.polyval(coefficients, g))

    square = p(12, -6, 1) ** 2
    return _embedded(
        4,
        g,
        (g,),
        (p(144, -180, 81, -15, 1) * g / square, p(-36, 39, -15, 2) * g / square),
        (
            p(-144, 396, -330, 117, -18, 1) / (12 * g**2 * p(12, -9, 2)),
            p(72, -126, 69, -15, 1) / (12 * g**2 * p(3, -1)),
            p(-6, 6, -1) * square / (12 * g**2 * p(12, -9, 2) * p(3, -1)),
        ),
        (
            p(288, -312, 120, -18, 1) / (48 * g**2 * p(12, -9, 2)),
            p(24, -12, 1) / (48 * g**2 * p(3, -1)),
            -(p(12, -6, 1) ** 3) / (48 * g**2 * p(3, -1) * p(12, -9, 2) * p(6, -6, 1)),
            p(-24, 36, -12, 1) / p(24, -24, 4),
        ),
    )


_KVAERNO5 = _embedded(
    5,
    0.26,
    (0.26,),
    (0.13, 0.84033320996790809),
    (0.22371961478320505, 0.47675532319799699, -0.06470895363112615),
    (0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998),
    (0.13855640231268224, 0.0, -0.04245337201752043, 0.02446657898003141, 0.61943039072480676),
    (
        0.13659751177640291,
        0.0,
        -0.05496908796538376,
        -0.04118626728321046,
        0.62993304899016403,
        0.06962479448202728,
    ),
)

_KENCARP3 = Tableau(
    3,
    3,
    1767732205903 / 4055673282236,
    (
        (1767732205903 / 4055673282236,),
        (2746238789719 / 10658868560708, -640167445237 / 6845629431997),
        (1471266399579 / 7840856788654, -4482444167858 / 7529755066697, 11266239266428 / 11593286722821),
    ),
    (
        1471266399579 / 7840856788654 - 2756255671327 / 12835298489170,
        -4482444167858 / 7529755066697 + 10771552573575 / 22201958757719,
        11266239266428 / 11593286722821 - 9247589265047 / 10645013368117,
        1767732205903 / 4055673282236 - 2193209047091 / 5459859503100,
    ),
)

_KENCARP4 = Tableau(
    4,
    4,
    0.25,
    (
        (0.25,),
        (8611 / 62500, -1743 / 31250),
        (5012029 / 34652500, -654441 / 2922500, 174375 / 388108),
        (15267082809 / 155376265600, -71443401 / 120774400, 730878875 / 902184768, 2285395 / 8070912),
        (82889 / 524892, 0.0, 15625 / 83664, 69875 / 102672, -2260 / 8211),
    ),
    (
        82889 / 524892 - 4586570599 / 29645900160,
        0.0,
        15625 / 83664 - 178811875 / 945068544,
        69875 / 102672 - 814220225 / 1159782912,
        -2260 / 8211 + 3700637 / 11593932,
        0.25 - 61727 / 225920,
    ),
)

_KENCARP5 = Tableau(
    5,
    5,
    41 / 200,
    (
        (41 / 200,),
        (41 / 400, -567603406766 / 11931857230679),
        (683785636431 / 9252920307686, 0.0, -110385047103 / 1367015193373),
        (3016520224154 / 10081342136671, 0.0, 30586259806659 / 12414158314087, -22760509404356 / 11113319521817),
        (
            218866479029 / 1489978393911,
            0.0,
            638256894668 / 5436446318841,
            -1179710474555 / 5321154724896,
            -60928119172 / 8023461067671,
        ),
        (
            1020004230633 / 5715676835656,
            0.0,
            25762820946817 / 25263940353407,
            -2161375909145 / 9755907335909,
            -211217309593 / 5846859502534,
            -4269925059573 / 7827059040749,
        ),
        (
            -872700587467 / 9133579230613,
            0.0,
            0.0,
            22348218063261 / 9555858737531,
            -1143369518992 / 8141816002931,
            -39379526789629 / 19018526304540,
            32727382324388 / 42900044865799,
        ),
    ),
    (
        -872700587467 / 9133579230613 + 975461918565 / 9796059967033,
        0.0,
        0.0,
        22348218063261 / 9555858737531 - 78070527104295 / 32432590147079,
        -1143369518992 / 8141816002931 + 548382580838 / 3424219808633,
        -39379526789629 / 19018526304540 + 33438840321285 / 15594753105479,
        32727382324388 / 42900044865799 - 3629800801594 / 4656183773603,
        41 / 200 - 4035322873751 / 18575991585200,
    ),
)

# y₁ = y₀ + h f(y₁); its error estimate is the distance to the trapezoidal rule (Hairer & Wanner, §IV.8)
_IMPLICIT_EULER = Tableau(1, 2, 1.0, ((0.0,),), (-0.5, 0.5))

TABLEAUS: dict[str, Tableau] = {
    "ImplicitEuler": _IMPLICIT_EULER,
    "Kvaerno3": _kvaerno3(),
    "Kvaerno4": _kvaerno4(),
    "Kvaerno5": _KVAERNO5,
    "KenCarp3": _KENCARP3,
    "KenCarp4": _KENCARP4,
    "KenCarp5": _KENCARP5,
}
