"""Whether a reference's score is that of its samples: Stein's identity.

For a density λ without jumps, E[(z − c) ∇log λ(z)ᵀ] = −I for every c, and E∇log λ = 0 (C. Stein, "A bound for the error
in the normal approximation", 1972). At a jump ∇log λ is a delta that no sample meets, and the first matrix falls
short by the mass at the jump; the log density of another law than the samples' gives any other matrix. A flow under an
internal energy would follow that score, and end elsewhere without a sign of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from ..errors import InputError
from .base import EDGE, Reference

BLOCKS, SIZE = 8, 2**10
"""Scrambled Sobol sequences, whose differences tell the error of their mean, and the points of each."""
LARGEST = 2**21
"""The most numbers of all blocks; in more than 256 dimensions the sequences are shorter."""
SIGMAS = 10.0
"""Standard errors, from `BLOCKS` blocks, by which an expectation must miss its value."""
LEAST = 0.01
"""The least miss that matters, of expectations that are to be 0 or −1 in whitened coordinates."""
TAIL = 64
"""The largest of each expectation's samples, from which the part that no sample shows is estimated."""

STEP = 1e-5
"""Of differences, in standard deviations, where a score has to be made of the log density."""

Score = Callable[[np.ndarray], np.ndarray]


def numpy_score(reference: Reference) -> Score | None:
    """∇log λ on numpy arrays: in closed form, or by differences; None where the functions take no numpy arrays."""
    probe = reference.from_uniform(np.full((1, reference.dim), 0.4))
    try:
        with np.errstate(all="ignore"):
            given = reference.score(probe)
            value = reference.log_density(probe)
    except Exception:  # written for one framework: tested when that is bound
        return None
    if isinstance(given, np.ndarray):
        return lambda z: np.asarray(reference.score(z))
    return (
        (lambda z: _differences(reference.log_density, z)) if given is None and isinstance(value, np.ndarray) else None
    )


def _differences(f: Callable[[np.ndarray], np.ndarray], z: np.ndarray) -> np.ndarray:
    """The gradient of f, (N, d) → (N,), by central differences; one-sided where f is finite on one side."""
    gradient = np.empty_like(z)
    middle = f(z)
    for k in range(z.shape[1]):
        step = np.zeros(z.shape[1])
        step[k] = STEP * z[:, k].std()
        with np.errstate(all="ignore"):
            ahead, behind = f(z + step), f(z - step)
            both = np.isfinite(ahead) & np.isfinite(behind)
            one = np.where(np.isfinite(ahead), ahead - middle, middle - behind)
            gradient[:, k] = np.where(both, (ahead - behind) / 2, one) / step[k]
    return gradient


def samples(reference: Reference) -> np.ndarray:
    """Quasi-random samples in independent blocks, (BLOCKS, n, d)."""
    size = SIZE
    while BLOCKS * size * reference.dim > LARGEST and size > 64:
        size //= 2
    streams = np.random.SeedSequence(0).spawn(BLOCKS)
    blocks = []
    for stream in streams:
        rng = np.random.default_rng(stream)
        if reference.dim <= scipy.stats.qmc.Sobol.MAXDIM:
            uniforms = scipy.stats.qmc.Sobol(reference.dim, bits=52, rng=rng).random_base2(size.bit_length() - 1)
        else:
            uniforms = rng.random((size, reference.dim))
        blocks.append(reference.from_uniform(np.clip(uniforms, EDGE, 1 - EDGE)))
    return np.stack(blocks)


def check(reference: Reference, score: Score) -> None:
    """Raise `InputError` where `score`, (N, d) → (N, d) in numpy, is not ∇log λ of λ's samples, or λ has a jump."""
    z = samples(reference)
    s = score(z.reshape(-1, reference.dim)).reshape(z.shape)
    if not np.isfinite(s).all():
        worst = z.reshape(-1, reference.dim)[int(np.argmin(np.isfinite(s).reshape(-1, reference.dim).all(1)))]
        raise InputError(f"the reference's score is not finite at its own sample z={worst[:4]}")
    y, white = _whitened(reference, z, s)
    miss = _worst_miss(y, white)
    if miss is None:
        return
    what, found, wanted = miss
    raise InputError(
        f"reference {type(reference).__name__}: its score ∇log λ is not that of its samples: {what} is {found:.3g} on "
        f"samples and {wanted} for every density without jumps (Stein's identity), so an internal energy would "
        f"drive a wrong flow. " + _cure(reference)
    )


def _cure(reference: Reference) -> str:
    if reference.sides is not None:
        return (
            "The box has jumps at its sides: start from the box after a little heat, "
            "wgf.Smoothed(wgf.Uniform(low, high), width=…), the exact solution of the heat equation at the "
            "time width²/(2D)"
        )
    return (
        "Either log_density (or score) is of another law than from_uniform, or the density jumps, as a truncated one "
        "does: give the log density of the very samples, of a density that falls to 0 without a jump"
    )


def _whitened(reference: Reference, z: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and scores along the axes of the reference's covariance, in its standard deviations, about a centre.

    The axes must not come from these samples: along those of its own covariance a sample is too wide or too narrow.
    """
    flat = z.reshape(-1, z.shape[-1])
    centre = np.median(flat, axis=0)
    values, vectors = np.linalg.eigh(reference.covariance)
    if not values[0] > 1e-14 * values[-1]:
        raise InputError("the reference's samples lie in a subspace, where they have no density")
    scale = np.sqrt(values)
    return (z - centre) @ vectors / scale, s @ vectors * scale


def _worst_miss(y: np.ndarray, s: np.ndarray) -> tuple[str, float, int] | None:
    """The expectation that misses its value by most, in its own errors; None where none misses it surely."""
    d = y.shape[-1]
    products = {
        "E[(z − c)·∇log λ]/d": (np.mean(y * s, axis=-1)[..., None], -1),
        "an eigenvector's E[(z − c)_i ∂_i log λ]": (y * s, -1),
        "E[∂_i log λ], in standard deviations": (s, 0),
    }
    if 1 < d <= 8:
        off = [(i, j) for i in range(d) for j in range(d) if i != j]
        i, j = np.array(off).T
        products["E[(z − c)_i ∂_j log λ]"] = (y[..., i] * s[..., j], 0)
    worst, found = 1.0, None
    for what, (product, wanted) in products.items():
        means = product.mean(axis=1)
        estimate = means.mean(axis=0)
        # what many expectations miss by chance, beside one: the largest of k
        error = SIGMAS * np.sqrt(means.var(axis=0, ddof=1) / BLOCKS) + _unseen(product.reshape(-1, product.shape[-1]))
        ratio = np.abs(estimate - wanted) / (LEAST + error)
        k = int(np.argmax(ratio))
        if ratio[k] > worst:
            worst, found = float(ratio[k]), (what, float(estimate[k]), wanted)
    return found


def _unseen(values: np.ndarray) -> np.ndarray:
    """How much of the mean of each column of values (n, k) lies beyond the largest of them, (k,).

    From the tail's index by Hill's estimator; infinite where the tail is so heavy that the mean may not exist.
    """
    n = len(values)
    count = min(TAIL, n // 8)
    largest = np.sort(np.abs(values), axis=0)[-count - 1 :]
    base = np.maximum(largest[0], 1e-300)
    inverse = np.mean(np.log(np.maximum(largest[1:], 1e-300) / base), axis=0)  # 1/α
    inverse = inverse * (1 + 3 / np.sqrt(count))
    with np.errstate(divide="ignore"):
        beyond = np.where(inverse < 1, inverse / np.maximum(1 - inverse, 1e-300), np.inf)
    # P(|v| > v_k) = k/n, and E[|v| − v_max; |v| > v_max] = v_max/(n (α − 1))
    return 3 * largest[-1] / n * beyond
