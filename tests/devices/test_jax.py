"""Points split over the devices of a mesh are the points of one device."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from devices import flows as examples
from wgfode.backend import load
from wgfode.errors import InputError

WORKER = Path(examples.__file__).with_name("jax_worker.py")
QUICK = "--xla_backend_optimization_level=0"


def start(place: Path, process: int, processes: int, port: int, devices: int) -> Any:
    flags = f"{QUICK} --xla_force_host_platform_device_count={devices}"
    command = [sys.executable, str(WORKER), str(place), str(process), str(processes), str(port)]
    return subprocess.Popen(command, env=os.environ | {"XLA_FLAGS": flags}, stderr=subprocess.PIPE, text=True)


def found_by(started: list[Any], places: list[Path]) -> list[dict[str, np.ndarray]]:
    ends = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0] * len(started), [words[-2000:] for _, words in ends]
    return [dict(np.load(place)) for place in places]


@pytest.fixture(scope="module")
def velocity() -> np.ndarray:
    """Of one process of torch: the points and the equation are the same."""
    return examples.with_torch(examples.flows()["affine"], None)["velocity"]


def test_two_and_four_devices_are_one(tmp_path: Path, velocity: np.ndarray) -> None:
    place = tmp_path / "found.npz"
    [found] = found_by([start(place, 0, 1, 0, 4)], [place])
    assert sorted(found) == ["velocity on 2", "velocity on 4"]
    assert examples.same(found, dict.fromkeys(found, velocity), 1e-12) == []


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path, velocity: np.ndarray) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = [tmp_path / f"{i}.npz" for i in range(2)]
    for found in found_by([start(place, i, 2, port, 2) for i, place in enumerate(places)], places):
        assert list(found) == ["velocity on 4"]
        assert examples.same(found, {"velocity on 4": velocity}, 1e-12) == []


@pytest.mark.parametrize("count", [0, 64, 2.5])
def test_a_number_of_devices_that_is_not_there(count: Any) -> None:
    with jax.enable_x64(True), pytest.raises(InputError, match="devices"):
        load("jax", devices=count)
