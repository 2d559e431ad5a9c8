"""Users' models as maps: exact recentring, given starts, the module handed back, and one line for each bad input."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest
import torch
from torch import nn

import wgfode as wgf
from wgfode.adapters.models import from_equinox, from_flowjax, from_torch, from_zuko
from wgfode.backend import load
from wgfode.errors import InputError
from wgfode.maps.base import push_by_autodiff

QUICK: dict[str, Any] = {"evaluation": 64, "stiffness": False, "certificate": False, "rtol": 1e-4, "atol": 1e-6}
close = np.testing.assert_allclose


def well(x: Any) -> Any:
    return 0.5 * ((x - 1.0) ** 2).sum(-1)


DIFFUSIVE = wgf.Potential(well, convexity=1.0) + 0.5 * wgf.Entropy()


def network(d: int, activation: nn.Module, seed: int = 0, out: int | None = None) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(d, 12), activation, nn.Linear(12, out or d))


def bound(map_: wgf.maps.Map, energy: Any = DIFFUSIVE, framework: str = "torch") -> Any:
    flow = wgf.GradientFlow(map_, energy, wgf.Gaussian.standard(map_.dim), wgf.Sobol(128, matched=True))
    flow.check(load(framework))
    return flow


class Function(nn.Module):
    """A module of a layer and a function of it and of the points."""

    def __init__(self, function: Callable[[nn.Module, Any], Any]):
        super().__init__()
        self.layer, self.function = nn.Linear(2, 2), function

    def forward(self, z: Any) -> Any:
        return self.function(self.layer, z)


def added_in_place(layer: nn.Module, z: Any) -> Any:
    z += 1
    return layer(z)


def not_a_number() -> nn.Module:
    layer = nn.Linear(2, 2)
    layer.weight.data[0, 1] = float("nan")
    return layer


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "too wide": (lambda: nn.Linear(2, 3), r"d = 2 numbers .* gave shape \(16, 3\): make its last layer of width 2"),
    "other dimension": (lambda: nn.Linear(3, 3), r"failed on torch arrays .* shape \(16, 2\)"),
    "one point": (lambda: Function(lambda layer, z: layer.weight @ z + layer.bias), r"must take \(N, d\) to \(N, d\)"),
    "in place": (lambda: Function(added_in_place), "changes its input in place"),
    "in-place layer": (lambda: nn.Sequential(nn.SiLU(inplace=True), nn.Linear(2, 2)), "inplace=False"),
    "batch norm": (lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), r"by itself.*module\.eval\(\)"),
    "attention": (lambda: nn.TransformerEncoderLayer(2, 1, 4, 0.0), "attention must not run over the batch"),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(2, 8), nn.Dropout(), nn.Linear(8, 2)),
        r"another result each time.*eval",
    ),
    "no parameters": (nn.Tanh, "no parameters"),
    "frozen": (lambda: nn.Linear(2, 2).requires_grad_(False), r"requires_grad_\(True\)"),
    "detached": (lambda: Function(lambda layer, z: layer(z).detach()), "no parameter of .* moves any point"),
    "numpy": (lambda: Function(lambda layer, z: torch.as_tensor(np.sin(layer(z).numpy()))), "cannot be differentiated"),
    "NaN": (not_a_number, "weight holds 1 of 4"),
    "lazy": (lambda: nn.LazyLinear(2), "call the module once"),
    "a class": (lambda: nn.Linear, "hand over what it makes"),
    "a function": (lambda: well, r"wgf\.maps\.Custom"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_module_that_is_no_map_is_refused_with_what_to_do(name: str) -> None:
    make, words = BAD[name]
    with pytest.raises(InputError, match=words) as caught:
        from_torch(make(), 2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.Hardtanh, nn.ELU, nn.Softplus, nn.GELU])
def test_kinks_are_refused_where_a_density_is_needed(dim: int, activation: type[nn.Module]) -> None:
    kinked = activation in (nn.ReLU, nn.LeakyReLU, nn.Hardtanh)
    for seed in range(2):
        map_ = from_torch(network(dim, activation(), seed), dim)
        bound(map_, wgf.Potential(well))
        if kinked:
            with pytest.raises(InputError, match=r"no score.*tanh, softplus"):
                bound(map_)
        else:
            bound(map_)


def test_parameters_come_back_in_the_users_module() -> None:
    """With buffers, a frozen layer, tied weights, and the module's own precision; the user's module is left alone."""
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Tanh(), nn.Linear(2, 2)).eval()
    net[3].weight = net[0].weight
    net[0].bias.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    map_ = from_torch(net, 2)
    assert map_.size == 4 + 2 + 2 + 2
    theta = map_.initial() + 0.1 * np.arange(map_.size)
    z = torch.randn(5, 2, dtype=torch.float64)
    again = map_.module(theta)
    assert again[3].weight is again[0].weight
    assert again[0].weight.dtype == torch.float32
    close(again.double()(z).detach(), map_.model(torch.as_tensor(theta), z), rtol=1e-6, atol=1e-6)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    with pytest.raises(InputError, match="m=10"):
        map_.module(theta[1:])


def test_a_run_of_a_module_against_the_exact_moments() -> None:
    """From N(3, 4) far from the origin, and in whitened coordinates, with the module in single precision."""
    flow = wgf.GradientFlow(
        from_torch(network(1, nn.Tanh()), 1), DIFFUSIVE, wgf.Gaussian([3.0], [[4.0]]), wgf.Sobol(256, matched=True)
    )
    run = wgf.solve(flow, [0.2], **QUICK | {"evaluation": 512})
    assert run.attrs["status"] == "completed"
    assert run.attrs["backend"] == "torch"
    assert run.attrs["solver"] == "Auto() → Eigh(shift=1e-05)"
    decay = np.exp(-0.2)
    exact = 1 + 2 * decay + np.sqrt(4 * decay**2 + 0.5 * (1 - decay**2)) * (run.z - 3) / 2
    assert float(np.sqrt(((run.x[-1] - exact) ** 2).mean())) < 2e-2


def test_a_given_start_is_the_density_of_the_module() -> None:
    """A map that shifts by (4, 0) and doubles: nothing is recentred or whitened, and the dataset says so."""
    layer = nn.Linear(2, 2)
    layer.weight.data, layer.bias.data = 2 * torch.eye(2), torch.tensor([4.0, 0.0])
    map_ = from_torch(layer, 2, start="given")
    reference = wgf.Gaussian([1.0, -1.0], [[0.25, 0.0], [0.0, 1.0]])
    flow = wgf.GradientFlow(map_, DIFFUSIVE, reference, wgf.Sobol(128, matched=True))
    run = wgf.solve(flow, [0.3], **QUICK | {"certificate": True})
    close(run.x[0], 2 * run.z + [4.0, 0.0], atol=1e-12)
    close(run.log_density[0], reference.log_density(run.z.values) - np.log(4), atol=1e-12)
    decay = np.exp(-0.3)
    deviation = np.sqrt(decay**2 * np.array([1.0, 4.0]) + 0.5 * (1 - decay**2))
    exact = 1 + decay * np.array([5.0, -3.0]) + deviation * (run.z - [1, -1]) / [0.5, 1.0]
    close(run.x[-1], exact, atol=1e-3)
    assert float(run.w2_bound[-1]) < 1e-2
    assert "given" in run.attrs["title"]
    assert run.attrs["initial_density"].startswith("T_θ0#λ")


def test_a_model_runs_on_its_own_framework() -> None:
    ours, theirs = from_torch(network(2, nn.Tanh()), 2), from_equinox(eqx.nn.Linear(2, 2, key=jax.random.key(0)), 2)
    for map_, other, integrator in ((ours, "jax", "torchdiffeq"), (theirs, "torch", "diffrax")):
        with pytest.raises(InputError, match=f"cannot run on {other}: use integrator='{integrator}'"):
            bound(map_, framework=other)
        with pytest.raises(InputError, match="cannot run on"):
            bound(wgf.maps.Affine(2) @ map_, framework=other)
    with pytest.raises(InputError, match="of one framework"):
        ours @ theirs


def test_equinox_modules_that_are_no_map() -> None:
    key = jax.random.key(0)
    dropout = eqx.nn.Sequential([eqx.nn.Linear(2, 2, key=key), eqx.nn.Dropout(0.5)])
    for module, words in (
        (eqx.nn.Linear(2, 3, key=key), r"gave shape \(3,\): make its last layer of width 2"),
        (eqx.nn.Linear(3, 3, key=key), r"failed on points \(N, 2\)"),
        (dropout, "inference_mode"),
        (eqx.nn.Dropout(0.0), "no parameters"),
        (jax.numpy.tanh, r"wgf\.maps\.Custom"),
        (network(2, nn.Tanh()), r"equinox\.Module"),
    ):
        with pytest.raises(InputError, match=words):
            from_equinox(module, 2)


def test_equinox_parameters_come_back() -> None:
    layer = eqx.nn.Linear(2, 2, key=jax.random.key(0), dtype="float32")
    map_ = from_equinox(layer, 2)
    theta = map_.initial() + 0.1 * np.arange(map_.size)
    again, z = map_.module(theta), np.array([0.3, -2.0])
    assert again.weight.dtype == np.float32
    close(again(z), map_.model(jax.numpy.asarray(theta), z[None])[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("start", ["identity", "given"])
def test_zuko_flows_by_their_own_log_determinant(start: str) -> None:
    zuko = pytest.importorskip("zuko")
    backend = load("torch")
    for make in (zuko.flows.NICE, zuko.flows.NSF, zuko.flows.MAF):
        torch.manual_seed(1)
        flow = make(2, transforms=2, hidden_features=(4,), activation=nn.Tanh)
        map_ = from_zuko(flow, start)
        theta = backend.asarray(map_.initial() + 0.1 * np.random.default_rng(0).standard_normal(map_.size))
        z = backend.asarray(np.random.default_rng(1).standard_normal((6, 2)))
        ours, plain = map_.push(backend, theta, z, -z), push_by_autodiff(backend, lambda y: map_(theta, y), z, -z)  # noqa: B023
        for name, part in plain._asdict().items():
            if name != "sign":
                close(getattr(ours, name).detach(), part.detach(), atol=1e-9, err_msg=f"{make.__name__} {name}")
        if start == "given":  # the density of zuko itself
            density = map_.module(theta).double()().log_prob(ours.x)
            close(wgf.Gaussian.standard(2).log_density(z) - ours.log_det, density.detach(), atol=1e-5)


def test_what_zuko_cannot_do_is_refused() -> None:
    zuko = pytest.importorskip("zuko")
    with pytest.raises(InputError, match="context"):
        from_zuko(zuko.flows.MAF(2, context=1))
    with pytest.raises(InputError, match="zuko flow"):
        from_zuko(nn.Linear(2, 2))
    with pytest.raises(InputError, match="differentiated"):
        from_zuko(zuko.flows.SOSPF(2, hidden_features=(4,)))


@pytest.mark.parametrize("x64", [True, False])
def test_a_scanned_flowjax_flow_is_a_map_in_either_mode_of_jax(x64: bool) -> None:
    jax, flows = pytest.importorskip("jax"), pytest.importorskip("flowjax.flows")
    base = pytest.importorskip("flowjax.distributions").StandardNormal((2,))
    with jax.enable_x64(x64):
        made = flows.coupling_flow(
            jax.random.key(0), base_dist=base, flow_layers=2, nn_width=4, nn_activation=jax.numpy.tanh
        )
        assert from_flowjax(made).size > 0


@pytest.mark.slow
def test_flowjax_flows_by_their_own_log_determinant() -> None:
    flows = pytest.importorskip("flowjax.flows")
    normal = pytest.importorskip("flowjax.distributions").StandardNormal((2,))
    backend = load("jax")
    for make in (flows.coupling_flow, flows.masked_autoregressive_flow):
        map_ = from_flowjax(
            make(jax.random.key(0), base_dist=normal, flow_layers=1, nn_width=4, nn_activation=jax.numpy.tanh)
        )
        theta = backend.asarray(map_.initial() + 0.1)
        z = backend.asarray(np.random.default_rng(1).standard_normal((6, 2)))
        ours, plain = map_.push(backend, theta, z, -z), push_by_autodiff(backend, lambda y: map_(theta, y), z, -z)  # noqa: B023
        close(ours.score, plain.score, atol=1e-8)
        close(ours.log_det, plain.log_det, atol=1e-9)


def test_custom_takes_nested_parameters_both_ways() -> None:
    nested = {"layers": [{"w": np.eye(2), "b": np.zeros(2)}, (1.0, np.ones((2, 1)))]}

    def function(p: Any, z: Any) -> Any:
        first, (scale, more) = p["layers"]
        return scale * (z @ first["w"] + first["b"]) ** 2 + (z @ more) ** 3

    map_ = wgf.maps.Custom(function, nested, 2)
    theta = np.arange(map_.size, dtype=float)
    back = map_.unflatten(theta)
    close(back["layers"][0]["b"], theta[4:6])
    assert back["layers"][1][1].shape == (2, 1)
    z = torch.randn(4, 2, dtype=torch.float64)
    assert torch.equal(map_(torch.as_tensor(map_.initial()), z), z)
    bound(map_)


@pytest.mark.parametrize("initial", ["abc", {"w": "abc"}, [np.ones(2), None], {}, [], {"w": [1.0, float("inf")]}])
def test_custom_without_numbers(initial: Any) -> None:
    with pytest.raises(InputError, match=r"initial|no parameters"):
        wgf.maps.Custom(lambda p, z: z, initial, 2)


def test_the_shift_is_the_maps_own() -> None:
    """A solver that is given keeps its own; composed maps take the largest."""
    map_ = from_torch(network(2, nn.Tanh()), 2)
    assert (wgf.maps.Affine(2) @ map_).shift == 1e-5
    assert wgf.maps.Affine(2).shift is None
    flow = wgf.GradientFlow(map_, DIFFUSIVE, wgf.Gaussian.standard(2), wgf.Sobol(64), solver=wgf.Eigh(1e-7))
    run = wgf.solve(flow, [1e-3], **QUICK)
    assert run.attrs["solver"] == "Eigh(shift=1e-07)"


def test_the_documentation_runs(caplog: pytest.LogCaptureFixture) -> None:
    """Its blocks of torch, in order; those of other libraries are marked by what they import."""
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    scope: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) > 4
    caplog.set_level(logging.ERROR)
    for block in blocks:
        if "zuko" in block:
            pytest.importorskip("zuko")
        if "flowjax" in block:
            pytest.importorskip("flowjax")
        exec(block, scope)
        if "fitted = zuko" in block:  # it starts from the samples' density, as far as the flow was fitted
            run = wgf.solve(scope["flow"], [1e-3], **QUICK)
            assert run.attrs["status"] == "completed"
            np.testing.assert_allclose(run["mean"][0], [0.0, 1.0], atol=0.2)
            assert run.attrs["initial_density"].startswith("T_θ0#λ")
