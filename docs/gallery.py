"""The gallery: every named problem solved, drawn and timed. `python docs/gallery.py [NAME …]` writes docs/gallery.md.

What it writes is no part of the repository: `.ci/site` makes it before the site.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
import time
from pathlib import Path

import wgfode as wgf
from wgfode import plots
from wgfode.cli.table import table
from wgfode.problems import PROBLEMS
from wgfode.run.integrators import first_installed

PLACE = Path(__file__).resolve().parent
FILMED = ("aggregation-ring", "double-well-1d")


def page(name: str) -> str:
    """One problem's part of the page; its pictures are written beside it."""
    problem = wgf.problems.get(name)
    started = time.perf_counter()
    dataset = wgf.solve(
        problem.flow, problem.times, rtol=problem.rtol, atol=problem.atol,
        attributes={"problem": name, "title": problem.description},
    )  # fmt: skip
    seconds = time.perf_counter() - started
    folder = PLACE / "gallery" / name
    drawn = [file.name for file in plots.draw(dataset, folder)]
    if name in FILMED:
        drawn.append(plots.film(dataset, folder / "film.gif").name)
    code = textwrap.dedent(inspect.getsource(PROBLEMS[name]))
    pictures = "\n\n".join(f"![{file.split('.')[0]}](gallery/{name}/{file})" for file in drawn)
    return (
        f"## {name}\n\n{problem.description}. {seconds:.0f} s with {first_installed()}, by\n\n"
        f"```sh\nwgfode run {name} --out {name}.nc --plots {name}\n```\n\n"
        f"```python\n{code}```\n\n```text\n{table(dataset, problem.exact)}\n```\n\n{pictures}\n"
    )


def main() -> None:
    """Solve the problems that are named, all by default, and write the page."""
    parts = ["# Gallery\n\nEvery named problem, solved when this page was built.\n"]
    parts += [page(name) for name in sys.argv[1:] or wgf.problems.names()]
    (PLACE / "gallery.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
