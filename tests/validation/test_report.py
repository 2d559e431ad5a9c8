"""`wgfode validate`: what it runs, prints, writes, and its exit statuses."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import wgfode as wgf
from wgfode.cli import app as cli
from wgfode.cli.validate import default_integrators
from wgfode.validation import cases, report
from wgfode.validation.cases import Limit

NAME = "ornstein-uhlenbeck-2d"


def validate(*arguments: str | Path) -> Any:
    """The command's result, run in this process."""
    return CliRunner().invoke(cli.app, ["validate", *map(str, arguments)])


def test_the_default_compares_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wgfode.cli.validate.installed", lambda: ["torchdiffeq", "scipy"])
    assert default_integrators() == ["torchdiffeq"]
    monkeypatch.setattr("wgfode.cli.validate.installed", list)
    assert default_integrators() == ["diffrax", "torchdiffeq"]


def test_end_to_end(tmp_path: Path) -> None:
    """One problem on both integrators: the table, the dataset and the pictures."""
    out, plots = tmp_path / "report.nc", tmp_path / "plots"
    result = validate(NAME, "--quick", "--out", out, "--plots", plots)
    assert result.exit_code == 0, result.output
    header, *lines, blank, total = result.stdout.splitlines()
    assert header.split()[:3] == ["case", "integrator", "against"]
    assert all("ok" in line for line in lines)
    assert {line.split()[1] for line in lines} == {"diffrax", "torchdiffeq", "grid"}
    assert blank == ""
    assert total == f"{len(lines)} of {len(lines)} bounds kept"

    dataset = xr.open_dataset(out)
    assert dataset.sizes["check"] == len(lines)
    assert dataset.passed.values.all()
    l1 = dataset.where((dataset.check_figure == "l1") & (dataset.check_against == "grid"), drop=True)
    assert l1.measured.values == pytest.approx([1e-2, 1e-2], abs=5e-3)  # it is the coarse grid's own
    assert l1.reference_error.values == pytest.approx([1e-2, 1e-2], abs=5e-3)
    assert (l1.floor < l1.measured).all()
    rows = dataset.where((dataset.row_figure == "map_error") & (dataset.row_integrator == "diffrax"), drop=True)
    assert rows.row_time.values.tolist() == [0, 0.1, 0.3, 1]
    assert sorted(os.listdir(plots)) == sorted(
        [f"{NAME}-diffrax-density.png", f"{NAME}-torchdiffeq-density.png", f"{NAME}-errors.png", "refinement.png"]
    )


@pytest.fixture
def one_case(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes `NAME` a case with the given limits and other changes."""

    def change(*limits: Limit, **changes: Any) -> None:
        changed = replace(cases.get(NAME), limits=limits, study=None, **({"box": None} | changes))
        monkeypatch.setitem(cases.NAMED, NAME, lambda: changed)

    return change


def test_a_missed_bound_is_exit_status_1(one_case: Any, tmp_path: Path) -> None:
    one_case(Limit("exact", "map_error", 1e-30), Limit("exact", "l1", 1.0))
    result = validate(NAME, "--quick", "--integrator", "torchdiffeq", "--out", tmp_path / "report.nc")
    assert result.exit_code == 1
    assert [line.split()[-2] for line in result.stdout.splitlines()[1:4]] == ["ok", "MISS", "ok"]
    assert "2 of 3 bounds kept" in result.stdout
    assert xr.open_dataset(tmp_path / "report.nc").passed.values.tolist() == [1, 0, 1]


def test_a_run_that_stops_early_misses(one_case: Any) -> None:
    """What it has may keep the bounds; that it did not arrive is a miss of its own."""
    one_case(Limit("exact", "map_error", 1.0), Limit("exact", "kl", 1.0, since=0.3), times=(0.0, 0.1, 0.3, 1.0))
    case = cases.get(NAME)
    run = wgf.solve(case.flow, [0.1], integrator="torchdiffeq", evaluation=64)
    run.attrs["status"] = "stopped at t=0.1 because of a test"
    found = {check.figure: check for check in report.judge(case, run, case.make_exact(), None).checks}
    assert not found["output times missed"].passed
    assert found["map error"].passed
    assert not found["kl, t ≥ 0.3"].passed
    assert np.isnan(found["kl, t ≥ 0.3"].measured)


def test_every_case_is_sound() -> None:
    """Names, output times, and bounds that the references can answer."""
    assert list(cases.NAMED) == wgf.problems.names()
    assert set(cases.QUICK) <= set(cases.NAMED)
    for name, make in cases.all_cases().items():
        case = make()
        assert case.name == name
        assert case.times[0] == 0
        assert case.box is None or len(case.box.sides) == case.flow.dim <= 2
        for limit in case.limits:
            assert limit.since <= case.times[-1]
            assert limit.against != "exact" or case.make_exact() is not None
            assert limit.against != "grid" or case.box is not None
        on_grid = any(limit == Limit("grid", "l1", cases.base.L1) for limit in case.limits)
        assert on_grid == (case.flow.dim <= 2)
    kinds = [name for name in cases.all_cases() if name.startswith("grid-")]
    assert len(kinds) == 8


def test_an_interrupt_keeps_what_is_there(one_case: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one_case()
    tiny = wgf.solve(cases.get(NAME).flow, [0.01], integrator="torchdiffeq", evaluation=16)
    tiny.attrs["status"] = "stopped at t=0.01 because it was interrupted"
    monkeypatch.setattr(report, "solve", lambda *_, **__: tiny)
    result = validate(NAME, "--out", tmp_path / "report.nc")
    assert result.exit_code == 130
    assert "0 of 0 bounds kept" in result.stdout
    assert xr.open_dataset(tmp_path / "report.nc").sizes["check"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ornstein-uhlenbek",), ("case", "did you mean", NAME)),
        ((NAME, "--integrator", "difrax"), ("integrator", "'diffrax'")),
        ((NAME, "--out", "report.csv"), ("--out", ".nc")),
        ((NAME, "--out", "missing/report.nc"), ("--out", "no directory")),
        ((NAME, "--plots", "/proc/plots"), ("--plots",)),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], words: tuple[str, ...], monkeypatch: Any) -> None:
    monkeypatch.setattr(report, "solve", lambda *_, **__: pytest.fail("the run began"))
    result = validate(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert all(word in line for word in words), line


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fokker-planck", "porous-medium", "aggregation", "sum"])
@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("integrator", report.INTEGRATORS)
def test_parametrized_against_grid(kind: str, dim: int, integrator: str) -> None:
    (outcome, structure) = report.validate([cases.get(f"grid-{kind}-{dim}d")], [integrator])
    assert [report.line(check) for check in outcome.checks + structure.checks if not check.passed] == []


@pytest.mark.skipif(importlib.util.find_spec("fipy") is None, reason="needs fipy")
def test_fipy_agrees_with_scharfetter_gummel() -> None:
    """The exponential convection scheme of FiPy (Guyer et al. 2009) on the same cells, to three digits."""
    import fipy

    from wgfode.validation.convergence import cases as studies
    from wgfode.validation.grid import cell_averages, solve_grid

    study, cells = studies()["double-well-1d"], 200
    ((low, high),) = study.box
    ours = solve_grid(study.energy, study.density0, study.box, cells, [0, study.time]).density[-1].values
    mesh = fipy.Grid1D(nx=cells, dx=(high - low) / cells)
    x = mesh.faceCenters.value[0] + low
    drift = fipy.FaceVariable(mesh=mesh, rank=1, value=[np.where(abs(x) < 0.999 * high, x - x**3, 0.0)])
    equation = fipy.TransientTerm() == fipy.DiffusionTerm(0.1) - fipy.ExponentialConvectionTerm(drift)

    def theirs(steps: int) -> np.ndarray:
        rho = fipy.CellVariable(mesh=mesh, value=cell_averages(study.density0, study.box, cells))
        for _ in range(steps):
            equation.solve(rho, dt=study.time / steps)
        return np.array(rho.value)

    extrapolated = 2 * theirs(400) - theirs(200)  # its steps are of first order
    assert np.abs(extrapolated - ours).max() <= 1e-3 * ours.max()
