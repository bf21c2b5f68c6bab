"""What every test starts from: a clean environment, its own home and folder, stand-in servers on real sockets."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.callers import Caller
from vllm_connect.simulator import Simulator

# A job in the background of a plain shell ignores Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

DEVELOPERS_OWN = (
    "VLLM",
    "HOSTED_VLLM",
    "OPENAI",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "XDG_CONFIG",
)
# What the suite is run over; our own wire without a word.
WIRE = os.environ.get("DEV_WIRE")


def pytest_collection_finish() -> None:
    """Take all that is imported and collected out of the garbage collector's sight, for the time of the tests.

    Tests that ask it whether something was left would else have it walk through openai each time, 0.1 s of CPU.
    """
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _clean_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the developer's variables, home and project files out of every test."""
    for name in os.environ:
        if name.upper().startswith(DEVELOPERS_OWN):
            monkeypatch.delenv(name)
    if WIRE is not None:
        monkeypatch.setenv("VLLMCONNECT_WIRE", WIRE)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)


@pytest.fixture
def server() -> Iterator[Simulator]:
    """A stand-in server for text, with a key and two names."""
    with Simulator(models=("sim-model", "sim-alias"), api_key="simulator-key") as simulator:
        yield simulator


@pytest.fixture
def pooling() -> Iterator[Simulator]:
    """A stand-in server for embeddings, without a key."""
    with Simulator(kind="pooling", models=("embedder",), dimensions=8) as simulator:
        yield simulator


@pytest.fixture
def caller(request: pytest.FixtureRequest) -> Caller:
    """A maker of clients of the kind that `every_kind` asks for."""
    return Caller(request.param)
