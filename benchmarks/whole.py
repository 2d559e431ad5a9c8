"""Seconds of whole runs: `python benchmarks/whole.py [PROBLEM …] [--against PATH] [--framework NAME]`.

Each named problem runs once in a process of its own, as `wgfode run` would, and its wall time is split:

- compile: tracing, lowering and compiling in jax, whatever asked for it, and how many programs that made;
- certificate, report (of the stiffness), dataset: what these took besides;
- steps: all the rest, the reading of folds and over-fitting included.

`--against` is a work tree of another release, run beside it. Shares can be compared on a busy machine, seconds only on
a quiet one; one column is process time. Without jax's persistent cache, unless `--cache DIR` names one.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

INTEGRATORS = {"jax": "diffrax", "torch": "torchdiffeq"}
PROBLEMS = ("ornstein-uhlenbeck-2d", "double-well-1d", "porous-medium-2d", "aggregation-ring", "fokker-planck-10d",
            "fokker-planck-30d")  # fmt: skip
PARTS = ("compile", "steps", "certificate", "report", "dataset")

Span = tuple[float, float]


class Clock:
    """Spans of wall time by what they were spent on."""

    def __init__(self) -> None:
        self.spans: dict[str, list[Span]] = {name: [] for name in PARTS}
        self.programs = 0

    def watch(self, owner: Any, method: str, part: str) -> None:
        """Time every call of `owner.method` as a `part`."""
        function = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.time()
            try:
                return function(*args, **kwargs)
            finally:
                self.spans[part].append((begin, time.time()))

        setattr(owner, method, timed)

    def compiled(self, event: str, seconds: float, **_: Any) -> None:
        """A listener of jax.monitoring."""
        if event.startswith("/jax/core/compile/"):
            self.spans["compile"].append((time.time() - seconds, time.time()))
            self.programs += event.endswith("backend_compile_duration")

    def seconds(self, part: str) -> float:
        """The seconds of a part, without those of compilation within."""
        compiling = union(self.spans["compile"])
        if part == "compile":
            return length(compiling)
        return length(union(self.spans[part] + compiling)) - length(compiling)


def union(spans: list[Span]) -> list[Span]:
    """Disjoint spans of the same points, in order."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


def length(spans: list[Span]) -> float:
    return sum(end - begin for begin, end in spans)


def run(problem: str, framework: str) -> dict[str, Any]:
    """The run of this process."""
    import wgfode as wgf
    from wgfode.certificate import Certificate

    try:
        from wgfode.adapters.base import AdaptedRightHandSide as Bound
        from wgfode.stepping import stiffness
    except ImportError:  # releases before these rooms
        Bound, stiffness = importlib.import_module("wgfode.bound").Bound, importlib.import_module("wgfode.stiffness")
    clock = Clock()
    if framework == "jax":
        import jax

        jax.monitoring.register_event_duration_secs_listener(clock.compiled)
    else:
        import torch

        torch.set_num_threads(1)
    for method in ("settle", "follow"):
        if hasattr(Certificate, method):
            clock.watch(Certificate, method, "certificate")
    clock.watch(stiffness, "report", "report")
    clock.watch(Bound, "dataset", "dataset")
    it = wgf.problems.get(problem)
    begin, used = time.time(), time.process_time()
    ds = wgf.solve(it.flow, it.times, integrator=INTEGRATORS[framework], rtol=it.rtol, atol=it.atol)
    total = time.time() - begin
    parts = {part: clock.seconds(part) for part in PARTS}
    parts["steps"] = total - sum(parts.values())
    return parts | {
        "total": total, "process": time.process_time() - used, "programs": clock.programs,
        "accepted": int(ds.attrs["accepted_steps"]), "rejected": int(ds.attrs["rejected_steps"]),
    }  # fmt: skip


def laid_out(tree: Path, place: Path) -> str:
    """A folder to import a work tree's package from: there its adapters and validation lie inside."""
    package = place / "wgfode"
    package.mkdir()
    for part in (*(tree / "wgfode").iterdir(), tree / "adapters", tree / "validation"):
        (package / part.name).symlink_to(part.resolve())
    return str(place)


def measured(problem: str, framework: str, tree: str | None, cache: str | None) -> str:
    """One line of the table, from a process of its own."""
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    if cache is not None:
        environment |= {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    if tree is not None:
        environment["PYTHONPATH"] = tree
    command = [sys.executable, __file__, problem, "--framework", framework, "--child"]
    child = subprocess.run(command, env=environment, capture_output=True, text=True)
    if child.returncode:
        return f"{problem:22s} {framework:6s} failed: {child.stderr.strip().splitlines()[-1]}"
    it = json.loads(child.stdout.splitlines()[-1])
    running = it["total"] - it["compile"]
    cells = [f"{it[part]:9.2f}" for part in PARTS] + [f"{it['total']:8.2f}", f"{it['process']:8.2f}"]
    return (
        f"{problem:22s} {framework:6s}" + "".join(cells) + f" {100 * it['certificate'] / running:6.0f} %"
        f" {it['programs']:8d} {it['accepted']:6d} + {it['rejected']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help=f"of {', '.join(PROBLEMS)}; all without")
    parser.add_argument("--against", metavar="PATH", help="a work tree of another release, run beside this one")
    parser.add_argument("--framework", choices=tuple(INTEGRATORS), help="one framework alone")
    parser.add_argument("--cache", metavar="DIR", help="use jax's persistent compilation cache there")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    frameworks: list[str] = [args.framework] if args.framework else list(INTEGRATORS)
    if args.child:
        logging.disable(logging.WARNING)
        print(json.dumps(run(args.problems[0], frameworks[0])))
        return
    head = "".join(f"{part:>{9 if part != 'certificate' else 12}s}" for part in PARTS)
    print(f"{'problem':29s}{head}    total  process  certificate's share  programs  steps", flush=True)
    line: Callable[[str, str, str | None], str] = lambda *what: measured(*what, args.cache)  # noqa: E731
    for problem in args.problems or PROBLEMS:
        for framework in frameworks:
            print(line(problem, framework, None), flush=True)
            if args.against:
                with tempfile.TemporaryDirectory() as place:
                    before = line(problem, framework, laid_out(Path(args.against), Path(place)))
                print("  before".ljust(22) + before.removeprefix(problem.ljust(22)), flush=True)


if __name__ == "__main__":
    main()
