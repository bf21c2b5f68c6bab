"""The corpus of recorded answers, asked for again: ours reads what this vLLM sends as plain openai does."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.corpus.exchanges import Exchange, record, recorded
from tests.live.servers import Server
from tests.sdk_reading import difference, sdk_reading
from vllm_connect.client import replies
from vllm_connect.client.replies import ErrorInAnswer, reader

EXCHANGES = recorded()
FIXTURES = {"chat": "chat_server", "rich": "uds_server", "embed": "embed_server"}


@pytest.fixture(scope="module")
def recording() -> Iterator[dict[str, Exchange]]:
    """The answers of this run by name, which LIVE_RECORD=1 writes in the place of those in the corpus."""
    answered: dict[str, Exchange] = {}
    yield answered
    if os.environ.get("LIVE_RECORD"):
        record(answered.get(exchange.name, exchange) for exchange in EXCHANGES)


@pytest.fixture
def server(exchange: Exchange, request: pytest.FixtureRequest) -> Server:
    chosen: Server = request.getfixturevalue(FIXTURES[exchange.server])
    return chosen


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_corpus(exchange: Exchange, server: Server, recording: dict[str, Exchange]) -> None:
    """Each form of answer that was recorded is still read as plain openai reads it, event by event."""
    again = dataclasses.replace(exchange, answer=ask(server, exchange))
    for body in again.bodies:
        if exchange.form == "ERROR":
            with pytest.raises(ErrorInAnswer):
                reader(replies.CHAT)(body)
        else:
            ours = reader(getattr(replies, exchange.form))(body)
            assert difference(ours, sdk_reading(exchange.form, body)) is None, body
    recording[exchange.name] = again


def ask(server: Server, exchange: Exchange) -> list[str]:
    """Return the body of the answer, or the payloads of its events without `[DONE]`; no path of this machine."""
    method = "GET" if exchange.request is None else "POST"
    reply = server.ask(method, exchange.path, exchange.request, key=server.options.api_key)
    text = reply.body.decode().replace(str(server.options.model), "/models/one")
    if not text.startswith("data: "):
        assert json.loads(text)
        return [text]
    events: list[Any] = [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
    assert events.pop() == "[DONE]"
    return events
