"""What each process of a test does: `python worker.py FOLDER COUNT`, with the environment that torchrun gives."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import flows as examples

from wgfode.errors import ProcessError


def main(folder: Path, count: int) -> None:
    rank = int(os.environ["RANK"])
    for name, problem in examples.flows().items():
        np.savez(folder / f"{name}-{rank}.npz", **examples.with_torch(problem, count))
    dataset = examples.run(count, "torchdiffeq", folder / "whole")
    np.save(folder / f"theta-{rank}.npy", dataset.theta.values)
    fail(folder, count, rank)


def fail(folder: Path, count: int, rank: int) -> None:
    """The last process dies in the middle of a run."""
    import wgfode.run.run

    note, seen = wgfode.run.run.Run._note, []

    def dying(course: wgfode.run.run.Run, state: object) -> None:
        note(course, state)
        seen.append(state)
        if rank == count - 1 and course.last.time >= examples.TIMES[0]:
            os._exit(3)

    wgfode.run.run.Run._note = dying
    wgfode.run.run.WRITE_EVERY = 0.0
    try:
        examples.run(count, "torchdiffeq", folder / "broken", step_size=0.01, method="Euler")
    except ProcessError as error:
        (folder / f"said-{rank}").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
