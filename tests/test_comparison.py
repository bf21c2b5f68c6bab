"""The comparison of answers that the faithfulness test stands on: what it lets pass, and what it does not."""

import json
from typing import Any

import pytest

from tests.live.faithfulness.comparison import Answer, differences

JSON = {"content-type": "application/json"}
STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def reply(content: object, *, status: int = 200, **headers: str) -> Answer:
    return Answer(status, {**JSON, **headers}, json.dumps(content).encode())


def stream(*events: object) -> Answer:
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return Answer(200, STREAM, "".join(f"data: {line}\n\n" for line in lines).encode())


def chunk(text: str | None = "x", *, index: int = 0, finish: str | None = None) -> Any:
    return {"choices": [{"index": index, "text": text, "finish_reason": finish}]}


ALIKE = {
    "values without a meaning": (reply({"id": "a", "n": 1}), reply({"id": "b", "n": 2})),
    "lists of other lengths": (reply([1, 2, 3]), reply([4])),
    "time and length": (reply({}, date="now"), Answer(200, {**JSON, "content-length": "2"}, b"{}")),
    "tokens per chunk": (
        stream(chunk("a"), chunk("b"), chunk(finish="stop"), "[DONE]"),
        stream(chunk("ab"), chunk(finish="stop"), "[DONE]"),
    ),
    "turns of choices": (
        stream(chunk(), chunk(index=1), chunk(finish="stop"), chunk(index=1, finish="stop")),
        stream(chunk(), chunk(finish="stop"), chunk(index=1), chunk(index=1, finish="stop")),
    ),
    "numbers of the tokenizer": (
        reply({"error": {"message": "Vocabulary size: 7"}}),
        reply({"error": {"message": "Vocabulary size: 9"}}),
    ),
    "order of a set": (
        reply({"error": {"message": "Supported tasks: ['a', 'b']"}}),
        reply({"error": {"message": "Supported tasks: ['b', 'a']"}}),
    ),
    "names of tokens": (reply({"top_logprobs": {"a": 0.5}}), reply({"top_logprobs": {"b": 0.5, "c": 0.1}})),
}
UNLIKE = {
    "status": (reply({}), reply({}, status=201)),
    "header": (reply({}, server="uvicorn"), reply({})),
    "header's value": (reply({}, allow="GET"), reply({}, allow="POST")),
    "key": (reply({"a": 1}), reply({"a": 1, "b": None})),
    "type": (reply({"a": 1}), reply({"a": "1"})),
    "whole and fraction": (reply({"a": 1}), reply({"a": 1.0})),
    "null": (reply({"a": [{"b": None}]}), reply({"a": [{"b": 1}]})),
    "telling value": (reply({"finish_reason": "stop"}), reply({"finish_reason": "length"})),
    "error text": (
        reply({"error": {"message": "maximum is 7"}}),
        reply({"error": {"message": "maximum is 8"}}),
    ),
    "text body": (Answer(200, {}, b"a"), Answer(200, {}, b"b")),
    "end of a stream": (stream(chunk(), "[DONE]"), stream(chunk())),
    "event of a stream": (stream(chunk(), chunk(finish="stop")), stream(chunk())),
    "finish of a choice": (stream(chunk(finish="stop")), stream(chunk(finish="length"))),
    "comment in a stream": (stream(chunk()), Answer(200, STREAM, b": ping\n\n" + stream(chunk()).body)),
}


@pytest.mark.parametrize("case", ALIKE)
def test_alike(case: str) -> None:
    """What a made-up model cannot share with a real one is no difference."""
    assert differences(*ALIKE[case]) == []


@pytest.mark.parametrize("case", UNLIKE)
def test_unlike(case: str) -> None:
    """What a client could stumble over is a difference, whichever side has it."""
    real, simulated = UNLIKE[case]
    assert differences(real, simulated)
    assert differences(simulated, real)
