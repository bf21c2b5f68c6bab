"""Faults before any request: the server is not reached, or the connection breaks as it opens."""

import math
from collections.abc import Iterator
from typing import Final

from vllm_connect.simulator.faults.fault import Fault
from vllm_connect.simulator.script import Action, Close, Outage, Reset, Send


def _refused(*, seconds: float = math.inf, drop: bool = False) -> Iterator[Action]:
    yield Outage("refuse", seconds, drop)


def _clogged(*, seconds: float = math.inf, drop: bool = False) -> Iterator[Action]:
    yield Outage("clog", seconds, drop)


def _reset() -> Iterator[Action]:
    yield Reset()


def _closed() -> Iterator[Action]:
    yield Close()


def _greeted(*, greeting: str = "SSH-2.0-OpenSSH_9.6") -> Iterator[Action]:
    yield Send(f"{greeting}\r\n".encode())
    yield Close()


ROWS: Final = (
    Fault(
        "refused",
        (1, 2, 75),
        "server",
        "new connections are refused, as while a model loads; `drop` breaks the open ones, too",
        "takes the next replica at once; alone, fails within seconds or waits until it is ready",
        _refused,
    ),
    Fault(
        "full-backlog",
        (3, 75),
        "server",
        "new connections are neither accepted nor refused: the backlog is full",
        "gives up at its connect timer and takes another replica",
        _clogged,
    ),
    Fault(
        "reset-on-accept",
        (6,),
        "connection",
        "a new connection is reset",
        "tries once elsewhere",
        _reset,
    ),
    Fault(
        "close-on-accept",
        (6,),
        "connection",
        "a new connection is closed",
        "tries once elsewhere",
        _closed,
    ),
    Fault(
        "not-http-on-accept",
        (13,),
        "connection",
        "a new connection gets the greeting of another protocol, then the end",
        "a protocol error with a hint, not retried",
        _greeted,
    ),
)
