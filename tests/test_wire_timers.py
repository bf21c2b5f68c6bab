"""Timers on our wire: each fires by its name and in time, and none for what is nobody's delay."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.runs import MODEL, SHELLS, STREAM, Run, plain, stream
from tests.test_opening import black_hole
from vllm_connect import AsyncOpenAI, DeadlineExceeded, OpenAI, Timeouts
from vllm_connect.simulator import Simulator

every_shell = pytest.mark.parametrize("shell", SHELLS)
# The sweep of asyncio looks every 0.1 s; the rest is for a machine that does much else.
LATE = 1.2


class Row(NamedTuple):
    """A delay, the timers it is met with, the one that must fire, and after how long from the start."""

    fault: str
    timeouts: Timeouts
    timer: str
    seconds: float
    ways: tuple[Callable[..., Any], ...] = STREAM


ROWS = (
    Row("no-answer", Timeouts(first_token=0.3), "first_token", 0.3),
    Row("no-answer", Timeouts(total=0.3), "total", 0.3, (plain, stream)),
    Row("drip-head", Timeouts(first_token=0.3), "first_token", 0.3),
    Row("drip-head", Timeouts(total=0.3), "total", 0.3, (plain, stream)),
    Row("drip-body", Timeouts(first_token=0.3), "first_token", 0.3),
    Row("drip-body", Timeouts(total=0.3), "total", 0.3, (plain, stream)),
    Row("only-comments; pause=0.05", Timeouts(first_token=0.3), "first_token", 0.3),
    Row("only-comments; pause=0.05", Timeouts(total=0.3), "total", 0.3),
    Row("stall", Timeouts(first_token=5, between_tokens=0.3), "between_tokens", 0.3),
    Row("stall-in-event", Timeouts(first_token=5, between_tokens=0.3), "between_tokens", 0.3),
    # Tokens that keep coming trip no token timer.
    Row("slow; factor=1; least=0.1", Timeouts(between_tokens=0.3, total=0.5), "total", 0.5),
)
CASES = [
    pytest.param(row, way, shell, id=f"{row.fault.replace('; ', '-')}-{row.timer}-{way.__name__}-{shell}")
    for row in ROWS
    for way in row.ways
    for shell in SHELLS
]


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator(models=(MODEL,), own_process=True) as simulator:
        yield simulator


@pytest.mark.parametrize(("row", "way", "shell"), CASES)
def test_timer(row: Row, way: Callable[..., Any], shell: str, server: Simulator) -> None:
    """A timer fires by its name, when its time is over and not before, and the call is not made again."""
    requests = len(server.requests)
    (outcome,) = Run(server, shell, timeouts=row.timeouts)((way, row.fault))
    assert isinstance(outcome.error, DeadlineExceeded)
    assert outcome.error.timer == row.timer
    assert row.seconds <= outcome.seconds <= row.seconds + LATE
    assert len(server.requests) == requests + 1


@every_shell
@pytest.mark.parametrize("way", [plain, stream])
def test_connect(way: Callable[..., Any], shell: str, server: Simulator) -> None:
    """An address that swallows connections ends at the connect timer, or at the total where that is sooner."""
    with black_hole() as port:
        for timeouts, timer in (
            (Timeouts(connect=0.3), "connect"),
            (Timeouts(connect=5, total=0.3), "total"),
        ):
            run = Run(server, shell, timeouts=timeouts, max_retries=0, base_url=f"http://127.0.0.1:{port}/v1")
            (outcome,) = run((way, ""))
            assert isinstance(outcome.error, DeadlineExceeded)
            assert outcome.error.timer == timer
            assert 0.3 <= outcome.seconds <= 0.3 + LATE


def test_a_loop_that_stands_still_is_no_delay_of_the_server(server: Simulator) -> None:
    """A connection that came about while a caller's own code held the loop up is used, however late it is seen."""

    async def run(turns: int) -> None:
        timeouts = Timeouts(connect=0.3, total=5)
        async with AsyncOpenAI(base_url=server.url, timeouts=timeouts, max_retries=0, wire="own") as client:
            call = asyncio.create_task(plain(client))
            for _ in range(turns):
                await asyncio.sleep(0)
            time.sleep(0.5)  # noqa: ASYNC251 - the matter of this test
            assert (await call).choices

    # After how many turns of the loop a call connects is not said: it is held up after each.
    for turns in range(1, 6):
        asyncio.run(run(turns))


@every_shell
def test_pings_reset_no_timer(shell: str) -> None:
    """VLLM's pings keep a connection alive, and say nothing of the tokens."""
    with Simulator(models=(MODEL,), first_token_delay=5, sse_keep_alive_interval=0.05) as server:
        (outcome,) = Run(server, shell, timeouts=Timeouts(first_token=0.3))((stream, ""))
    assert isinstance(outcome.error, DeadlineExceeded)
    assert (outcome.error.timer, outcome.answer) == ("first_token", [])


# -- a reader that takes its time

EVENT = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n'
EVENTS = 20_000
BODY = EVENT % (b"x" * 1000) * (EVENTS - 1) + EVENT.replace(b"null", b'"stop"') % b"x" + b"data: [DONE]\n\n"
SLEEP = 0.6
PATIENCE = Timeouts(first_token=5, between_tokens=0.3)


class Sending:
    """A server that sends a long stream as fast as it is taken, and counts what has left."""

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        self.sent = 0
        self._listener = listener

    def serve(self) -> None:
        accepted, _ = self._listener.accept()
        with accepted, contextlib.suppress(OSError):
            accepted.recv(65536)
            accepted.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n"
                % len(BODY)
            )
            for at in range(0, len(BODY), 65536):
                accepted.sendall(BODY[at : at + 65536])
                self.sent += 65536


@pytest.fixture
def sending() -> Iterator[Sending]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Sending(listener)
        thread = threading.Thread(target=server.serve)
        thread.start()
        yield server
        thread.join()


def test_unread_is_bounded(sending: Sending) -> None:
    """Of a stream that nobody reads the server keeps most; read on, it is whole, and no timer has run meanwhile."""
    with OpenAI(base_url=sending.url, timeouts=PATIENCE, wire="own") as client:
        events = stream(client)
        next(events)
        time.sleep(SLEEP)
        assert sending.sent < len(BODY) / 2
        assert 1 + sum(1 for _ in events) == EVENTS


def test_unread_is_bounded_on_asyncio(sending: Sending) -> None:
    """The same on asyncio, where the loop goes on while nobody reads."""

    async def run() -> None:
        async with AsyncOpenAI(base_url=sending.url, timeouts=PATIENCE, wire="own") as client:
            events = await stream(client)
            await anext(events)
            await asyncio.sleep(SLEEP)
            assert sending.sent < len(BODY) / 2
            assert 1 + len([event async for event in events]) == EVENTS

    asyncio.run(run())


def test_slow_reader_is_no_stall() -> None:
    """A reader that pauses for longer than the timer between tokens, while the server sends, has no stall."""
    with (
        Simulator(models=(MODEL,), token_delay=0.05) as server,
        OpenAI(base_url=server.url, timeouts=PATIENCE, wire="own") as client,
    ):
        for number, _ in enumerate(stream(client)):
            if number in (1, 3):
                time.sleep(0.4)


def test_slow_reader_is_no_stall_on_asyncio() -> None:
    """The same on asyncio."""

    async def run(url: str) -> None:
        async with AsyncOpenAI(base_url=url, timeouts=PATIENCE, wire="own") as client:
            number = 0
            async for _ in await stream(client):
                number += 1
                if number in (2, 4):
                    await asyncio.sleep(0.4)

    with Simulator(models=(MODEL,), token_delay=0.05) as server:
        asyncio.run(run(server.url))
