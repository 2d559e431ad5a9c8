"""A posterior as the end of a Fokker–Planck flow, beside long NUTS runs.

    python examples/posterior.py                       the flow alone
    python examples/posterior.py --nuts                and NUTS of numpyro, 4 chains of 25000 draws
    python examples/posterior.py --arviz posterior.nc  and the draws of the flow as ArviZ's file

Four groups of five animals were given doses of a drug; 0, 1, 3 and 5 of them died (Racine et al., Applied Statistics
35, 1986). The chance to die is logistic in the dose, 1/(1 + exp(−α − βx)), with priors α ~ N(0, 2²) and β ~ N(10, 10²).
The posterior is skewed. The flow knows its log density up to a constant, as NUTS does. Its coordinates are α/2 and
(β − 10)/10; it starts from a normal density about where the posterior is.
"""

from __future__ import annotations

import argparse

import numpy as np
from array_api_compat import array_namespace

import wgfode as wgf

DOSE, GIVEN, DIED = (np.array(a) for a in ([-0.86, -0.30, -0.05, 0.73], [5, 5, 5, 5], [0, 1, 3, 5]))
NAMES = ("alpha", "beta")


def log_density(p):
    """The log posterior at one point (2,), a torch tensor or a jax array, up to a constant."""
    xp = array_namespace(p)
    dose, given, died = (xp.asarray(values, dtype=p.dtype) for values in (DOSE, GIVEN, DIED))
    logit = 2 * p[0] + (10 + 10 * p[1]) * dose
    return -0.5 * xp.sum(p**2) + xp.sum(died * logit - given * xp.logaddexp(0 * logit, logit))


flow = wgf.GradientFlow(
    map=wgf.maps.Affine(2) @ wgf.maps.Residual(2, width=6),
    energy=wgf.Potential.from_log_density(log_density) + wgf.Entropy(),
    reference=wgf.Gaussian([0.4, 0.0], [[0.1, 0.0], [0.0, 0.1]]),
    points=wgf.Sobol(256, seed=0),
    solver=wgf.Eigh(shift=1e-4),
)


def by_flow(until: float, **options):
    """The dataset of the run, with its points as α and β."""
    run = wgf.solve(flow, [until], rtol=1e-4, atol=1e-6, stiffness=False, certificate=False, **options)
    run["x"] = run.x * np.array([2.0, 10.0]) + np.array([0.0, 10.0])
    return run


def by_nuts(draws: int = 25_000, chains: int = 4) -> np.ndarray:
    """Draws (chains, draws, 2) of α and β."""
    import jax
    from numpyro.infer import MCMC, NUTS

    with jax.enable_x64(True):
        sampler = MCMC(
            NUTS(potential_fn=lambda p: -log_density(p)),
            num_warmup=1000, num_samples=draws, num_chains=chains, chain_method="vectorized", progress_bar=False,
        )  # fmt: skip
        sampler.run(jax.random.key(0), init_params=jax.numpy.zeros((chains, 2)))
        found = np.asarray(sampler.get_samples(group_by_chain=True))
    return found * np.array([2.0, 10.0]) + np.array([0.0, 10.0])


def figures(x: np.ndarray) -> np.ndarray:
    """Means, standard deviations, 5 % and 95 % quantiles of points (N, 2), (4, 2), and their correlation, last."""
    table = [x.mean(0), x.std(0), *np.quantile(x, [0.05, 0.95], axis=0)]
    return np.append(np.ravel(table), np.corrcoef(x.T)[0, 1])


LABELS = [f"{what} {name}" for what in ("mean", "sd", "5 %", "95 %") for name in NAMES] + ["correlation"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--until", type=float, default=2.0, help="the time at which the flow is taken as settled")
    parser.add_argument("--evaluation", type=int, default=16384, help="points on which the figures are taken")
    parser.add_argument("--nuts", action="store_true")
    parser.add_argument("--arviz", metavar="FILE")
    arguments = parser.parse_args()
    run = by_flow(arguments.until, evaluation=arguments.evaluation)
    columns = {"flow": figures(run.x.values[-1])}
    if arguments.nuts:
        chains = by_nuts()
        apart = np.array([figures(chain) for chain in chains])
        columns |= {"NUTS": figures(chains.reshape(-1, 2)), "its error": apart.std(0, ddof=1) / np.sqrt(len(chains))}
    print(f"{'':16}" + "".join(f"{name:>12}" for name in columns))
    for label, *row in zip(LABELS, *columns.values(), strict=True):
        print(f"{label:16}" + "".join(f"{value:12.4f}" for value in row))
    print(
        f"residual {float(run.residual[-1]):.1e}, dissipation {float(run.dissipation[-1]):.1e}, {run.attrs['status']}"
    )
    if arguments.arviz:
        wgf.to_arviz(run, names=NAMES).to_netcdf(arguments.arviz)


if __name__ == "__main__":
    main()
