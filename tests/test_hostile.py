"""Hostile input: every case ends in a clear error of wgfode's own, or in a correct result, and loses nothing.

`CASES` counts them; the slow part draws more of the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wgfode as wgf
from wgfode import WgfodeError, storage
from wgfode.adapters.torchdiffeq import right_hand_side
from wgfode.maps import Affine, Basis, Residual, Triangular
from wgfode.points import Points
from wgfode.potentials import Kernels, RandomFeatures
from wgfode.validation.exact import OrnsteinUhlenbeck

QUICK: dict[str, Any] = {"integrator": "torchdiffeq", "rtol": 1e-4, "atol": 1e-12, "evaluation": 16, "stiffness": False}
FAST = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FAST, max_examples=300)


def bowl(x):
    return 0.5 * (x**2).sum(-1)


def flow(**changes: Any) -> wgf.GradientFlow:
    parts: dict[str, Any] = {"map": Affine(1), "energy": wgf.Potential(bowl, convexity=1.0) + wgf.Entropy(),
             "reference": wgf.Gaussian.standard(1), "points": wgf.Sobol(8)}  # fmt: skip
    return wgf.GradientFlow(**(parts | changes))


def outcome(make: Callable[[], Any]) -> Any:
    """What `make` returns, or the `WgfodeError` that it raises; anything else is a failure of the test."""
    try:
        return make()
    except WgfodeError as error:
        text = str(error)
        assert len(text) > 10
        assert "Traceback" not in text
        return error


anything = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=3), st.just([]),
    st.lists(st.floats(), max_size=3), st.just({}), st.just(np.zeros((2, 2, 2))), st.just("nan"), st.just(1j),
    st.just(object()),
)  # fmt: skip

# -- arguments: whatever is no such thing is refused by name

ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    "Gaussian mean": lambda v: wgf.Gaussian(v, [[1.0]]),
    "Gaussian cov": lambda v: wgf.Gaussian([0.0], v),
    "Uniform": lambda v: wgf.Uniform(v, [1.0]),
    "Barenblatt m": lambda v: wgf.Barenblatt(1, v, 1.0),
    "Barenblatt t": lambda v: wgf.Barenblatt(1, 2.0, v),
    "Sobol n": lambda v: wgf.Sobol(v),
    "Sobol seed": lambda v: wgf.Sobol(4, seed=v),
    "Residual seed": lambda v: Residual(2, 3, seed=v),
    "Triangular seed": lambda v: Triangular(2, 3, seed=v),
    "RandomFeatures seed": lambda v: RandomFeatures(3, seed=v),
    "Kernels seed": lambda v: Kernels(3, seed=v),
    "resample_every": lambda v: wgf.MonteCarlo(4, resample_every=v),
    "GaussHermite": lambda v: wgf.GaussHermite(v),
    "PorousMedium": lambda v: wgf.PorousMedium(v),
    "Potential": lambda v: wgf.Potential(v),
    "convexity": lambda v: wgf.Potential(bowl, convexity=v),
    "Interaction": lambda v: wgf.Interaction(v),
    "coefficient": lambda v: v * wgf.Entropy(),
    "Cholesky": lambda v: wgf.Cholesky(shift=v),
    "LSMR": lambda v: wgf.LSMR(rtol=v),
    "MINRES": lambda v: wgf.MINRES(max_steps=v),
    "map": lambda v: flow(map=v),
    "energy": lambda v: flow(energy=v),
    "reference": lambda v: flow(reference=v),
    "points": lambda v: flow(points=v),
    "solver": lambda v: flow(solver=v),
    "metric": lambda v: flow(metric=v),
    "estimator": lambda v: flow(estimator=v),
}
SOLVE = ("times", "integrator", "method", "rtol", "atol", "max_steps", "evaluation", "seed", "dtype",
         "initial_error", "restart", "resample", "on_fold", "checkpoint")  # fmt: skip


def refuses(name: str, value: Any) -> None:
    try:
        result = outcome(lambda: ARGUMENTS[name](value))
    except TypeError:  # object() * Energy: Python's own answer
        assert name == "coefficient"
        return
    if not isinstance(result, WgfodeError):
        assert result is not None


@pytest.mark.parametrize("name", ARGUMENTS)
@FAST
@given(value=anything)
def test_any_argument(name: str, value: Any) -> None:
    refuses(name, value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARGUMENTS)
@MANY
@given(value=anything)
def test_any_argument_many(name: str, value: Any) -> None:
    refuses(name, value)


WRONG: tuple[Any, ...] = (
    None, True, -1, 0, float("nan"), float("inf"), "x", [], [1.0, 0.5], {}, np.zeros((2, 2)), 1j, object(),
)  # fmt: skip


@pytest.mark.parametrize("name", SOLVE)
def test_any_argument_of_solve(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run itself is not made: what gets that far was taken for sound, and must be."""

    class Reached(Exception):
        pass

    def reached(*_: Any) -> None:
        raise Reached

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wgfode.run.run.Run.run", reached)
    sound = {"seed": (0,), "rtol": (True,), "atol": (True,), "initial_error": (True, 0), "checkpoint": (None, "x"),
             "resample": (None,), "restart": (None,), "devices": (None,), "stiffness": (None,)}  # fmt: skip
    for value in WRONG:
        arguments = {"times": [0.1], **QUICK} | {name: value}
        try:
            result = outcome(lambda arguments=arguments: wgf.solve(flow(), **arguments))
        except Reached:
            assert any(value is s or (type(value) is type(s) and value == s) for s in sound.get(name, ())), value
        else:
            assert isinstance(result, WgfodeError)


TIMES: tuple[Any, ...] = ([], (), np.array([]), [0], [[0.1]], "1", [None], [1, 1], [2, 1], [np.inf], [-1e-300, 1])


@pytest.mark.parametrize("times", TIMES)
def test_times(times: Any) -> None:
    assert isinstance(outcome(lambda: wgf.solve(flow(), times, **QUICK)), WgfodeError)


# -- scales: a flow in other units is the same flow


def gaussian_run(scale: float, precision: float, dtype: str = "float64") -> None:
    """OU from N(scale, scale²) with V = precision x²/2, D = precision scale²/2, for one unit of its own time."""
    energy = wgf.Potential(lambda x: 0.5 * precision * (x**2).sum(-1), convexity=precision)
    problem = flow(
        energy=energy + (0.5 * precision * scale**2) * wgf.Entropy(),
        reference=wgf.Gaussian([scale], [[scale**2]]), points=wgf.Sobol(8),
    )  # fmt: skip
    arguments = QUICK | {"atol": 1e-10, "dtype": dtype}
    ds = outcome(lambda: wgf.solve(problem, [0.5 / precision], **arguments))
    if isinstance(ds, WgfodeError):
        assert "spread" in str(ds)
        assert not 1e-2 <= scale <= 1e2
        return
    if ds.attrs["status"] != "completed":
        assert "stopped at t=" in ds.attrs["status"]
        return
    mean, variance = np.array([scale]), np.array([[scale**2]])
    exact = OrnsteinUhlenbeck(np.zeros(1), np.array([[precision]]), 0.5 * precision * scale**2, mean, variance)
    gap = ds.x.values[-1] - exact.flow_map(0.5 / precision, ds.z.values)
    error = float(np.sqrt(ds.weight.values @ (gap**2).sum(1))) / scale
    bound = float(ds.w2_bound[-1]) / scale
    assert error <= bound + 1e-9
    assert error < 2e-3


SCALES = [(s, p) for s in (1e-8, 2e-3, 1.0, 5e2, 1e8) for p in (1e-8, 1.0, 1e8)]


@pytest.mark.parametrize(("scale", "precision"), SCALES[::2])
def test_scales(scale: float, precision: float) -> None:
    gaussian_run(scale, precision)


@pytest.mark.slow
@settings(FAST, max_examples=60)
@given(scale=st.floats(-8, 8), precision=st.floats(-8, 8), dtype=st.sampled_from(["float64", "float32"]))
def test_scales_many(scale: float, precision: float, dtype: str) -> None:
    gaussian_run(10.0**scale, 10.0**precision, dtype)


# -- degenerate covariances and points


@FAST
@given(exponent=st.floats(-30, 30), angle=st.floats(0, 3.2))
def test_covariances(exponent: float, angle: float) -> None:
    """Any condition number: refused as singular, or sampled with the covariance that was asked for."""
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s], [s, c]])
    cov = rotation @ np.diag([1.0, 10.0**exponent]) @ rotation.T
    reference = outcome(lambda: wgf.Gaussian([0.0, 0.0], (cov + cov.T) / 2))
    if isinstance(reference, WgfodeError):
        assert abs(exponent) > 10
        return
    z, weights = wgf.Sobol(256).draw(reference)
    assert np.isfinite(z).all()
    assert np.isfinite(reference.log_density(z)).all()
    np.testing.assert_allclose((weights[:, None] * z).T @ z, cov, atol=0.1 * np.abs(cov).max())


class Given(Points):
    """Points and weights as they are."""

    def __init__(self, z: Any, weights: Any):
        self.z, self.weights = np.asarray(z, float), np.asarray(weights, float)

    def size(self, dim: int) -> int:
        return len(self.z)

    def draw(self, reference: Any, segment: int = 0) -> tuple[np.ndarray, np.ndarray]:
        return self.z, self.weights


DEGENERATE = {
    "one point": ([[0.3]], [1.0]),
    "the same point thrice": ([[0.3]] * 3, [1 / 3] * 3),
    "zero weights": ([[0.3], [9.0], [-1.0]], [0.5, 0.0, 0.5]),
    "all weight on one": ([[0.3], [9.0]], [0.0, 1.0]),
    "far apart": ([[-1e6], [1e6]], [0.5, 0.5]),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("solver", [wgf.Auto(), wgf.Cholesky(), wgf.LSMR(), wgf.MINRES()], ids=lambda s: s.name)
def test_degenerate_points(name: str, solver: Any) -> None:
    """Too few points leave directions that nothing determines: they stay, and g in the span is still matched."""
    f = right_hand_side(flow(points=Given(*DEGENERATE[name]), solver=solver))
    velocity = f(0.0, f.initial()).numpy()
    assert np.isfinite(velocity).all()
    z, weights = DEGENERATE[name]
    moved = f.velocity(f.initial(), np.asarray(z)).numpy()[:, 0]
    wanted = -np.asarray(z)[:, 0] + np.asarray(z)[:, 0]  # −V' − (log ρ)' of N(0, 1) in V = x²/2
    assert np.abs((moved - wanted) * np.sqrt(weights)).max() < 1e-3 * (1 + np.abs(z).max())


# -- potentials


def _step(x: Any) -> Any:
    return bowl(x) + 3.0 * (x[:, 0] > 0.5)


def _kink(x: Any) -> Any:
    return bowl(x) + abs(x[:, 0] - 0.5)


def _wall(x: Any) -> Any:
    return bowl(x) + 0.0 * (2.0 - x[:, 0]) ** 0.5  # NaN beyond 2


def _pole(x: Any) -> Any:
    return -1e-3 / (x[:, 0] - 3.0) ** 2


def _constant(x: Any) -> Any:
    return 0.0 * x[:, 0]


def _steep(x: Any) -> Any:
    return (10 * (x - 5)).sum(-1)


def _wrong_gradient(x: Any) -> Any:
    """A V whose automatic derivative is not its derivative: the flow follows the one that it is given."""
    import torch

    if not isinstance(x, torch.Tensor):
        return bowl(x)

    class Liar(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(y: Any) -> Any:
            return 0.5 * (y**2).sum(-1)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(inputs[0])

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return -2.0 * grad[:, None] * ctx.saved_tensors[0]

    return Liar.apply(x)


POTENTIALS = (_step, _kink, _wall, _pole, _constant, _steep, _wrong_gradient)


@pytest.mark.parametrize("V", POTENTIALS)
@pytest.mark.parametrize("estimator", ["velocity", "energy"])
def test_potentials(V: Callable, estimator: str) -> None:
    """A discontinuity, a kink, NaN behind a wall, a pole, nothing at all: a status that is true, and finite numbers."""
    problem = outcome(lambda: flow(energy=wgf.Potential(V) + 0.1 * wgf.Entropy(), estimator=estimator))
    if isinstance(problem, WgfodeError):
        return
    ds = outcome(lambda: wgf.solve(problem, [0.05, 0.3], **(QUICK | {"max_steps": 150, "rtol": 1e-3})))
    if isinstance(ds, WgfodeError):
        return
    status = ds.attrs["status"]
    assert np.isfinite(ds.theta).all()
    assert np.isfinite(ds.x).all()
    if status == "completed":
        assert ds.time.values.tolist() == [0, 0.05, 0.3]
    else:
        assert status.startswith("stopped at t=")
        assert "because" in status
        assert ds.sizes["time"] >= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_potentials_that_are_never_finite(value: float) -> None:
    error = outcome(lambda: flow(energy=wgf.Potential(lambda x: x[:, 0] * 0 + value)))
    assert isinstance(error, wgf.InputError)
    assert "V must be finite" in str(error)


def test_functions_that_return_something_else() -> None:
    for wrong in (lambda x: x, lambda x: x.sum(), lambda x: None, lambda x: "V", lambda x: x[:1, 0], lambda x: 1 / 0):
        problem = outcome(lambda wrong=wrong: flow(energy=wgf.Potential(wrong)))
        if not isinstance(problem, WgfodeError):
            problem = outcome(lambda problem=problem: right_hand_side(problem))
        assert isinstance(problem, wgf.InputError)


def test_a_map_that_returns_nan() -> None:
    ds = wgf.solve(
        flow(map=Basis([lambda z: z / (1 + 0 * z), lambda z: z * float("nan")], 1), energy=wgf.Potential(bowl)),
        [0.1], **QUICK,
    )  # fmt: skip
    assert ds.attrs["status"].startswith("stopped at t=0")


# -- files


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    f = right_hand_side(flow())
    return f.dataset([0.0], [f.initial()], evaluation=2048, status="completed")


@FAST
@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=300),
       suffix=st.sampled_from([".nc", ".zarr", ".ckpt", ""]))  # fmt: skip
def test_names(tmp_path_factory: pytest.TempPathFactory, dataset: xr.Dataset, name: str, suffix: str) -> None:
    """A file appears under the very name, or an error says why not."""
    directory = tmp_path_factory.mktemp("names")
    path = directory / (name + suffix)
    result = outcome(lambda: storage.write(dataset.isel(point=slice(2)), path))
    if isinstance(result, WgfodeError):
        assert os.listdir(directory) == []
    else:
        assert os.listdir(directory) == [path.name]
        engine = "zarr" if path.suffix == ".zarr" else "h5netcdf"  # netCDF's own library takes no backslash
        assert xr.open_dataset(path, engine=engine).attrs["status"] == "completed"


LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from wgfode import storage
from wgfode.run.checkpoint import Snapshot, write
from wgfode.stepping.state import State
import xarray as xr
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
place = Path(sys.argv[1])
for make in (lambda: write(place / "run.ckpt", Snapshot(State(0.0, np.zeros(5000)), [], {}), {}),
             lambda: storage.write(xr.Dataset({"a": ("x", np.random.default_rng(0).random(5000))}), place / "run.nc")):
    try:
        make()
    except storage.StorageError as error:
        print(error)
"""


def test_a_limit_on_file_sizes(tmp_path: Path) -> None:
    """A real refusal by the system in the middle of a write: the old files stay, and nothing else."""
    for name in ("run.ckpt", "run.nc"):
        (tmp_path / name).write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.count("was not written") == 2
    assert sorted(os.listdir(tmp_path)) == ["run.ckpt", "run.nc"]
    assert all((tmp_path / name).read_bytes() == b"old" for name in os.listdir(tmp_path))


def test_a_full_disk(tmp_path: Path, dataset: xr.Dataset) -> None:
    """On a tmpfs of 64 kB, where one can be mounted."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        small = dataset.isel(point=slice(2))
        storage.write(small, tmp_path / "run.nc")
        with pytest.raises(storage.StorageError, match="disk is full"):
            storage.write(xr.concat([dataset] * 40, "again"), tmp_path / "run.nc")
        assert os.listdir(tmp_path) == ["run.nc"]
        xr.testing.assert_equal(xr.open_dataset(tmp_path / "run.nc").load(), small)
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


@FAST
@given(data=st.data())
def test_corrupted_checkpoints(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any change of any byte is found out."""
    from wgfode.run import checkpoint
    from wgfode.stepping.state import State

    path = tmp_path_factory.mktemp("corrupted") / "run.ckpt"
    checkpoint.write(path, checkpoint.Snapshot(State(0.5, np.arange(3.0)), [], {}), {"a": "b"})
    content = bytearray(path.read_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    content[where] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    assert isinstance(outcome(lambda: checkpoint.read(path, {"a": "b"})), checkpoint.CheckpointError)


CASES = {
    "arguments": len(ARGUMENTS) * 30 + len(SOLVE) * len(WRONG) + len(TIMES),
    "scales, covariances, points": len(SCALES[::2]) + 30 + 4 * len(DEGENERATE),
    "functions": 2 * len(POTENTIALS) + 3 + 6 + 1,
    "files": 30 + 2 + 1 + 30,
}
"""Hostile cases of the default suite."""


def test_there_are_as_many_as_we_say() -> None:
    assert sum(CASES.values()) > 1000
