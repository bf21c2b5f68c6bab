"""Our wire as a transport of httpx or httpx2: what the SDK sends by its own code goes over the same connections."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vllm_connect.dispatch.call import call_of
from vllm_connect.dispatch.exposure import body_stream, response_of
from vllm_connect.dispatch.wires import Wires
from vllm_connect.endpoint import Endpoint
from vllm_connect.settings import Timers
from vllm_connect.wire.asynchronous import AsyncWire
from vllm_connect.wire.blocking import BlockingWire
from vllm_connect.wire.request import Head, Outgoing
from vllm_connect.wire.route import Route

if TYPE_CHECKING:
    import httpx2

__all__ = ["async_transport", "sync_transport", "to_address"]

# Its answer tells the length of a body that never comes, which our reader would wait for.
HEAD = "HEAD"
PORTS = {"http": 80, "https": 443}


class _WireTransport:
    """What goes before httpx's transport class; `fallback` makes the SDK's own, for where the wire does not go."""

    def __init__(
        self, wires: Wires[Any], home: Endpoint, http: ModuleType, fallback: Callable[[Route], Any]
    ) -> None:
        self._wires = wires
        self._home = home
        self._http = http
        self._make_fallback = fallback
        self._fallbacks: dict[Route, Any] = {}

    def _server(self, request: httpx2.Request) -> Endpoint:
        url = request.url
        call = call_of(request.extensions)
        member = self._home if call is None else call.member.endpoint
        if member.socket is not None:
            return member
        server = Endpoint(scheme=url.scheme, host=url.host, port=url.port or PORTS[url.scheme], path="")  # type: ignore[arg-type]  # http or https
        return member if server.origin == member.origin else server

    def _other(self, server: Endpoint) -> Any:
        route = self._wires.route(server)
        if route not in self._fallbacks:
            self._fallbacks[route] = self._make_fallback(route)
        return self._fallbacks[route]

    def _ways(self) -> list[Any]:
        return [*self._wires.made, *self._fallbacks.values()]

    def _response(self, exchange: Any, request: httpx2.Request) -> httpx2.Response:
        stream = body_stream(self._http, exchange) if exchange.is_stream else None
        return response_of(self._http, exchange.answer, request, stream=stream)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        server = self._server(request)
        wire: BlockingWire | None = None if request.method == HEAD else self._wires.to(server)
        if wire is None:
            there = to_address(request, server, self._http)
            response: httpx2.Response = self._other(server).handle_request(there)
            return response
        timers, deadline = _timing(request, wire.clock())
        exchange = wire.send(_outgoing(request, wire, self._http), timers, deadline, "pieces")
        return self._response(exchange, request)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        server = self._server(request)
        is_ours = _is_asyncio() and request.method != HEAD
        wire: AsyncWire | None = self._wires.to(server) if is_ours else None
        if wire is None:
            there = to_address(request, server, self._http)
            response: httpx2.Response = await self._other(server).handle_async_request(there)
            return response
        timers, deadline = _timing(request, wire.clock())
        exchange = await wire.send(_outgoing(request, wire, self._http), timers, deadline, "pieces")
        return self._response(exchange, request)

    def close(self) -> None:
        for way in self._ways():
            way.close()

    async def aclose(self) -> None:
        for way in self._ways():
            await way.aclose()


def to_address(request: httpx2.Request, server: Endpoint, http: ModuleType) -> httpx2.Request:
    """Return a request as a transport of httpx takes it to one of the addresses of a name, by which TLS goes.

    Its Host header stays, and so does what is no request to that server.
    """
    url = request.url
    if server.address is None or url.host != server.host:
        return request
    extensions = {**request.extensions, "sni_hostname": server.host}
    moved: httpx2.Request = http.Request(
        request.method,
        url.copy_with(host=server.address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )
    return moved


def _is_asyncio() -> bool:
    """Whether this runs on asyncio, as our wire does; the SDK's transport runs on trio too."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _timing(request: httpx2.Request, now: float) -> tuple[Timers, float]:
    """Return the timers of a request and its deadline: of its call, or as httpx knows them."""
    call = call_of(request.extensions)
    if call is not None:
        return call.timers, now + call.remaining(now)
    timeout = request.extensions.get("timeout", {})
    read = timeout.get("read")
    return Timers(connect=timeout.get("connect"), first_token=read, between_tokens=read, total=None), math.inf


def _outgoing(request: httpx2.Request, wire: AsyncWire | BlockingWire, http: ModuleType) -> Outgoing:
    route = wire.route
    headers = list(request.headers.raw)
    if route.proxy_authorization is not None:
        headers.append((b"Proxy-Authorization", route.proxy_authorization.encode()))
    target = route.request_target(request.url.raw_path.decode()).encode()
    head = Head(request.method, target, headers, key_mark=None)
    stream: Any = request.stream
    if isinstance(stream, http.ByteStream):
        return Outgoing(head, None, 0, b"".join(stream))
    return Outgoing(head, None, 0, b"", stream, "transfer-encoding" in request.headers)


_classes: dict[type, type] = {}


def _transport_class(base: type) -> type:
    if base not in _classes:
        _classes[base] = type("WireTransport", (_WireTransport, base), {})
    return _classes[base]


def sync_transport(
    wires: Wires[BlockingWire], home: Endpoint, http: ModuleType, fallback: Callable[[Route], Any]
) -> Any:
    """Return a transport for a blocking client of this httpx package."""
    return _transport_class(http.BaseTransport)(wires, home, http, fallback)


def async_transport(
    wires: Wires[AsyncWire], home: Endpoint, http: ModuleType, fallback: Callable[[Route], Any]
) -> Any:
    """Return a transport for an async client of this httpx package."""
    return _transport_class(http.AsyncBaseTransport)(wires, home, http, fallback)
