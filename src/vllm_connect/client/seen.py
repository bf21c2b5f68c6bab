"""One call of the fast lane as its caller sees it: request, response and errors, made when looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import openai

from vllm_connect.client.lane import Prepared
from vllm_connect.client.replies import ErrorInAnswer, NotAnAnswer
from vllm_connect.dispatch.exposure import body_stream, error_response, masked_request, response_of
from vllm_connect.dispatch.failure import wire_failure
from vllm_connect.dispatch.sdk_sender import redirect_refused
from vllm_connect.dispatch.wire_sender import Sent
from vllm_connect.errors import InvalidAnswer
from vllm_connect.explain import printable, shape_text

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

    def request(self) -> httpx2.Request:
        """Return the request, with a mask in the place of the key."""
        if self._request is None:
            prepared = self.prepared
            self._request = masked_request(
                self.client._client.http, prepared.url, prepared.head, prepared.body
            )
        return self._request

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
            return redirect_refused(response, str(client._settings.endpoint))
        error: Exception = client._make_status_error_from_response(response)
        return error

    def read(self, read: Callable[[T], Any], said: T) -> Any:
        """Return what an answer says, in the SDK's own type; raises for what is none."""
        try:
            return read(said)
        except ErrorInAnswer as error:
            raise self.error_within(error) from None
        except NotAnAnswer as error:
            raise self.invalid(str(error)) from None

    def error_within(self, error: ErrorInAnswer) -> Exception:
        """Return the error that a server put where an answer was due; as the SDK tells those of streams.

        In a plain call that was carried as one it is the error that the call would have got.
        """
        said = error.error
        if self.prepared.carried is not None and error.status is not None:
            body = json.dumps({"error": said}).encode()
            response = self.client._client.http.Response(error.status, content=body, request=self.request())
            as_plain: Exception = self.client._make_status_error_from_response(response)
            return as_plain
        message = said.get("message") if isinstance(said, dict) else said
        if not isinstance(message, str) or not message:
            message = "An error occurred during streaming"
        return openai.APIError(printable(message), request=self.request(), body=said)

    def invalid(self, reason: str) -> InvalidAnswer:
        """Return the error for an answer that succeeds, and is no answer."""
        settings = self.client._settings
        response = self.response()
        path, kind = response.request.url.path, response.headers.get("content-type", "")
        text = shape_text(path, kind, settings)
        return InvalidAnswer(f"{text} ({reason}.)", response=response, server=str(settings.endpoint))

    def failed(self, error: Exception, before: BaseException | None) -> Exception:
        """Return our error for what broke a stream."""
        assert self.sent is not None
        failure = wire_failure(
            error, request=self.request(), call=self.prepared.call, tries=self.sent.tries, before=before
        )
        explained: Exception = self.client._explained(failure)
        return explained
