"""A server that costs next to nothing, so that the client is what is measured: it copies answers made beforehand.

`python -m benchmarks.responder` is its own process. Its first line says where it listens; each line on its standard
input asks for its count of connections, and the end of that input ends it.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import trustme

from benchmarks import answers
from benchmarks.processor import pin

PACE_SECONDS: Final = 0.020
"""The time between two chunks of a paced stream."""
# A server under load writes the streams of one step one after another, over most of the step.
SLOTS: Final = 20

_ROUTES: Final = {
    b"POST /v1/chat/completions": answers.CHAT,
    b"POST /v1/completions": answers.COMPLETION,
    b"POST /v1/embeddings": answers.EMBEDDINGS,
    b"GET /v1/models": answers.MODELS,
}
_DENSE: Final = answers.STREAM_HEAD + answers.DENSE + answers.STREAM_END
# The first chunk opens the message, the second brings the first token.
_HELD_OPEN: Final = answers.STREAM_HEAD + answers.PACED[0] + answers.PACED[1]
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# The model that is asked for says how a stream is served: at once; "held" open after its first chunk; or paced,
# "paced-256" from when 256 are open.
_HELD: Final = re.compile(rb'"model": ?"held"')
_PACED: Final = re.compile(rb'"model": ?"paced-(\d+)"')
_STREAMED: Final = re.compile(rb'"stream": ?true')


class Wheel:
    """Writes the next chunk of every paced stream once in `PACE_SECONDS`, a slot of streams after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[asyncio.Transport] = []
        self._slots: list[list[asyncio.Transport]] = [[] for _ in range(SLOTS)]

    def add(self, transport: asyncio.Transport, together: int) -> None:
        """Hold this stream until so many wait; then all of them begin."""
        self._waiting.append(transport)
        if len(self._waiting) < together:
            return
        self._slots = [self._waiting[slot::SLOTS] for slot in range(SLOTS)]
        self._waiting = []
        self._turn(0, self._loop.time() + PACE_SECONDS)

    def _turn(self, step: int, due: float) -> None:
        chunk, slot = divmod(step, SLOTS)
        frame = answers.PACED[chunk]
        if chunk == len(answers.PACED) - 1:
            frame += answers.STREAM_END
        for transport in self._slots[slot]:
            transport.write(frame)
        if step + 1 < len(answers.PACED) * SLOTS:
            due += PACE_SECONDS / SLOTS
            self._loop.call_at(due, self._turn, step + 1, due)


@dataclass(slots=True)
class Count:
    """Connections: opened since the last question, open now, and the most that were open at a time since then."""

    opened: int = 0
    open: int = 0
    most: int = 0

    def told(self) -> str:
        line = json.dumps({"opened": self.opened, "open": self.open, "most": self.most})
        self.opened, self.most = 0, self.open
        return line


class Connection(asyncio.Protocol):
    """One connection: whole requests in, ready answers out, in order."""

    def __init__(self, count: Count, wheel: Wheel) -> None:
        self._count = count
        self._wheel = wheel
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._count.opened += 1
        self._count.open += 1
        self._count.most = max(self._count.most, self._count.open)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._count.open -= 1

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        while (head_end := received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(received, 0, head_end)
            end = head_end + 4 + (int(length[1]) if length else 0)
            if len(received) < end:
                break
            self._answer(received[:end])
            received = received[end:]
        self._received = received

    def _answer(self, request: bytes) -> None:
        route = request[: request.index(b" HTTP/")]
        if not _STREAMED.search(request):
            self._transport.write(_ROUTES.get(route, answers.UNKNOWN))
        elif _HELD.search(request):
            self._transport.write(_HELD_OPEN)
        elif paced := _PACED.search(request):
            self._transport.write(answers.STREAM_HEAD)
            self._wheel.add(self._transport, int(paced[1]))
        else:
            self._transport.write(_DENSE)


def _tls(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Make an authority for this run; returns a context with its certificate, and where a client finds it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    certificate = directory / "authority.pem"
    authority.cert_pem.write_to_path(str(certificate))
    return context, certificate


async def _serve(directory: Path) -> None:
    loop = asyncio.get_running_loop()
    count, wheel, ended = Count(), Wheel(loop), asyncio.Event()
    context, certificate = _tls(directory)
    ports = []
    for tls in (None, context):
        server = await loop.create_server(
            lambda: Connection(count, wheel), "127.0.0.1", 0, ssl=tls, backlog=2048
        )
        ports.append(server.sockets[0].getsockname()[1])

    def asked() -> None:
        if sys.stdin.readline():
            print(count.told(), flush=True)
        else:
            ended.set()

    loop.add_reader(sys.stdin.fileno(), asked)
    print(json.dumps({"port": ports[0], "tls_port": ports[1], "authority": str(certificate)}), flush=True)
    await ended.wait()


def main() -> None:
    pin(max)
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_serve(Path(directory)))


if __name__ == "__main__":
    main()
