"""The source's semi-implicit scheme, trained and training-free, against the exact solution: order and cost.

    python benchmarks/proximal.py            both examples (a few minutes)
    python benchmarks/proximal.py 2d         one of them

The source's quadratic examples in 2-D and 10-D with an affine map, for three step sizes h, beside the adaptive
relaxed flow and the flow of the closed-form G. Errors are those of the parameters' own mean and covariance
(no sampling). A gradient evaluation is one pass over the points for ∇F, for the derivative of ∇F along a direction,
or for ψ.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

import wgfode as wgf
from wgfode.maps import Affine
from wgfode.potentials import Polynomial

EXAMPLES = {"2d": ("ornstein-uhlenbeck-2d", (0.1, 0.3, 1.0)), "10d": ("fokker-planck-10d", (0.1, 0.3, 0.5))}
STEPS = (0.1, 0.05, 0.025)


def errors(run: Any, map: Affine, exact: Any) -> tuple[np.ndarray, np.ndarray]:
    """|mean error| and |covariance error|_F at the times after 0."""
    found = []
    for t, theta in zip(run["time"].values.tolist(), run["theta"].values, strict=True):
        A, b = map.matrix(theta)
        found.append((np.linalg.norm(b - exact.mean(t)), np.linalg.norm(A @ A.T - exact.covariance(t))))
    return np.array(found[1:]).T[0], np.array(found[1:]).T[1]


def study(name: str, times: tuple[float, ...]) -> None:
    """Print the rows of one example."""
    problem = wgf.problems.get(name)
    map = Affine(problem.flow.dim)
    flow = replace(problem.flow, map=map, points=wgf.Sobol(256, seed=0))
    exact = replace(flow, metric=wgf.Wasserstein(Polynomial(2)))
    plain = {"evaluation": 256, "certificate": False, "stiffness": False}
    rows: list[tuple[str, wgf.GradientFlow, dict[str, Any]]] = [
        ("relaxed flow, Tsit5", flow, {"rtol": 1e-6, "atol": 1e-8}),
        ("closed-form G, Tsit5", exact, {"rtol": 1e-6, "atol": 1e-8}),
    ]
    for method in ("proximal", "bilevel"):
        rows += [(f"{method}, h={h:g}", exact, {"method": method, "step_size": h}) for h in STEPS]
    before: dict[str, np.ndarray] = {}
    for label, one, options in rows:
        run = wgf.solve(one, times, **(plain | options))
        mean, covariance = errors(run, map, problem.exact)
        method, order = options.get("method", ""), "–"
        if method in before:
            order = f"{np.log2(before[method] / mean[-1]):.2f}"
        if method:
            before[method] = mean[-1]
        cost = run.attrs["rhs_evaluations"] / run.attrs["accepted_steps"]
        columns = [" ".join(f"{value:.1e}" for value in values) for values in (mean, covariance)]
        print(
            f"| {name} | {label} | {columns[0]} | {columns[1]} | {order} | {run.attrs['accepted_steps']} | {cost:.0f} "
            f"| {run.attrs['wall_time']:.0f} |",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", nargs="*", metavar="EXAMPLE", help=", ".join(EXAMPLES))
    print("| problem | scheme | mean error | covariance error | order | steps | gradients a step | s |")
    print("|---|---|---|---|---|---|---|---|")
    for example in parser.parse_args().examples or EXAMPLES:
        study(*EXAMPLES[example])


if __name__ == "__main__":
    main()
