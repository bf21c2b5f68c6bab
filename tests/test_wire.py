"""What a server may do on the wire, and how a client of ours behaves there: nothing of it is a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.runs import (
    LANE,
    MODEL,
    SHELLS,
    Run,
    plain,
    stream,
    text_of,
)
from vllm_connect.simulator import Simulator


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator(models=(MODEL,)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def honest(server: Simulator) -> str:
    """What the server answers when nothing is unusual."""
    (outcome,) = Run(server, "blocking")((plain, ""))
    return text_of(outcome.answer)


class Row(NamedTuple):
    """A row of the fault catalogue that is none to a good client, and how it may come."""

    number: int
    fault: str
    ways: tuple[Callable[..., Any], ...] = (stream,)
    connections: int = 1
    """Opened by this call and the next one."""


ROWS = (
    Row(8, "close-when-idle", LANE, connections=2),
    Row(8, "reset-at-reuse", LANE, connections=2),
    Row(17, "http10", (plain,), connections=2),
    Row(19, "interim; status=103; count=3", LANE),
    Row(19, "interim; status=100", LANE),
    Row(41, "duplicate-keys", (plain,)),
    Row(45, "usage-missing", (plain,)),
    Row(45, "usage-null", (plain,)),
    Row(45, "usage-negative", (plain,)),
    Row(46, "wrong-content-type", LANE),
    Row(46, "wrong-content-type; to=application/octet-stream", LANE),
    Row(47, "other-model", LANE),
    Row(48, "gzip", (plain,)),
    Row(59, "every-byte"),
    Row(59, "crlf"),
    Row(59, "cr"),
    Row(59, "mixed-line-ends"),
    Row(59, "bom"),
    Row(59, "several-data-lines"),
    Row(59, "data-without-space"),
    Row(60, "after-done"),
    Row(62, "usage-within"),
    Row(66, "done-then-open", connections=2),
)
CASES = [
    pytest.param(row, way, shell, id=f"{row.number}-{row.fault.replace('; ', '-')}-{way.__name__}-{shell}")
    for row in ROWS
    for way in row.ways
    for shell in SHELLS
]


@pytest.mark.parametrize(("row", "way", "shell"), CASES)
def test_accepted(row: Row, way: Callable[..., Any], shell: str, server: Simulator, honest: str) -> None:
    """What a good client passes over changes nothing of an answer, costs one request, and spoils no later call."""
    requests, connections = len(server.requests), server.connections
    met, after = Run(server, shell, max_retries=0)((way, row.fault), (plain, ""))
    assert (met.error, after.error) == (None, None)
    assert (text_of(met.answer), text_of(after.answer)) == (honest, honest)
    assert met.seconds < 5
    assert len(server.requests) - requests == 2
    assert server.connections - connections == row.connections
