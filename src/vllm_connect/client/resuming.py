"""Going on with a cut stream: what is asked, and of whom, for blocking and async clients; decided in `resumption`."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, cast

import anyio
import openai

from vllm_connect.client.replies import CHAT_CHUNK, COMPLETION_CHUNK, reader
from vllm_connect.client.resumption import Continuation, Cut, Spliced, continuation
from vllm_connect.client.seen import Seen
from vllm_connect.client.server.question import CallOptions, Question
from vllm_connect.dispatch.wire_sender import Sent
from vllm_connect.errors import Partial
from vllm_connect.outcome import Attempt

__all__ = ["Resumed", "aresumed", "resumed"]

log = logging.getLogger("vllm_connect")

# What a server is asked on the way it answers in moments, or the stream stays cut; where no time is left, at once.
QUESTION_SECONDS = 10.0
AT_ONCE = 0.001
# Options of a call that its questions have, too.
ON_THE_WAY = ("extra_headers", "extra_query")


@dataclass(frozen=True, slots=True)
class Resumed:
    """The rest of a stream: its call and answer, how it is read, and what counts as having come before it."""

    seen: Seen
    sent: Sent
    read: Spliced
    text: str
    tokens: tuple[int, ...]


def resumed(seen: Seen, error: Exception, partial: Partial, unseen: str) -> Resumed | None:
    """Return the rest of a stream that `error` cut, None where it stays cut; raises nothing of what fails on the way.

    `unseen` is the text at the end of what came that the caller was not given.
    """
    cut, server = _cut(seen, partial, unseen), seen.server
    wait = None if cut is None else _wait(seen, error)
    if cut is None or wait is None:
        return None
    time.sleep(wait)
    client = seen.client
    try:
        continued = _driven(seen, _questions(seen, cut))
        rest = None if continued is None else _rest(seen, continued)
        if continued is None or rest is None:
            return None
        sent = client._client.conduct.run(rest.prepared.call, rest.sent_again)
    except openai.OpenAIError as failed:
        log.warning("A stream of %s was cut, and could not be gone on with: %s", server, failed)
        return None
    _tell(server, rest, cut)
    return _resumed(rest, sent, cut, continued, partial)


async def aresumed(seen: Seen, error: Exception, partial: Partial, unseen: str) -> Resumed | None:
    """Do the same for an async client."""
    cut, server = _cut(seen, partial, unseen), seen.server
    wait = None if cut is None else _wait(seen, error)
    if cut is None or wait is None:
        return None
    await anyio.sleep(wait)
    client = seen.client
    try:
        continued = await _adriven(seen, _questions(seen, cut))
        rest = None if continued is None else _rest(seen, continued)
        if continued is None or rest is None:
            return None
        sent = await client._client.conduct.arun(rest.prepared.call, rest.asent_again)
    except openai.OpenAIError as failed:
        log.warning("A stream of %s was cut, and could not be gone on with: %s", server, failed)
        return None
    _tell(server, rest, cut)
    return _resumed(rest, sent, cut, continued, partial)


def _cut(seen: Seen, partial: Partial, unseen: str) -> Cut | None:
    # What a closed client cut off it cannot go on with.
    if seen.prepared.resumable is None or seen.client._client.is_closed:
        return None
    return Cut.of(partial, unseen)


def _wait(seen: Seen, error: Exception) -> float | None:
    """Return the seconds until the rest may be asked for, None where it may not: judged as if nothing had come."""
    attempt = getattr(error, "attempt", None)
    if not isinstance(attempt, Attempt):
        return None
    wait: float | None = seen.client._client.conduct.after_attempt(
        seen.prepared.call, replace(attempt, delivered=False)
    )
    return wait


def _questions(seen: Seen, cut: Cut) -> Generator[Any, Any, Continuation | None]:
    resumable, call = seen.prepared.resumable, seen.prepared.call
    assert resumable is not None

    def seconds() -> float:
        return min(QUESTION_SECONDS, max(AT_ONCE, call.remaining(seen.client._clock())))

    return continuation(resumable.route, resumable.asked, cut, seconds)


def _driven(seen: Seen, flow: Generator[Any, Any, Continuation | None]) -> Continuation | None:
    server = seen.client.server
    try:
        question = next(flow)
        while True:
            question = flow.send(server._answered(_as_called(seen, question)))
    except StopIteration as end:
        continued: Continuation | None = end.value
        return continued


async def _adriven(seen: Seen, flow: Generator[Any, Any, Continuation | None]) -> Continuation | None:
    server = seen.client.server
    try:
        question = next(flow)
        while True:
            question = flow.send(await server._answered(_as_called(seen, question)))
    except StopIteration as end:
        continued: Continuation | None = end.value
        return continued


def _as_called(seen: Seen, question: Question[Any]) -> Question[Any]:
    """Return a question with the headers and the query of the call: a gateway may go by them."""
    resumable = seen.prepared.resumable
    assert resumable is not None
    options = {name: value for name, value in resumable.options.items() if name in ON_THE_WAY}
    return replace(question, options=cast("CallOptions", {**options, **question.options}))


def _rest(seen: Seen, continued: Continuation) -> Seen | None:
    """Return the rest of a stream as a call to be made, which is the same call under the same deadline."""
    prepared = seen.prepared
    assert prepared.resumable is not None
    rest = prepared.lane.continued(prepared.resumable, continued)
    if rest is None:
        return None
    rest.call = prepared.call
    return Seen(seen.client, rest)


def _tell(server: str, rest: Seen, cut: Cut) -> None:
    count = len(cut.tokens)
    log.warning(
        "A stream of %s was cut after %d tokens, and is gone on with at %s.", server, count, rest.server
    )


def _resumed(rest: Seen, sent: Sent, cut: Cut, continued: Continuation, partial: Partial) -> Resumed:
    resumable = rest.prepared.resumable
    assert resumable is not None
    read = reader(CHAT_CHUNK if resumable.route == "chat" else COMPLETION_CHUNK)
    return Resumed(
        rest, sent, Spliced(resumable.route, read, partial.id, continued), cut.text, continued.tokens
    )
