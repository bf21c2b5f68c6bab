"""What every test starts from: a clean environment, its own home and folder, stand-in servers on real sockets."""

from __future__ import annotations

import functools
import gc
import importlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import openai
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


@pytest.fixture(scope="session", autouse=True)
def _one_trust_store() -> Iterator[None]:
    """Let all transports of the SDK that trust what the system does share a context.

    Each would else read the system's certificates, 16 ms of CPU for a client that speaks to plain http. What is told
    whom to trust, by a context of its own or by the environment, reads that.
    """
    package = openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]
    transports = importlib.import_module(f"{package}._transports.default")
    make = transports.create_ssl_context

    @functools.cache
    def shared(_file: str | None, _folder: str | None, *, trust_env: bool) -> Any:
        return make(trust_env=trust_env)

    def context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:  # noqa: FBT001, FBT002
        if verify is not True or cert is not None:
            return make(verify=verify, cert=cert, trust_env=trust_env)
        told = [os.environ.get(name) if trust_env else None for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]
        return shared(*told, trust_env=trust_env)

    with mock.patch.object(transports, "create_ssl_context", context):
        yield


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
