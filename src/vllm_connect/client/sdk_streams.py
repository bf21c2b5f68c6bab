"""The streams of the SDK's own path, judged as those of the lane.

The SDK reads them. Streams of chat and of completions end as those of the lane; one of `responses` ends with one of its
terminal events in the place of `[DONE]`. Of streams that vLLM does not have nothing is known of their end; what is no
event of a stream is told there too. What brings nothing by itself is held back as on the lane, so that a stream which
breaks before it brought something can come from elsewhere.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, get_args, get_origin

import anyio
import openai
from openai._streaming import SSEDecoder  # private, the same in 2.25 and 3.x
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk

from vllm_connect.client.acquaintance import aaccepts, accepts
from vllm_connect.client.endings import NO_END_MARK, broken, error_text, flag, note_late_error, unfinished
from vllm_connect.client.nesting import TOO_DEEP
from vllm_connect.client.oddities import EVENTS
from vllm_connect.client.received import Received, counts
from vllm_connect.client.replies import ErrorInAnswer, NotAnAnswer, parsed
from vllm_connect.client.sdk_answers import View
from vllm_connect.client.streams import MOST_HELD
from vllm_connect.dispatch.failure import is_transport_failure
from vllm_connect.dispatch.replica_set import WELL, Visit
from vllm_connect.errors import Partial, PartialChoice, PartialToolCall
from vllm_connect.outcome import Attempt, judge
from vllm_connect.outcome.judgement import NOT_FINISHED

if TYPE_CHECKING:
    import httpx2

__all__ = ["judging_class"]

T = TypeVar("T")

END_MARK = "[DONE]"
OVER: Any = object()
# What is no stream by its name, as for the lane.
NO_STREAM = ("application/json", "text/html")


# -- what came of a stream, by its kind


class _Chunks:
    """The chunks of a chat, or of a completion: whole with `[DONE]` and a finish of every choice."""

    def __init__(self, cast_to: Any) -> None:
        self._received = Received()
        is_chat = cast_to is ChatCompletionChunk
        self._note = self._received.note_chat if is_chat else self._received.note_completion
        self.delivered = False

    def take(self, chunk: Any) -> bool:
        """Take a chunk; return whether the server broke off with it. Raises NotAnAnswer for what is none."""
        if not isinstance(getattr(chunk, "choices", None), list):
            raise NotAnAnswer("it has no list of choices")
        is_off = self._note(chunk)
        self.delivered = self.delivered or counts(chunk)
        return is_off

    def attempt(self, asked: int, *, has_end_mark: bool, **known: Any) -> Attempt:
        return Attempt(
            phase="answer",
            has_end_mark=has_end_mark,
            finish_reasons=self._received.finish_reasons(asked),
            delivered=self.delivered,
            **known,
        )

    def has_finished(self, asked: int) -> bool:
        return self._received.has_all(asked) and NOT_FINISHED.isdisjoint(self._received.finish_reasons(asked))

    def has_all(self, asked: int) -> bool:
        return self._received.has_all(asked)

    def partial(self, request_id: str) -> Partial:
        return self._received.partial(request_id)


# What closes a stream of the Responses API (OpenAI reference, "Streaming events").
TERMINAL = frozenset(
    {"response.completed", "response.failed", "response.incomplete", "response.cancelled", "error"}
)
OPENING = frozenset({"response.created", "response.queued", "response.in_progress"})


class _ResponseEvents:
    """The events of a response: whole with a terminal one."""

    def __init__(self) -> None:
        self._text = StringIO()
        self._reasoning = StringIO()
        self._arguments: dict[int, StringIO] = {}
        self._id = ""
        self._usage: Any = None
        self._end: str | None = None
        self.delivered = False

    def take(self, event: Any) -> bool:
        kind = getattr(event, "type", None)
        if not isinstance(kind, str):
            raise NotAnAnswer("it has no type")
        if kind in TERMINAL:
            self._end = kind
        response = getattr(event, "response", None)
        if response is not None:
            self._id = getattr(response, "id", None) or self._id
            self._usage = getattr(response, "usage", None) or self._usage
        delta = getattr(event, "delta", None)
        if isinstance(delta, str):
            self._take_delta(kind, delta, event)
        self.delivered = self.delivered or kind not in OPENING
        return False

    def _take_delta(self, kind: str, delta: str, event: Any) -> None:
        if kind == "response.output_text.delta":
            self._text.write(delta)
        elif kind.startswith("response.reasoning"):
            self._reasoning.write(delta)
        elif kind == "response.function_call_arguments.delta":
            self._arguments.setdefault(int(event.output_index), StringIO()).write(delta)

    def attempt(self, _asked: int, *, has_end_mark: bool, **known: Any) -> Attempt:
        is_over = has_end_mark and self._end is not None
        return Attempt(phase="answer", has_end_mark=is_over, delivered=self.delivered, **known)

    def has_finished(self, _asked: int) -> bool:
        return self._end is not None

    def has_all(self, _asked: int) -> bool:
        return self._end is not None

    def partial(self, request_id: str) -> Partial:
        calls = tuple(
            PartialToolCall(index=index, arguments=text.getvalue()) for index, text in self._arguments.items()
        )
        choice = PartialChoice(
            text=self._text.getvalue(), reasoning=self._reasoning.getvalue(), tool_calls=calls
        )
        return Partial(choices={0: choice}, usage=self._usage, id=self._id, request_id=request_id)


class _AnyEvents:
    """The events of a stream of whose end nothing is known."""

    delivered = False

    def take(self, _item: Any) -> bool:
        self.delivered = True
        return False

    def attempt(self, _asked: int, *, has_end_mark: bool, **known: Any) -> Attempt:
        return Attempt(phase="answer", has_end_mark=has_end_mark, delivered=self.delivered, **known)

    def has_finished(self, _asked: int) -> bool:
        return True

    def has_all(self, _asked: int) -> bool:
        return True

    def partial(self, request_id: str) -> Partial:
        return Partial(request_id=request_id)


def _account_of(cast_to: Any) -> _Chunks | _ResponseEvents | _AnyEvents:
    if cast_to is ChatCompletionChunk or cast_to is Completion:
        return _Chunks(cast_to)
    from openai.types.responses import ResponseStreamEvent  # noqa: PLC0415 - loaded by who asks for one

    return _ResponseEvents() if cast_to == ResponseStreamEvent else _AnyEvents()


# -- streams


class _MarkingDecoder(SSEDecoder):
    """The SDK's decoder, which notes the end mark: the SDK takes `[DONE]` with anything behind it for one."""

    has_end_mark = False

    def decode(self, line: str) -> Any:
        event = super().decode(line)
        if event is not None and event.data.startswith(END_MARK):
            if event.data != END_MARK:
                raise NotAnAnswer("its end mark has something behind it")
            self.has_end_mark = True
        return event


class _Reading:
    """What both kinds of stream have in common: what came, what is shown of it, and what its end says.

    It reads by a stream of the SDK's that nobody else holds: one whose generator its caller's stream held would be in a
    ring, and go on after it was dropped until it is collected.
    """

    _items: Any

    def __init__(self, stream: Any) -> None:
        self._shown = weakref.ref(stream)
        self._known: Mapping[str, Any] = dict(vars(stream))
        self._client = stream._client
        self._cast_to = stream._cast_to
        self._ready: deque[Any] = deque()
        self._is_over = False
        self._take(stream.response)

    def _take(self, response: httpx2.Response) -> None:
        """Read from this answer on: the first, or one in the place of an answer that brought nothing."""
        self.response = response
        self._items = None
        self._held: list[Any] = []
        self._is_noted = False
        self._account = _account_of(self._cast_to)
        self._marks: _MarkingDecoder | None = None
        self._visit: Visit | None = None
        shown = self._shown()
        if shown is not None:
            shown.response = response

    def _begin(self, kind: Any) -> None:
        """Have the SDK read the answer; how it ends is told to its replica here, as the end of its body says nothing."""
        decoder = self._client._make_sse_decoder()
        if type(decoder) is SSEDecoder:  # a client class may have one of its own
            decoder = self._marks = _MarkingDecoder()
        call = self._view.call
        if call is not None and call.visit is not None:
            call.is_judged = True
            self._visit = call.visit
        source = kind.__new__(kind)
        vars(source).update({**self._known, "response": self.response, "_decoder": decoder})
        self._items = source.__stream__()

    def _give(self, item: Any) -> None:
        """Give an item out, or hold it back until something has come."""
        if not self._is_noted:
            self._is_noted = True
            self._view.note_oddities(getattr(item, "model", None), EVENTS)
        self._held.append(item)
        if self._account.delivered or len(self._held) > MOST_HELD:
            self._release()

    def _release(self) -> None:
        self._account.delivered = True
        self._ready.extend(self._held)
        self._held.clear()

    def _finish(self) -> None:
        self._is_over = True
        self._release()
        if self._visit is not None:
            self._visit.end(WELL)

    def _tell(self, error: Exception) -> None:
        """Tell the replica what ended the stream, and is raised to its caller or moves it elsewhere."""
        attempt = getattr(error, "attempt", None)
        if self._visit is not None and attempt is not None:
            self._visit.end(judge(attempt))
        self._leave()

    def _leave(self) -> None:
        """Leave the replica; where nothing was told, the caller left, which says nothing of it."""
        if self._visit is not None:
            self._visit.leave()

    def _wait_before_another(self, error: Exception) -> float | None:
        """Return the seconds until the request is made again, None where it is not: something has come of it."""
        call = self._view.call
        if self._account.delivered or call is None:
            return None
        wait: float | None = self._client._client.conduct.after(call, error)
        return wait

    def _answered(self, response: httpx2.Response) -> httpx2.Response:
        if response.is_error:
            error: Exception = self._client._make_status_error_from_response(response)
            raise error
        return response

    def __del__(self) -> None:
        if not getattr(self, "_is_over", True):
            self._leave()

    @property
    def _has_end_mark(self) -> bool:
        if self._marks is None or not isinstance(self._account, _Chunks):
            return True
        return self._marks.has_end_mark

    @property
    def _view(self) -> View:
        return View(self._client, self.response)

    def _is_no_stream(self) -> bool:
        return bool(self.response.headers.get("content-type", "").lower().startswith(NO_STREAM))

    def _no_stream(self, body: bytes) -> Exception:
        """Return the error for an answer in one piece: the one that a server put there, or that it is no stream."""
        try:
            parsed(body)
        except ErrorInAnswer as error:
            return self._view.error_within(error)
        except NotAnAnswer:
            pass
        return self._view.invalid("a stream was asked for")

    @property
    def _partial(self) -> Partial:
        return self._account.partial(self._view.request_id)

    def _broken_off(self) -> Exception:
        view = self._view
        attempt = self._account.attempt(view.asked, has_end_mark=False)
        return view.incomplete(unfinished(attempt.finish_reasons), attempt, self._partial)

    def _at_end(self) -> tuple[Attempt, Exception] | None:
        """Return what is wrong with an end, None where the answer is whole."""
        view, account = self._view, self._account
        asked = view.asked
        attempt = account.attempt(asked, has_end_mark=self._has_end_mark)
        if attempt.has_end_mark and account.has_finished(asked):
            flag(view.server, attempt.finish_reasons)
            return None
        reason = unfinished(attempt.finish_reasons) if attempt.has_end_mark else NO_END_MARK
        return attempt, view.incomplete(reason, attempt, self._partial)

    def _may_be_whole(self) -> bool:
        return self._account.has_all(self._view.asked)

    def _failure(self, error: Exception) -> Exception | None:
        """Return what is raised for an error on the way, None for one behind a complete answer."""
        view, account = self._view, self._account
        if type(error) is openai.APIError:
            error = ErrorInAnswer(error.body)
        if isinstance(error, ErrorInAnswer):
            return self._told(error)
        if isinstance(error, NotAnAnswer):
            return view.invalid(str(error), self._partial, delivered=account.delivered)
        if isinstance(error, openai.APIError) and hasattr(error, "explained"):
            attempt = account.attempt(view.asked, has_end_mark=False)
            view.client._explained(error)
            return broken(error, attempt, self._partial, view.incomplete)
        if isinstance(error, ValueError | RecursionError):
            return view.invalid(_what_is_wrong(error), self._partial, delivered=account.delivered)
        if isinstance(error, openai.APIConnectionError) or is_transport_failure(error):
            attempt = account.attempt(view.asked, has_end_mark=False, ending="lost")
            return view.incomplete("its body cannot be read on", attempt, self._partial)
        return error

    def _told(self, error: ErrorInAnswer) -> Exception | None:
        """Return what is raised for an error of the server's own."""
        view, account = self._view, self._account
        if account.delivered and account.has_finished(view.asked):
            note_late_error(view.server, view.masked(error).error)
            return None
        told = view.error_within(error)
        if not account.delivered:
            return told
        attempt = account.attempt(view.asked, has_end_mark=False, status=error.status, reading="error")
        return view.incomplete(
            f"the server failed ({error_text(told.body)})", attempt, self._partial, told.body
        )


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return TOO_DEEP if isinstance(error, RecursionError) else "it is not JSON"


class _SyncReading(_Reading):
    """Reads for a `JudgingStream`."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        while not self._ready:
            if self._is_over:
                raise StopIteration
            try:
                self._read()
            except Exception as error:  # noqa: BLE001 - `_failure` has made ours of it
                self._fail(error)
            except BaseException:
                self.close()
                raise
        return self._ready.popleft()

    def _read(self) -> None:
        """Take the next item, or the end."""
        if self._items is None:
            self._begin(openai.Stream)
            if self._is_no_stream():
                raise self._no_stream(self.response.read())
        try:
            item = next(self._items, OVER)
            is_off = item is not OVER and self._account.take(item)
        except Exception as error:  # noqa: BLE001 - the SDK's, the transport's, JSON's: each becomes ours
            failure = self._failure(error)
            if failure is not None:
                raise failure from (error if failure is not error else error.__cause__)
            self._items.close()
            self._finish()
            return
        if is_off:
            raise self._broken_off()
        if item is not OVER:
            self._give(item)
            return
        wrong = self._at_end()
        if wrong is not None and not (
            self._may_be_whole() and accepts(self._client, wrong[0], self._view.call)
        ):
            raise wrong[1]
        self._finish()

    def _fail(self, error: Exception) -> None:
        """Raise what broke the stream; where it has brought nothing, another may take its place."""
        self._tell(error)
        self._close_items()
        self.response.close()
        self._is_over = True
        wait = self._wait_before_another(error)
        if wait is None:
            raise error
        time.sleep(wait)
        call, conduct = self._view.call, self._client._client.conduct
        try:
            another = conduct.run(call, self._sent_again)
        except openai.OpenAIError as failed:
            raise self._client._explained(failed) from failed.__cause__
        self._is_over = False
        self._take(another)

    def _sent_again(self) -> httpx2.Response:
        return self._answered(self._client._client.send(self.response.request, stream=True))

    def _close_items(self) -> None:
        if self._items is not None:
            with contextlib.suppress(ValueError):  # it is at work, in another thread
                self._items.close()

    def close(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._leave()
            self._close_items()
        self._ready.clear()


class JudgingStream(openai.Stream[T]):
    """The SDK's stream, whose end is judged."""

    def __stream__(self) -> Iterator[T]:
        return _SyncReading(self)

    def close(self) -> None:
        """Close the stream: it ends there, without an error."""
        cast("_SyncReading", self._iterator).close()
        super().close()


class _AsyncReading(_Reading):
    """Reads for an `AsyncJudgingStream`. No generator: when a loop ends it closes all of those at once, each inside another."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while not self._ready:
            if self._is_over:
                raise StopAsyncIteration
            try:
                await self._read()
            except Exception as error:  # noqa: BLE001 - `_failure` has made ours of it
                await self._fail(error)
            except BaseException:
                self._is_over = True
                self._leave()
                raise
        return self._ready.popleft()

    async def _read(self) -> None:
        """Take the next item, or the end."""
        if self._items is None:
            self._begin(openai.AsyncStream)
            if self._is_no_stream():
                raise self._no_stream(await self.response.aread())
        try:
            item = await anext(self._items, OVER)
            is_off = item is not OVER and self._account.take(item)
        except Exception as error:  # noqa: BLE001 - the SDK's, the transport's, JSON's: each becomes ours
            failure = self._failure(error)
            if failure is not None:
                raise failure from (error if failure is not error else error.__cause__)
            await self._close_items()
            self._finish()
            return
        if is_off:
            raise self._broken_off()
        if item is not OVER:
            self._give(item)
            return
        wrong = self._at_end()
        if wrong is not None and not (
            self._may_be_whole() and await aaccepts(self._client, wrong[0], self._view.call)
        ):
            raise wrong[1]
        self._finish()

    async def _fail(self, error: Exception) -> None:
        """Raise what broke the stream; where it has brought nothing, another may take its place."""
        self._tell(error)
        self._is_over = True
        await self._close_items()
        await self.response.aclose()
        wait = self._wait_before_another(error)
        if wait is None:
            raise error
        await anyio.sleep(wait)
        call, conduct = self._view.call, self._client._client.conduct
        try:
            another = await conduct.arun(call, self._sent_again)
        except openai.OpenAIError as failed:
            raise self._client._explained(failed) from failed.__cause__
        self._is_over = False
        self._take(another)

    async def _sent_again(self) -> httpx2.Response:
        return self._answered(await self._client._client.send(self.response.request, stream=True))

    async def _close_items(self) -> None:
        if self._items is not None:
            with contextlib.suppress(RuntimeError):  # it is at work, in another task
                await self._items.aclose()

    async def aclose(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._leave()
            await self._close_items()
        self._ready.clear()


class AsyncJudgingStream(openai.AsyncStream[T]):
    """The SDK's async stream, whose end is judged."""

    def __stream__(self) -> AsyncIterator[T]:
        return _AsyncReading(self)

    async def close(self) -> None:
        """Close the stream, and with it the SDK's generator: trio leaves none to the garbage collector."""
        await cast("_AsyncReading", self._iterator).aclose()
        await super().close()


def judging_class(stream_cls: Any) -> Any:
    """Return the stream class that judges, in the place of the SDK's own; a caller's own class stays."""
    kind: Any = {openai.Stream: JudgingStream, openai.AsyncStream: AsyncJudgingStream}.get(
        get_origin(stream_cls)
    )
    return stream_cls if kind is None else kind[get_args(stream_cls)[0]]
