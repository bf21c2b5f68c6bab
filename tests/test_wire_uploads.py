"""Bodies that leave in pieces, and servers that answer before they have read them."""

from __future__ import annotations

import io
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import openai
import pytest

from tests.runs import MODEL, SHELLS
from tests.test_opening import peer
from vllm_connect import AsyncOpenAI, OpenAI, ServerUnreachable, Timeouts
from vllm_connect.simulator import Reply, Simulator

FILE = b'{"id":"file-1","object":"file","bytes":1,"created_at":1,"filename":"a","purpose":"batch","status":"processed"}'
PIECES = [b"x" * 1000] * 500
every_shell = pytest.mark.parametrize("shell", SHELLS)


@pytest.fixture(autouse=True)
def _own_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay on our wire where the suite is run over the SDK's transport."""
    monkeypatch.setenv("VLLMCONNECT_WIRE", "own")


def run(shell: str, call: Callable[[Any], Any], url: str) -> Any:
    """Make one call on a client of its own."""
    options: Any = {"base_url": url, "max_retries": 0, "timeouts": Timeouts(total=20)}

    async def arun() -> Any:
        async with AsyncOpenAI(**options) as client:
            return await call(client)

    if shell == "asyncio":
        return anyio.run(arun)
    with OpenAI(**options) as client:
        return call(client)


@every_shell
@pytest.mark.parametrize("size", [3, 3_000_000])
def test_file(shell: str, size: int) -> None:
    """A file leaves whole, with its length."""
    with Simulator(models=(MODEL,)) as server:
        server.reply_next(Reply(body=FILE))
        stored = run(
            shell,
            lambda client: client.files.create(file=("a", io.BytesIO(b"x" * size)), purpose="batch"),
            server.url,
        )
        (request,) = server.requests
    assert stored.id == "file-1"
    assert request.body.count(b"x") >= size
    assert request.header("content-length") == str(len(request.body))


async def apieces() -> AsyncIterator[bytes]:
    for piece in PIECES:
        yield piece


@every_shell
def test_generator(shell: str) -> None:
    """A body without a length leaves in chunks."""
    with Simulator(models=(MODEL,)) as server:
        server.reply_next(Reply(body=FILE))
        body = apieces() if shell == "asyncio" else iter(PIECES)
        run(shell, lambda client: client.post("/files", content=body, cast_to=object), server.url)
        (request,) = server.requests
    assert request.body == b"".join(PIECES)
    assert (request.header("transfer-encoding"), request.header("content-length")) == ("chunked", None)


class OwnError(Exception):
    """What a caller's own generator raises."""


def failing() -> Iterator[bytes]:
    yield b"x"
    raise OwnError


async def afailing() -> AsyncIterator[bytes]:
    yield b"x"
    raise OwnError


@every_shell
def test_failing_generator(shell: str) -> None:
    """What a caller's own generator raises reaches the caller, and the request is given up."""
    with Simulator(models=(MODEL,)) as server:
        body = afailing() if shell == "asyncio" else failing()
        with pytest.raises(OwnError):
            run(shell, lambda client: client.post("/files", content=body, cast_to=object), server.url)
        assert server.requests == []


REFUSAL = b'HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 33\r\n\r\n{"error":{"message":"too large"}}'


def refuse(connected: socket.socket) -> None:
    """Answer after the first bytes, then read what still comes, as nginx does."""
    connected.recv(1000)
    connected.sendall(REFUSAL)
    connected.shutdown(socket.SHUT_WR)
    while connected.recv(1 << 20):
        pass


def vanish(connected: socket.socket) -> None:
    connected.recv(1000)


def big_prompt(client: Any) -> Any:
    messages: Any = [{"role": "user", "content": "x" * 20_000_000}]
    return client.chat.completions.create(model=MODEL, messages=messages)


def big_file(client: Any) -> Any:
    return client.files.create(file=("a", io.BytesIO(b"x" * 20_000_000)), purpose="batch")


@every_shell
@pytest.mark.parametrize("call", [big_prompt, big_file])
def test_refused_early(shell: str, call: Callable[[Any], Any]) -> None:
    """A refusal that comes while the body is still being sent is what the caller is told."""
    with peer(refuse) as server, pytest.raises(openai.APIStatusError, match=r"413.*too large"):
        run(shell, call, f"http://127.0.0.1:{server.port}/v1")
    assert server.connections == 1


@every_shell
@pytest.mark.parametrize("call", [big_prompt, big_file])
def test_gone_early(shell: str, call: Callable[[Any], Any], caplog: pytest.LogCaptureFixture) -> None:
    """A server that goes away meanwhile is told once, and no more is sent to it."""
    with (
        peer(vanish) as server,
        pytest.raises(ServerUnreachable, match="did not answer"),
    ):
        run(shell, call, f"http://127.0.0.1:{server.port}/v1")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert server.connections == 1
