"""The streams of the fast lane: the SDK's own classes, fed by our wire, and judged at their end.

Until something of the answer has come, its chunks are held back (a message is opened by one with its role alone): so
that a stream which breaks before that has shown its caller nothing, and another may take its place.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

import openai
from openai.types.chat import ChatCompletionChunk

from vllm_connect.client.acquaintance import aaccepts, accepts
from vllm_connect.client.endings import NO_END_MARK, error_text, flag, note_late_error, unfinished
from vllm_connect.client.received import Received, counts, text_of
from vllm_connect.client.replies import ErrorInAnswer, NotAnAnswer
from vllm_connect.client.resuming import Resumed, aresumed, resumed
from vllm_connect.client.seen import Seen
from vllm_connect.dispatch.wire_sender import Sent
from vllm_connect.errors import Partial
from vllm_connect.outcome import Attempt
from vllm_connect.outcome.judgement import NOT_FINISHED
from vllm_connect.wire.exchange import END_MARK
from vllm_connect.wire.failures import WireFailure

if TYPE_CHECKING:
    import httpx2

__all__ = ["AsyncLaneStream", "LaneStream"]

# Chunks that bring nothing and are held back: one for every choice is common, a server that goes on so is not.
MOST_HELD = 64
# The text that is kept of one stream for its error, in characters; looked at once in so many reads.
MOST_KEPT = 16 * 1024 * 1024
READS_BETWEEN_LOOKS = 1024


class _LaneStream:
    """What both kinds have in common: what is unread, how it is read, what came, and what is seen of the call.

    `resumed` says how often the stream was cut and gone on with (`resume=True`).
    """

    def __init__(self, seen: Seen, read: Callable[[bytes], Any]) -> None:
        assert seen.sent is not None
        self._seen = seen
        self._read = read
        self._client = seen.client
        self._cast_to = seen.prepared.answer.kind
        self._reads = 0
        self._is_left = False
        self.resumed = 0
        self._take(seen.sent)

    def _take(self, sent: Sent) -> None:
        """Read from this answer on: the first, or one in the place of an answer that brought nothing."""
        self._exchange = sent.exchange
        self._unread = sent.exchange.unread
        self._held: list[bytes] = []
        self._delivered = False
        self._is_over = False
        self._begin_account()

    def _go_on(self, rest: Resumed) -> None:
        """Read the rest of a stream whose beginning its caller has."""
        self._seen, self._read = rest.seen, rest.read
        self._exchange = rest.sent.exchange
        self._unread = rest.sent.exchange.unread
        self._is_over = False
        self._received.cut_back(rest.text, rest.tokens)
        self.resumed += 1

    def _begin_account(self) -> None:
        self._received = Received()
        is_chat = self._cast_to is ChatCompletionChunk
        self._note = self._received.note_chat if is_chat else self._received.note_completion

    @property
    def response(self) -> httpx2.Response:
        """The response, as the SDK's streams show it."""
        return self._seen.response()

    @property
    def _iterator(self) -> Self:
        return self

    def _is_held(self, chunk: Any, payload: bytes) -> bool:
        """Hold a chunk back that brings nothing; with the first that does, all come, from the beginning."""
        if not counts(chunk) and len(self._held) < MOST_HELD:
            self._held.append(payload)
            return True
        self._seen.heard()
        oddities = self._client._catalogue.oddities
        oddities.note_model(self._seen, getattr(chunk, "model", None), self._seen.prepared.model)
        return self._release(payload)

    def _release(self, payload: bytes) -> bool:
        """Put what was held back before this payload, to be read again; return whether there was any."""
        self._delivered = True
        if not self._held:
            return False
        self._unread.extendleft((payload, *reversed(self._held)))
        self._held.clear()
        self._begin_account()
        return True

    # -- the end

    @property
    def _asked(self) -> int:
        return self._seen.prepared.asked

    def _attempt(self, *, has_end_mark: bool, **known: Any) -> Attempt:
        """Return what is known of this stream at its end."""
        return Attempt(
            phase="answer",
            has_end_mark=has_end_mark,
            finish_reasons=self._received.finish_reasons(self._asked),
            delivered=self._delivered,
            **known,
        )

    @property
    def _partial(self) -> Partial:
        return self._received.partial(self._seen.request_id)

    def _is_whole(self) -> bool:
        """Whether all that was asked for has finished; what is unknown of the reasons is logged."""
        if self._received.has_finished(self._asked):
            return True
        reasons = self._received.finish_reasons(self._asked)
        if not NOT_FINISHED.isdisjoint(reasons):
            return False
        flag(self._seen.server, reasons)
        return True

    def _cut_off(self, attempt: Attempt) -> Exception:
        """Return the error for a stream that ended too early, by its own end."""
        reason = unfinished(attempt.finish_reasons) if attempt.has_end_mark else NO_END_MARK
        return self._seen.incomplete(reason, attempt, self._partial)

    def _broken_off(self) -> Exception:
        """Return the error for a choice that the server broke off, whose last chunk the caller never sees."""
        attempt = self._attempt(has_end_mark=False)
        return self._seen.incomplete(unfinished(attempt.finish_reasons), attempt, self._partial)

    def _wrong(self, error: ErrorInAnswer | NotAnAnswer) -> Exception:
        """Return the error for an event that is none of an answer."""
        if isinstance(error, NotAnAnswer):
            return self._seen.invalid(str(error), partial=self._partial, delivered=self._delivered)
        told = self._seen.error_within(error)
        if not self._delivered:
            return told
        attempt = self._attempt(has_end_mark=False, status=error.status, reading="error")
        return self._seen.incomplete(
            f"the server failed ({error_text(told.body)})", attempt, self._partial, body=told.body
        )

    def _broken(self, error: Exception, before: BaseException | None) -> Exception:
        """Return the error for what happened to the connection."""
        return self._seen.failed(error, before, self._partial, self._attempt(has_end_mark=False))

    def _give_up(self, error: Exception) -> None:
        self._stop()
        self._seen.broke(error)

    def _stop(self) -> None:
        self._is_over = True
        self._exchange.close()
        self._unread.clear()

    def _leave(self) -> None:
        """Stop at the caller's wish, which is no error."""
        self._is_left = True
        if not self._is_over:
            self._seen.left()
        self._stop()

    def __del__(self) -> None:
        # A stream that was dropped: its connection goes at once, and with it the server's work.
        if not getattr(self, "_is_over", True):
            self._exchange.drop()
            self._seen.left()


class LaneStream(_LaneStream, openai.Stream[Any]):  # type: ignore[misc, override]  # properties for attributes
    """A blocking stream; iterate, or use it as a context manager."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            unread = self._unread
            if not unread and not self._more():
                if self._is_over:
                    raise StopIteration
                continue
            payload = unread.popleft()
            if payload == END_MARK:
                self._end(has_end_mark=True)
                continue
            try:
                chunk = self._read(payload)
            except (ErrorInAnswer, NotAnAnswer) as error:
                self._meet(error)
                continue
            if self._note(chunk):
                self._fail(self._broken_off(), unseen=text_of(chunk))
            elif self._delivered or not self._is_held(chunk, payload):
                return chunk

    def _more(self) -> bool:
        """Wait for something unread; False where the stream came to its end, was closed meanwhile, or begins anew."""
        if self._is_over:
            return False
        self._reads = reads = self._reads + 1
        if reads % READS_BETWEEN_LOOKS == 0:
            self._received.bound(MOST_KEPT)
        before = sys.exc_info()[1]
        try:
            if self._exchange.more():
                return True
        except (WireFailure, OSError) as error:
            if not self._is_over:
                self._fail(self._broken(error, before), error)
        else:
            if not self._is_over:
                self._end(has_end_mark=False)
        return False

    def _end(self, *, has_end_mark: bool) -> None:
        """Be done where the answer is whole."""
        if not (has_end_mark and self._is_whole()):
            attempt = self._attempt(has_end_mark=has_end_mark)
            if not (
                self._received.has_all(self._asked)
                and accepts(self._client, attempt, self._seen.prepared.call)
            ):
                self._fail(self._cut_off(attempt))
                return
        if self._delivered or not self._release(END_MARK):
            self._finish()

    def _meet(self, error: ErrorInAnswer | NotAnAnswer) -> None:
        """Take an event that is none of an answer: behind a complete one an error changes nothing."""
        if isinstance(error, ErrorInAnswer) and self._is_whole():
            note_late_error(self._seen.server, self._seen.masked(error).error)
            self._finish()
        else:
            self._fail(self._wrong(error))

    def _fail(self, error: Exception, cause: BaseException | None = None, *, unseen: str = "") -> None:
        """Raise what broke the stream; where it has brought nothing, another may take its place, or its rest follow.

        `unseen` is the text of the last chunk, which the caller was not given.
        """
        self._give_up(error)
        if self._delivered:
            rest = resumed(self._seen, error, self._partial, unseen)
            if rest is None:
                raise error from cause
            self._go_on(rest)
        else:
            another = self._seen.again(error)
            if another is None:
                raise error from cause
            self._take(another)
        if self._is_left:  # meanwhile, by another thread or task
            self._leave()

    def _finish(self) -> None:
        self._is_over = True
        self._seen.finished()
        try:
            self._exchange.settle()
        finally:
            self._unread.clear()  # what came behind the end meanwhile

    def close(self) -> None:
        """Close the stream; what the server still does for it ends."""
        self._leave()


class AsyncLaneStream(_LaneStream, openai.AsyncStream[Any]):  # type: ignore[misc, override]  # properties for attributes
    """An async stream; iterate, or use it as a context manager."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while True:
            unread = self._unread
            if not unread and not await self._more():
                if self._is_over:
                    raise StopAsyncIteration
                continue
            payload = unread.popleft()
            if payload == END_MARK:
                await self._end(has_end_mark=True)
                continue
            try:
                chunk = self._read(payload)
            except (ErrorInAnswer, NotAnAnswer) as error:
                await self._meet(error)
                continue
            if self._note(chunk):
                await self._fail(self._broken_off(), unseen=text_of(chunk))
            elif self._delivered or not self._is_held(chunk, payload):
                return chunk

    async def _more(self) -> bool:
        """Wait for something unread; False where the stream came to its end, was closed meanwhile, or begins anew."""
        if self._is_over:
            return False
        self._reads = reads = self._reads + 1
        if reads % READS_BETWEEN_LOOKS == 0:
            self._received.bound(MOST_KEPT)
        before = sys.exc_info()[1]
        try:
            if await self._exchange.more():
                return True
        except (WireFailure, OSError) as error:
            if not self._is_over:
                await self._fail(self._broken(error, before), error)
        else:
            if not self._is_over:
                await self._end(has_end_mark=False)
        return False

    async def _end(self, *, has_end_mark: bool) -> None:
        """Be done where the answer is whole."""
        if not (has_end_mark and self._is_whole()):
            attempt = self._attempt(has_end_mark=has_end_mark)
            if not (
                self._received.has_all(self._asked)
                and await aaccepts(self._client, attempt, self._seen.prepared.call)
            ):
                await self._fail(self._cut_off(attempt))
                return
        if self._delivered or not self._release(END_MARK):
            await self._finish()

    async def _meet(self, error: ErrorInAnswer | NotAnAnswer) -> None:
        """Take an event that is none of an answer: behind a complete one an error changes nothing."""
        if isinstance(error, ErrorInAnswer) and self._is_whole():
            note_late_error(self._seen.server, self._seen.masked(error).error)
            await self._finish()
        else:
            await self._fail(self._wrong(error))

    async def _fail(self, error: Exception, cause: BaseException | None = None, *, unseen: str = "") -> None:
        """Raise what broke the stream; where it has brought nothing, another may take its place, or its rest follow.

        `unseen` is the text of the last chunk, which the caller was not given.
        """
        self._give_up(error)
        if self._delivered:
            rest = await aresumed(self._seen, error, self._partial, unseen)
            if rest is None:
                raise error from cause
            self._go_on(rest)
        else:
            another = await self._seen.aagain(error)
            if another is None:
                raise error from cause
            self._take(another)
        if self._is_left:  # meanwhile, by another thread or task
            self._leave()

    async def _finish(self) -> None:
        self._is_over = True
        self._seen.finished()
        try:
            await self._exchange.settle()
        finally:
            self._unread.clear()  # what came behind the end meanwhile

    async def close(self) -> None:
        """Close the stream; what the server still does for it ends."""
        self._leave()

    async def aclose(self) -> None:
        """Do the same under the name of openai 3.x."""
        self._leave()
