"""One call of the fast lane as its caller sees it: request, response and errors, made when looked at."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import openai

from vllm_connect.client.acquaintance import accepts
from vllm_connect.client.endings import (
    broken,
    flag,
    incomplete,
    masked,
    told_within,
    unfinished,
)
from vllm_connect.client.lane import Prepared
from vllm_connect.client.received import Received, received_whole
from vllm_connect.client.replies import CHAT_CHUNK, COMPLETION_CHUNK, ErrorInAnswer, NotAnAnswer, reader
from vllm_connect.dispatch.exposure import body_stream, error_response, masked_request, response_of
from vllm_connect.dispatch.failure import wire_failure
from vllm_connect.dispatch.replica_set import WELL
from vllm_connect.dispatch.sdk_sender import redirect_refused
from vllm_connect.dispatch.wire_sender import Sent, asend, send
from vllm_connect.errors import AnswerIncomplete, InvalidAnswer, Partial, ServerUnreachable
from vllm_connect.explain import shape_text
from vllm_connect.outcome import Attempt, judge, judged
from vllm_connect.outcome.completeness import reason_of

if TYPE_CHECKING:
    import httpx2

__all__ = ["Seen"]

T = TypeVar("T")

FIRST_ERROR_STATUS = 400
FIRST_REDIRECT = 300


class Seen:
    """What can be seen of one call; `sent` is there once it was answered."""

    __slots__ = ("_request", "_response", "client", "prepared", "sent")

    def __init__(self, client: Any, prepared: Prepared) -> None:
        self.client = client
        self.prepared = prepared
        self.sent: Sent | None = None
        self._request: httpx2.Request | None = None
        self._response: httpx2.Response | None = None

    @property
    def server(self) -> str:
        """The replica of this attempt, for people."""
        return str(self.prepared.call.member.endpoint)

    def sending(self, begun: Callable[[Any], None] | None = None) -> Sent:
        """Make an attempt over our wire, in the place of an earlier one; raises what prevents an answer.

        `begun` is given its exchange before it waits.
        """
        prepared = self.prepared
        call = prepared.call
        self.sent = self._request = self._response = None
        if call.tries > 1:
            self._end_with_client()
        wire = prepared.lane.wire_at(call)
        return send(wire, call, prepared.way(), prepared.body, prepared.wanted, self.request, begun)

    def asending(self) -> Coroutine[Any, Any, Sent]:
        """Do the same for an async client."""
        prepared = self.prepared
        call = prepared.call
        self.sent = self._request = self._response = None
        if call.tries > 1:
            self._end_with_client()
        wire = prepared.lane.wire_at(call)
        return asend(wire, call, prepared.way(), prepared.body, prepared.wanted, self.request)

    def _end_with_client(self) -> None:
        """Raise where the client was closed meanwhile: what waited for an answer then is not asked for again."""
        call = self.prepared.call
        if self.client._client.is_closed:
            tries = call.tries - 1
            message = f"The client was closed while it waited for an answer of {self.server}."
            closed = ServerUnreachable(
                message,
                request=self.request(),
                server=self.server,
                phase="connect",
                reason="the client was closed",
                attempts=tries,
            )
            raise judged(closed, Attempt(phase="connect", ending="held back"))

    def take(self, sent: Sent | None) -> None:
        """Have this answer in the place of an earlier one."""
        self.sent, self._request, self._response = sent, None, None

    def request(self) -> httpx2.Request:
        """Return the request, with a mask in the place of the key."""
        if self._request is None:
            prepared = self.prepared
            self._request = masked_request(
                self.client._client.http, prepared.url_there(), prepared.way(), prepared.body, prepared.call
            )
        return self._request

    @property
    def has_answer(self) -> bool:
        """Whether the last attempt was answered with a success, whatever its contents are."""
        return self.sent is not None and self.sent.exchange.answer.status < FIRST_REDIRECT

    def response(self) -> httpx2.Response:
        """Return the response; the body of a stream is what is still to come of it."""
        if self._response is None:
            assert self.sent is not None
            http, exchange = self.client._client.http, self.sent.exchange
            stream = body_stream(http, exchange) if exchange.is_stream else None
            self._response = response_of(http, exchange.answer, self.request(), stream=stream)
            self._response.elapsed = timedelta(seconds=self.sent.answered - self.prepared.call.started)
        return self._response

    def refusal(self) -> Exception | None:
        """Return the error for an answer that is one by its status."""
        assert self.sent is not None
        answer = self.sent.exchange.answer
        if answer.status < FIRST_REDIRECT:
            return None
        client = self.client
        response = error_response(client._client.http, answer, self.request(), self.sent.key)
        if answer.status < FIRST_ERROR_STATUS:
            return redirect_refused(response, self.server)
        error: Exception = client._make_status_error_from_response(response)
        return error

    def streaming(self) -> Sent:
        """Return the answer where it is the stream that was asked for; raises the error of any other."""
        refusal = self.refusal()
        if refusal is not None:
            raise refusal
        assert self.sent is not None
        exchange, prepared = self.sent.exchange, self.prepared
        prepared.call.is_open = exchange.is_stream
        if not exchange.is_stream:
            self.read(
                reader(prepared.answer), exchange.answer.body
            )  # raises the error that a server put there
            raise self.invalid("a stream was asked for")
        return self.sent

    def read(self, read: Callable[[T], Any], said: T) -> Any:
        """Return what an answer says, in the SDK's own type; raises for what is none."""
        try:
            return read(said)
        except ErrorInAnswer as error:
            raise self.error_within(error) from None
        except NotAnAnswer as error:
            raise self.invalid(str(error)) from None

    def masked(self, error: ErrorInAnswer) -> ErrorInAnswer:
        """Return an error of the server's without the key that this call left with."""
        assert self.sent is not None
        return masked(error, self.sent.key)

    def error_within(self, error: ErrorInAnswer) -> openai.APIError:
        """Return the error that a server put where an answer was due; as the SDK tells those of streams.

        In a plain call that was carried as one it is the error that the call would have got.
        """
        error = self.masked(error)
        said = error.error
        if self.prepared.carried is not None and error.status is not None:
            body = json.dumps({"error": said}).encode()
            response = self.client._client.http.Response(error.status, content=body, request=self.request())
            as_plain: openai.APIError = self.client._make_status_error_from_response(response)
            return as_plain
        told = told_within(error, self.request())
        self.client._explained(told)
        return told

    def invalid(
        self, reason: str, *, partial: Partial | None = None, delivered: bool = False
    ) -> InvalidAnswer:
        """Return the error for an answer that succeeds, and is no answer; `partial` is what came before."""
        settings = self.client._settings_at(self.server)
        response = self.response()
        path, kind = response.request.url.path, response.headers.get("content-type", "")
        text = shape_text(settings.endpoint.place, path, kind, reason)
        error = InvalidAnswer(text, response=response, server=self.server)
        self.client._explained(error)
        error.partial = partial
        return judged(
            error,
            Attempt(phase="answer", status=response.status_code, reading="no answer", delivered=delivered),
        )

    def incomplete(
        self, reason: str, attempt: Attempt, partial: Partial, *, body: object | None = None
    ) -> AnswerIncomplete:
        """Return the error for an answer that began and did not end right; `body` is the server's own error."""
        assert self.sent is not None
        error = incomplete(
            reason, attempt, partial, self.request(), self.server, self.prepared.call.tries, body
        )
        self.client._explained(error)
        return error

    def lacking(self, answer: Any) -> Exception | None:
        """Return the error for a plain answer that is less than was asked for, None where it is whole."""
        asked = self.prepared.asked
        if not hasattr(answer, "choices"):
            return self.invalid(f"it has {len(answer.data)} of {asked} vectors")
        reasons = tuple(reason_of(getattr(choice, "finish_reason", None)) for choice in answer.choices)
        attempt = Attempt(phase="complete", status=200, finish_reasons=reasons)
        is_done = judge(attempt).is_done or accepts(self.client, attempt, self.prepared.call)
        if is_done and len(reasons) >= asked:
            flag(self.server, reasons)
            return None
        partial = received_whole(answer, self.request_id)
        if is_done:
            return self.invalid(f"it has {len(reasons)} of {asked} choices", partial=partial)
        return self.incomplete(unfinished(reasons), attempt, partial)

    def keep(self, payloads: Iterable[bytes], error: openai.APIError) -> None:
        """Put into an error what came of a call that was carried as a stream."""
        form = CHAT_CHUNK if self.prepared.carried == "chat" else COMPLETION_CHUNK
        received = Received()
        note = received.note_chat if form is CHAT_CHUNK else received.note_completion
        with contextlib.suppress(ErrorInAnswer, NotAnAnswer):  # of what is no chunk nothing is kept
            for payload in payloads:
                note(reader(form)(payload))
        error.partial = received.partial()  # type: ignore[attr-defined]  # on the SDK's own classes too

    @property
    def request_id(self) -> str:
        """The id that the server gave to this request, empty where it gave none."""
        assert self.sent is not None
        told: bytes = self.sent.exchange.answer.fields.get(b"x-request-id", b"")
        return told.decode("latin-1")

    # -- what a stream tells of itself

    def failed(
        self, error: Exception, before: BaseException | None, partial: Partial, attempt: Attempt
    ) -> Exception:
        """Return our error for what broke a stream; `attempt` says what is known of it but for how it broke."""
        assert self.sent is not None
        failure = wire_failure(error, request=self.request(), call=self.prepared.call, before=before)
        explained: Exception = self.client._explained(failure)
        return broken(explained, attempt, partial, self.incomplete)

    def again(self, error: Exception) -> Sent | None:
        """Return another answer to read on from, for a stream that failed before it brought anything; else None."""
        conduct, call = self.client._client.conduct, self.prepared.call
        wait = conduct.after(call, error)
        if wait is None:
            return None
        time.sleep(wait)
        try:
            sent: Sent = conduct.run(call, self.sent_again)
        except openai.OpenAIError as failed:
            raise self.client._explained(failed) from failed.__cause__
        return sent

    async def aagain(self, error: Exception) -> Sent | None:
        """Do the same for an async client."""
        conduct, call = self.client._client.conduct, self.prepared.call
        wait = conduct.after(call, error)
        if wait is None:
            return None
        await anyio.sleep(wait)
        try:
            sent: Sent = await conduct.arun(call, self.asent_again)
        except openai.OpenAIError as failed:
            raise self.client._explained(failed) from failed.__cause__
        return sent

    def sent_again(self) -> Sent:
        """Make one attempt for a stream, and return its answer; raises what prevents one."""
        self.sent = self.sending()
        return self.streaming()

    async def asent_again(self) -> Sent:
        """Do the same for an async client."""
        self.sent = await self.asending()
        return self.streaming()

    def heard(self) -> None:
        """Take note of the first token of a stream."""
        visit = self.prepared.call.visit
        if visit is not None:
            visit.heard()

    def finished(self) -> None:
        """Take note that a stream came to its end."""
        visit = self.prepared.call.visit
        if visit is not None:
            visit.end(WELL)

    def broke(self, error: Exception) -> None:
        """Take note of what ended a stream, and is raised to its caller."""
        visit, attempt = self.prepared.call.visit, getattr(error, "attempt", None)
        if visit is not None and attempt is not None:
            visit.end(judge(attempt))

    def left(self) -> None:
        """Take note that the caller left a stream before its end, which is no error."""
        visit = self.prepared.call.visit
        if visit is not None:
            visit.leave()
