"""Refines the grid solver on every case and prints errors, orders and times beside what they should be.

    python benchmarks/grid_convergence.py [CASE ...]

L1 is against exact cell averages (the cases without an exact solution: against the Richardson extrapolation
of two finer grids). A row passes where L1 is at most 1.5 times the expected figure and mass, positivity and
the falling energy hold; times are printed, and not judged, because they depend on what else the machine
does. Exit status 1 where a row fails.
"""

from __future__ import annotations

import sys

import numpy as np

from wgfode.validation.convergence import Case, cases, faults, order, study

HEADER = "case                    N        L1  expected  order       s   cpu s  exp. s  steps  verdict"


def main(names: list[str]) -> int:
    known = cases()
    if unknown := [name for name in names if name not in known]:
        print(f"unknown: {', '.join(unknown)} (known: {', '.join(known)})", file=sys.stderr)
        return 2
    print(HEADER, flush=True)
    return int(not all([report(known[name]) for name in names or known]))


def report(case: Case) -> bool:
    """Print the rows of one case; whether all passed."""
    passed = True
    rows = study(case)
    for i, row in enumerate(rows):
        expected = case.expected[i] if case.expected else np.nan
        problems = faults(row.dataset)
        if row.error > 1.5 * expected:
            problems.append("L1 above 1.5 times the expected")
        passed &= not problems
        slope = f"{order(rows[i - 1 : i + 1]):.2f}" if i else ""
        seconds = f"{case.seconds[i]:.2f}" if case.seconds else ""
        print(
            f"{case.name:<20}{row.cells:>5}{row.error:>10.1e}{expected:>10.1e}{slope:>7}{row.seconds:>8.2f}"
            f"{row.processor:>8.2f}{seconds:>8}{row.dataset.steps:>7}  {'; '.join(problems) or 'ok'}",
            flush=True,
        )
    if case.name == "barenblatt-2d-m3":  # orders of a moving front are noise on a single pair of grids
        many = (64, 90, 128, 180, 256)
        print(f"{case.name:<20} order over N = {', '.join(map(str, many))}: {order(study(case, many)):.2f}")
    return passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
