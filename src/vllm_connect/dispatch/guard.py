"""The body of an answer under the timers of its call: every read is watched, every breakage is typed."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import anyio

from vllm_connect.dispatch.call import Call, Limit
from vllm_connect.dispatch.failure import answer_cut, deadline_exceeded, failure, is_transport_failure
from vllm_connect.dispatch.replica_set import WELL, Visit
from vllm_connect.outcome import judge

if TYPE_CHECKING:
    import httpx2

__all__ = ["Watch", "guarded"]


@dataclass
class Watch:
    """The timers of one answer while its body is read; counts from the moment the request was sent."""

    call: Call
    request: httpx2.Request
    server: str
    sent: float
    clock: Callable[[], float] = time.monotonic
    last: float | None = None
    visit: Visit | None = field(init=False)

    def __post_init__(self) -> None:
        self.visit = self.call.visit

    def limit(self) -> Limit:
        """Return how long the next piece may take."""
        if self.last is None:
            return self.call.limit(self.clock(), "first_token", self.sent)
        return self.call.limit(self.clock(), "between_tokens", self.last)

    def arrived(self) -> None:
        """Note a piece; raises DeadlineExceeded where the total is over, which dripped bytes never trip."""
        self.last = self.clock()
        # The first byte of any other answer comes with its end, and that of an error says nothing good.
        if self.visit is not None and self.call.is_open:
            self.visit.heard()
        if self.call.remaining(self.last) <= 0:
            raise self.expired(Limit(0.0, "total", self.call.timers.total or 0.0))

    def expired(self, limit: Limit) -> Exception:
        return self._told(
            deadline_exceeded(
                request=self.request, server=self.server, limit=limit, streamed=self.call.streamed
            )
        )

    def failed(self, error: Exception, limit: Limit, before: BaseException | None) -> Exception:
        told = failure(error, request=self.request, call=self.call, limit=limit, connect=limit, before=before)
        return self._told(answer_cut(told))

    def _told(self, error: Exception) -> Exception:
        """Tell the replica of a stream how it did; of any other answer the call does."""
        attempt = getattr(error, "attempt", None)
        if self.call.is_open and self.visit is not None and attempt is not None:
            self.visit.end(judge(attempt))
        return error

    # Of a stream whose contents are judged, their reader says how it ended.

    def ended(self) -> None:
        if self.call.is_open and self.visit is not None and not self.call.is_judged:
            self.visit.end(WELL)

    def closed(self) -> None:
        if self.call.is_open and self.visit is not None and not self.call.is_judged:
            self.visit.leave()


class _GuardedStream:
    """What goes before httpx's stream class: its body, watched."""

    def __init__(self, stream: Any, watch: Watch) -> None:
        self._stream = stream
        self._watch = watch

    def __iter__(self) -> Iterator[bytes]:
        pieces = iter(self._stream)
        while True:
            limit = self._watch.limit()
            before = sys.exc_info()[1]
            try:
                piece = next(pieces, None)
            except Exception as error:
                if not is_transport_failure(error):
                    raise
                raise self._watch.failed(error, limit, before) from error
            if piece is None:
                self._watch.ended()
                return
            self._watch.arrived()
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = aiter(self._stream)
        while True:
            limit = self._watch.limit()
            before = sys.exc_info()[1]
            piece: bytes | None = None
            try:
                with anyio.move_on_after(limit.timeout) as scope:
                    piece = await anext(pieces, None)
            except Exception as error:
                if not is_transport_failure(error):
                    raise
                raise self._watch.failed(error, limit, before) from error
            if scope.cancelled_caught:
                raise self._watch.expired(limit)
            if piece is None:
                self._watch.ended()
                return
            self._watch.arrived()
            yield piece

    def close(self) -> None:
        self._watch.closed()
        self._stream.close()

    async def aclose(self) -> None:
        self._watch.closed()
        await self._stream.aclose()

    def __del__(self) -> None:
        # Of a response that was dropped unread: the pool of a transport may go on holding its request.
        self._watch.closed()


def guarded(stream: Any, watch: Watch, http: ModuleType, *, is_async: bool) -> Any:
    """Return a body under its timers, as a stream of the same httpx package."""
    kind = http.AsyncByteStream if is_async else http.SyncByteStream
    return _stream_class(kind)(stream, watch)


_classes: dict[type, type] = {}


def _stream_class(kind: type) -> type:
    if kind not in _classes:
        _classes[kind] = type("GuardedStream", (_GuardedStream, kind), {})
    return _classes[kind]
