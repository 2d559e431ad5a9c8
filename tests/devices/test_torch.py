"""Points split over processes of torch.distributed are the points of one process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from devices import flows as examples
from wgfode.backend import load
from wgfode.errors import InputError

WORKER = Path(examples.__file__).with_name("worker.py")


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What 2 or 4 processes left behind."""
    place, count = tmp_path_factory.mktemp("processes"), request.param
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(WORKER), str(place), str(count)]
    started = [
        subprocess.Popen(command, env=os.environ | shared | {"RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(count)
    ]
    ends = [process.communicate(timeout=300) for process in started]
    codes = [process.returncode for process in started]
    assert codes == [0] * (count - 1) + [3], [words[-2000:] for _, words in ends]
    return place


@pytest.mark.parametrize("name", list(examples.flows()))
def test_the_right_hand_side_is_that_of_one_process(folder: Path, name: str) -> None:
    expected = examples.with_torch(examples.flows()[name], None)
    for found in folder.glob(f"{name}-*.npz"):
        assert examples.same(dict(np.load(found)), expected, 1e-12) == []


def test_every_process_has_the_same_bits(folder: Path) -> None:
    first, *others = [np.load(found) for found in sorted(folder.glob("theta-*.npy"))]
    assert others
    assert all(first.tobytes() == other.tobytes() for other in others)


def test_a_run_is_that_of_one_process(folder: Path) -> None:
    one = examples.run(None, "torchdiffeq").theta.values
    np.testing.assert_allclose(np.load(folder / "theta-0.npy"), one, rtol=0, atol=1e-9)


def test_a_process_that_dies_ends_the_others_with_the_last_checkpoint(folder: Path) -> None:
    said = (folder / "said-0").read_text()
    assert "another process of the run is gone" in said
    assert "broken" in said
    assert "resume=True" in said
    # on fewer devices than before, too
    how = {"step_size": 0.01, "method": "Euler"}
    resumed = examples.run(None, "torchdiffeq", folder / "broken", resume=True, **how)
    assert resumed.attrs["status"] == "completed"
    np.testing.assert_allclose(resumed.theta.values, examples.run(None, "torchdiffeq", **how).theta.values, atol=1e-12)


def test_one_process_is_joined_to_none() -> None:
    assert load("torch", devices=1).devices.count == 1
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("count", [0, 3, 2.5, "two"])
def test_a_number_of_processes_that_is_not_there(count: object) -> None:
    with pytest.raises(InputError, match="devices"):
        load("torch", devices=count)
