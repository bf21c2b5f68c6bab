"""Asks a server for its `/health` over a new connection, which no limit counts and no key travels on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from vllm_connect.settings import Limits
from vllm_connect.wire.answer import AnswerReader
from vllm_connect.wire.failures import WireFailure
from vllm_connect.wire.opening import Judge, open_socket, open_transport
from vllm_connect.wire.pulse import Finding, Pulse, dies, is_of_vllm
from vllm_connect.wire.route import Route

__all__ = ["aprobe", "probe"]

READ_SIZE = 4096
# Seconds by which a loop is late that was held up by a caller's own code.
STANDSTILL = 0.1
# Of the answer its head says all.
LIMITS = Limits(body=READ_SIZE, error_body=READ_SIZE)


def probe(
    route: Route, judge: Judge, pulse: Pulse, asked_at: float, clock: Callable[[], float] = time.monotonic
) -> None:
    """Ask, and tell the pulse what was met; returns in its time and raises nothing. `asked_at` is of `Pulse.ask`."""
    try:
        finding = _found(_asked(route, judge, clock, clock() + pulse.within), pulse)
    except Exception as error:  # noqa: BLE001 - whatever it is: most of it is no word of the server
        finding = _met(error)
    pulse.tell(asked_at, finding)


async def aprobe(route: Route, judge: Judge, pulse: Pulse, asked_at: float) -> None:
    """Do the same on asyncio; cancelled, it tells that it met nothing."""
    finding: Finding = "nothing"
    loop = asyncio.get_running_loop()
    due = loop.time() + pulse.within
    try:
        async with asyncio.timeout_at(due):
            finding = _found(await _aasked(route, judge), pulse)
    except Exception as error:  # noqa: BLE001 - as above
        # A loop that stood still has not seen what was answered meanwhile.
        finding = "nothing" if loop.time() > due + STANDSTILL else _met(error)
    finally:
        pulse.tell(asked_at, finding)


def _asked(route: Route, judge: Judge, clock: Callable[[], float], deadline: float) -> AnswerReader:
    reader = AnswerReader(LIMITS)
    judge(route.endpoint.connects_to)
    with open_socket(route, deadline=deadline, clock=clock, judge=judge) as sock:
        sock.settimeout(max(deadline - clock(), 0.0))
        sock.sendall(_request(route))
        while not reader.has_head:
            sock.settimeout(max(deadline - clock(), 0.0))
            data = sock.recv(READ_SIZE)
            if not data:
                break
            reader.feed(data)
    reader.release()
    return reader


async def _aasked(route: Route, judge: Judge) -> AnswerReader:
    judge(route.endpoint.connects_to)
    transport, answer = await open_transport(route, _Answer, judge=judge)
    try:
        transport.write(_request(route))
        await answer.has_come
    finally:
        transport.abort()
        answer.reader.release()
    if answer.error is not None:
        raise answer.error
    return answer.reader


class _Answer(asyncio.Protocol):
    """Reads the head of one answer."""

    def __init__(self) -> None:
        self.reader = AnswerReader(LIMITS)
        self.has_come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.error: Exception | None = None

    def data_received(self, data: bytes) -> None:
        try:
            self.reader.feed(data)
        except WireFailure as failure:
            self.connection_lost(failure)
        else:
            if self.reader.has_head:
                self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.has_come.done():
            self.error = exc
            self.has_come.set_result(None)


def _request(route: Route) -> bytes:
    url = urlsplit(f"{route.endpoint.root_url}/health")
    lines = [
        f"GET {route.request_target(url.path)} HTTP/1.1",
        f"Host: {url.netloc}",
        "Accept: */*",
        "Connection: close",
    ]
    if route.proxy_authorization is not None:
        lines.append(f"Proxy-Authorization: {route.proxy_authorization}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _found(reader: AnswerReader, pulse: Pulse) -> Finding:
    """What an answer says; one that ends before its head says nothing."""
    if not reader.has_head:
        return "nothing"
    if pulse.is_unknown:
        pulse.learn(reader.headers)
    if dies(reader.status, reader.fields):
        return "dead" if is_of_vllm(reader.headers) else "nothing"
    return "alive"


def _met(error: Exception) -> Finding:
    """What a failure says: of a proxy's own, which come by other names, nothing."""
    if isinstance(error, TimeoutError):
        return "unanswered"
    # A unix socket that was removed is refused by its name.
    return "refused" if isinstance(error, ConnectionRefusedError | FileNotFoundError) else "nothing"
