"""The simulated server: a thread with an event loop, a listening socket, and what it has seen."""

import asyncio
import contextlib
import inspect
import ssl
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from vllm_connect.simulator.connection import Connection
from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import Answer, Canned, Cut, Drop, RecordedRequest, Work, canned
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.routes import dispatch

_P = ParamSpec("_P")
_S = TypeVar("_S")


def _takes(
    options: Callable[_P, Options],
) -> Callable[[Callable[[_S, Options], None]], Callable[Concatenate[_S, _P], None]]:
    """Let a constructor take every option as an argument of its own, by the names and types of `Options`."""

    def decorate(init: Callable[[_S, Options], None]) -> Callable[Concatenate[_S, _P], None]:
        def __init__(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> None:  # noqa: N807 - it is one
            init(self, options(*args, **kwargs))

        me, *_ = inspect.signature(init).parameters.values()
        signature = inspect.signature(options)
        __init__.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[me, *signature.parameters.values()]
        )
        return __init__

    return decorate


class Simulator:
    """A stand-in vLLM server in this process, on a real socket; a context manager."""

    @_takes(Options)
    def __init__(self, options: Options) -> None:
        self.options = options
        self.port = options.port
        self.requests: list[RecordedRequest] = []
        self.connections = 0
        self.aborted = 0
        self._canned: deque[Canned] = deque()
        self._running: _Running | None = None

    @property
    def root_url(self) -> str:
        """The server's address without /v1."""
        options = self.options
        if options.uds:
            return f"unix://{options.uds}"
        host = f"[{options.host}]" if ":" in options.host else options.host
        return f"{options.scheme}://{host}:{self.port}{options.root_path}"

    @property
    def url(self) -> str:
        """The address an OpenAI client takes as its base URL."""
        return self.root_url if self.options.uds else f"{self.root_url}/v1"

    def reply_next(self, *replies: Canned) -> None:
        """Queue canned replies for the next requests, whatever they ask."""
        self._canned.extend(replies)

    def start(self) -> Self:
        """Listen; returns when the socket does."""
        if self._running is None:
            running = _Running(self)
            self.port = running.start()
            self._running = running
        return self

    def stop(self) -> None:
        """Stop listening, drop what is open, end the thread; a second call does nothing."""
        running, self._running = self._running, None
        if running:
            running.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Running:
    """One run of a simulator; everything but `start` and `stop` happens in its own thread."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._options = simulator.options
        self._engine = Engine(simulator.options)
        self._open: set[Connection] = set()
        self._none_open = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listening: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, name="vllm-simulator", daemon=True)

    def start(self) -> int:
        self._thread.start()
        return self._listening.result()

    def stop(self) -> None:
        if self._loop:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def opened(self, connection: Connection) -> None:
        self._simulator.connections += 1
        self._open.add(connection)
        self._none_open.clear()

    def closed(self, connection: Connection, *, aborted: bool) -> None:
        self._simulator.aborted += aborted
        self._open.discard(connection)
        if not self._open:
            self._none_open.set()

    def answer(self, request: RecordedRequest) -> Answer:
        self._simulator.requests.append(request)
        answer = self._decide(request)
        if not isinstance(answer, Drop | Cut):
            self._engine.begin(answer.work)
        return answer

    async def admitted(self, work: Work) -> None:
        if work.sequences:
            await self._engine.awake.wait()

    def finished(self, work: Work, *, done: bool) -> None:
        self._engine.end(work, done=done)

    def _decide(self, request: RecordedRequest) -> Answer:
        with contextlib.suppress(IndexError):
            reply = self._simulator._canned.popleft()
            return reply if isinstance(reply, Drop | Cut) else canned(reply)
        return dispatch(request, self._engine)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
            if self._options.uds:
                Path(self._options.uds).unlink(missing_ok=True)
        except BaseException as error:
            if self._listening.done():
                raise
            self._listening.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await self._listen(self._loop)
        self._listening.set_result(0 if self._options.uds else server.sockets[0].getsockname()[1])
        await self._stopping.wait()
        server.close()
        await self._drop_all()

    async def _listen(self, loop: asyncio.AbstractEventLoop) -> asyncio.Server:
        options = self._options
        tls = _tls(options)
        if options.uds:
            return await loop.create_unix_server(self._connection, options.uds, ssl=tls)
        return await loop.create_server(self._connection, options.host, options.port, ssl=tls, backlog=1024)

    def _connection(self) -> Connection:
        return Connection(self, self._options.keep_alive)

    async def _drop_all(self) -> None:
        for connection in tuple(self._open):
            connection.close()
        if self._open:
            self._none_open.clear()
            await self._none_open.wait()


def _tls(options: Options) -> ssl.SSLContext | None:
    """The certificate as uvicorn loads it, or none; a file that is missing or wrong is named."""
    if not options.ssl_certfile:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.VerifyMode(options.ssl_cert_reqs)
    try:
        context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile)
        if options.ssl_ca_certs:
            context.load_verify_locations(options.ssl_ca_certs)
    except OSError as error:
        given = (options.ssl_certfile, options.ssl_keyfile, options.ssl_ca_certs)
        files = ", ".join(str(name) for name in given if name)
        raise ValueError(f"the TLS files {files} cannot be loaded: {error}") from error
    return context
