"""The examples run, each in a process of its own, as a user starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=EXAMPLES, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("integrator", ["torchdiffeq", "diffrax"])
def test_by_hand(integrator: str) -> None:
    assert "energy" in run("by_hand.py", integrator)


def test_literal_algorithm_beside_the_default() -> None:
    rows = run("literal_algorithm.py", "--until", "0.02", "--points", "128", "--integrator", "torchdiffeq").splitlines()
    table = {row.split()[0]: row.split() for row in rows[1:]}
    assert table["literal"][4] == "4"
    assert table["literal"][-1] == table["default"][-1] == "completed"
    assert float(table["default"][3]) < float(table["literal"][3])
