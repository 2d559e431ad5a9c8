"""Energies: g against the variation of F, algebra, blocks, bad input."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from array_api_compat import array_namespace
from hypothesis import given, settings
from hypothesis import strategies as st

import wgfode as wgf
from wgfode import Entropy, InputError, Interaction, InternalEnergy, PorousMedium, Potential
from wgfode.backend import Backend, load
from wgfode.drive import Drive
from wgfode.maps import Affine
from wgfode.problems import ring_kernel
from wgfode.pushforward import Pushed, push


def quartic(x):
    return (x**4).sum(-1) + x[..., 0] * x[..., 1]


def bowl(x):
    return 0.5 * (x**2).sum(-1)


def squared_density(rho):
    return rho**2


THETA = np.array([1.2, 0.3, -0.1, 0.8, 0.4, -0.2])


def pushed(backend: Backend, theta: np.ndarray, n: int = 64):
    reference = wgf.Gaussian.standard(2)
    z, w = wgf.Sobol(n, seed=3).draw(reference)
    as_ = backend.asarray
    return push(backend, Affine(2), reference, as_(theta), Drive(as_(z), as_(w)), density=True)


def value(energy, rho) -> float:
    return float(sum(c * t.value(rho) for c, t in energy.terms))


def gradient(energy, rho):
    return sum(c * t.gradient(rho) for c, t in energy.terms)


def test_a_given_U_is_the_porous_medium(backend: Backend) -> None:
    rho = pushed(backend, THETA)
    np.testing.assert_allclose(
        backend.to_numpy(InternalEnergy(squared_density).gradient(rho)),
        backend.to_numpy(PorousMedium(2).gradient(rho)),
        rtol=1e-11,
    )  # fmt: skip


@pytest.mark.parametrize("block", [1, 100, 1000, 10**7])
def test_interaction_does_not_depend_on_its_blocks(backend: Backend, block: int) -> None:
    rho = pushed(backend, THETA)
    small, whole = Interaction(ring_kernel, block=block), Interaction(ring_kernel)
    assert float(small.value(rho)) == pytest.approx(float(whole.value(rho)), rel=1e-13)
    np.testing.assert_allclose(backend.to_numpy(small.gradient(rho)), backend.to_numpy(whole.gradient(rho)), atol=1e-13)


def test_interaction_never_holds_more_than_a_block() -> None:
    """W is handed at most `block` numbers at a time."""
    seen: list[int] = []

    def watched(x):
        seen.append(int(np.prod(x.shape)))
        return (x**2).sum(-1)

    backend = load("torch")
    rho = pushed(backend, THETA, 256)
    block = 10 * 256 * 2
    energy = Interaction(watched, block=block)
    energy.value(rho)
    energy.gradient(rho)
    assert max(seen) <= block


def test_half_in_front_of_the_interaction(backend: Backend) -> None:
    """W = |x|²/2: ½E W(X−Y) = ½ tr C, and g = x − mean."""
    rho = pushed(backend, THETA)
    x, w = backend.to_numpy(rho.x), backend.to_numpy(rho.weights)
    centred = x - w @ x
    energy = Interaction(lambda y: 0.5 * (y**2).sum(-1))
    assert float(energy.value(rho)) == pytest.approx(0.5 * w @ (centred**2).sum(1), rel=1e-12)
    np.testing.assert_allclose(backend.to_numpy(energy.gradient(rho)), centred, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(a=st.floats(0.1, 10), b=st.floats(0.1, 10), c=st.floats(0.1, 10))
def test_algebra(a: float, b: float, c: float) -> None:
    rho = pushed(load("torch"), THETA, 16)
    one, two = Potential(quartic), Entropy()
    left = value(a * (b * one + c * two), rho)
    right = a * b * value(one, rho) + a * c * value(two, rho)
    assert left == pytest.approx(right, rel=1e-12)
    assert value(one + two, rho) == pytest.approx(value(two + one, rho), rel=1e-14)


FACTORS = {
    "number": lambda c: c,
    "numpy scalar": np.float64,
    "numpy array": np.array,
    "torch": lambda c: torch.tensor(c, dtype=torch.float64),
    "jax": jnp.asarray,
}
factors = st.builds(lambda make, c: (FACTORS[make](c), c), st.sampled_from(sorted(FACTORS)), st.floats(0.125, 8))


@settings(max_examples=40, deadline=None)
@given(a=factors, b=factors, c=factors)
def test_every_kind_of_number_means_what_it_says(a, b, c) -> None:
    """a·V − b·V' + S/c and their sum, whichever library the numbers are of, on whichever side."""
    rho = pushed(load("torch"), THETA, 16)
    one, two, three = Potential(quartic), Potential(bowl), Entropy()
    energy = sum([a[0] * one, -(two * b[0]), three / c[0]]) - 0 * one
    expected = a[1] * value(one, rho) - b[1] * value(two, rho) + value(three, rho) / c[1]
    assert [type(k) for k, _ in energy.terms] == [float] * 4
    assert value(energy, rho) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert value(one - two, rho) == pytest.approx(value(one, rho) - value(two, rho), rel=1e-12)


def test_what_is_differentiated_is_not_cut_to_a_number() -> None:
    with pytest.raises(InputError, match="args"):
        torch.tensor(0.5, requires_grad=True) * Entropy()
    for transform in (jax.grad, jax.jit):
        with pytest.raises(InputError, match="args"):
            transform(lambda c: value(c * Entropy(), pushed(load("jax"), THETA)))(0.5)
    with pytest.raises(InputError, match="args"):
        torch.func.grad(lambda c: (c * Entropy()) and c)(torch.tensor(0.5))


@pytest.mark.parametrize("other", [1, 2.0, np.ones(3), "x", None, torch.ones(2)])
def test_energies_add_to_energies_alone(other) -> None:
    for make in (lambda: Entropy() + other, lambda: other + Entropy(), lambda: Entropy() - other):
        with pytest.raises(TypeError):
            make()


# -- pairs of equal points


def norm(x):
    return (x**2).sum(-1) ** 0.5


def exponential(x):
    return np.e ** -norm(x)


def inverse_root(x):
    return norm(x) ** -0.5


def logarithm(x):
    return -0.5 * array_namespace(x).log((x**2).sum(-1))


def sinc(x):
    return array_namespace(x).sin(norm(x)) / norm(x)


KERNELS = {
    "e^-|x|": (exponential, 1.0),
    "|x|": (norm, 0.0),
    "|x|^-1/2": (inverse_root, None),
    "-log|x|": (logarithm, None),
    "sin|x|/|x|": (sinc, None),
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weighted", [False, True])
def test_kernels_with_a_kink_or_a_pole_at_zero(name: str, dtype: str, weighted: bool) -> None:
    """Against plain loops over the pairs, whose gradient by differences is the weighted g."""
    W, at_zero = KERNELS[name]
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((9, 2)), rng.random(9) if weighted else np.ones(9)
    w /= w.sum()

    def energy(points: np.ndarray) -> float:
        pairs = [w[i] * w[j] * W((points[i] - points[j])[None])[0] for i in range(9) for j in range(9) if i != j]
        others = sum(w**2)
        return 0.5 * (sum(pairs) + others * at_zero if at_zero is not None else sum(pairs) / (1 - others))

    for framework in ("torch", "jax"):
        backend = load(framework, dtype)
        rho = Pushed(backend, backend.asarray(x), backend.asarray(w))
        rtol = 1e-6 if dtype == "float64" else 1e-3
        assert float(Interaction(W).value(rho)) == pytest.approx(energy(x), rel=rtol)
        g, h = backend.to_numpy(Interaction(W).gradient(rho)), 1e-5
        for i, k in ((0, 0), (4, 1), (8, 0)):
            step = np.zeros_like(x)
            step[i, k] = h
            wanted = (energy(x + step) - energy(x - step)) / (2 * h) / w[i]
            assert g[i, k] == pytest.approx(wanted, rel=rtol, abs=1e-4 if dtype == "float32" else 1e-8)


def test_smooth_kernels_keep_their_sums() -> None:
    """For a smooth W nothing changes: the sums over all pairs, the diagonal included."""
    backend = load("torch")
    rho = pushed(backend, THETA, 32)
    x, w = backend.to_numpy(rho.x), backend.to_numpy(rho.weights)
    pairs = ring_kernel((x[:, None] - x[None]).reshape(-1, 2)).reshape(32, 32)
    assert float(Interaction(ring_kernel).value(rho)) == pytest.approx(0.5 * w @ pairs @ w, rel=1e-14)


def test_kernels_without_an_integral_are_refused() -> None:
    for W, dim in ((lambda x: 1 / (x**2).sum(-1), 2), (lambda x: 1 / norm(x), 1)):
        with pytest.raises(InputError, match="no integral"):
            wgf.GradientFlow(map=Affine(dim), energy=Interaction(W), reference=wgf.Gaussian.standard(dim))


def test_a_blow_up_is_named() -> None:
    """A run that stops where all is finite and the mass has drawn together: said, and only then."""
    from wgfode.adapters.torchdiffeq import right_hand_side
    from wgfode.monitor.fault import explain

    rhs = right_hand_side(
        wgf.GradientFlow(
            map=Affine(2), energy=Interaction(bowl), reference=wgf.Gaussian.standard(2), points=wgf.Sobol(32)
        )
    ).rhs
    start, gathered = np.array([1.0, 0, 0, 1, 0, 0]), np.array([0.01, 0, 0, 0.01, 0, 0])
    assert "concentrates" in explain(rhs, 1.0, gathered, horizon=0.1)
    assert explain(rhs, 1.0, start, horizon=0.1) == explain(rhs, 1.0, start) == ""


def test_a_blow_up_is_named_by_a_run() -> None:
    """Keller–Segel in the plane beyond its critical mass: the variance falls at the rate 2 (1/2 − 2D) to nothing."""

    def attraction(x):
        return 0.5 * array_namespace(x).log((x**2).sum(-1))

    flow = wgf.GradientFlow(
        map=Affine(2),
        energy=Interaction(attraction) + 0.05 * wgf.Entropy(),
        reference=wgf.Gaussian.standard(2),
        points=wgf.Sobol(64, seed=0),
    )
    ds = wgf.solve(flow, [1.0, 5.0], integrator="torchdiffeq", certificate=False, stiffness=False, evaluation=64,
                   max_steps=400)  # fmt: skip
    assert ds.attrs["status"].startswith("stopped at t=2.")
    assert "the solution itself may blow up" in ds.attrs["status"]


def test_convexity_adds_up() -> None:
    assert (Potential(quartic, convexity=2.0) + 3 * Entropy()).convexity == 2.0
    assert (2 * Potential(quartic, convexity=-1.0) + Interaction(ring_kernel, convexity=-1.0)).convexity == -3.0
    assert (Potential(quartic, convexity=1.0) + Interaction(ring_kernel, convexity=5.0)).convexity == 1.0
    assert (Potential(quartic) + Entropy()).convexity is None
    assert (-1 * Potential(quartic, convexity=1.0)).convexity is None


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: -1 * Entropy(), "coefficient"),
        (lambda: 0 * Entropy(), "coefficient"),
        (lambda: Potential(quartic) + (-0.5) * PorousMedium(2), "coefficient"),
        (lambda: PorousMedium(1), "m must be > 1"),
        (lambda: PorousMedium(0.5), "m must be > 1"),
        (lambda: PorousMedium("two"), "m must be a number"),
        (lambda: Potential(3), "V must be a function"),
        (lambda: Interaction(None), "W must be a function"),
        (lambda: InternalEnergy(1), "U must be"),
        (lambda: Potential(quartic, convexity=float("nan")), "convexity"),
        (lambda: "x" * Entropy(), "factor"),
        (lambda: -Entropy(), "coefficient"),
        (lambda: Potential(quartic) - Entropy(), "coefficient"),
        (lambda: Entropy() / 0, "divisor"),
        (lambda: Entropy() / np.inf, "divisor"),
        (lambda: Entropy() * Entropy(), "factor"),
        (lambda: np.diag([1.0, 2.0]) * Entropy(), "Diffusion"),
        (lambda: torch.eye(2) * Entropy(), "Diffusion"),
        (lambda: np.array([2.0]) * Entropy(), "factor"),
        (lambda: 1j * Entropy(), "factor"),
    ],
)
def test_bad_input_names_the_argument(make, named: str) -> None:
    with pytest.raises(InputError, match=named):
        make()
