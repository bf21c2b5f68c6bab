"""One client's connection: bytes in by httptools, answers out in order, as uvicorn does it."""

import asyncio
import math
import socket
import struct
import time
from collections import deque
from collections.abc import Coroutine
from typing import Final, Protocol

import httptools

from vllm_connect.simulator.exchange import RecordedRequest, Work, text_response
from vllm_connect.simulator.script import (
    Action,
    Admit,
    AwaitRequest,
    Close,
    Exchange,
    Outage,
    Pause,
    Plan,
    Reset,
    Script,
    Send,
    head,
    honest,
)

_MOST_PIPELINED: Final = 16
_GARBAGE: Final = b"Invalid HTTP request received."
_FLUSH_SECONDS: Final = 0.001
# Closed with this, a socket forgets what it has not sent and tells its peer by a reset.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Service(Protocol):
    """What a connection asks of the server behind it."""

    def opened(self, connection: "Connection") -> Script:
        """Hear of a new connection; returns what is to happen before any request."""

    def closed(self, connection: "Connection", *, aborted: bool) -> None:
        """Hear of its end, and whether an answer was still on its way."""

    def plan(self, request: RecordedRequest, *, keeps: bool) -> Plan:
        """Decide what to do for a request."""

    async def admitted(self, work: Work) -> None:
        """Wait until the engine takes the work up."""

    def finished(self, work: Work, *, done: bool) -> None:
        """Hear that the work ended."""

    async def begin_outage(self, outage: Outage, *, by: "Connection | None") -> None:
        """Let the whole server be unreachable; the connection that brings it about sends its answer yet."""


class Connection(asyncio.Protocol):
    """Reads requests, keeps pipelined ones in line, sends one answer at a time."""

    def __init__(self, service: Service, keep_alive: float) -> None:
        self._service = service
        self._keep_alive = keep_alive
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[RecordedRequest, bool]] = deque()
        self._asked = asyncio.Event()
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
        greeting = tuple(self._service.opened(self))
        if greeting:
            self._start(self._greet(greeting))

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
        self._asked.set()
        if len(self._waiting) >= _MOST_PIPELINED:
            self.transport.pause_reading()
        if self._task is None:
            self._start(self._answer_waiting())

    def _begin_message(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()

    def _start(self, job: Coroutine[None, None, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(job)

    async def _greet(self, greeting: Script) -> None:
        await self._play(greeting, Work())
        await self._answer_waiting()

    async def _answer_waiting(self) -> None:
        keeps = True
        while self._waiting and keeps and not self.transport.is_closing():
            request, keeps = self._waiting.popleft()
            if not self._waiting:
                self._asked.clear()
            self.transport.resume_reading()
            await self._answer(request, keeps=keeps)
        self._task = None
        if not keeps:
            self.transport.close()
        elif not self.transport.is_closing():
            self._idle = asyncio.get_running_loop().call_later(self._keep_alive, self.transport.close)

    async def _answer(self, request: RecordedRequest, *, keeps: bool) -> None:
        plan = self._plan(request, keeps=keeps)
        done = False
        try:
            await self._play(plan.script, plan.work)
            done = True
        except Exception as error:  # noqa: BLE001 - what broke off half-way can only be told and hung up on
            self._tell_failure(error)
            self.transport.abort()
        finally:
            self._service.finished(plan.work, done=done)

    def _plan(self, request: RecordedRequest, *, keeps: bool) -> Plan:
        try:
            return self._service.plan(request, keeps=keeps)
        except Exception as error:  # noqa: BLE001 - a bug in here must reach the caller as vLLM's own bugs do
            self._tell_failure(error)
            failed = text_response(b"Internal Server Error", b"text/plain; charset=utf-8", status=500)
            return Plan(honest(Exchange(request, failed, keeps, time.time())), Work())

    def _tell_failure(self, error: Exception) -> None:
        context = {"message": "The simulator failed to answer", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)

    async def _play(self, script: Script, work: Work) -> None:
        transport = self.transport
        for action in script:
            if isinstance(action, Send):
                if action.after is not None:
                    await asyncio.sleep(action.after)
                transport.write(action.data)
                if not self._writable.is_set():
                    await self._writable.wait()
            else:
                await self._perform(action, work)
            if transport.is_closing():
                if isinstance(action, Close | Reset):
                    return
                # The client left, or the server stops: the end of the connection ends this, and counts it as aborted.
                await asyncio.sleep(math.inf)

    async def _perform(self, action: Action, work: Work) -> None:
        match action:
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Admit():
                await self._service.admitted(work)
            case AwaitRequest():
                await self._asked.wait()
            case Close():
                self.transport.close()
            case Reset():
                await self._reset()
            case Outage():
                # To its end, though the client that brought it about may leave meanwhile: half of it would neither
                # refuse nor answer.
                await asyncio.shield(self._service.begin_outage(action, by=self))

    async def _reset(self) -> None:
        """Break off, once what was sent before has left."""
        while self.transport.get_write_buffer_size():  # noqa: ASYNC110 - no transport tells when it is empty
            await asyncio.sleep(_FLUSH_SECONDS)
        connected = self.transport.get_extra_info("socket")
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def _refuse_garbage(self) -> None:
        headers = (
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(_GARBAGE)),
        )
        self.transport.write(head(400, headers, keeps=False, now=time.time()) + _GARBAGE)
        self.transport.close()

    def _stop_idling(self) -> None:
        if self._idle:
            self._idle.cancel()
            self._idle = None
