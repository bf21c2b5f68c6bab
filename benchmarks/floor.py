"""The least that any client can do: read the socket, cut, parse each JSON once. No types, no timers, no checks."""

from __future__ import annotations

import array
import asyncio
import base64
import json
import socket
import ssl
from typing import Any, Final, Self, cast
from urllib.parse import urlsplit

from benchmarks import requests
from benchmarks.subjects import Read

_CHAT: Final = requests.on_the_wire("/v1/chat/completions", requests.chat())
_EMBEDDINGS: Final = requests.on_the_wire(
    "/v1/embeddings", requests.EMBEDDINGS | {"encoding_format": "base64"}
)
_STREAM_END: Final = b"\r\n0\r\n\r\n"
_LENGTH: Final = b"content-length: "


def _stream_request(model: str) -> bytes:
    return requests.on_the_wire("/v1/chat/completions", requests.chat(model) | {"stream": True})


def _host_and_port(url: str) -> tuple[str, int]:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    return address.hostname, address.port


def _content(received: bytes) -> bytes | None:
    """Return the body of an answer once all of it is there."""
    body = received.find(b"\r\n\r\n") + 4
    start = received.find(_LENGTH) + len(_LENGTH)
    length = int(received[start : received.index(b"\r", start)])
    return received[body:] if len(received) == body + length else None


class _Cut:
    """The events of one stream, parsed as they come."""

    def __init__(self) -> None:
        self.chunks = 0
        self.text: list[str] = []
        self._rest = b""

    def feed(self, data: bytes) -> bool:
        """Take what was received; says whether the stream has ended."""
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for event in whole:
            payload = event[event.index(b"data: ") + 6 :]
            if payload != b"[DONE]":
                self.chunks += 1
                self.text.append(json.loads(payload)["choices"][0]["delta"]["content"])
        return self._rest.endswith(_STREAM_END)

    def read(self) -> Read:
        return Read(self.chunks, "".join(self.text))


class _Connection(asyncio.Protocol):
    """One connection that carries one exchange at a time."""

    def __init__(self) -> None:
        self._plain: asyncio.Future[bytes] | None = None
        self._received = b""
        self._cut: _Cut | None = None
        self._ended: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._cut is not None and self._ended is not None:
            if self._cut.feed(data):
                self._ended.set_result(None)
        elif self._plain is not None:
            self._received += data
            content = _content(self._received)
            if content is not None:
                self._received = b""
                self._plain.set_result(content)

    async def ask(self, request: bytes) -> bytes:
        self._plain = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._plain

    def stream(self, request: bytes) -> None:
        self._cut, self._ended = _Cut(), asyncio.get_running_loop().create_future()
        self.transport.write(request)

    async def read(self) -> Read:
        assert self._cut is not None
        assert self._ended is not None
        await self._ended
        read, self._cut = self._cut.read(), None
        return read


class AsyncFloor:
    """asyncio's Protocol and json.loads."""

    def __init__(self, url: str, authority: str | None) -> None:
        self._host, self._port = _host_and_port(url)
        self._tls = None if authority is None else ssl.create_default_context(cafile=authority)
        self._idle: list[_Connection] = []
        self._opened: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_raised: object) -> None:
        for connection in self._opened:
            connection.transport.close()

    async def _connection(self) -> _Connection:
        if self._idle:
            return self._idle.pop()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port, ssl=self._tls)
        self._opened.append(connection)
        return connection

    async def _asked(self, request: bytes) -> Any:
        connection = await self._connection()
        content = await connection.ask(request)
        self._idle.append(connection)
        return json.loads(content)

    async def call(self) -> Any:
        return await self._asked(_CHAT)

    raw_call = call

    async def embed(self) -> Any:
        answer = await self._asked(_EMBEDDINGS)
        return [array.array("f", base64.b64decode(item["embedding"])).tolist() for item in answer["data"]]

    async def open(self, model: str) -> Any:
        connection = await self._connection()
        connection.stream(_stream_request(model))
        return connection

    async def read(self, stream: Any) -> Read:
        read: Read = await stream.read()
        self._idle.append(stream)
        return read

    async def chunks(self) -> list[Any]:
        return []  # it makes no types that could be compared


class Floor:
    """A blocking socket and json.loads."""

    def __init__(self, url: str) -> None:
        self._socket = socket.create_connection(_host_and_port(url))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._socket.close()

    def call(self) -> Any:
        self._socket.sendall(_CHAT)
        received = self._socket.recv(65536)
        while (content := _content(received)) is None:
            received += self._socket.recv(65536)
        return json.loads(content)

    def open(self, model: str) -> Any:
        self._socket.sendall(_stream_request(model))
        return _Cut()

    def read(self, stream: Any) -> Read:
        while not stream.feed(self._socket.recv(65536)):
            pass
        read: Read = stream.read()
        return read

    def chunks(self) -> list[Any]:
        return []
