"""Opens a connection along a route: the same steps for a blocking caller and for asyncio.

Name to addresses, the race of connects, the judge, the tunnel through a proxy, TLS. What fails is raised as
OSError (with ssl.SSLError, TimeoutError, ProxyUnreachable and ProxyRefused below it), SettingsError for
certificates that cannot be loaded, or as what the judge raises; no socket is left open.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from vllm_connect.wire.proxy import Proxy, ProxyFailed, ProxyUnreachable
from vllm_connect.wire.race import STAGGER, Address, Race
from vllm_connect.wire.route import Route
from vllm_connect.wire.tunnel import Tunnel

__all__ = ["Judge", "open_socket", "open_transport"]

Judge = Callable[[str], None]
Resolver = Callable[..., Sequence[tuple[Any, ...]]]
_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)

READ_SIZE = 4096
# A selector takes no infinite time; who waits a day for a connection waits in pieces of one.
LONGEST_WAIT = 86_400.0


def open_socket(
    route: Route,
    *,
    deadline: float,
    judge: Judge,
    clock: Callable[[], float] = time.monotonic,
    resolve: Resolver = socket.getaddrinfo,
) -> socket.socket:
    """Return a connected blocking socket without a timeout, under TLS where the route has it.

    `deadline` is a time of `clock`; behind it TimeoutError is raised. Only a resolver cannot be interrupted: the
    deadline is looked at when it has answered. `judge` is called with the IP address connected to (the proxy's, where
    there is one; the path of a unix socket) before a byte is written, and raises to refuse it.
    """

    def remaining() -> float:
        seconds = deadline - clock()
        if seconds <= 0:
            raise TimeoutError("no connection before the deadline")
        return min(seconds, LONGEST_WAIT)

    context = None if route.tls is None else route.tls.context()
    with _failures_of(route.proxy):
        connected, address = _first_connected(_known(route) or _addresses(route, resolve), remaining)
    try:
        judge(address.host)
        if route.tunnel is not None:
            with _failures_of(route.tunnel):
                _dig(Tunnel(route.endpoint, route.tunnel), connected, remaining)
        if route.tls is not None and context is not None:
            with _failures_of(_proxy_under_tls(route)):
                connected.settimeout(remaining())
                _refuse_reset(connected)
                connected = context.wrap_socket(connected, server_hostname=route.tls.server_hostname)
        connected.settimeout(None)
    except BaseException:
        connected.close()
        raise
    return connected


def _refuse_reset(connected: socket.socket) -> None:
    """Raise for a connection that was reset meanwhile: `wrap_socket` would lose it (CPython 3.11 to 3.13)."""
    try:
        connected.getpeername()
    except OSError as gone:
        raise ConnectionResetError(errno.ECONNRESET, "the connection was reset before TLS began") from gone


async def open_transport(
    route: Route,
    protocol_factory: Callable[[], _Protocol],
    *,
    judge: Judge,
    resolve: Resolver = socket.getaddrinfo,
) -> tuple[asyncio.Transport, _Protocol]:
    """Return a connected transport with its protocol, under TLS where the route has it.

    The caller bounds the time with `asyncio.timeout`. `judge` is as in `open_socket`. The protocol keeps its `transport`
    under this name.
    """
    loop = asyncio.get_running_loop()
    context = None if route.tls is None else route.tls.context()
    with _failures_of(route.proxy):
        addresses = _known(route) or await loop.run_in_executor(None, _addresses, route, resolve)
        connected, address = await _afirst_connected(loop, addresses)
    try:
        judge(address.host)
        if route.tunnel is not None:
            with _failures_of(route.tunnel):
                await _adig(Tunnel(route.endpoint, route.tunnel), connected, loop)
    except BaseException:
        connected.close()
        raise
    return await _handed_over(loop, connected, protocol_factory, route, context)


async def _handed_over(
    loop: asyncio.AbstractEventLoop,
    connected: socket.socket,
    protocol_factory: Callable[[], _Protocol],
    route: Route,
    context: ssl.SSLContext | None,
) -> tuple[asyncio.Transport, _Protocol]:
    """Return the transport that owns this socket from here on: cancelled, the event loop closes it in its time."""
    name = None if route.tls is None else route.tls.server_hostname
    protocol = protocol_factory()
    try:
        if route.endpoint.socket is not None:
            return await loop.create_unix_connection(lambda: protocol, sock=connected)
        with _failures_of(_proxy_under_tls(route)):
            return await loop.create_connection(
                lambda: protocol, sock=connected, ssl=context, server_hostname=name
            )
    except asyncio.CancelledError:
        # A connection that has just come about is closed by asyncio with a word of TLS, whose answer it awaits for 30 s.
        made: asyncio.Transport | None = getattr(protocol, "transport", None)
        if made is not None:
            made.abort()
        raise
    except OSError:
        # uvloop leaves a socket open that it failed to take.
        connected.close()
        raise


@contextlib.contextmanager
def _failures_of(proxy: Proxy | None) -> Iterator[None]:
    """Tell failures inside to be the proxy's, where there is one; running out of time is nobody's."""
    try:
        yield
    except OSError as error:
        is_timer = isinstance(error, TimeoutError) and error.errno is None
        if proxy is None or is_timer or isinstance(error, ProxyFailed):
            raise
        raise ProxyUnreachable(
            f"no connection to the proxy {proxy} (from {proxy.variable}): {error.strerror or error}",
            proxy=str(proxy),
        ) from error


def _proxy_under_tls(route: Route) -> Proxy | None:
    """Return the proxy if TLS is spoken with it, and not through it with the server."""
    return route.proxy if route.tunnel is None else None


def _known(route: Route) -> list[Address]:
    """Return the address of a route that needs no resolver: a unix socket, an IP address; else nothing."""
    if route.endpoint.socket is not None:
        return [Address(socket.AF_UNIX, route.endpoint.socket)]
    try:
        return _addresses(route, socket.getaddrinfo, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return []


def _addresses(route: Route, resolve: Resolver, *, flags: int = 0) -> list[Address]:
    answers = resolve(*route.first_hop, type=socket.SOCK_STREAM, flags=flags)
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in answers]


def _first_connected(
    addresses: Sequence[Address], remaining: Callable[[], float]
) -> tuple[socket.socket, Address]:
    with Race(addresses) as race, selectors.DefaultSelector() as selector:
        while True:
            wait = remaining()
            started = race.start_next()
            if started is not None:
                selector.register(started, selectors.EVENT_WRITE)
            for key, _ in selector.select(min(wait, STAGGER) if race.has_more else wait):
                selector.unregister(key.fileobj)
                writable: Any = key.fileobj
                address = race.settle(writable)
                if address is not None:
                    return writable, address


async def _afirst_connected(
    loop: asyncio.AbstractEventLoop, addresses: Sequence[Address]
) -> tuple[socket.socket, Address]:
    # Not `create_connection(host, ...)`: it sends the first bytes of TLS before a peer can be judged, loses the
    # numbers of the errors of several addresses, and has no race on uvloop.
    ready: asyncio.Queue[socket.socket] = asyncio.Queue()

    def is_writable(connecting: socket.socket) -> None:
        loop.remove_writer(connecting)
        ready.put_nowait(connecting)

    with Race(addresses) as race:
        try:
            while True:
                started = race.start_next()
                if started is not None:
                    loop.add_writer(started, is_writable, started)
                try:
                    async with asyncio.timeout(STAGGER if race.has_more else None):
                        writable = await ready.get()
                except TimeoutError:
                    continue
                address = race.settle(writable)
                if address is not None:
                    return writable, address
        finally:
            for connecting in race.running:
                loop.remove_writer(connecting)


def _dig(tunnel: Tunnel, connected: socket.socket, remaining: Callable[[], float]) -> None:
    connected.settimeout(remaining())
    connected.sendall(tunnel.request)
    while not tunnel.feed(connected.recv(READ_SIZE)):
        connected.settimeout(remaining())


async def _adig(tunnel: Tunnel, connected: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    await loop.sock_sendall(connected, tunnel.request)
    while not tunnel.feed(await loop.sock_recv(connected, READ_SIZE)):
        pass
