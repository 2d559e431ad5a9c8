"""A map that begins anew along a run: the flow is the same, and goes where one map would have folded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import wgfode as wgf
from wgfode.backend import load, precision
from wgfode.errors import InputError
from wgfode.maps import Affine, Basis, Residual
from wgfode.maps.base import push_by_autodiff
from wgfode.maps.frame import Frame
from wgfode.maps.whitened import Whitened
from wgfode.pushforward import carried, reference_score
from wgfode.references.carried import Carried, Layer
from wgfode.run.restart import Restart, checked, written

QUICK: dict[str, Any] = {"evaluation": 64, "stiffness": False, "certificate": False, "integrator": "torchdiffeq"}


def bowl(x: Any) -> Any:
    return (x**2).sum(-1) / 2 + x[..., 0]


def ornstein_uhlenbeck(dim: int) -> wgf.GradientFlow:
    """From a Gaussian far from the origin, and of very different extents."""
    covariance = np.diag(np.geomspace(0.3, 3.0, dim)) + 0.1
    return wgf.GradientFlow(
        Affine(dim), wgf.Potential(bowl, convexity=1.0) + 0.5 * wgf.Entropy(),
        wgf.Gaussian(np.full(dim, 30.0), covariance), wgf.Sobol(16, matched=True),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("integrator", "method", "dim", "restarts"),
    [
        ("torchdiffeq", "Tsit5", 3, [0.1, 0.3, 0.7]),
        ("torchdiffeq", "Kvaerno5", 1, [0.3]),
        ("diffrax", "Tsit5", 1, [0.3]),  # a segment more is half a dozen programs more to compile
        pytest.param("diffrax", "Tsit5", 3, [0.1, 0.3, 0.7], marks=pytest.mark.slow),
        pytest.param("diffrax", "Kvaerno5", 2, [0.1, 0.3], marks=pytest.mark.slow),
    ],
)
def test_the_exact_flow_does_not_see_restarts(integrator: str, method: str, dim: int, restarts: list[float]) -> None:
    """Held to the closed form: the covariance goes to ½ + (Σ − ½) e^(−2t), the mean to −e₀ + (m + e₀) e^(−t)."""
    flow = ornstein_uhlenbeck(dim)
    times = [0.15, 0.3, 1.0]
    how = QUICK | {"integrator": integrator, "method": method, "rtol": 1e-10, "atol": 1e-12}
    ds = wgf.solve(flow, times, restart=restarts, **how)
    assert ds.attrs["status"] == "completed"
    assert ds["segment"].values.tolist() == np.searchsorted(restarts, ds.time.values, side="left").tolist()
    e0, start = np.eye(dim)[0], flow.reference
    half = np.eye(dim) / 2
    for t in times:
        here, decay = ds.sel(time=t), np.exp(-t)
        exact = wgf.Gaussian(-e0 + (start.mean + e0) * decay, half + (start.covariance - half) * decay**2)
        np.testing.assert_allclose(here.log_density.values, exact.log_density(here.x.values), atol=1e-8)
    # a map that begins anew whitens what drives it, which here has the exact moments
    decay = np.exp(-np.array([0.0, *restarts]))[:, None]
    np.testing.assert_allclose(ds["segment_mean"].values, -e0 + (start.mean + e0) * decay, atol=1e-8)
    spread = half + (start.covariance - half) * decay[:, :, None] ** 2
    np.testing.assert_allclose(ds["segment_covariance"].values, spread, atol=1e-8)


def far_layers(reference: wgf.Gaussian, backend: Any, seed: int) -> tuple[Layer, ...]:
    """Two maps, away from the identity."""
    rng, map, layers = np.random.default_rng(seed), Affine(2) @ Residual(2, width=3), []
    for scale in (1.0, 2.0):
        frame = Frame.of(reference.mean, scale * reference.covariance)
        layers.append(Layer(Whitened(map, frame), map.initial() + 0.1 * rng.standard_normal(map.size), backend))
    return tuple(layers)


@pytest.mark.parametrize("framework", ["torch", pytest.param("jax", marks=pytest.mark.slow)])
def test_density_and_score_through_layers(framework: str) -> None:
    """Of what has been carried they are those of the composed map, by automatic differentiation of all of it."""
    source = wgf.Gaussian([2.0, -1.0], [[1.0, 0.3], [0.3, 0.5]])
    with precision(framework, "float64"):
        backend = load(framework)
        layers = far_layers(source, backend, seed=3)
        z = backend.asarray(source.from_uniform(np.random.default_rng(0).random((5, 2))))
        reference = Carried(source.mean, source.covariance, source, layers)
        y, weights, log_density, score, log_det = carried(backend, reference, z, backend.asarray(np.full(5, 0.2)))

        def composed(points: Any) -> Any:
            for layer in layers:
                points = layer.map(backend.asarray(layer.theta), points)
            return points

        image = push_by_autodiff(backend, composed, z, reference_score(backend, source, z))
        for found, wanted in ((y, image.x), (score, image.score), (log_det, image.log_det),
                              (log_density, source.log_density(z) - image.log_det)):  # fmt: skip
            np.testing.assert_allclose(backend.to_numpy(found), backend.to_numpy(wanted), rtol=1e-9, atol=1e-11)
    assert weights.shape == (5,)


def quartic(x: Any) -> Any:
    return (x**4).sum(-1)


def cubic(points: int = 64) -> wgf.GradientFlow:
    """x' = −4x³: the velocity is one of the map's functions, but the map 1 + cz³ folds at some z at any c < 0."""
    map, energy = Basis([lambda z: z**3, lambda z: z], 1), wgf.Potential(quartic) + 1e-9 * wgf.Entropy()
    return wgf.GradientFlow(map, energy, wgf.Gaussian.standard(1), wgf.Sobol(points))


def test_it_goes_where_one_map_folds() -> None:
    """To the exact images z/√(1 + 8tz²), with the steps before each fold."""
    times, how = [0.01, 0.1, 0.5], QUICK | {"rtol": 1e-6, "evaluation": 128}
    assert wgf.solve(cubic(), times, **how).attrs["stop_reason"] == "fold"
    ds = wgf.solve(cubic(), times, restart="auto", **how)
    assert ds.attrs["status"] == "completed"
    assert len(ds.attrs["restarted_at"].split()) >= 2
    assert (ds.min_jacobian.values > 0).all()
    z = ds.z.values[:, 0]
    for t in times:
        assert np.sqrt(np.mean((ds.x.sel(time=t).values[:, 0] - z / np.sqrt(1 + 8 * t * z**2)) ** 2)) < 2e-2
    # the determinant is that of the whole map
    whole = np.exp(wgf.Gaussian.standard(1).log_density(ds.z.values) - ds.log_density.values)
    np.testing.assert_allclose(ds.min_jacobian.values, whole.min(1), rtol=1e-9)


@pytest.mark.parametrize(
    ("dim", "fold", "wanted"),
    [(1, 0.6, False), (1, 0.4, True), (2, 0.4, True), (4, 0.36, False), (4, 0.2, True), (1, 3.0, True)],
)
def test_when_a_map_has_gone_far(dim: int, fold: float, wanted: bool) -> None:
    assert Restart().due(np.full(1000, fold), dim) is wanted


def test_single_points_do_not_count_until_they_nearly_fold() -> None:
    jacobians = np.ones(1000)
    jacobians[0] = 0.2
    assert not Restart().due(jacobians, 1)
    jacobians[0] = 0.05
    assert Restart().due(jacobians, 1)
    assert not Restart((0.5,), judged=False).due(jacobians, 1)
    assert not Restart().due(np.full(4, np.inf), 1)  # of a map without a density


def collapsing(x: Any) -> Any:
    return (x**2).sum(-1) ** 0.6


def test_what_no_map_follows_is_said() -> None:
    """Every point comes to 0 in finite time: maps begin anew ever faster, and the run says so and ends."""
    energy = wgf.Potential(collapsing)
    flow = wgf.GradientFlow(Affine(1), energy, wgf.Gaussian([0.0], [[1e-2]]), wgf.Sobol(16, matched=True))
    ds = wgf.solve(flow, [2.0], restart="auto", **QUICK | {"rtol": 1e-3, "atol": 1e-5})
    assert ds.attrs["stop_reason"] == "unfollowed"
    assert "no map of this family follows" in ds.attrs["status"]
    assert 0 < ds.time.values[-1] < 2.0


@pytest.mark.parametrize("suffix", [".nc"])
def test_the_chain_in_a_file(suffix: str, tmp_path: Any) -> None:
    """Segments, their ends and their frames make the images again, and the option comes back."""
    from wgfode.storage import write

    ds = wgf.solve(cubic(), [0.01, 0.1], restart=Restart((0.05,), stretch=1.5), **QUICK)
    write(ds, place := tmp_path / f"run{suffix}")
    with xr.open_dataset(place) as read:
        read.load()
    assert checked("restart", read.attrs["restart"]) == Restart((0.05,), stretch=1.5)
    backend, flow = load("torch"), cubic()
    y = backend.asarray(read.z.values)
    last = int(read.segment.values[-1])
    assert last >= 1
    origin = Frame.of(flow.reference.mean, flow.reference.covariance)
    for k in range(last + 1):
        frame = Frame.of(read.segment_mean.values[k], read.segment_covariance.values[k])
        theta = read.theta.values[-1] if k == last else read.segment_theta.values[k]
        y = Whitened(flow.map.within(origin), frame)(backend.asarray(theta), y)
    np.testing.assert_allclose(y.numpy(), read.x.values[-1], rtol=1e-12, atol=1e-12)
    assert np.isnan(read.segment_theta.values[-1]).all()


@pytest.mark.parametrize(
    "value", ["auto", [0.5, 1.0], Restart((0.5,)), Restart(stretch=3.0), Restart((1.0,), judged=False)]
)
def test_every_value_is_read_back(value: Any) -> None:
    assert checked("restart", written(checked("restart", value))) == checked("restart", value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "restart must be"), ([1.0, 0.5], "increasing"), ([0.0], "> 0"), ("often", "restart must be"),
        (3, "restart"), ([float("nan")], "finite"), ({"times": [1]}, "restart must be"),
        ('{"stretch": 0.5}', "stretch"), ([[1, 2]], "number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        wgf.solve(cubic(), [1.0], restart=value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"stretch": 1.0}, "stretch"), ({"share": 0.0}, "share"), ({"share": 0.7}, "share"), ({"least": 1.5}, "least"),
        ({"judged": False}, "never happens"), ({"judged": "yes"}, "judged"), ({"times": 3.0}, "times"),
        ({"times": (-1.0,)}, "> 0"), ({"stretch": float("inf")}, "finite"),
    ],
)  # fmt: skip
def test_thresholds_out_of_range(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Restart(**arguments)


def test_a_map_that_starts_elsewhere_cannot_begin_anew() -> None:
    from wgfode.maps import Custom

    map = Custom(lambda theta, z: 2.0 * z + theta, np.zeros(1), 1, start="given")
    flow = wgf.GradientFlow(map, wgf.Potential(quartic), wgf.Gaussian.standard(1), wgf.Sobol(8))
    with pytest.raises(InputError, match="begin anew"):
        wgf.solve(flow, [1.0], restart="auto")


def test_the_bound_goes_on_across_restarts() -> None:
    """An affine map misses x' = −4x³; the bound knows by how much, and does not begin at 0 again.

    In one dimension the distance is that of the monotone maps.
    """
    flow = wgf.GradientFlow(
        Affine(1), wgf.Potential(quartic, convexity=0.0), wgf.Gaussian([0.0], [[0.1]]), wgf.Sobol(32)
    )
    ds = wgf.solve(flow, [0.25, 0.5, 1.0], restart=[0.2, 0.6], **QUICK | {"certificate": True, "evaluation": 512})
    z, bound = ds.z.values[:, 0], ds.w2_bound.values
    for t, x, e in zip(ds.time.values[1:], ds.x.values[1:, :, 0], bound[1:], strict=True):
        wrong = np.sqrt(np.mean((x - z / np.sqrt(1 + 8 * t * z**2)) ** 2))
        assert 5e-3 < wrong < e < 20 * wrong
    assert (np.diff(bound) > 0).all()
