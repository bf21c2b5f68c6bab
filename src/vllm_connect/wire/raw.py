"""A raw exchange: exact bytes out, the bytes that come in with the times of their arrival, and how it ended.

Nothing is read into the bytes and nothing is mended: this shows what a server does with requests that no client sends.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from vllm_connect.wire.opening import LONGEST_WAIT, Judge, open_socket
from vllm_connect.wire.route import Route

__all__ = ["Arrival", "Ended", "RawExchange", "exchange_raw"]

READ_SIZE: Final = 64 * 1024

Ended = Literal["closed", "reset", "timeout", "limit", "enough"]


class Arrival(NamedTuple):
    """Bytes as one read gave them, so many seconds after the connection stood."""

    at: float
    data: bytes


@dataclass(frozen=True, kw_only=True)
class RawExchange:
    """What went over one connection.

    `ended` tells who ended it: the server, by `closed` or `reset` (a broken TLS layer too), or this side, by
    `timeout`, `limit` or `enough`. `sent` is what the system took, which may be less than was to be sent; it may hold
    a key, and is not shown. Times are seconds since the connection stood.
    """

    sent: bytes = field(repr=False)
    received: tuple[Arrival, ...] = field(repr=False)
    ended: Ended
    ended_at: float

    @property
    def data(self) -> bytes:
        """All that was received, joined."""
        return b"".join(arrival.data for arrival in self.received)


def exchange_raw(
    route: Route,
    outgoing: Sequence[bytes | float],
    *,
    deadline: float,
    judge: Judge,
    max_received: int,
    is_enough: Callable[[bytes], bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RawExchange:
    """Open a connection, send these bytes and read until it ends.

    Args:
        route: where to; the first hop of a plain server behind a proxy is the proxy.
        outgoing: bytes to be sent as they are, and numbers: seconds to wait before what follows. Bytes are received all
            the while.
        deadline: the time of `clock` at which it ends, the opening included.
        judge: as of `open_socket`, whose errors are raised here too; what happens later is told by `ended`.
        max_received: bytes after which it ends; not one more is kept.
        is_enough: asked with each piece that arrives whether it shall end, as where an answer is complete.
    """
    with (
        open_socket(route, deadline=deadline, judge=judge, clock=clock) as connected,
        selectors.DefaultSelector() as selector,
    ):
        connected.setblocking(False)
        selector.register(connected, selectors.EVENT_READ)
        return _Conversation(connected, outgoing, max_received, is_enough, clock).hold(selector, deadline)


class _Conversation:
    def __init__(
        self,
        connected: socket.socket,
        outgoing: Sequence[bytes | float],
        max_received: int,
        is_enough: Callable[[bytes], bool] | None,
        clock: Callable[[], float],
    ) -> None:
        self._connected = connected
        self._due: deque[bytes | memoryview | float] = deque(outgoing)
        self._is_enough = is_enough
        self._clock = clock
        self._began = clock()
        self._sends_at = self._began
        self._sent = bytearray()
        self._received: list[Arrival] = []
        self._room = max_received
        self._ends_by: Ended = "closed"
        self._ended: Ended | None = None

    def hold(self, selector: selectors.BaseSelector, deadline: float) -> RawExchange:
        ended: Ended | None = None
        while ended is None:
            ended = self._go_on(selector, deadline)
        return RawExchange(
            sent=bytes(self._sent),
            received=tuple(self._received),
            ended=ended,
            ended_at=self._clock() - self._began,
        )

    def _go_on(self, selector: selectors.BaseSelector, deadline: float) -> Ended | None:
        # Both are tried before they are waited for: TLS may hold bytes that no selector sees.
        send_waits, receive_waits = self._send(), self._receive()
        if self._ended is not None:
            return self._ended
        now = self._clock()
        if now >= deadline:
            return "timeout"
        if receive_waits:
            pauses = bool(self._due) and not send_waits
            until = min(deadline, self._sends_at) if pauses else deadline
            selector.modify(self._connected, send_waits | receive_waits)
            selector.select(min(until - now, LONGEST_WAIT))
        return None

    def _send(self) -> int:
        """Send what is due; return what there is to wait for until more can be sent, as events of a selector."""
        while self._due and self._clock() >= self._sends_at:
            due = self._due.popleft()
            if isinstance(due, int | float):
                self._sends_at = self._clock() + due
            elif due:
                waits = self._write(due)
                if waits:
                    return waits
        return 0

    def _write(self, due: bytes | memoryview) -> int:
        try:
            count = self._connected.send(due)
        except (BlockingIOError, ssl.SSLWantWriteError):
            self._due.appendleft(due)
            return selectors.EVENT_WRITE
        except ssl.SSLWantReadError:
            self._due.appendleft(due)
            return selectors.EVENT_READ
        except OSError:
            # The server hears no more; what it said before is still to be read. The reset is told only once, here.
            self._due.clear()
            self._ends_by = "reset"
            return 0
        self._sent += due[:count]
        self._due.appendleft(memoryview(due)[count:])
        return 0

    def _receive(self) -> int:
        """Take what has come; return what there is to wait for until there is more, 0 where that may be at once."""
        try:
            # One more than there is room for, so that an end right at the limit is seen to be one.
            data = self._connected.recv(min(self._room + 1, READ_SIZE))
        except (BlockingIOError, ssl.SSLWantReadError):
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        except OSError:
            self._ended = "reset"
            return 0
        self._note(data)
        return 0

    def _note(self, data: bytes) -> None:
        kept = data[: self._room]
        self._room -= len(kept)
        if kept:
            self._received.append(Arrival(self._clock() - self._began, kept))
        if not data:
            self._ended = self._ends_by
        elif kept and self._is_enough is not None and self._is_enough(kept):
            self._ended = "enough"
        elif len(data) > len(kept):
            self._ended = "limit"
