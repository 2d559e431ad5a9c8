"""The code of the first pages runs, as a reader would: block after block."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def blocks(page: str) -> list[str]:
    """The python of a page."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(page: str) -> list[dict[str, Any]]:
    """The names that a page's blocks, run in order, leave after each of them."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    after = []
    for number, block in enumerate(blocks(page), 1):
        exec(compile(block, f"{page}, block {number}", "exec", dont_inherit=True), scope)
        after.append(dict(scope))
    return after


@pytest.mark.slow
def test_the_first_page_solves_the_same_flow_in_three_ways() -> None:
    found = [scope["dataset"] for scope in run("docs/index.md")]
    assert len(found) == 3
    for other in found[1:]:  # each to rtol 1e-3 of its own steps
        np.testing.assert_allclose(other["mean"], found[0]["mean"], atol=2e-3)
        np.testing.assert_allclose(other["covariance"], found[0]["covariance"], atol=5e-3)


def test_an_own_potential_and_network_flow_as_the_page_says() -> None:
    dataset = run("docs/own-problem.md")[-1]["dataset"]
    assert dataset.attrs["status"] == "completed"
    assert (np.diff(dataset["energy"]) < 0).all()
    assert (np.diff(np.linalg.norm(dataset["mean"], axis=1)) < 0).all()  # on its way to 0
    assert float(dataset["residual"][-1] / dataset["force"][-1]) < 0.1


def test_the_map_of_the_contributors_page_serves_a_flow() -> None:
    import wgfode as wgf

    bend = run("CONTRIBUTING.md")[-1]["Bend"](2)
    flow = wgf.GradientFlow(
        map=bend,
        energy=wgf.Potential(lambda x: (x**2).sum(-1) / 2, convexity=1.0) + wgf.Entropy(),
        reference=wgf.Gaussian([1.0, 0.0], np.eye(2)),
        points=wgf.Sobol(64, seed=0),
    )
    dataset = wgf.solve(flow, [0.5], integrator="torchdiffeq", rtol=1e-4, evaluation=64, stiffness=False)
    # the mean goes to 0 as e^{−t} and the covariance stays: a shift, which this map has, so that no error is left
    np.testing.assert_allclose(dataset["mean"][-1] - dataset["mean"][0], [np.exp(-0.5) - 1, 0], atol=1e-3)
