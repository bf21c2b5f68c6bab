"""One client's connection: bytes in by httptools, answers out in order, as uvicorn does it."""

import asyncio
from collections import deque
from email.utils import formatdate
from typing import Final, Protocol

import httptools

from vllm_connect.simulator.exchange import (
    Answer,
    Cut,
    Drop,
    Headers,
    RecordedRequest,
    Response,
    Stream,
    Work,
    status_line,
    text_response,
)

_MOST_PIPELINED: Final = 16
_GARBAGE: Final = b"Invalid HTTP request received."
_UNSIZED: Final = (204, 304)


class Service(Protocol):
    """What a connection asks of the server behind it."""

    def opened(self, connection: "Connection") -> None:
        """Hear of a new connection."""

    def closed(self, connection: "Connection", *, aborted: bool) -> None:
        """Hear of its end, and whether an answer was still on its way."""

    def answer(self, request: RecordedRequest) -> Answer:
        """Decide on an answer."""

    async def admitted(self, work: Work) -> None:
        """Wait until the engine takes the work up."""

    def finished(self, work: Work, *, done: bool) -> None:
        """Hear that the work ended."""


class Connection(asyncio.Protocol):
    """Reads requests, keeps pipelined ones in line, sends one answer at a time."""

    def __init__(self, service: Service, keep_alive: float) -> None:
        self._service = service
        self._keep_alive = keep_alive
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[RecordedRequest, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self._begin_message()

    @property
    def transport(self) -> asyncio.Transport:
        """The socket's transport, there from the first byte on."""
        assert self._transport is not None
        return self._transport

    def close(self) -> None:
        """Drop the connection at once, and what was being answered on it."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._service.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End (asyncio): an answer on its way is given up."""
        self._stop_idling()
        answering = self._task is not None
        if self._task:
            self._task.cancel()
        self._writable.set()
        self._service.closed(self, aborted=answering)

    def data_received(self, data: bytes) -> None:
        """Take bytes (asyncio)."""
        self._stop_idling()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # uvicorn without a websocket library serves the request as if nothing was asked
        except httptools.HttpParserError:
            self._refuse_garbage()

    def pause_writing(self) -> None:
        """Wait with more (asyncio)."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on (asyncio)."""
        self._writable.set()

    def on_message_begin(self) -> None:
        """Begin a request (httptools)."""
        self._begin_message()

    def on_url(self, url: bytes) -> None:
        """Take the target (httptools)."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header (httptools)."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Tell a client that waits for it to send its body (httptools)."""
        expects = any(
            name.lower() == b"expect" and value.lower() == b"100-continue" for name, value in self._headers
        )
        if expects and self._task is None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take body bytes (httptools)."""
        self._body += body

    def on_message_complete(self) -> None:
        """Put a complete request in line (httptools)."""
        # should_keep_alive() tells the truth only in here.
        keeps = self._parser.get_http_version() != "1.0" and self._parser.should_keep_alive()
        method = self._parser.get_method().decode()
        request = RecordedRequest(
            method, self._target.decode("latin-1"), tuple(self._headers), bytes(self._body)
        )
        self._waiting.append((request, keeps))
        if len(self._waiting) >= _MOST_PIPELINED:
            self.transport.pause_reading()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer_waiting())

    def _begin_message(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()

    async def _answer_waiting(self) -> None:
        keeps = True
        while self._waiting and keeps and not self.transport.is_closing():
            request, keeps = self._waiting.popleft()
            self.transport.resume_reading()
            await self._answer(request, keeps=keeps)
        self._task = None
        if not keeps:
            self.transport.close()
        elif not self.transport.is_closing():
            self._idle = asyncio.get_running_loop().call_later(self._keep_alive, self.transport.close)

    async def _answer(self, request: RecordedRequest, *, keeps: bool) -> None:
        match self._decide(request):
            case Drop(delay):
                await asyncio.sleep(delay)
                self.transport.close()
            case Cut(body, after):
                self.transport.write(body)
                await asyncio.sleep(after)
                self.transport.close()
            case answer:
                await self._work(answer, request, keeps=keeps)

    def _decide(self, request: RecordedRequest) -> Answer:
        try:
            return self._service.answer(request)
        except Exception as error:  # noqa: BLE001 - a bug in here must reach the caller as vLLM's own bugs do
            context = {"message": "The simulator failed to answer", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            return text_response(b"Internal Server Error", b"text/plain; charset=utf-8", status=500)

    async def _work(self, answer: Response | Stream, request: RecordedRequest, *, keeps: bool) -> None:
        done = False
        try:
            if isinstance(answer, Stream):
                await self._send_stream(answer, keeps=keeps)
            else:
                await self._send_response(answer, request, keeps=keeps)
            done = True
        finally:
            self._service.finished(answer.work, done=done)

    async def _send_response(self, answer: Response, request: RecordedRequest, *, keeps: bool) -> None:
        await self._service.admitted(answer.work)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        head = _head(answer.status, answer.headers, keeps=keeps)
        self.transport.write(head + (b"" if request.method == "HEAD" else answer.body))
        await self._writable.wait()

    async def _send_stream(self, answer: Stream, *, keeps: bool) -> None:
        chunked = () if answer.status in _UNSIZED else ((b"transfer-encoding", b"chunked"),)
        self.transport.write(_head(answer.status, answer.headers, keeps=keeps, last=chunked))
        await self._service.admitted(answer.work)
        for frame in answer.frames:
            # Even without a delay others get their turn, and a client that left is noticed.
            await asyncio.sleep(frame.delay)
            await self._writable.wait()
            self.transport.write(b"%x\r\n%b\r\n" % (len(frame.data), frame.data))
        self.transport.write(b"0\r\n\r\n")

    def _refuse_garbage(self) -> None:
        headers = (
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(_GARBAGE)),
        )
        self.transport.write(_head(400, headers, keeps=False) + _GARBAGE)
        self.transport.close()

    def _stop_idling(self) -> None:
        if self._idle:
            self._idle.cancel()
            self._idle = None


def _head(status: int, headers: Headers, *, keeps: bool, last: Headers = ()) -> bytes:
    date = formatdate(usegmt=True).encode()
    closing: Headers = () if keeps else ((b"connection", b"close"),)
    sent = ((b"date", date), (b"server", b"uvicorn"), *headers, *closing, *last)
    return status_line(status) + b"".join(b"%b: %b\r\n" % header for header in sent) + b"\r\n"
