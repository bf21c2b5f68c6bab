"""Cut streams gone on with by token ids, against real vLLM: what the caller gets is what an uncut stream says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.callers import Caller
from tests.live.servers import Server
from tests.relay import Relay
from vllm_connect import OpenAI

PATHS = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}
# The tiny model answers with any bytes, and what is no text is not gone on with: it is held to these words.
WORDS = "The sea is wide, and who looks over it sees ships come home at night; 17 lamps burn on each of them."
ASKED: dict[str, Any] = {
    "chat": {"messages": [{"role": "user", "content": "Tell me about the sea."}]},
    "completion": {"prompt": "The sea is"},
}
SAME: dict[str, Any] = {
    "model": "tiny",
    "temperature": 0,
    "max_tokens": 96,
    "stream": True,
    "stream_options": {"include_usage": True},
}


@pytest.fixture
def relay(chat_server: Server) -> Iterator[Relay]:
    with Relay(chat_server.url) as relay:
        yield relay


class Told:
    """What a stream told."""

    def __init__(self, chunks: list[Any]) -> None:
        choices = [choice for chunk in chunks for choice in chunk.choices]
        self.text = "".join(_text(choice) for choice in choices)
        self.ids = [one for choice in choices for one in getattr(choice, "token_ids", None) or ()]
        self.finish = [choice.finish_reason for choice in choices if choice.finish_reason]
        self.usage = [
            chunk.usage.model_dump(exclude={"prompt_tokens_details"}) for chunk in chunks if chunk.usage
        ]
        self.names = {(chunk.id, chunk.object, chunk.model) for chunk in chunks}
        self.marks = [getattr(chunk, "resumed", None) for chunk in chunks].count(True)


def _text(choice: Any) -> str:
    delta = getattr(choice, "delta", None)
    return (choice.text if delta is None else delta.content) or ""


@pytest.mark.parametrize("caller", ["blocking", "asyncio"], indirect=True)
@pytest.mark.parametrize("route", PATHS)
def test_resume(caller: Caller, route: str, relay: Relay, chat_server: Server) -> None:
    """Wherever it is cut, a greedy stream ends as the uncut one: text, usage, finish and names, each once."""
    # Over our own wire also where the suite runs over the SDK's: what is gone on with are the streams of the fast lane.
    given: Any = {"api_key": chat_server.options.api_key, "resume": True, "wire": "own"}
    with OpenAI(base_url=chat_server.url, **given) as plain:
        words = plain.server.tokenize(WORDS, add_special_tokens=False).tokens
    more = {"ignore_eos": True, "repetition_penalty": 1.3, "allowed_token_ids": words}

    def ask(client: Any) -> Any:
        create = (client.chat.completions if route == "chat" else client.completions).create
        return create(**ASKED[route], **SAME, extra_body=more)

    uncut = Told(caller.run(ask, base_url=chat_server.url, **given))
    assert uncut.finish == ["length"]
    assert uncut.usage[0]["completion_tokens"] == len(uncut.ids) == 96
    for number, after in enumerate(range(2_000, 20_000, 3_333), 1):
        relay.cut(PATHS[route], after)
        cut = Told(caller.run(ask, base_url=relay.url, **given))
        assert (cut.text, cut.finish, cut.usage) == (uncut.text, uncut.finish, uncut.usage), after
        assert (relay.made, cut.marks, len(cut.names)) == (number, 1, 1), after
