"""Randomly drawn problems, each of which must end in success or a clear, typed error.

    python benchmarks/robustness.py [COUNT] [SEED]

Dimension 1–6, affine, planar and residual maps, quadratic and quartic potentials, entropy, porous medium,
interaction, methods of every kind on torch (no compilation), tolerances 1e-3 … 1e-8.
"""

from __future__ import annotations

import collections
import logging
import signal
import sys
import time
from typing import Any

import numpy as np

import wgfode as wgf
from wgfode.problems import quadratic

LIMIT = 60
"""Seconds after which a run is interrupted, which must end it as Ctrl-C would."""
METHODS = ("auto", "Tsit5", "Dopri5", "Bosh3", "Kvaerno3", "Kvaerno4", "Kvaerno5", "KenCarp3", "KenCarp4", "KenCarp5",
           "ImplicitEuler", "Radau", "BDF", "LSODA")  # fmt: skip


def draw(rng: np.random.Generator) -> tuple[wgf.GradientFlow, dict[str, Any]]:
    """A flow, and arguments of `wgf.solve`."""
    d = int(rng.integers(1, 7))
    maps = [wgf.maps.Affine(d), wgf.maps.Affine(d, "diagonal"), wgf.maps.Affine(d) @ wgf.maps.Planar(d, layers=3),
            wgf.maps.Affine(d) @ wgf.maps.Residual(d, width=6)]  # fmt: skip
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    A = axes @ np.diag(10 ** rng.uniform(-1, 3, d)) @ axes.T
    energies = [
        quadratic((A + A.T) / 2, rng.normal(size=d)) + float(10 ** rng.uniform(-2, 0)) * wgf.Entropy(),
        wgf.Potential(lambda x: (x**4).sum(-1) / 4 - (x**2).sum(-1) / 2) + 0.1 * wgf.Entropy(),
        wgf.PorousMedium(float(rng.uniform(1.5, 3))),
        wgf.Interaction(lambda x: (x**2).sum(-1) ** 2 / 4 - (x**2).sum(-1) / 2) + 0.05 * wgf.Entropy(),
        wgf.Potential(lambda x: -(x**4).sum(-1)) + wgf.Entropy(),  # mass that runs to infinity in finite time
    ]
    solvers = [wgf.Auto(), wgf.Cholesky(), wgf.Eigh(), wgf.LSMR(), wgf.MINRES()]
    flow = wgf.GradientFlow(
        map=maps[rng.integers(len(maps))], energy=energies[rng.integers(len(energies))],
        reference=wgf.Gaussian.standard(d), points=wgf.Sobol(64, seed=int(rng.integers(100))),
        solver=solvers[rng.integers(len(solvers))],
    )  # fmt: skip
    method = METHODS[rng.integers(len(METHODS))]
    exponent = rng.uniform(3, 4 if method in ("Kvaerno3", "KenCarp3", "Bosh3", "ImplicitEuler") else 8)
    rtol = float(10**-exponent) if method != "ImplicitEuler" else 1e-2
    integrator = "scipy" if method in ("Radau", "BDF", "LSODA") else "torchdiffeq"
    return flow, dict(integrator=integrator, method=method, rtol=rtol, atol=rtol * 1e-2, max_steps=60, evaluation=64)


def study(count: int, seed: int = 0, limit: float = LIMIT) -> collections.Counter[str]:
    """How many runs ended in which way."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    outcomes: collections.Counter[str] = collections.Counter()
    for i in range(count):
        flow, settings = draw(np.random.default_rng([seed, i]))
        begin, ds = time.perf_counter(), None
        signal.alarm(int(limit))
        try:
            ds = wgf.solve(flow, [0.1, 0.3], **settings, stiffness=i % 5 == 0)
            finite = all(np.isfinite(ds[name].values).all() for name in ("theta", "x", "energy"))
            status = ds.attrs["status"]
            outcome = (
                "success" if status == "completed" else "stopped: " + status.split(" because ", 1)[-1].split(";")[0]
            )
            outcome = "".join("#" if c.isdigit() else c for c in outcome)[:60] if outcome != "success" else outcome
            if not finite:
                outcome = "SILENT NaN" if status == "completed" else outcome + " (the last state is not finite)"
        except wgf.WgfodeError as error:
            outcome = f"{type(error).__name__} raised"
        except KeyboardInterrupt:
            outcome = "interrupted outside of the run"
        except Exception as error:
            outcome = f"UNTYPED {type(error).__name__}: {error}"[:100]
        finally:
            signal.alarm(0)
        outcomes[outcome] += 1
        print(
            f"{i:4d} {time.perf_counter() - begin:6.1f}s {settings['method']:13s} {outcome}",
            file=sys.stderr,
            flush=True,
        )
        if outcome.startswith(("UNTYPED", "SILENT")):
            print(f"     {flow!r} {settings}", file=sys.stderr)
    return outcomes


if __name__ == "__main__":
    logging.getLogger("wgfode").setLevel(logging.CRITICAL)
    numbers = [int(a) for a in sys.argv[1:]] or [200]
    for outcome, times in study(*numbers).most_common():
        print(f"{times:4d}  {outcome}")
