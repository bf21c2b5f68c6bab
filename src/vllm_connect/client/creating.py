"""`create()` on the fast lane: send what was prepared, read what was answered."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import openai
from openai._models import FinalRequestOptions  # private, the same in 2.25 and 3.x
from openai.types import Model

from vllm_connect.client.acquaintance import aaccepts
from vllm_connect.client.assembly import Assembly
from vllm_connect.client.endings import note_late_error
from vllm_connect.client.forms import Source, is_untouched
from vllm_connect.client.hedging import asent_to_first, can_be_hedged, sent_to_first
from vllm_connect.client.lane import Lane, Prepared
from vllm_connect.client.oddities import EVENTS, JSON
from vllm_connect.client.raw import LaneResponse
from vllm_connect.client.replies import CHAT_CHUNK, ErrorInAnswer, reader
from vllm_connect.client.review import arguments
from vllm_connect.client.seen import Seen
from vllm_connect.client.streams import AsyncLaneStream, LaneStream
from vllm_connect.errors import AnswerIncomplete, ServerUnreachable
from vllm_connect.facts.parameters import RequestKind
from vllm_connect.outcome.completeness import in_order
from vllm_connect.outcome.judgement import NOT_FINISHED
from vllm_connect.wire.exchange import END_MARK

__all__ = ["NOT_TAKEN", "acleared", "acreated", "as_page", "cleared", "created"]

# What a call is that the SDK's own path has to take.
NOT_TAKEN: Any = object()
CONTENT_TYPE = b"content-type"


def cleared(client: Any, kind: RequestKind, parameters: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return arguments about which the server has to be asked, and whether all is known now, as `review.arguments` does."""
    if not _wants_lane(client, parameters):
        return parameters, False
    client._learn_dialect(client._short_call(math.inf))
    return arguments(client, kind, parameters)


async def acleared(client: Any, kind: RequestKind, parameters: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Do the same for an async client."""
    if not _wants_lane(client, parameters):
        return parameters, False
    await client._learn_dialect(client._short_call(math.inf))
    return arguments(client, kind, parameters)


async def acreated(client: Any, source: Source, parameters: dict[str, Any]) -> Any:
    """Return the answer to a call, or NOT_TAKEN."""
    prepared = _prepared(client, source, parameters, is_async=True)
    if prepared is None and _must_know_model(client, parameters):
        with contextlib.suppress(openai.OpenAIError):  # the SDK's path meets it again, and tells it
            await client._discovered_model(client._short_call(math.inf))
        prepared = _prepared(client, source, parameters, is_async=True)
    if prepared is None:
        return NOT_TAKEN
    if client._replicas.only is None and client._wants_survey():
        await client._survey(prepared.call)
    seen = Seen(client, prepared)
    is_stream = prepared.wanted == "events"

    async def attempt() -> Any:
        seen.sent = await (asent_to_first(seen) if is_stream and can_be_hedged(seen) else seen.asending())
        try:
            return _answered(seen, AsyncLaneStream)
        except AnswerIncomplete as error:
            # A blocking client asks on its way which kind of server it is.
            if not await aaccepts(client, error.attempt, prepared.call):
                raise
        return _answered(seen, AsyncLaneStream)

    try:
        return await client._client.conduct.arun(prepared.call, attempt)
    except openai.OpenAIError as error:
        return _failed(seen, error)


def created(client: Any, source: Source, parameters: dict[str, Any]) -> Any:
    """Do the same for a blocking client."""
    prepared = _prepared(client, source, parameters, is_async=False)
    if prepared is None and _must_know_model(client, parameters):
        with contextlib.suppress(openai.OpenAIError):  # as above
            client._discovered_model(client._short_call(math.inf))
        prepared = _prepared(client, source, parameters, is_async=False)
    if prepared is None:
        return NOT_TAKEN
    if client._replicas.only is None and client._wants_survey():
        client._survey(prepared.call)
    seen = Seen(client, prepared)
    is_stream = prepared.wanted == "events"

    def attempt() -> Any:
        seen.sent = sent_to_first(seen) if is_stream and can_be_hedged(seen) else seen.sending()
        return _answered(seen, LaneStream)

    try:
        return client._client.conduct.run(prepared.call, attempt)
    except openai.OpenAIError as error:
        return _failed(seen, error)


def _prepared(client: Any, source: Source, parameters: dict[str, Any], *, is_async: bool) -> Prepared | None:
    """Return the call that takes the lane, None where the SDK's own path has to."""
    lane: Lane | None = client._lane
    # Of a closed client the SDK says best that it is closed.
    if lane is None or client._client.is_closed or not is_untouched(source, is_async=is_async):
        return None
    wire = lane.asyncio_wire() if is_async else lane.wire()
    return None if wire is None else lane.prepared(source, parameters)


def _must_know_model(client: Any, parameters: dict[str, Any]) -> bool:
    """Whether a call waits for its model so as to take the lane."""
    return client._catalogue.models is None and _wants_lane(client, parameters)


def _wants_lane(client: Any, parameters: dict[str, Any]) -> bool:
    """Whether a call waits for what is asked of the server: the lane alone goes on with streams, or hedges."""
    settings = client._settings
    return (
        (settings.resume or settings.hedge) and client._lane is not None and parameters.get("stream") is True
    )


def _failed(seen: Seen, error: openai.OpenAIError) -> Any:
    """Raise what prevented an answer; return NOT_TAKEN where the SDK's path waits for a server that is loading."""
    waits = seen.prepared.call.timers.ready > 0
    if waits and isinstance(error, ServerUnreachable) and error.phase == "connect":
        return NOT_TAKEN
    if seen.prepared.is_raw and seen.has_answer and seen.prepared.wanted != "events":
        # Whoever asks for the response itself is told by `parse()` what is wrong with its contents.
        return LaneResponse(seen, partial(_whole, seen), stream=False, stream_cls=LaneStream)
    came = getattr(error.__cause__, "came", ())
    if came and isinstance(error, openai.APIError):
        seen.keep(came, error)
    raise seen.client._explained(error) from error.__cause__


def _answered(seen: Seen, stream_class: Callable[..., Any]) -> Any:
    """Return what the caller gets for an answer: object, stream or raw response; raises its error."""
    prepared = seen.prepared
    refusal = seen.refusal()
    if refusal is not None:
        if prepared.chose_model and isinstance(refusal, openai.NotFoundError):
            return NOT_TAKEN  # the server serves another model by now, which the SDK's path asks for
        raise refusal
    if prepared.wanted == "events":
        exchange = seen.streaming().exchange
        seen.client._catalogue.oddities.note_type(seen, exchange.answer.fields.get(CONTENT_TYPE), EVENTS)
        # Of a chat's chunks the stream takes note one by one, and settles them on the way.
        read = reader(prepared.answer, settles=prepared.answer is not CHAT_CHUNK)
        parse: Callable[[], Any] = partial(stream_class, seen, read)
    else:
        parse = partial(_whole, seen)
    if not prepared.is_raw:
        return parse()
    response = LaneResponse(seen, parse, stream=prepared.wanted == "events", stream_cls=stream_class)  # type: ignore[arg-type]  # a class
    if prepared.wanted != "events":
        response.parse()  # now: what is no answer is asked for once more, or elsewhere
    return response


def _assembled(carried: tuple[Seen, Iterable[bytes]]) -> Any:
    """Return the plain answer that the events of a carried call make."""
    seen, payloads = carried
    prepared = seen.prepared
    assert prepared.carried is not None
    assembly = Assembly(prepared.carried)
    for payload in payloads:
        if payload == END_MARK:
            break
        try:
            assembly.add(payload)
        except ErrorInAnswer as error:
            if not NOT_FINISHED.isdisjoint(in_order(assembly.finish_reasons, prepared.asked)):
                raise
            note_late_error(seen.server, seen.masked(error).error)
            break
    return reader(prepared.answer)(assembly.result())


def as_page(client: Any, page: Any) -> Any:
    """Give a page what the SDK gives it: the means to ask for the next one."""
    options = FinalRequestOptions.construct(method="get", url="/models")
    page._set_private_attributes(client=client, model=Model, options=options)
    return page


def _whole(seen: Seen) -> Any:
    assert seen.sent is not None
    exchange = seen.sent.exchange
    answer = exchange.answer
    carriage = seen.client._catalogue.carriage
    if exchange.has_all_events:
        try:
            result = seen.read(_assembled, (seen, exchange.unread))
        except openai.APIError as error:
            seen.keep(exchange.unread, error)
            raise
        carriage.note_reasoning(result)
    else:
        result = seen.read(reader(seen.prepared.answer), answer.body)
        if carriage.is_vllm is None and seen.prepared.wanted == "whole":
            carriage.learn(result)
    may_lack = seen.prepared.answer.may_lack
    if may_lack is not None and may_lack(result, seen.prepared.asked):
        lacking = seen.lacking(result)
        if lacking is not None:
            raise lacking
    oddities = seen.client._catalogue.oddities
    due = EVENTS if exchange.has_all_events else JSON
    content_type = answer.fields.get(CONTENT_TYPE)
    if (content_type, due) not in oddities.types:
        oddities.note_type(seen, content_type, due)
    told = getattr(result, "model", None)
    if told != seen.prepared.model:
        oddities.note_model(seen, told, seen.prepared.model)
    request_id = answer.fields.get(b"x-request-id")
    # Where the SDK's own assignment puts it, which costs more than reading the answer.
    result.__dict__["_request_id"] = None if request_id is None else request_id.decode("latin-1")
    return result
