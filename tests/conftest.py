"""What all tests share: jax's x64 mode, and a backend of each framework."""

from __future__ import annotations

import os

# one process a core: threads of their own only get in each other's way
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import pytest

from wgfode.backend import Backend, load

jax.config.update("jax_enable_x64", True)


@pytest.fixture(scope="session", params=["torch", "jax"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """The float64 backend of each framework in turn."""
    return load(request.param)
