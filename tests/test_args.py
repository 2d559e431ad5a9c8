"""Functions of more than x: the time, physical parameters, and derivatives in them."""

from __future__ import annotations

import functools
import pickle
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
import torchdiffeq

import wgfode as wgf
from wgfode.adapters import diffrax as jax_side
from wgfode.adapters import torchdiffeq as torch_side
from wgfode.backend import load
from wgfode.functions import Given
from wgfode.rhs import RightHandSide

QUICK = {"integrator": "torchdiffeq", "evaluation": 64, "stiffness": False, "certificate": False}


def quadratic(x: Any, args: Any) -> Any:
    return args["k"] * (x**2).sum(-1) / 2


def ornstein_uhlenbeck(**changes: Any) -> wgf.GradientFlow:
    """c03: V = k x²/2 and D from `args`, from N(0, 1); an affine map holds the solution."""
    parts: dict[str, Any] = {
        "map": wgf.maps.Affine(1),
        "energy": wgf.Potential(quadratic) + wgf.coefficient(lambda args: args["D"]) * wgf.Entropy(),
        "reference": wgf.Gaussian.standard(1), "points": wgf.Sobol(16, seed=0, matched=True),
    }  # fmt: skip
    return wgf.GradientFlow(**(parts | changes))


K, D, T = 2.0, 0.5, 0.5


def variance(k: float, D: float) -> float:
    """Of the exact solution at T."""
    return D / k + (1 - D / k) * np.exp(-2 * k * T)


EXACT = {"k": (variance(K + 1e-6, D) - variance(K - 1e-6, D)) / 2e-6, "D": (1 - np.exp(-2 * K * T)) / K}


def tensors() -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in (("k", K), ("D", D))}


def end_variance(f: Any, theta: torch.Tensor) -> torch.Tensor:
    x = f.pushforward(theta, [[0.0], [1.0]])
    return (x[1, 0] - x[0, 0]) ** 2


# what a function names


class Callable_:
    def __call__(self, x: Any, t: Any) -> Any:
        return x


class Module(torch.nn.Module):
    def forward(self, x: Any, args: Any) -> Any:
        return x


@pytest.mark.parametrize(("function", "names"), [
    (lambda x: x, ""), (lambda x, t: x, "t"), (lambda x, args: x, "args"), (lambda x, args, t: x, "args t"),
    (lambda t: t, ""), (lambda x, *args: x, ""), (lambda x, **args: x, ""), (lambda x, *, t: x, "t"),
    (functools.partial(lambda a, x, args: x, 1), "args"), (functools.partial(lambda x, args: x, args=2), ""),
    (Callable_(), "t"), (Module(), "args"), (torch.func.vmap(quadratic, (0, None)), "args"), (np.sin, ""), (max, ""),
    (lambda x, scale=1.0, t=0.0: x, "t"),
])  # fmt: skip
def test_which_it_names(function: Any, names: str) -> None:
    given = Given(function)
    assert given.names == frozenset(names.split())
    if names and not isinstance(function, functools.partial):
        assert given.at(0.5, {"k": 1.0})(torch.ones(3, 1)).shape[0] == 3


# closed forms


@pytest.mark.parametrize("solver", [wgf.Cholesky(1e-12), wgf.MINRES(shift=1e-12, rtol=1e-12)], ids=repr)
def test_odeint_differentiates_in_args(solver: Any) -> None:
    args = tensors()
    f = torch_side.right_hand_side(ornstein_uhlenbeck(solver=solver), args=args)
    times = torch.tensor([0.0, T], dtype=torch.float64)
    theta = torchdiffeq.odeint(f, f.initial(), times, method="rk4", options={"step_size": T / 16})
    found = torch.autograd.grad(end_variance(f, theta[-1]), list(args.values()))
    np.testing.assert_allclose([float(g) for g in found], [EXACT["k"], EXACT["D"]], atol=1e-6)


def test_the_adjoint_finds_parameters() -> None:
    args = {name: torch.nn.Parameter(value.detach()) for name, value in tensors().items()}
    f = torch_side.right_hand_side(ornstein_uhlenbeck(), args=args)
    assert [float(p.detach()) for p in f.parameters()] == [K, D]
    times = torch.tensor([0.0, T], dtype=torch.float64)
    theta = torchdiffeq.odeint_adjoint(f, f.initial(), times, method="rk4", options={"step_size": T / 16})
    end_variance(f, theta[-1]).backward()
    found = [float(args[name].grad) for name in EXACT]  # type: ignore[arg-type]
    np.testing.assert_allclose(found, list(EXACT.values()), atol=1e-5)  # the adjoint's own steps


@pytest.mark.parametrize("args", [{"k": K, "D": D}, {"k": np.float64(K), "D": np.array(D)}])
def test_no_graph_grows_unasked(args: Any) -> None:
    f = torch_side.right_hand_side(ornstein_uhlenbeck(), args=args)
    assert not f(0.0, f.initial()).requires_grad
    asked = torch_side.right_hand_side(ornstein_uhlenbeck(), args=tensors())
    for ask in (lambda: asked(0.0, f.initial()), lambda: asked.velocity(f.initial(), [[1.0]])):
        assert ask().requires_grad
        with torch.no_grad():
            assert not ask().requires_grad
    theta = f.initial().requires_grad_()
    assert f.pushforward(theta, [[1.0]]).requires_grad
    assert f.log_density(theta, [[1.0]]).requires_grad
    assert not any(getattr(value, "requires_grad", False) for value in asked.diagnostics(0.0, theta, 16).values())


# finite differences


def rich(map_: Any, solver: Any, metric: Any, estimator: str) -> wgf.GradientFlow:
    """Every kind of term with parameters."""
    energy = (
        wgf.Potential(lambda x, t, args: ((x - t) ** 4).sum(-1) / 4 * args["V"])
        + wgf.coefficient(lambda args, t: args["D"] * (1 + t)) * wgf.Entropy()
        + wgf.Interaction(lambda x, args: (args["W"][0] * (x**2)).sum(-1) / 2 + args["W"][1] * (x**4).sum(-1))
        + 0.1 * wgf.InternalEnergy(lambda r, args: args["V"] * r**2)
    )
    return wgf.GradientFlow(
        map=map_, energy=energy, reference=wgf.Gaussian.standard(map_.dim),
        points=wgf.Sobol(24, seed=0), solver=solver, metric=metric, estimator=estimator,
    )  # fmt: skip


PARAMETERS = np.array([0.7, 0.4, 0.3, 0.1])


def tree(p: Any) -> dict[str, Any]:
    return {"V": p[0], "D": p[1], "W": [p[2], p[3]]}


RELAXED, EXACT_METRIC = wgf.Relaxed(), wgf.Wasserstein(wgf.potentials.Polynomial(3))
CURVED, LINEAR = wgf.maps.Affine(1) @ wgf.maps.Residual(1, width=2), wgf.maps.Affine(2)
CASES = [
    (CURVED, wgf.Eigh(1e-13), RELAXED, "velocity"), (CURVED, wgf.Cholesky(1e-12), RELAXED, "energy"),
    (LINEAR, wgf.MINRES(shift=1e-10, rtol=1e-12), RELAXED, "velocity"),
    (LINEAR, wgf.LSMR(shift=1e-10, rtol=1e-12), RELAXED, "velocity"),
    (LINEAR, wgf.Eigh(1e-13), EXACT_METRIC, "velocity"),
]  # fmt: skip


@pytest.mark.parametrize("name", ["torch", pytest.param("jax", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("map_", "solver", "metric", "estimator"), CASES, ids=repr)
def test_the_right_hand_side_has_its_derivatives(
    name: str, map_: Any, solver: Any, metric: Any, estimator: str
) -> None:
    backend = load(name)
    flow = rich(map_, solver, metric, estimator)
    rhs = RightHandSide(flow, backend, 1e-12, tree(PARAMETERS))
    theta = flow.map.initial() + 0.2 * np.random.default_rng(0).normal(size=flow.size)
    weights = backend.asarray(np.random.default_rng(1).normal(size=flow.size))

    def scalar(both: Any) -> Any:
        return weights @ rhs.evaluate(both[4:], rhs.drive(0.3, args=tree(both))).velocity

    at = np.concatenate([PARAMETERS, theta])
    plain = backend.compile(scalar)
    if name == "jax":
        found = np.asarray(jax.jit(jax.grad(scalar))(at))
    else:
        leaf = torch.tensor(at, requires_grad=True)
        found = torch.autograd.grad(scalar(leaf), leaf)[0].numpy()
    h, wanted = 1e-4, []
    directions = np.random.default_rng(2).normal(size=(3, len(at))) / len(at) ** 0.5
    directions[0, :4], directions[1, 4:] = 0, 0
    for e in directions:
        a, b, c, d = (float(plain(backend.asarray(at + s * h * e))) for s in (-2, -1, 1, 2))
        wanted.append((a - 8 * b + 8 * c - d) / (12 * h))
    np.testing.assert_allclose(directions @ found, wanted, atol=1e-6 * max(1.0, float(np.abs(wanted).max())))


def test_forward_and_reverse_by_torch_func() -> None:
    f = torch_side.right_hand_side(ornstein_uhlenbeck(), args={"k": K, "D": D})
    theta = f.initial()
    # θ = (scale, mean): s' = −k s + D/s, m' = −k m
    wanted = [[-K - D, 0.0], [0.0, -K]]
    np.testing.assert_allclose(torch.func.jacrev(lambda p: f(0.0, p))(theta).detach(), wanted, atol=1e-6)
    np.testing.assert_allclose(torch.func.jacfwd(lambda p: f(0.0, p))(theta).detach(), wanted, atol=1e-6)
    one = torch.tensor(1.0, dtype=torch.float64)
    _, slope = torch.func.jvp(lambda k: f(0.0, theta, {"k": k, "D": D}), (K * one,), (one,))
    np.testing.assert_allclose(slope.detach(), [-1.0, 0.0], atol=1e-6)


def test_jax_differentiates_and_batches() -> None:
    f = jax_side.right_hand_side(ornstein_uhlenbeck())
    theta, ks = f.initial(), np.array([1.0, 2.0, 3.0])

    @jax.jit
    def everything(theta: Any, ks: Any) -> tuple[Any, ...]:
        rate = lambda theta, k: f(0.0, theta, {"k": k, "D": D})  # noqa: E731
        over = jax.vmap(rate, (None, 0))(theta, ks)
        both = jax.vmap(rate)(jax.numpy.stack([theta] * 3), ks)
        return over, both, jax.jacrev(rate, 1)(theta, K), jax.jacfwd(rate, 0)(theta, K)

    over, both, reverse, forward = everything(theta, ks)
    np.testing.assert_allclose(over[:, 0], D - ks, atol=1e-6)
    np.testing.assert_allclose(both, over, atol=1e-12)
    np.testing.assert_allclose(reverse, [-1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(forward, [[-K - D, 0.0], [0.0, -K]], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("implicit", [False, True])
def test_diffrax_differentiates_in_args_and_start(implicit: bool) -> None:
    """Reverse through an explicit method; forward through ours, whose loops jax differentiates forward alone."""
    import diffrax

    f = jax_side.right_hand_side(ornstein_uhlenbeck())
    solver = jax_side.FlowESDIRK(f, "Kvaerno5", 1e-8, 1e-10) if implicit else diffrax.Tsit5()
    adjoint = diffrax.ForwardMode() if implicit else diffrax.RecursiveCheckpointAdjoint()

    def end(args: Any, start: Any) -> Any:
        sol = diffrax.diffeqsolve(f.term, solver, 0.0, T, None, start, args, adjoint=adjoint, max_steps=64,
                                  stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-10))  # fmt: skip
        return sol.ys[-1][0] ** 2

    derivative = jax.jacfwd if implicit else jax.grad
    args, start = jax.jit(derivative(end, (0, 1)))({"k": K, "D": D}, f.initial())
    np.testing.assert_allclose([args["k"], args["D"]], [EXACT["k"], EXACT["D"]], atol=1e-6)
    np.testing.assert_allclose(start, [2 * np.exp(-2 * K * T), 0.0], atol=1e-6)


# the time


def moving(k: float = 2.0) -> wgf.GradientFlow:
    """A trap whose centre is cos πt."""

    def V(x: Any, t: Any) -> Any:
        xp = wgf_namespace(x)
        return k * ((x - xp.cos(xp.pi * t * xp.ones_like(x))) ** 2).sum(-1) / 2

    return ornstein_uhlenbeck(energy=wgf.Potential(V, convexity=k) + 0.5 * wgf.Entropy())


def wgf_namespace(x: Any) -> Any:
    from array_api_compat import array_namespace

    return array_namespace(x)


def centre(t: float, k: float = 2.0) -> float:
    """The mean: m' = −k(m − cos πt), m(0) = 0."""
    w = np.pi
    return k * (k * np.cos(w * t) + w * np.sin(w * t)) / (k**2 + w**2) - k**2 / (k**2 + w**2) * np.exp(-k * t)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(("method", "integrator"), [
    ("Tsit5", "torchdiffeq"), ("Kvaerno5", "torchdiffeq"),
    pytest.param("Tsit5", "diffrax", marks=SLOW),
    pytest.param("KenCarp4", "torchdiffeq", marks=SLOW), pytest.param("Radau", "scipy", marks=SLOW),
    pytest.param("Kvaerno5", "diffrax", marks=SLOW),
])  # fmt: skip
def test_a_moving_trap(method: str, integrator: str) -> None:
    options = QUICK | {"integrator": integrator, "method": method, "rtol": 1e-8, "atol": 1e-10}
    ds = wgf.solve(moving(), [0.2, 0.6], **options)
    np.testing.assert_allclose(ds.theta.values[:, 1], [centre(t) for t in ds.time.values], atol=1e-6)


def test_the_proximal_scheme_takes_forces_at_the_end_of_its_steps() -> None:
    miss = []
    for h in (0.05, 0.025):
        ds = wgf.solve(moving(), [0.5], method="proximal", step_size=h, **QUICK)
        miss.append(abs(float(ds.theta.values[-1, 1]) - centre(0.5)))
    assert miss[0] / miss[1] == pytest.approx(2.0, abs=0.15)  # the implicit Euler method's order


def test_the_bound_knows_the_time() -> None:
    """The map holds the solution, so the bound is the integrator's; with forces of another time it is of order 1."""
    ds = wgf.solve(moving(), [0.5], integrator="torchdiffeq", evaluation=128, stiffness=False)
    assert float(ds.w2_bound[-1]) < 1e-3
    assert float(ds.residual[-1]) < 1e-10


# words


def test_missing_args_say_where_they_go(tmp_path: Path) -> None:
    flow = ornstein_uhlenbeck()
    for bind in (torch_side.right_hand_side, lambda flow: wgf.solve(flow, [0.1], **QUICK)):
        with pytest.raises(wgf.InputError, match=r"right_hand_side\(flow, args=…\), solve\(…, args=…\)"):
            bind(flow)
    f = jax_side.right_hand_side(flow)
    with pytest.raises(wgf.InputError, match="diffeqsolve"):
        f(0.0, f.initial())


@pytest.mark.parametrize(("args", "words"), [
    ({"D": D}, "V failed.*KeyError: 'k'"), ({"k": K}, "coefficient.*KeyError: 'D'"),
    ({"k": K, "D": -1.0}, "must be > 0"),
    ({"k": K, "D": np.ones(2)}, r"without dimension, got shape \(2,\)"), ({"k": np.nan, "D": D}, "V must be finite"),
    ({"k": K, "D": "0.5"}, r"args\['D'\] must be a number or an array"), ({"k": Module(), "D": D}, "functional_call"),
])  # fmt: skip
def test_args_of_another_kind(args: Any, words: str) -> None:
    with pytest.raises(wgf.InputError, match=words):
        torch_side.right_hand_side(ornstein_uhlenbeck(), args=args)


def test_refusals() -> None:
    with pytest.raises(wgf.InputError, match="lambda args"):
        wgf.coefficient(lambda D: D)
    with pytest.raises(wgf.InputError, match="factor of a coefficient"):
        wgf.coefficient(lambda t: t) * "two"
    k = torch.tensor(2.0, requires_grad=True)
    with pytest.raises(wgf.InputError, match="args"):
        k * wgf.Entropy()
    with pytest.raises(wgf.InputError, match="args"):
        torch_side.right_hand_side(ornstein_uhlenbeck(energy=wgf.Potential(lambda x: k * (x**2).sum(-1))))
    f = torch_side.right_hand_side(ornstein_uhlenbeck(), args=tensors())
    times = torch.tensor([0.0, 0.1], dtype=torch.float64)
    with pytest.raises(wgf.InputError, match="no_grad"):
        torch_side.odeint(f, f.initial(), times, method="Kvaerno5")
    with torch.no_grad():
        assert torch_side.odeint(f, f.initial(), times, method="Kvaerno5").shape == (2, 2)


def test_coefficients_are_numbers_in_products() -> None:
    c = wgf.coefficient(lambda args: args["c"])
    energy = (2 * c / 4) * (wgf.Potential(lambda x: (x**2).sum(-1)) - 3 * wgf.Interaction(lambda x: (x**2).sum(-1)))
    rhs = RightHandSide(ornstein_uhlenbeck(energy=energy), load("torch"), 1e-8, {"c": 3.0})
    rho = rhs.pushed(rhs.initial(), rhs.drive())
    values = [float(k * term.value(rho)) for k, term in energy.terms]
    x2 = float(rho.mean((rho.x**2).sum(-1)))
    np.testing.assert_allclose(values, [1.5 * x2, -3 * 1.5 * x2], rtol=1e-12)  # ½∬(x−y)² = E x², the mean is 0
    assert energy.modulus is None
    assert (wgf.Potential(lambda x: x, convexity=1.0) + c * wgf.Entropy()).modulus == 1.0


def test_a_run_records_its_args(tmp_path: Path) -> None:
    place = tmp_path / "run.npz"
    args = {"k": torch.tensor(K), "D": [D][0]}
    ds = wgf.solve(ornstein_uhlenbeck(), [0.1], args=args, checkpoint=place, **QUICK)
    assert ds.attrs["args"] == '{"k": 2.0, "D": 0.5}'
    wgf.solve(ornstein_uhlenbeck(), [0.1], args=args, checkpoint=place, resume=True, **QUICK)
    with pytest.raises(wgf.CheckpointError, match="args"):
        wgf.solve(ornstein_uhlenbeck(), [0.1], args=args | {"k": 2.5}, checkpoint=place, resume=True, **QUICK)


def test_args_travel() -> None:
    f = torch_side.right_hand_side(ornstein_uhlenbeck(energy=wgf.Potential(quadratic)), args={"k": K})
    again = pickle.loads(pickle.dumps(f))
    np.testing.assert_array_equal(again(0.0, f.initial()), f(0.0, f.initial()))


@pytest.mark.parametrize("blocks", [2, pytest.param(3, marks=SLOW)])
def test_the_page_runs(blocks: int) -> None:
    """The first two blocks need torch, the third jax and its compiler."""
    page = (Path(__file__).resolve().parent.parent / "docs" / "parameters.md").read_text(encoding="utf-8")
    known: dict[str, Any] = {}
    found = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    assert len(found) == 3
    for block in found[:blocks]:
        exec(block, known)
    assert float(known["dataset"].theta[-1, 0]) ** 2 == pytest.approx(variance(K, D), abs=1e-5)
    slopes = [float(known["args"][name].grad) for name in EXACT]
    np.testing.assert_allclose(slopes, list(EXACT.values()), atol=5e-4)
    if blocks == 3:
        assert known["sweep"].shape == (32, 2)
        assert (np.diff(known["sweep"][:, 0]) > 0).all()
        assert float(known["slopes"]["D"][0]) > 0
