"""The plain answers of the SDK's own path, judged as those of the lane; its streams are in `sdk_streams`.

The SDK reads them; what is added is whether they are what was asked for, and all of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import openai
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion

from vllm_connect.client.acquaintance import accepts
from vllm_connect.client.endings import (
    flag,
    incomplete,
    masked,
    told_within,
    unfinished,
)
from vllm_connect.client.oddities import JSON
from vllm_connect.client.received import received_whole
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
from vllm_connect.errors import AnswerIncomplete, InvalidAnswer, Partial
from vllm_connect.outcome import Attempt, judge, judged
from vllm_connect.outcome.completeness import asked_items, reason_of

if TYPE_CHECKING:
    import httpx2

__all__ = ["check_shape", "check_whole", "whole_form"]

T = TypeVar("T")

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
    view = View(client, response)
    try:
        answer = reader(form)(response.content)
    except ErrorInAnswer as error:
        raise view.error_within(error) from None
    except NotAnAnswer as error:
        raise view.invalid(str(error)) from None
    view.note_oddities(getattr(answer, "model", None), JSON)
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
    view = View(client, response)
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


class View:
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

    def note_oddities(self, model: object, due: str) -> None:
        """Take note of what is odd about the answer, which names this model, and was read as what was due."""
        oddities = self.client._catalogue.oddities
        oddities.note_type(self, self.response.headers.get("content-type"), due)
        oddities.note_model_in(self, model, _content(self.response.request) or b"")

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
        told = told_within(error, self.response.request)
        self.client._explained(told)
        return told

    def incomplete(
        self, reason: str, attempt: Attempt, partial: Partial, body: object | None = None
    ) -> AnswerIncomplete:
        tries = self.response.extensions.get("vllm_connect_tries", 1)
        request = self.response.request
        error = incomplete(reason, attempt, partial, request, self.server, tries, body)
        self.client._explained(error)
        return error


def _content(message: Any) -> bytes | None:
    """Return a body that was read, None for one that is a stream."""
    try:
        content: bytes = message.content
    except RuntimeError:
        return None
    return content
