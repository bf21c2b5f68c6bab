"""The answers of the SDK's own path, judged as those of the lane: its plain answers, and its streams.

The SDK reads them; what is added is whether they are what was asked for, and all of it. Streams of chat and of
completions end as those of the lane. One of `responses` ends with one of its terminal events in the place of `[DONE]`.
Of streams that vLLM does not have nothing is known of their end; what is no event of a stream is told there too.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import openai
from openai._streaming import SSEDecoder  # private, the same in 2.25 and 3.x
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from vllm_connect.client.acquaintance import aaccepts, accepts
from vllm_connect.client.endings import (
    NO_END_MARK,
    broken,
    flag,
    incomplete,
    masked,
    note_late_error,
    told_within,
    unfinished,
)
from vllm_connect.client.received import Received, counts, received_whole
from vllm_connect.client.replies import (
    CHAT,
    COMPLETION,
    EMBEDDINGS,
    ErrorInAnswer,
    Form,
    NotAnAnswer,
    parsed,
    reader,
)
from vllm_connect.dispatch.call import Call, call_of
from vllm_connect.dispatch.failure import is_transport_failure
from vllm_connect.dispatch.replica_set import WELL
from vllm_connect.errors import AnswerIncomplete, InvalidAnswer, Partial, PartialChoice, PartialToolCall
from vllm_connect.outcome import Attempt, judge, judged
from vllm_connect.outcome.completeness import asked_items, reason_of
from vllm_connect.outcome.judgement import NOT_FINISHED

if TYPE_CHECKING:
    import httpx2

__all__ = ["check_shape", "check_whole", "judging_class", "whole_form"]

T = TypeVar("T")

END_MARK = "[DONE]"
OVER: Any = object()
# What is no stream by its name, as for the lane.
NO_STREAM = ("application/json", "text/html")
WHOLE: dict[Any, Form[Any]] = {
    ChatCompletion: CHAT,
    Completion: COMPLETION,
    CreateEmbeddingResponse: EMBEDDINGS,
}


# -- plain answers


def whole_form(cast_to: Any, response: httpx2.Response) -> Form[Any] | None:
    """Return the form of a plain answer that is judged, None for any other, and for an event of a stream."""
    form = WHOLE.get(cast_to) if isinstance(cast_to, type) else None
    return form if form is not None and _content(response) is not None else None


def check_whole(client: Any, form: Form[Any], response: httpx2.Response) -> None:
    """Raise what is wrong with a plain answer: it is an error, is none of this form, or is not complete."""
    view = _View(client, response)
    try:
        answer = reader(form)(response.content)
    except ErrorInAnswer as error:
        raise view.error_within(error) from None
    except NotAnAnswer as error:
        raise view.invalid(str(error)) from None
    assert form.may_lack is not None
    if not form.may_lack(answer, view.asked):
        return
    if form.items != "choices":
        raise view.invalid(f"it has {len(answer.data)} of {view.asked} vectors")
    reasons = tuple(reason_of(getattr(choice, "finish_reason", None)) for choice in answer.choices)
    attempt = Attempt(phase="complete", status=response.status_code, finish_reasons=reasons)
    partial = received_whole(answer, view.request_id)
    if not (judge(attempt).is_done or accepts(client, attempt, view.call)):
        raise view.incomplete(unfinished(reasons), attempt, partial)
    if len(reasons) < view.asked:
        raise view.invalid(f"it has {len(reasons)} of {view.asked} choices", partial)
    flag(view.server, reasons)


def check_shape(client: Any, answer: Any, response: httpx2.Response, cast_to: Any) -> None:
    """Raise where the SDK hands out something else than the class that was asked for, or that class without a field.

    It does so for HTML, an empty body, JSON that is no object, and for an error in the place of an answer.
    """
    if not (isinstance(cast_to, type) and issubclass(cast_to, openai.BaseModel)):
        return
    view = _View(client, response)
    if answer is None or isinstance(answer, str | list | int | float):
        raise view.misshapen()
    if not isinstance(answer, openai.BaseModel):  # a raw response, or a stream
        return
    told = {*(answer.model_extra or ()), *answer.model_fields_set} - {"error"}
    if not type(answer).model_fields.keys() & told:
        try:
            parsed(_content(response) or b"")
        except ErrorInAnswer as error:
            raise view.error_within(error) from None
        except NotAnAnswer:
            pass


class _View:
    """What an error says of the call whose answer it is."""

    def __init__(self, client: Any, response: httpx2.Response) -> None:
        self.client = client
        self.response = response

    @property
    def call(self) -> Call | None:
        return call_of(self.response.request.extensions)

    @property
    def server(self) -> str:
        return str(self.client._server_of(self.response.request))

    @property
    def request_id(self) -> str:
        return str(self.response.headers.get("x-request-id", ""))

    @property
    def asked(self) -> int:
        """How many choices, or vectors, the request asks for."""
        body = _content(self.response.request) or b""
        # A prompt with pictures is large: it is read again only where it may ask for more than one.
        is_chat = self.response.request.url.path.endswith("/chat/completions")
        if is_chat and b'"n"' not in body:
            return 1
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            return 1
        return asked_items(asked) if isinstance(asked, dict) else 1

    def invalid(
        self, reason: str, partial: Partial | None = None, *, delivered: bool = False
    ) -> InvalidAnswer:
        error = self.misshapen(reason)
        error.partial = partial
        status = self.response.status_code
        return judged(error, Attempt(phase="answer", status=status, reading="no answer", delivered=delivered))

    def misshapen(self, reason: str = "") -> InvalidAnswer:
        error: InvalidAnswer = self.client._misshapen(self.response, reason)
        return judged(error, Attempt(phase="complete", status=self.response.status_code, reading="no answer"))

    def masked(self, error: ErrorInAnswer) -> ErrorInAnswer:
        call = call_of(self.response.request.extensions)
        return error if call is None else masked(error, call.credentials.at_hand)

    def error_within(self, error: ErrorInAnswer) -> openai.APIError:
        error = self.masked(error)
        return told_within(error, self.response.request, self.server)

    def incomplete(
        self, reason: str, attempt: Attempt, partial: Partial, body: object | None = None
    ) -> AnswerIncomplete:
        tries = self.response.extensions.get("vllm_connect_tries", 1)
        return incomplete(reason, attempt, partial, self.response.request, self.server, tries, body)


def _content(message: Any) -> bytes | None:
    """Return a body that was read, None for one that is a stream."""
    try:
        content: bytes = message.content
    except RuntimeError:
        return None
    return content


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


class _Judging:
    """What both kinds of stream have in common: what came, and what its end says."""

    response: Any
    _client: Any
    _cast_to: Any
    _decoder: Any

    def _begin(self) -> None:
        self._account = _account_of(self._cast_to)
        self._marks: _MarkingDecoder | None = None
        if type(self._decoder) is SSEDecoder:  # a client class may have one of its own
            self._decoder = self._marks = _MarkingDecoder()

    @contextlib.contextmanager
    def _visiting(self) -> Iterator[None]:
        """Tell the replica how the stream ended: the end of its body says nothing of it."""
        call = self._view.call
        visit = None if call is None else call.visit
        if call is None or visit is None:
            yield
            return
        call.is_judged = True
        try:
            yield
        except Exception as error:
            attempt = getattr(error, "attempt", None)
            if attempt is not None:
                visit.end(judge(attempt))
            visit.leave()
            raise
        except BaseException:
            visit.leave()
            raise
        visit.end(WELL)

    @property
    def _has_end_mark(self) -> bool:
        if self._marks is None or not isinstance(self._account, _Chunks):
            return True
        return self._marks.has_end_mark

    @property
    def _view(self) -> _View:
        return _View(self._client, self.response)

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
        return view.incomplete(f"the server failed ({told})", attempt, self._partial, told.body)


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it is not JSON"


def _twin(kind: Any, stream: Any) -> Any:
    """Return a stream that reads for another one, in whose making this is called.

    A generator of the stream's own would hold it in a ring: one that is dropped would go on until it is collected.
    """
    twin = kind.__new__(kind)
    vars(twin).update(vars(stream))
    return twin


class _Twin(_Judging, openai.Stream[T]):
    """Reads for a `JudgingStream`."""

    def judged(self) -> Iterator[T]:
        self._begin()
        with self._visiting():
            if self._is_no_stream():
                raise self._no_stream(self.response.read())
            with contextlib.closing(super().__stream__()) as items:  # type: ignore[type-var]  # a generator
                while True:
                    try:
                        item = next(items, OVER)
                        is_off = item is not OVER and self._account.take(item)
                    except Exception as error:  # noqa: BLE001 - the SDK's, the transport's, JSON's: each becomes ours
                        failure = self._failure(error)
                        if failure is None:
                            return
                        raise failure from (error if failure is not error else error.__cause__)
                    if is_off:
                        raise self._broken_off()
                    if item is OVER:
                        break
                    yield item
            wrong = self._at_end()
            if wrong is not None and not (
                self._may_be_whole() and accepts(self._client, wrong[0], self._view.call)
            ):
                raise wrong[1]


class JudgingStream(openai.Stream[T]):
    """The SDK's stream, whose end is judged."""

    def __stream__(self) -> Iterator[T]:
        twin: _Twin[T] = _twin(_Twin, self)
        return twin.judged()

    def close(self) -> None:
        """Close the stream: it ends there, without an error."""
        with contextlib.suppress(ValueError):  # it is at work, in another thread
            self._iterator.close()  # type: ignore[attr-defined]  # a generator
        super().close()


class _AsyncTwin(_Judging, openai.AsyncStream[T]):
    """Reads for an `AsyncJudgingStream`."""

    async def judged(self) -> AsyncIterator[T]:
        self._begin()
        with self._visiting():
            if self._is_no_stream():
                raise self._no_stream(await self.response.aread())
            async with contextlib.aclosing(super().__stream__()) as items:  # type: ignore[type-var]  # a generator
                while True:
                    try:
                        item = await anext(items, OVER)
                        is_off = item is not OVER and self._account.take(item)
                    except Exception as error:  # noqa: BLE001 - the SDK's, the transport's, JSON's: each becomes ours
                        failure = self._failure(error)
                        if failure is None:
                            return
                        raise failure from (error if failure is not error else error.__cause__)
                    if is_off:
                        raise self._broken_off()
                    if item is OVER:
                        break
                    yield item
            wrong = self._at_end()
            if wrong is not None and not (
                self._may_be_whole() and await aaccepts(self._client, wrong[0], self._view.call)
            ):
                raise wrong[1]


class AsyncJudgingStream(openai.AsyncStream[T]):
    """The SDK's async stream, whose end is judged."""

    def __stream__(self) -> AsyncIterator[T]:
        twin: _AsyncTwin[T] = _twin(_AsyncTwin, self)
        return twin.judged()

    async def close(self) -> None:
        """Close the stream, and with it our generator: trio leaves none to the garbage collector."""
        with contextlib.suppress(RuntimeError):  # it is at work, in another task
            await self._iterator.aclose()  # type: ignore[attr-defined]  # a generator
        await super().close()


def judging_class(stream_cls: Any) -> Any:
    """Return the stream class that judges, in the place of the SDK's own; a caller's own class stays."""
    kind: Any = {openai.Stream: JudgingStream, openai.AsyncStream: AsyncJudgingStream}.get(
        get_origin(stream_cls)
    )
    return stream_cls if kind is None else kind[get_args(stream_cls)[0]]
