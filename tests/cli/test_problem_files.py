"""Problems of one's own: files, installed packages, and what `wgfode new` and the shell's completion give."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from typer.testing import CliRunner

import wgfode as wgf
from wgfode.cli.app import app
from wgfode.cli.completion import complete
from wgfode.problems import installed

OWN = '''"""A flow of my own."""

import wgfode as wgf
from constants import stiffness


def V(x, args):
    return args["k"] * stiffness * (x**2).sum(-1) / 2


flow = wgf.GradientFlow(
    map=wgf.maps.Affine(1),
    energy=wgf.Potential(V) + wgf.Entropy(),
    reference=wgf.Gaussian([1.0], [[1.0]]),
    points=wgf.GaussHermite(4),
)
times = [0.1, 0.2]
args = {"k": 2.0}


def slower(shift=0.0):
    return wgf.problems.Problem("slower", "The same, later", flow, [0.4], rtol=1e-5, args={"k": 1.0})


def pair():
    return flow, [0.3]


def broken():
    return flow.no_such_thing


number = 3
'''
CHEAP = ("--integrator", "torchdiffeq", "--evaluation", "64", "--no-stiffness")


def wgfode(*arguments: str | Path) -> Any:
    """The command's result, run in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a flow, beside a module that it imports; the folder is not the working one."""
    (tmp_path / "constants.py").write_text("stiffness = 1.0\n")
    file = tmp_path / "my.py"
    file.write_text(OWN)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return file


def test_a_flow_in_a_file_runs_resumes_and_runs_again(own: Path, tmp_path: Path) -> None:
    out, point = tmp_path / "run.nc", tmp_path / "run.ckpt"
    whole = wgfode("run", own, *CHEAP, "--checkpoint", point, "--out", out)
    assert whole.exit_code == 0, whole.output
    again = wgfode("run", own, *CHEAP, "--checkpoint", point, "--resume", "--out", tmp_path / "resumed.nc")
    assert again.exit_code == 0, again.output
    repeated = wgfode("run", "--from", out, "--out", tmp_path / "repeated.nc")
    assert repeated.exit_code == 0, repeated.output
    one, two, three = (xr.load_dataset(tmp_path / f"{name}.nc") for name in ("run", "resumed", "repeated"))
    assert one.time.values.tolist() == [0.0, 0.1, 0.2]
    assert one.attrs["problem"] == "my.py:flow"
    assert one.attrs["title"] == "A flow of my own."
    assert abs(float(one["mean"][-1, 0]) - 2.718281828459045**-0.4) < 5e-3  # ẋ = −2x, on 64 points
    for other in (two, three):
        xr.testing.assert_identical(one.theta.drop_attrs(), other.theta.drop_attrs())
    shown = wgfode("show", out)
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[-1].endswith("completed")


def test_what_a_file_may_hold(own: Path) -> None:
    assert wgf.problems.get(str(own)).times == (0.1, 0.2)
    slower = wgf.problems.get(f"{own}:slower")
    assert (slower.name, slower.rtol, slower.args, slower.times) == ("my.py:slower", 1e-5, {"k": 1.0}, (0.4,))
    assert wgf.problems.get(f"{own}:pair").times == (0.3,)


def test_from_refuses_a_file_that_has_changed_and_finds_one_that_has_moved(own: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.nc"
    assert wgfode("run", f"{own}:slower", *CHEAP, "--out", out).exit_code == 0
    own.write_text(OWN + "\n# another word\n")
    changed = wgfode("run", "--from", out)
    assert changed.exit_code == 2
    (line,) = changed.stderr.splitlines()
    assert "'my.py' has changed" in line
    assert "anew" in line
    (tmp_path / "moved.py").write_text(OWN)
    own.unlink()
    assert "cannot be read" in wgfode("run", "--from", out).stderr
    assert wgfode("run", tmp_path / "moved.py", "--from", out).exit_code == 0
    for other in (f"{tmp_path / 'moved.py'}:flow", "double-well-1d"):
        assert "not of" in wgfode("run", other, "--from", out).stderr


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("x = 1\n", "", ("bad.py holds no flow", "wgfode new")),
        ("import wgfode as wgf\ndef make(): ...\n", "", ("bad.py holds no flow", "bad.py:make")),
        ("x = 1\nx = = 2\n", "", ("bad.py, line 2", "SyntaxError")),
        ("import numpy\n\n\nnumpy.no_such_thing\n", "", ("bad.py, line 4", "AttributeError")),
        ("import wgfode as wgf\nm = wgf.maps.Affine(0)\n", "", ("bad.py, line 2", "dim must be")),
        ("import sys\nsys.exit(3)\n", "", ("bad.py, line 2", "SystemExit")),
        (OWN, ":flaw", ("name in bad.py", "'flaw'", "'flow'")),
        (OWN, ":number", ("bad.py:number", "GradientFlow", "got 3")),
        (OWN, ":broken", ("bad.py, line 30", "no_such_thing")),
        (OWN.replace("times = ", "time = "), "", ("bad.py:flow", "without output times", "times = ")),
        (OWN.replace("[0.1, 0.2]", "['soon']"), "", ("times must be a number", "soon")),
        (OWN + "second = flow\nthird = flow\n", ":", ()),
        (OWN.replace("flow", "first") + "second = first\n", "", ("say which", "bad.py:first or bad.py:second")),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(own: Path, text: str, name: str, words: tuple[str, ...]) -> None:
    bad = own.with_name("bad.py")
    bad.write_text(text)
    if not words:
        assert wgf.problems.get(f"{bad}{name}").name == "bad.py:flow"
        return
    result = wgfode("run", f"{bad}{name}")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert all(word in line for word in words), line


def test_a_file_that_is_not_there_and_a_word_without_py(tmp_path: Path) -> None:
    assert "cannot be read" in wgfode("run", tmp_path / "none.py").stderr
    assert "unknown problem" in wgfode("run", tmp_path / "my").stderr
    (line,) = wgfode("run").stderr.splitlines()
    assert "wgfode new FILE.py" in line


def test_the_template_runs(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    made = wgfode("new", file)
    assert made.exit_code == 0, made.output
    result = wgfode("run", file, *CHEAP, "--until", "0.02", "--rtol", "1e-3")
    assert result.exit_code == 0, result.output
    assert "wgfode run mine.py" in file.read_text()
    for place, word in ((file, "already"), (tmp_path / "mine.txt", ".py"), (tmp_path / "no" / "mine.py", "directory")):
        refused = wgfode("new", place)
        assert refused.exit_code == 2
        (line,) = refused.stderr.splitlines()
        assert word in line


def test_completion_offers_problems_and_files(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own.parent)
    (own.parent / "folder").mkdir()
    assert complete("fokker") == ["fokker-planck-10d", "fokker-planck-30d"]
    assert complete("my") == ["my.py"]
    assert complete("fol") == ["folder/"]
    assert complete(f"{own.parent}/m") == [str(own)]
    assert complete("no/such/folder") == []
    asked = {"_WGFODE_COMPLETE": "complete_bash", "COMP_WORDS": "wgfode run aggr", "COMP_CWORD": "2"}
    shell = CliRunner().invoke(app, [], env=asked, prog_name="wgfode")
    assert shell.stdout.split() == ["aggregation-ring"], shell.output


def test_problems_of_installed_packages(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def entry(name: str, value: str) -> metadata.EntryPoint:
        return metadata.EntryPoint(name, value, installed.GROUP)

    monkeypatch.syspath_prepend(str(own.parent))
    found = [entry("mine", "my:slower"), entry("none", "my:number"), entry("gone", "no_such_package:problem")]
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: found if group == installed.GROUP else [])
    assert wgf.problems.get("mine").name == "mine"
    listed = wgfode("list")
    assert listed.exit_code == 0
    assert "The same, later" in listed.stdout
    assert "'none'" in listed.stderr
    assert "no_such_package" in listed.stderr
    assert wgfode("run", "gone").exit_code == 2
    result = wgfode("run", "mine", *CHEAP)
    assert result.exit_code == 0, result.output
