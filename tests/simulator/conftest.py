"""One generating and one pooling server without a key, shared: what a test asks leaves nothing behind."""

from collections.abc import Iterator

import pytest

from vllm_connect.simulator import Simulator


@pytest.fixture(scope="session")
def generate() -> Iterator[Simulator]:
    with Simulator(models=("sim-model", "sim-alias")) as server:
        yield server


@pytest.fixture(scope="session")
def pooling() -> Iterator[Simulator]:
    with Simulator(kind="pooling", models=("embedder",), dimensions=8) as server:
        yield server
