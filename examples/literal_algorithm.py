"""The source's literal algorithm beside the default, on the 10-D Fokker–Planck example.

    python examples/literal_algorithm.py            both, to t = 2 (ten minutes: MINRES needs thousands of steps late)
    python examples/literal_algorithm.py --until 0.1

Literal: the "energy" estimator (∇θ of the sampled energy, log-determinant included), MINRES, fresh Monte Carlo
points at every step, forward Euler with h = 0.005. Default: the "velocity" estimator on frozen Sobol points, an
adaptive fifth-order method. Same map, same number of points.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

import wgfode as wgf

STEP = 0.005


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--until", type=float, default=2.0, help="the last time (default 2)")
    parser.add_argument("--points", type=int, default=1024, help="points that drive the flow (default 1024)")
    parser.add_argument("--integrator", default="diffrax", choices=("diffrax", "torchdiffeq"))
    arguments = parser.parse_args()

    problem = wgf.problems.get("fokker-planck-10d")
    times = [t for t in problem.times if 0 < t < arguments.until] + [arguments.until]
    default = replace(problem.flow, points=wgf.Sobol(arguments.points, seed=0))
    literal = replace(
        problem.flow,
        estimator="energy",
        solver=wgf.MINRES(rtol=1e-4, shift=1e-6),
        points=wgf.MonteCarlo(arguments.points, seed=0, resample_every=STEP),
    )
    runs = {
        "literal": (literal, {"method": "Euler", "step_size": STEP}),
        "default": (default, {"method": "Tsit5", "rtol": 1e-6, "atol": 1e-8}),
    }
    print(f"{'run':8} {'mean error':>11} {'cov error':>11} {'KL':>11} {'right-hand sides':>17} {'seconds':>8}  status")
    for name, (flow, how) in runs.items():
        # without the bound and the stiffness, whose cost would hide that of the steps
        plain = {"integrator": arguments.integrator, "progress": True, "certificate": False, "stiffness": False}
        ds = wgf.solve(flow, times, **plain, **how)
        exact, w = problem.exact, ds.weight.values
        mean, covariance, kl = 0.0, 0.0, 0.0
        for i, t in enumerate(ds.time.values):
            # the exact map on the same points: no sampling error in the difference
            x, truth = ds.x.values[i], exact.flow_map(float(t), ds.z.values)
            moments = [(w @ y, np.cov(y.T, aweights=w, bias=True)) for y in (x, truth)]
            mean = max(mean, float(np.linalg.norm(moments[0][0] - moments[1][0])))
            covariance = max(covariance, float(np.linalg.norm(moments[0][1] - moments[1][1])))
            kl = max(kl, abs(float(w @ (ds.log_density.values[i] - exact.log_density(float(t), x)))))
        a = ds.attrs
        print(
            f"{name:8} {mean:11.2e} {covariance:11.2e} {kl:11.2e} {a['rhs_evaluations']:17d} {a['wall_time']:8.1f}  "
            f"{a['status']}"
        )


if __name__ == "__main__":
    main()
