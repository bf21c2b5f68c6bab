"""What a hostile server makes our memory grow by: measured in a process of its own, at the faults' full sizes."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.runs import MODEL, SHELLS
from tests.test_opening import peer
from vllm_connect.simulator import Simulator

# Where an answer is read whole: the body, its pieces, and what it unfolds from.
BODY_CAP: Final = 16
EVENT_CAP: Final = 1

# Each asked after the one before it: the peak only grows, so what should cost least comes first.
ASKED: Final = [
    # row, fault, way, most growth in MiB
    (14, "long-header; size=200000000", "plain", 3),
    (14, "many-headers", "plain", 3),
    (49, "huge-error", "plain", 3),
    (49, "huge-error", "sdk_plain", 3),
    (49, "endless-error", "stream", 3),
    (65, "huge-line", "stream", 3 * EVENT_CAP + 2),
    (65, "huge-line", "sdk_stream", 3 * EVENT_CAP + 4),
    (48, "gzip-bomb", "plain", 3 * BODY_CAP),
    (48, "gzip-bomb", "sdk_plain", 3 * BODY_CAP),
]

MEASURE = """
import json, resource, sys
from types import SimpleNamespace

from tests import runs
from vllm_connect import Limits, Timeouts

honest, asked_of, shell, asked = *sys.argv[1:4], json.loads(sys.argv[4])
unit = 1 if sys.platform == "darwin" else 1024


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def run(url):
    limits = Limits(body=16 * 2**20, event=2**20)
    return runs.Run(SimpleNamespace(url=url), shell, max_retries=0, timeouts=Timeouts(total=50), limits=limits)


run(honest)(*((way, "") for way in runs.ALL))  # what is loaded at first use is not the server's
before = peak()
for fault, way in asked:
    (outcome,) = run(asked_of)((getattr(runs, way), fault))
    print(json.dumps([type(outcome.error).__name__, peak() - before]))
"""


def measured(honest: str, asked_of: str, shell: str, asked: list[tuple[str, str]]) -> list[tuple[str, float]]:
    """What each call ended with, and by how many MiB the process had grown at most by then."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, honest, asked_of, shell, json.dumps(asked)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    return [(error, grown) for error, grown in map(json.loads, ran.stdout.splitlines())]


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator(models=(MODEL,), own_process=True) as simulator:
        yield simulator


@pytest.mark.parametrize("shell", SHELLS)
def test_faults(server: Simulator, shell: str) -> None:
    """However much a server sends, what is held of it stays within three times its limit."""
    found = measured(server.url, server.url, shell, [(fault, way) for _, fault, way, _ in ASKED])
    for (row, fault, way, most), (error, grown) in zip(ASKED, found, strict=True):
        assert grown <= most, (row, fault, way)
        assert error in {"AnswerTooLarge", "InternalServerError"}


def endless(connected: socket.socket) -> None:
    """Answer well, in small chunks that do not end."""
    connected.recv(65536)
    with contextlib.suppress(OSError):
        connected.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        while True:
            connected.sendall(b"8\r\nxxxxxxxx\r\n" * 10_000)


@pytest.mark.parametrize("shell", SHELLS)
def test_endless_body(server: Simulator, shell: str) -> None:
    """A body that does not end is given up at its limit, however small its pieces, on both paths."""
    with peer(endless) as hostile:
        url = f"http://127.0.0.1:{hostile.port}/v1"
        found = measured(server.url, url, shell, [("", "plain"), ("", "sdk_plain")])
    assert [error for error, _ in found] == ["AnswerTooLarge"] * 2
    assert all(grown <= 3 * BODY_CAP for _, grown in found)
