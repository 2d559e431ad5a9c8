"""A run that is killed at any moment goes on from its checkpoint, and ends as if nothing had happened."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import wgfode as wgf
from wgfode import storage
from wgfode.cli.app import app
from wgfode.maps import Affine
from wgfode.run import checkpoint as checkpoints
from wgfode.run.checkpoint import CheckpointError, Snapshot
from wgfode.run.fingerprint import describe, digest
from wgfode.run.judge import Judge
from wgfode.stepping import bilevel
from wgfode.stepping.state import State

TIMES = (0.2, 0.5, 1.0)
QUICK: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-8, "evaluation": 32, "stiffness": False}


def well(x):
    return (x**4).sum(-1) / 4 - (x**2).sum(-1) / 2


def flow(**changes):
    parts: dict[str, Any] = {"map": Affine(1), "energy": wgf.Potential(well, convexity=-1.0) + 0.3 * wgf.Entropy(),
             "reference": wgf.Gaussian.standard(1), "points": wgf.Sobol(16)}  # fmt: skip
    return wgf.GradientFlow(**(parts | changes))


def solve(
    path: Path | None = None, resume: bool = False, integrator: str = "torchdiffeq", **changes: Any
) -> xr.Dataset:
    problem = changes.pop("flow", None) or flow()
    return wgf.solve(problem, TIMES, integrator=integrator, checkpoint=path, resume=resume, **(QUICK | changes))


def same(left: xr.Dataset, right: xr.Dataset) -> None:
    """Bit-identical values, and the same attributes but for the time it took."""
    xr.testing.assert_identical(left.drop_attrs(), right.drop_attrs())
    timed = ("wall_time", "history")
    assert {k: v for k, v in left.attrs.items() if k not in timed} == {
        k: v for k, v in right.attrs.items() if k not in timed
    }


class Killed(BaseException):
    """In place of a kill, inside this process."""


def kill_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the run die after so many checkpoints."""
    write, count = checkpoints.write, [0]

    def counted(*arguments: Any) -> None:
        write(*arguments)
        count[0] += 1
        if count[0] >= writes:
            raise Killed

    monkeypatch.setattr(checkpoints, "write", counted)
    monkeypatch.setattr("wgfode.run.run.WRITE_EVERY", 0.0)


@pytest.mark.parametrize(
    ("integrator", "changes"),
    [
        ("torchdiffeq", {}),
        ("torchdiffeq", {"method": "midpoint", "step_size": 0.01}),
        ("torchdiffeq", {"method": "Kvaerno5"}),
        ("torchdiffeq", {"resample": "auto", "flow": flow(points=wgf.MonteCarlo(6, seed=2))}),
        ("torchdiffeq", {"flow": flow(points=wgf.Sobol(16, resample_every=0.3))}),
        ("torchdiffeq", {"method": "auto"}),
        ("torchdiffeq", {"restart": wgf.Restart((0.3,), stretch=1.1)}),
        ("torchdiffeq", {"restart": "0.15", "resample": "auto", "flow": flow(points=wgf.MonteCarlo(6, seed=2))}),
        ("torchdiffeq", {"method": "proximal", "step_size": 0.1}),
        ("torchdiffeq", {"method": "bilevel", "step_size": 0.1}),
        ("scipy", {"method": "BDF"}),
        ("diffrax", {}),
        pytest.param("diffrax", {"method": "Kvaerno3"}, marks=pytest.mark.slow),
        pytest.param("diffrax", {"restart": [0.15]}, marks=pytest.mark.slow),
    ],
    ids=[
        "torch",
        "fixed steps",
        "implicit",
        "auto resampling",
        "resampling",
        "auto",
        "restarts",
        "restarts and resampling",
        "proximal",
        "bilevel",
        "scipy",
        "diffrax",
        "diffrax implicit",
        "diffrax restarts",
    ],
)
def test_resumed_is_undisturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, integrator: str, changes: dict
) -> None:
    monkeypatch.setattr(bilevel, "FIRST", 60)
    monkeypatch.setattr(bilevel, "OUTER", 20)
    whole = solve(integrator=integrator, **changes)
    assert whole.attrs["status"] == "completed"
    path, deaths = tmp_path / "run.ckpt", 0
    with monkeypatch.context() as context:
        kill_after(2, context)  # one is the state that it resumed from
        while deaths < 200:
            try:
                solve(path, resume=deaths > 0, integrator=integrator, **changes)
                break
            except Killed:
                deaths += 1
                context.undo()
                kill_after(2, context)
            if deaths > 2:
                break
    resumed = solve(path, resume=True, integrator=integrator, **changes)
    assert deaths > 1
    same(whole, resumed)
    if integrator == "torchdiffeq":  # of a run that is over
        same(whole, solve(path, resume=True, integrator=integrator, **changes))


RUN = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from test_checkpoint import solve
from wgfode import storage
dataset = solve(Path(sys.argv[1]), resume=True, integrator=sys.argv[2], rtol=1e-8, atol=1e-10)
storage.write(dataset, sys.argv[3])
"""


def killed_run(tmp_path: Path, integrator: str, kills: int, rng: random.Random) -> None:
    """A run in its own process, killed so many times at random moments after its first checkpoint."""
    whole, path, out = tmp_path / "whole.nc", tmp_path / "run.ckpt", tmp_path / "run.nc"
    code = RUN.format(here=str(Path(__file__).parent))
    begin = time.monotonic()
    environment = os.environ | {"JAX_ENABLE_X64": "1"}
    other = tmp_path / "other.ckpt"
    subprocess.run([sys.executable, "-c", code, other, integrator, whole], check=True, env=environment)
    length = time.monotonic() - begin
    done = 0
    while done < kills:
        process = subprocess.Popen([sys.executable, "-c", code, path, integrator, out], env=environment)
        try:
            process.wait(timeout=rng.uniform(0.3, 1.0) * length)
            path.unlink()  # it was faster: once more
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
    subprocess.run([sys.executable, "-c", code, path, integrator, out], check=True, env=environment)
    same(xr.open_dataset(whole).load(), xr.open_dataset(out).load())
    assert sorted(os.listdir(tmp_path))[-3:] == ["run.ckpt", "run.nc", "whole.nc"]


@pytest.mark.slow
@pytest.mark.parametrize("integrator", ["torchdiffeq", "diffrax"])
def test_sigkill_at_random_moments(tmp_path: Path, integrator: str) -> None:
    killed_run(tmp_path, integrator, 5, random.Random(integrator))


def test_sigkill(tmp_path: Path) -> None:
    """Once here; many times in the slow part."""
    killed_run(tmp_path, "torchdiffeq", 1, random.Random(0))


def test_ctrl_c_writes_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, many = tmp_path / "run.ckpt", {"rtol": 1e-10, "atol": 1e-12}  # steps enough for several reports
    whole = solve(**many)
    judge, count = Judge.__call__, [0]

    def interrupt(*arguments: Any) -> Any:
        count[0] += 1
        if count[0] == 2:
            raise KeyboardInterrupt
        return judge(*arguments)

    with monkeypatch.context() as context:
        context.setattr(Judge, "__call__", interrupt)
        cut = solve(path, **many)
    assert "interrupted" in cut.attrs["status"]
    assert 0 < cut.time.values[-1] < 1
    assert np.isfinite(cut.w2_bound).all()
    same(whole, solve(path, resume=True, **many))


def test_without_resume_the_old_one_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    path.write_bytes(b"precious")
    solve(path)
    assert (tmp_path / "run.ckpt.old").read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["run.ckpt", "run.ckpt.old"]


OTHERS: dict[str, dict[str, Any]] = {
    "map": {"flow": flow(map=Affine(1, structure="diagonal"))},
    "energy": {"flow": flow(energy=wgf.Potential(well, convexity=-1.0) + 0.4 * wgf.Entropy())},
    "energy ": {"flow": flow(energy=wgf.Potential(lambda x: well(x) + 1, convexity=-1.0) + 0.3 * wgf.Entropy())},
    "reference": {"flow": flow(reference=wgf.Gaussian([0.0], [[1.0 + 1e-15]]))},
    "points": {"flow": flow(points=wgf.Sobol(16, seed=1))},
    "solver": {"flow": flow(solver=wgf.Cholesky())},
    "estimator": {"flow": flow(estimator="energy")},
    "integrator": {"integrator": "diffrax"},
    "method": {"method": "dopri5"},
    "rtol": {"rtol": 1e-5},
    "seed": {"seed": 1},
    "dtype": {"dtype": "float32", "rtol": 1e-5},
    "initial_error": {"initial_error": 0.1},
    "resample": {"resample": "auto"},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "run.ckpt"
    solve(path)
    return path


@pytest.mark.parametrize("name", OTHERS)
def test_another_run_is_refused_by_name(written: Path, name: str) -> None:
    before = written.read_bytes()
    with pytest.raises(CheckpointError, match=f"is of another run: its ({name.strip()}|rtol|points)"):
        solve(written, resume=True, **OTHERS[name])
    assert written.read_bytes() == before


def test_another_release_is_refused(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wgfode.run.fingerprint.__version__", "99.0")
    with pytest.raises(CheckpointError, match="its wgfode is"):
        solve(written, resume=True)


def damaged(content: bytes) -> dict[str, tuple[bytes, str]]:
    line, rest = content.split(b"\n", 1)
    return {
        "cut": (content[: len(content) // 2], "torn"),
        "cut in its first line": (content[:20], "not a wgfode checkpoint, or torn"),
        "empty": (b"", "not a wgfode checkpoint"),
        "a bit flipped": (content[:-100] + bytes([content[-100] ^ 1]) + content[-99:], "torn"),
        "longer": (content + b"x", "torn"),
        "another file": (b"CDF\x01" + content, "not a wgfode checkpoint"),
        "another version": (line.replace(b"checkpoint 3", b"checkpoint 7") + b"\n" + rest, "format version 7"),
        "zeros": (bytes(len(content)), "not a wgfode checkpoint"),
    }


@pytest.mark.parametrize("how", damaged(b"wgfode checkpoint 3 00\n" + bytes(200)))
def test_a_damaged_file_is_refused(written: Path, tmp_path: Path, how: str) -> None:
    content, why = damaged(written.read_bytes())[how]
    path = tmp_path / "run.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=why):
        solve(path, resume=True)
    assert path.read_bytes() == content


def test_every_cut_is_found(written: Path, tmp_path: Path) -> None:
    content = written.read_bytes()
    path = tmp_path / "run.ckpt"
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            checkpoints.read(path, {})


def test_a_sound_file_of_something_else(tmp_path: Path) -> None:
    import hashlib
    import io

    buffer = io.BytesIO()
    np.savez(buffer, theta=np.zeros(1))
    payload = buffer.getvalue()
    path = tmp_path / "run.ckpt"
    path.write_bytes(b"wgfode checkpoint 3 %s\n" % hashlib.sha256(payload).hexdigest().encode() + payload)
    with pytest.raises(CheckpointError, match="does not hold"):
        checkpoints.read(path, {})


def test_snapshots_come_back_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    state = State(0.1 + 0.2, rng.normal(size=3), np.nextafter(0.1, 1), 3, 1, 9, memory=rng.normal(size=3))
    carried = {"elapsed": 1 / 3, "bounds": [[0.1, np.nan]], "watch": {"overfits": None}}
    snapshot = Snapshot(state, [State(0.0, rng.normal(size=3))], carried, [State(0.2, rng.normal(size=3))])
    place = tmp_path / "x"
    checkpoints.write(place, snapshot, {"a": "b"})
    back = checkpoints.read(place, {"a": "b"})
    assert replace(back.state, theta=None, memory=None) == replace(state, theta=None, memory=None)
    np.testing.assert_array_equal(back.state.theta, state.theta)
    np.testing.assert_array_equal(back.state.memory, state.memory)
    np.testing.assert_array_equal(back.knots[0].theta, snapshot.knots[0].theta)
    assert json.dumps(back.carried) == json.dumps(carried)
    with pytest.raises(CheckpointError, match="its a is b, and here it is c"):
        checkpoints.read(place, {"a": "c"})


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "run.ckpt", tmp_path, Path("/proc/run.ckpt")):
        with pytest.raises(wgf.InputError, match="checkpoint="):
            solve(path)
    with pytest.raises(wgf.InputError, match="resume=True needs"):
        solve(resume=True)


def full(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_stops_a_run_only_at_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run.ckpt"
    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(storage.StorageError, match="disk is full"):
        solve(path)
    fsync: list[Callable] = [lambda _: None]
    monkeypatch.setattr(storage.os, "fsync", lambda n: (fsync.pop() if fsync else full)(n))
    dataset = solve(path)
    assert dataset.attrs["status"] == "completed"
    assert "The run goes on, with the checkpoint before" in caplog.text
    assert os.listdir(tmp_path) == ["run.ckpt"]
    assert b"wgfode checkpoint" in path.read_bytes()[:40]


def test_digests_tell_functions_apart() -> None:
    def make(a: float, extra: str = "return a * x") -> Callable:
        scope: dict[str, Any] = {}
        exec(f"def outer(a):\n    def f(x, k=1):\n        {extra}\n    return f", scope)
        return scope["outer"](a)

    assert digest(make(1.0)) == digest(make(1.0))
    others = [make(2.0), make(1.0, "return a + x"), make(1.0, "return a * x + 0"), lambda x: x]
    assert len({digest(f) for f in [make(1.0), *others]}) == 5
    assert digest(np.zeros(3)) != digest(np.zeros(4)) != digest(np.zeros(4, np.float32))
    assert digest({"a": [1, {2, 3}]}) == digest({"a": [1, {3, 2}]})
    assert digest(1) != digest(1.0) != digest("1.0")
    assert " at 0x" not in describe(object())
    loop: list = []
    loop.append(loop)
    assert digest(loop)
    assert digest(np) and digest(well) and digest(Path.exists) and digest([].append)  # noqa: PT018


NAME = "ornstein-uhlenbeck-2d"
SHORT = ("--until", "0.02", "--evaluation", "64", "--rtol", "1e-4", "--integrator", "torchdiffeq")


def wgfode(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run.nc"
    with monkeypatch.context() as context:
        kill_after(1, context)
        with pytest.raises(Killed):
            wgfode("run", NAME, *SHORT, "--out", out)
    assert os.listdir(tmp_path) == ["run.nc.checkpoint"]
    done = wgfode("run", NAME, *SHORT, "--out", out, "--resume")
    assert done.exit_code == 0, done.output
    assert os.listdir(tmp_path) == ["run.nc"]
    kept = tmp_path / "kept.ckpt"
    assert wgfode("run", NAME, *SHORT, "--out", tmp_path / "b.nc", "--checkpoint", kept).exit_code == 0
    assert kept.exists()
    same(xr.open_dataset(out).load(), xr.open_dataset(tmp_path / "b.nc").load())
    refused = wgfode("run", NAME, *SHORT, "--seed", "5", "--checkpoint", kept, "--resume")
    assert refused.exit_code == 2
    assert "its seed is 0, and here it is 5" in refused.stderr


@pytest.mark.parametrize("integrator", ["torchdiffeq", "diffrax"])
def test_the_file_alone_repeats_the_run(tmp_path: Path, integrator: str) -> None:
    first, second = tmp_path / "a.nc", tmp_path / "b.nc"
    arguments = (*SHORT[:-1], integrator, "--method", "bosh3", "--seed", "3")
    assert wgfode("run", NAME, *arguments, "--out", first).exit_code == 0
    done = wgfode("run", "--from", first, "--out", second)
    assert done.exit_code == 0, done.output
    same(xr.open_dataset(first).load(), xr.open_dataset(second).load())


def test_from_takes_options_and_refuses_what_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tmp_path / "a.nc"
    assert wgfode("run", NAME, *SHORT, "--out", first).exit_code == 0
    seen: dict[str, Any] = {}

    def solve(flow: Any, times: Any, **arguments: Any) -> None:
        seen.update(arguments, times=times, points=flow.points)
        raise wgf.InputError("seen")

    monkeypatch.setattr("wgfode.cli.run.solve", solve)
    wgfode("run", NAME, "--from", first, "--rtol", "1e-3", "--until", "0.5", "--seed", "7")
    assert (seen["rtol"], seen["seed"], seen["times"], seen["points"].seed) == (1e-3, 7, (0.0, 0.02, 0.5), 7)
    assert (seen["integrator"], seen["evaluation"], seen["method"]) == ("torchdiffeq", 64, "Tsit5")
    (tmp_path / "bad.nc").write_bytes(b"no dataset")
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    for arguments, words in [
        (("--from", tmp_path / "bad.nc"), "cannot be read as a dataset"),
        (("--from", tmp_path / "missing.nc"), "cannot be read as a dataset"),
        (("--from", tmp_path / "other.nc"), "names no problem"),
        (("double-well-1d", "--from", first), "the run was of"),
        ((), "NAME"),
    ]:
        result = wgfode("run", *arguments)
        assert result.exit_code == 2
        assert words in result.stderr
