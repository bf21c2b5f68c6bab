"""The streams of the fast lane: the SDK's own classes, fed by our wire."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

import openai

from vllm_connect.client.replies import ErrorInAnswer, NotAnAnswer
from vllm_connect.client.seen import Seen
from vllm_connect.wire.exchange import END_MARK
from vllm_connect.wire.failures import AnswerCut, WireFailure

if TYPE_CHECKING:
    import httpx2

__all__ = ["AsyncLaneStream", "LaneStream"]

CUT = "it ended without its end mark"


class _LaneStream:
    """What both kinds have in common: what is unread, how it is read, and what is seen of the call."""

    def __init__(self, seen: Seen, read: Callable[[bytes], Any]) -> None:
        assert seen.sent is not None
        self._seen = seen
        self._exchange = seen.sent.exchange
        self._unread = self._exchange.unread
        self._read = read
        self._client = seen.client
        self._cast_to = seen.prepared.answer.kind
        self._is_over = False

    @property
    def response(self) -> httpx2.Response:
        """The response, as the SDK's streams show it."""
        return self._seen.response()

    @property
    def _iterator(self) -> Self:
        return self

    def _wrong(self, error: ErrorInAnswer | NotAnAnswer) -> Exception:
        self._stop()
        if isinstance(error, ErrorInAnswer):
            return self._seen.error_within(error)
        return self._seen.invalid(str(error))

    def _broken(self, error: Exception, before: BaseException | None) -> Exception:
        self._stop()
        return self._seen.failed(error, before)

    def _stop(self) -> None:
        self._is_over = True
        self._unread.clear()
        self._exchange.close()

    def __del__(self) -> None:
        # A stream that was dropped: its connection goes at once, and with it the server's work.
        if not getattr(self, "_is_over", True):
            self._exchange.drop()


class LaneStream(_LaneStream, openai.Stream[Any]):  # type: ignore[misc, override]  # properties for attributes
    """A blocking stream; iterate, or use it as a context manager."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        unread = self._unread
        if not unread and not self._more():
            raise StopIteration
        payload = unread.popleft()
        if payload == END_MARK:
            self._finish()
            raise StopIteration
        try:
            return self._read(payload)
        except (ErrorInAnswer, NotAnAnswer) as error:
            raise self._wrong(error) from None

    def _more(self) -> bool:
        if self._is_over:
            return False
        before = sys.exc_info()[1]
        try:
            if self._exchange.more():
                return True
            raise AnswerCut(CUT)
        except (WireFailure, OSError) as error:
            raise self._broken(error, before) from error

    def _finish(self) -> None:
        self._is_over = True
        self._unread.clear()
        self._exchange.settle()

    def close(self) -> None:
        """Close the stream; what the server still does for it ends."""
        self._stop()


class AsyncLaneStream(_LaneStream, openai.AsyncStream[Any]):  # type: ignore[misc, override]  # properties for attributes
    """An async stream; iterate, or use it as a context manager."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        unread = self._unread
        if not unread and not await self._more():
            raise StopAsyncIteration
        payload = unread.popleft()
        if payload == END_MARK:
            self._is_over = True
            unread.clear()
            await self._exchange.settle()
            raise StopAsyncIteration
        try:
            return self._read(payload)
        except (ErrorInAnswer, NotAnAnswer) as error:
            raise self._wrong(error) from None

    async def _more(self) -> bool:
        if self._is_over:
            return False
        before = sys.exc_info()[1]
        try:
            if await self._exchange.more():
                return True
            raise AnswerCut(CUT)
        except (WireFailure, OSError) as error:
            raise self._broken(error, before) from error

    async def close(self) -> None:
        """Close the stream; what the server still does for it ends."""
        self._stop()

    async def aclose(self) -> None:
        """Do the same under the name of openai 3.x."""
        self._stop()
