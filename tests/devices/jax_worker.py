"""What a process with several devices of jax does: `python jax_worker.py FILE PROCESS PROCESSES PORT`."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import flows as examples

import wgfode.tangent


def main(place: Path, process: int, processes: int, port: int) -> None:
    found = {}
    wgfode.tangent.BLOCK = 100  # a few points: several blocks of each device
    if processes > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", processes, process)
    for count in (len(jax.devices()),) if processes > 1 else (2, len(jax.devices())):
        velocity = examples.with_jax(examples.flows()["affine"], count)["velocity"]
        found[f"velocity on {count}"] = velocity
    np.savez(place, **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
