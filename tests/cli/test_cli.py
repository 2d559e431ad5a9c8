"""The command line: what it prints, what it writes, and its exit statuses."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from typer.testing import CliRunner

import wgfode as wgf
from wgfode import storage
from wgfode.adapters.torchdiffeq import right_hand_side
from wgfode.cli.app import app
from wgfode.cli.run import output_times
from wgfode.errors import Reason

NAME = "ornstein-uhlenbeck-2d"
SHORT = ("--until", "0.02", "--evaluation", "64", "--rtol", "1e-4")


def wgfode(*arguments: str | Path) -> Any:
    """The command's result, run in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


def tiny(status: str) -> xr.Dataset:
    """A dataset that ends with `status`, without a run."""
    f = right_hand_side(wgf.problems.get(NAME).flow)
    known = {"problem": NAME, "accepted_steps": 1, "rejected_steps": 0, "wall_time": 0.1, "status": status}
    if "interrupted" in status:
        known["stop_reason"] = Reason.interrupted.value
    return f.dataset([0.0, 0.1], [f.initial(), f.initial()], evaluation=16, **known)


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that begins although its arguments are wrong fails the test."""

    def begun(*_: object, **__: object) -> None:
        pytest.fail("the run began")

    monkeypatch.setattr("wgfode.cli.run.solve", begun)


def test_list_shows_every_problem() -> None:
    result = wgfode("list")
    assert result.exit_code == 0
    for name in wgf.problems.names():
        assert name in result.stdout


def test_version() -> None:
    result = wgfode("--version")
    assert (result.exit_code, result.stdout) == (0, f"wgfode {wgf.__version__}\n")


def test_help_mentions_every_option() -> None:
    assert all(command in wgfode("--help").stdout for command in ("list", "run", "--version"))
    text = wgfode("run", "--help").stdout
    for option in ("integrator", "method", "rtol", "atol", "step-size", "until", "evaluation", "out", "plots",
                   "seed", "dtype", "device"):  # fmt: skip
        assert f"--{option}" in text
    assert "diffrax" in text
    assert "Tsit5" in text


@pytest.mark.parametrize("integrator", ["diffrax", "torchdiffeq"])
def test_run_writes_and_prints(tmp_path: Path, integrator: str) -> None:
    out = tmp_path / "run.nc"
    result = wgfode("run", NAME, "--integrator", integrator, "--method", "dopri5", *SHORT, "--out", out, "--seed", 3)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split()[:4] == ["t", "energy", "map", "err"]
    assert [line.split()[0] for line in lines[1:3]] == ["0", "0.02"]
    assert float(lines[2].split()[2]) < 1e-4  # the map error
    assert lines[-1].split() == ["status", "completed"]
    dataset = xr.open_dataset(out)
    assert dataset.time.values.tolist() == [0, 0.02]
    known = {
        "problem": NAME,
        "integrator": integrator,
        "method": "Dopri5",
        "points_seed": 3,
        "evaluation_seed": 3,
    }
    assert known.items() <= dataset.attrs.items()
    assert dataset.attrs["title"] == wgf.problems.get(NAME).description


def test_module_draws_and_keeps_stdout_for_the_table(tmp_path: Path) -> None:
    plots = tmp_path / "new" / "plots"
    done = subprocess.run(
        [sys.executable, "-m", "wgfode", "run", NAME, "--integrator=torchdiffeq", *SHORT, "--plots", plots],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("completed")
    assert "steps" not in done.stdout.splitlines()[0]
    assert "dataset not written" in done.stderr
    assert {"energy.png", "residual.png", "samples.png"} <= set(os.listdir(plots))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("completed", 0),
        ("stopped at t=0.1 because it diverged", 1),
        ("stopped at t=0.1 because it was interrupted", 130),
    ],
)
def test_exit_status_is_the_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: str, code: int) -> None:
    monkeypatch.setattr("wgfode.cli.run.solve", lambda *_, **__: tiny(status))
    result = wgfode("run", NAME, "--out", tmp_path / "run.zarr")
    assert result.exit_code == code
    assert status in result.stdout
    assert xr.open_dataset(tmp_path / "run.zarr").attrs["status"] == status


def test_interrupt_outside_the_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wgfode.cli.run.solve", interrupted)
    result = wgfode("run", NAME)
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ornstein-uhlenbek",), ("problem", "did you mean", NAME)),
        ((NAME, "--integrator", "difrax"), ("integrator", "'diffrax'")),
        ((NAME, "--method", "Tsit6"), ("method", "'Tsit5'")),
        ((NAME, "--rtol", "-1"), ("rtol",)),
        ((NAME, "--atol", "0"), ("atol",)),
        ((NAME, "--step-size", "0"), ("step_size",)),
        ((NAME, "--until", "0"), ("--until",)),
        ((NAME, "--until", "nan"), ("--until",)),
        ((NAME, "--evaluation", "0"), ("evaluation",)),
        ((NAME, "--seed", "-1"), ("seed",)),
        ((NAME, "--dtype", "float46"), ("dtype", "'float64'")),
        ((NAME, "--device", "abacus"), ("device", "'abacus'", "jax")),
        ((NAME, "--device", "abacus", "--integrator", "torchdiffeq"), ("device", "'abacus'", "torch")),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    result = wgfode("run", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert all(word in line for word in words), line


def test_usage_errors_exit_with_2() -> None:
    for arguments in (("run",), ("run", NAME, "--rtol", "small"), ("run", NAME, "--no-such"), ("walk",)):
        assert wgfode(*arguments).exit_code == 2


@pytest.mark.usefixtures("no_run")
def test_unwritable_places_are_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments in (
        ("--out", tmp_path / "missing" / "run.nc"),
        ("--out", tmp_path / "run.csv"),
        ("--out", "/proc/run.nc"),
        ("--plots", tmp_path / "file"),
        ("--plots", tmp_path / "file" / "plots"),
        ("--plots", "/proc"),
    ):
        result = wgfode("run", NAME, *arguments)
        assert result.exit_code == 2, arguments
        (line,) = result.stderr.splitlines()
        assert str(arguments[0]) in line
        assert str(arguments[1]) in line


def test_a_full_disk_does_not_take_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("wgfode.cli.run.solve", lambda *_, **__: tiny("completed"))
    monkeypatch.setattr(storage.os, "fsync", full)
    result = wgfode("run", NAME, "--out", tmp_path / "run.nc")
    assert result.exit_code == 2
    assert "the disk is full" in result.stderr
    assert result.stdout.splitlines()[-1].endswith("completed")
    assert os.listdir(tmp_path) == []


def test_until_cuts_the_output_times() -> None:
    assert output_times((0.0, 0.1, 0.5), 0.1) == (0.0, 0.1)
    assert output_times((0.0, 0.1, 0.5), 0.2) == (0.0, 0.1, 0.2)
    assert output_times((0.0, 0.1, 0.5), 1.0) == (0.0, 0.1, 0.5, 1.0)
    assert output_times((0.0, 0.1, 0.5), None) == (0.0, 0.1, 0.5)


def test_the_command_imports_nothing_heavy() -> None:
    code = "import sys, wgfode.cli; print([m for m in ('torch', 'jax', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_show_and_plot_read_a_dataset(tmp_path: Path) -> None:
    file = storage.write(tiny("completed"), tmp_path / "run.nc")
    shown = wgfode("show", file)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[0].split()[:4] == ["t", "energy", "map", "err"]
    assert shown.stdout.splitlines()[-1].endswith("completed")
    drawn = wgfode("plot", file, tmp_path / "plots")
    assert drawn.exit_code == 0, drawn.output
    assert "energy.png" in os.listdir(tmp_path / "plots")
    filmed = wgfode("plot", file, "--film", tmp_path / "run.gif")
    assert (filmed.exit_code, (tmp_path / "run.gif").exists()) == (0, True)
    assert "plot needs DIR" in wgfode("plot", file).stderr
    for command in (("show", tmp_path / "none.nc"), ("plot", tmp_path / "none.nc", tmp_path)):
        failed = wgfode(*command)
        assert failed.exit_code == 2
        assert "cannot be read as a dataset" in failed.stderr
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    for command in (("show", tmp_path / "other.nc"), ("plot", tmp_path / "other.nc", tmp_path)):
        assert wgfode(*command).exit_code == 2
