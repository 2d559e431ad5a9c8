"""Each option is written once: the call, its help, the command, the checkpoint and the dataset read it there."""

from __future__ import annotations

import datetime
import importlib
import importlib.util
import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, settings, strategies
from typer.testing import CliRunner

import wgfode as wgf
from wgfode.cli.app import app
from wgfode.run.settings import OPTIONS, Settings
from wgfode.stepping import stiffness
from wgfode.storage import write

FLOW = wgf.problems.get("ornstein-uhlenbeck-2d").flow
OTHER: dict[str, Any] = {
    "times": (0.0, 0.1, 0.25), "integrator": "torchdiffeq", "method": "Kvaerno3", "rtol": 1e-4, "atol": 1e-7,
    "step_size": None, "max_steps": 77, "evaluation": 12, "seed": 5, "dtype": "float32", "device": "cpu",
    "error_norm": "metric", "stiffness": False, "progress": True, "certificate": False, "initial_error": 0.5,
    "restart": wgf.Restart((0.1,), least=0.2), "resample": "auto", "on_fold": "warn", "checkpoint": None,
    "resume": False, "attributes": {"note": "a"},
}  # fmt: skip
"""Every option, most of them away from their default."""


def test_the_call_and_its_help_show_every_option() -> None:
    shown = inspect.signature(wgf.solve).parameters
    assert list(shown) == ["flow", *(item.name for item in fields(Settings))]
    assert shown["rtol"].default == 1e-6
    assert shown["integrator"].default == "diffrax"
    text = inspect.getdoc(wgf.solve) or ""
    assert "OPTIONS" not in text
    assert all(f"- `{name}`: " in text for name in OPTIONS)
    assert max(map(len, text.splitlines())) <= 120


def test_the_command_has_every_option_but_those_of_the_library() -> None:
    text = CliRunner().invoke(app, ["run", "--help"]).stdout
    hidden = {name for name in OPTIONS if f"--{name.replace('_', '-')}" not in text}
    assert hidden == {"times", "progress", "attributes", "args"}


def test_what_a_dataset_keeps_is_read_back() -> None:
    made = Settings(**OTHER)
    dataset = xr.Dataset({"z": ("point", np.zeros(12))}, attrs=made.kept())
    read = Settings.read(dataset)
    assert {name: OTHER[name] for name in read} == read
    assert set(OTHER) - set(read) == {"step_size", "progress", "checkpoint", "resume", "attributes"}
    fixed = Settings(times=[1.0], step_size=0.5).kept()
    assert fixed["step_size"] == 0.5
    assert not {"rtol", "atol"} & set(fixed)


def test_the_fingerprint_tells_runs_apart_and_only_runs() -> None:
    made = Settings(times=[1.0]).fingerprint()
    changed = Settings(**OTHER | {"step_size": 0.1}).fingerprint()
    assert all(made[name] != changed[name] for name in made)
    assert Settings(times=[1.0], max_steps=3, stiffness=False, on_fold="warn").fingerprint() == made


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rtoll": 1e-3}, "no option 'rtoll'; did you mean rtol"),
        ({"stepsize": 1e-3}, "did you mean step_size"),
        ({"progress": "off"}, "progress must be True or False"),
        ({"certificate": None}, "certificate must be True or False"),
        ({"initial_error": -1}, "initial_error must be >= 0"),
        ({"resample": "always"}, "unknown resample 'always'"),
        ({"dtype": "float32", "rtol": 1e-9}, "below what float32 can hold"),
        ({"times": "123"}, "times must be numbers"),
        ({"resume": True}, "needs checkpoint=PATH"),
        ({"attributes": {"ok": True}}, "attribute 'ok' of attributes .* give 1 or 'True'"),
        ({"attributes": {"ok": np.False_}}, "give 0 or 'False'"),
        ({"attributes": {"gone": None}}, "attribute 'gone' .* leave it out"),
        ({"attributes": {"deep": {"a": 1}}}, "attribute 'deep' .* json.dumps"),
        ({"attributes": {"day": datetime.date(2020, 1, 1)}}, r"attribute 'day' .* isoformat\(\)"),
        ({"attributes": {"place": Path("x")}}, r"attribute 'place' .* its str\(\)"),
        ({"attributes": {"z": 1j}}, "attribute 'z'"),
        ({"attributes": {"big": 2**70}}, "attribute 'big'"),
        ({"attributes": {"list": [1, "a"]}}, "attribute 'list'"),
        ({"attributes": {"list": [1, True]}}, "attribute 'list'"),
        ({"attributes": {"list": []}}, "attribute 'list'"),
        ({"attributes": {"table": np.zeros((2, 2))}}, "attribute 'table'"),
        ({"attributes": {3: "a"}}, "names of attributes must be printable strings without '/', got 3"),
        ({"attributes": {"a/b": "a"}}, "names of attributes"),
        ({"attributes": {"rtol": 3.0}}, "'rtol', which the run itself writes"),
        ({"attributes": {"status": "completed"}}, "'status', which the run itself writes"),
        ({"attributes": ["a"]}, "attributes must be a dictionary"),
    ],
)
def test_what_is_wrong_is_refused_before_any_work(
    options: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(wgf.solve.__globals__, "framework", lambda _: pytest.fail("the work began"))
    with pytest.raises(wgf.InputError, match=words):
        wgf.solve(FLOW, **({"times": [0.1]} | options))


NUMBERS = strategies.integers() | strategies.floats() | strategies.booleans()
SCALARS = NUMBERS | strategies.text() | strategies.none() | strategies.dates() | strategies.complex_numbers()
ARRAYS = strategies.sampled_from(
    [np.float32(0.1), np.float64(2), np.int32(3),
     np.uint8(7), np.uint64(2**63), np.float16(1), np.longdouble(1), np.bool_(1),
     np.arange(3), np.array([0.5, np.nan]), np.array(["a", "bc"]), np.str_("d"),
     np.zeros((2, 2)), np.zeros(0), np.array(3.0), b"a"]
)  # fmt: skip
VALUES = SCALARS | ARRAYS | strategies.lists(NUMBERS, max_size=4) | strategies.lists(strategies.text(), max_size=3)


@settings(max_examples=150, deadline=None)
@given(strategies.text(max_size=8) | strategies.just("note"), VALUES | strategies.tuples(NUMBERS, NUMBERS))
@example("coordinates", "x")
@example("_NCProperties", "x")
@example("_FillValue", 1)
@example("flag", "")
@example("words", ["", "b"])
@example("ints", [-1, 2**63 - 1])
def test_attributes_that_are_accepted_come_back(tmp_path_factory: Any, key: str, value: Any) -> None:
    try:
        held = Settings(times=[1.0], attributes={key: value}).attributes
    except wgf.InputError:
        return
    path = tmp_path_factory.getbasetemp() / "attributes.nc"
    write(xr.Dataset({"theta": ("time", np.zeros(2))}, attrs=held), path)
    with xr.open_dataset(path) as dataset:
        assert list(dataset.attrs) == [key]
        found = dataset.attrs[key]
    if np.size(value) > 1 or np.ndim(value) == 0:  # netCDF does not tell one from a list of one
        assert isinstance(found, str) == isinstance(value, str)
    there, here = np.atleast_1d(np.asarray(found)), np.atleast_1d(np.asarray(value))
    np.testing.assert_array_equal(there, here)


def without(*packages: str) -> Any:
    find = importlib.util.find_spec
    return lambda name, package=None: None if name in packages else find(name, package)


@pytest.mark.parametrize(
    ("missing", "default"),
    [((), "diffrax"), (("diffrax",), "torchdiffeq"), (("jax",), "torchdiffeq"), (("torch",), "diffrax"),
     (("jax", "torchdiffeq"), "scipy"), (("jax", "torch"), "diffrax")],
)  # fmt: skip
def test_the_default_integrator_is_one_that_is_installed(
    missing: tuple[str, ...], default: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", without(*missing))
    assert Settings(times=[1.0]).integrator == default


ABSENT = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith({names!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import wgfode as wgf
flow = wgf.problems.get("ornstein-uhlenbeck-2d").flow
try:
    wgf.solve(flow, [0.1], integrator={integrator!r}, evaluation=16)
except wgf.MissingDependencyError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("names", "integrator", "words"),
    [
        (("wgfode.adapters.torchdiffeq",), "torchdiffeq", "needs wgfode.adapters"),
        (("torchdiffeq", "jax"), "torchdiffeq", "pip install 'wgfode[torch]'"),
        (("torch", "jax"), "diffrax", "No integrator is installed here: pip install 'wgfode[torch]'"),
    ],
)
def test_what_is_missing_is_named_when_it_is_needed(names: tuple[str, ...], integrator: str, words: str) -> None:
    code = ABSENT.format(names=names, integrator=integrator)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert words in done.stdout


def test_a_missing_integrator_names_the_one_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, package: str | None = None) -> Any:
        raise wgf.MissingDependencyError("needs diffrax: pip install 'wgfode[jax]' brings it")

    monkeypatch.setattr(importlib, "import_module", missing)
    monkeypatch.setattr(importlib.util, "find_spec", without("jax"))
    with pytest.raises(wgf.MissingDependencyError, match=r"wgfode\[jax\].*Installed here: integrator='torchdiffeq'"):
        wgf.solve(FLOW, [0.1], integrator="diffrax")


def test_stiffness_is_written_as_the_schema_has_it() -> None:
    dataset = wgf.solve(FLOW, [0.01], integrator="torchdiffeq", evaluation=16, certificate=False, rtol=1e-3,
                        stiffness=True, attributes={"evaluation": 3, "self": "me", "sizes": [1.0, 2.0]})  # fmt: skip
    assert dataset["stiffness"].dims == ("time",)
    assert dataset["stiffness"].attrs["units"] == "1"
    assert (dataset.attrs["evaluation"], dataset.attrs["self"]) == (3, "me")


def test_by_default_stiffness_is_told_where_it_costs_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plain: dict[str, Any] = {"integrator": "torchdiffeq", "evaluation": 16, "certificate": False}
    short = wgf.solve(FLOW, [0.01], rtol=1e-3, **plain)
    assert "stiffness" not in short
    assert "recommendation" not in short.attrs
    assert stiffness.affordable(2, 700)
    assert not stiffness.affordable(6, 700)
    monkeypatch.setattr(stiffness, "SHARE", 1e3)  # in place of a long run
    assert wgf.solve(FLOW, [0.01], rtol=1e-3, **plain)["stiffness"].shape == (2,)
