"""docs/architecture.md: its code runs, names files that exist, and what it adds from outside is of the house."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from test_architecture import ARROWS

import wgfode as wgf

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The page's blocks, in order, as a module of somebody else's."""
    path = tmp_path_factory.mktemp("elsewhere") / "outside.py"
    path.write_text("\n\n".join(BLOCKS), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("outside", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["outside"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["outside"]


def test_every_block_runs(outside: ModuleType) -> None:
    assert len(BLOCKS) == 5
    dataset = outside.dataset
    assert dataset.sizes["time"] == 11
    assert np.isfinite(dataset["theta"]).all()
    energy = dataset["energy"].values
    assert (np.diff(energy) < 0).all()
    assert list(dataset["term"].values) == ["tilt", "potential"]


def test_what_is_added_from_outside_serves_in_one_call(outside: ModuleType) -> None:
    ds = wgf.solve(outside.flow, [0.05, 0.1], integrator="torchdiffeq", evaluation=64, stiffness=False)
    assert ds.attrs["status"] == "completed"
    assert "Cubic" in ds.attrs["map"]
    assert "Plain" in ds.attrs["solver"]
    assert "Near" in ds.attrs["metric"]
    assert float(ds["linear_residual"].max()) < 1e-6


def test_files_to_copy_are_there() -> None:
    copied = re.findall(r"copy `([\w/]+\.py)`", PAGE, flags=re.IGNORECASE)
    assert len(copied) == 5
    for name in copied:
        assert (ROOT / name).is_file()


def test_every_room_is_described() -> None:
    described = set(re.findall(r"`(\w+)`", "".join(line for line in PAGE.splitlines(True) if line.startswith("|"))))
    rooms = {room.partition(".")[0] for room in ARROWS} - {"wgfode"}
    assert rooms <= described
