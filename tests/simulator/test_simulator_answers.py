"""Tools, constraints and reasoning of a simulated server."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from tests.simulator.simulated import MESSAGES, ask, chat, complete
from vllm_connect.simulator import Simulator
from vllm_connect.simulator.model.pattern import example
from vllm_connect.simulator.model.schema import instance

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "get_time"}},
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
]
NAMED = {"type": "function", "function": {"name": "get_weather"}}
ASKED = [{"role": "user", "content": "How is the weather?"}]


def first(server: Simulator, **parameters: Any) -> Any:
    return chat(server, **parameters).json()["choices"][0]


@pytest.mark.parametrize(
    ("choice", "content", "finish_reason"),
    [("auto", None, "tool_calls"), ("required", "", "tool_calls"), (NAMED, "", "stop")],
)
def test_tool_call(generate: Simulator, choice: Any, content: str | None, finish_reason: str) -> None:
    """A call fits its schema; a named one ends as stop, others as tool_calls; a stream adds up to it."""
    asked = {"messages": ASKED, "tools": TOOLS, "tool_choice": choice}
    whole = first(generate, **asked)
    (call,) = whole["message"]["tool_calls"]
    arguments = json.loads(call["function"]["arguments"])
    assert (call["type"], call["function"]["name"]) == ("function", "get_weather")
    assert isinstance(arguments["city"], str)
    assert 1 <= arguments["days"] <= 9
    assert (whole["message"]["content"], whole["finish_reason"]) == (content, finish_reason)

    choices = [event["choices"][0] for event in chat(generate, **asked, stream=True).events]
    parts = [part for one in choices for part in one["delta"].get("tool_calls", [])]
    assert parts[0] == {**call, "index": 0, "function": {"name": "get_weather"}}
    assert "".join(part["function"]["arguments"] for part in parts[1:]) == call["function"]["arguments"]
    assert choices[-1]["finish_reason"] == finish_reason


def test_no_tool_call(generate: Simulator) -> None:
    """Nothing is called when it is forbidden, or when the model already has its result."""
    forbidden = first(generate, messages=ASKED, tools=TOOLS, tool_choice="none")
    answered = first(generate, messages=[*ASKED, {"role": "tool", "content": "sunny"}], tools=TOOLS)
    for choice in (forbidden, answered):
        assert "tool_calls" not in choice["message"]
        assert choice["message"]["content"]
        assert choice["finish_reason"] == "stop"


def test_cut_tool_call(generate: Simulator) -> None:
    """A call that was cut off is no call: its text stands raw in the content."""
    choice = first(generate, messages=ASKED, tools=TOOLS, tool_choice="required", max_tokens=9)
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"].startswith('<tool_call>{"name": ')
    assert "tool_calls" not in choice["message"]


def test_tools_need_a_parser() -> None:
    """A server without a tool parser refuses tools in vLLM's words."""
    with Simulator(tool_call_parser=None) as server:
        refused = [
            chat(server, tools=TOOLS, **choice).error["message"]
            for choice in ({}, {"tool_choice": "required"}, {"tool_choice": NAMED})
        ]
    assert refused == [
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        'tool_choice="required" requires --tool-call-parser to be set',
        'tool_choice=function "get_weather" requires --tool-call-parser to be set',
    ]


@pytest.mark.parametrize(
    ("constraint", "fits"),
    [
        ({"structured_outputs": {"choice": ["yes", "no"]}}, lambda text: text in ("yes", "no")),
        ({"structured_outputs": {"regex": r"[a-c]{3}-\d+"}}, re.compile(r"[a-c]{3}-\d+").fullmatch),
        ({"structured_outputs": {"json": WEATHER}}, lambda text: "city" in json.loads(text)),
        ({"structured_outputs": {"json": json.dumps(WEATHER)}}, lambda text: "city" in json.loads(text)),
        ({"response_format": {"type": "json_object"}}, lambda text: isinstance(json.loads(text), dict)),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}},
            lambda text: "city" in json.loads(text),
        ),
    ],
)
def test_constraint(generate: Simulator, constraint: dict[str, Any], fits: Any) -> None:
    """A constrained reply keeps to its constraint, in chat and in completions."""
    assert fits(first(generate, **constraint)["message"]["content"])
    assert fits(complete(generate, max_tokens=200, **constraint).json()["choices"][0]["text"])


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        ({"structured_outputs": {}}, "You must use one kind of structured outputs constraint but none are"),
        ({"structured_outputs": {"choice": ["a"], "regex": "b"}}, "You can only use one kind of constraints"),
        ({"structured_outputs": {"json": {"type": "bogus"}}}, "Grammar error: Invalid type: bogus"),
        ({"structured_outputs": {"regex": "[0-9"}}, 'Grammar error: at 1(8): invalid regex "[0-9"'),
        ({"structured_outputs": {"grammar": "bogus"}}, "Invalid grammar specification: "),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "w"}}},
            "You must use one kind of structured outputs constraint but none are specified",
        ),
    ],
)
def test_refused_constraint(generate: Simulator, constraint: dict[str, Any], text: str) -> None:
    """A constraint that is none, or that no grammar can be made of, is refused."""
    refused = chat(generate, **constraint)
    assert refused.status == 400
    assert refused.error["message"].startswith(text)


@pytest.mark.parametrize(
    "pattern",
    [
        "abc",
        "a|b|c",
        r"\d{4}-\d{2}",
        "(yes|no)!?",
        "[A-Z][a-z]+",
        r"[^\d]{2}",
        "(?:ab)+c*",
        r"a\.b",
        "[a-z-]{5,}",
    ],
)
def test_pattern(pattern: str) -> None:
    """An example of a pattern matches it, whatever chance says."""
    for seed in range(20):
        assert re.fullmatch(pattern, example(pattern, Random(seed)))


TREE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/tree"}}}


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"type": "array", "items": {"enum": [1, 2]}, "minItems": 3}, lambda made: len(made) >= 3),
        ({"type": "string", "minLength": 30, "maxLength": 31}, lambda made: 30 <= len(made) <= 31),
        ({"type": "integer", "exclusiveMinimum": 5, "multipleOf": 4}, lambda made: made > 5 and made % 4 == 0),
        ({"type": "number", "minimum": 2, "maximum": 3}, lambda made: 2 <= made <= 3),
        ({"anyOf": [{"const": "a"}, {"type": "null"}]}, lambda made: made in ("a", None)),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
         lambda made: made == {"a": 1, "b": 2}),
        ({"$defs": {"tree": TREE}, "$ref": "#/$defs/tree"}, lambda made: isinstance(made, dict)),
        ({"type": ["string", "null"], "pattern": "^x+$"}, lambda made: set(made) == {"x"}),
    ],
)  # fmt: skip
def test_schema(schema: dict[str, Any], fits: Any) -> None:
    """An instance keeps to its schema, whatever chance says; a recursive schema comes to an end."""
    for seed in range(20):
        assert fits(instance(schema, Random(seed)))


def test_reasoning() -> None:
    """A reasoning server thinks first, counts it, and can be told not to or not to show it."""
    with Simulator(reasoning_parser="qwen3") as server:
        reply = chat(server).json()
        message = reply["choices"][0]["message"]
        cut = first(server, max_tokens=3)["message"]
        plain = first(server, chat_template_kwargs={"enable_thinking": False})["message"]
        hidden = first(server, include_reasoning=False, return_token_ids=True)
        deltas = [event["choices"][0]["delta"] for event in chat(server, stream=True).events]
    assert message["reasoning"]
    assert message["content"]
    assert (
        0
        < reply["usage"]["completion_tokens_details"]["reasoning_tokens"]
        < reply["usage"]["completion_tokens"]
    )
    assert (cut["content"], plain["reasoning"], hidden["message"]["reasoning"]) == (None, None, None)
    assert (bool(cut["reasoning"]), bool(plain["content"]), hidden["token_ids"]) == (True, True, None)
    for name in ("reasoning", "content"):
        assert "".join(delta.get(name, "") for delta in deltas) == message[name]


def test_echoed_message(generate: Simulator) -> None:
    """A continued message of the same speaker is repeated before what follows it."""
    messages = [*MESSAGES, {"role": "assistant", "content": "It is"}]
    continued = {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}
    text = first(generate, **continued, echo=True)["message"]["content"]
    events = chat(generate, **continued, echo=True, stream=True).events
    assert text.startswith("It is")
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == text


@pytest.mark.parametrize("options", [{"stream_interval": 3}, {}])
def test_bundles(options: dict[str, Any]) -> None:
    """Behind the first token several come in one chunk, as the server or the request has it; nothing is lost."""
    asked = {} if options else {"stream_interval": 3}
    with Simulator(**options) as server:
        whole = complete(server, max_tokens=8, logprobs=0, return_token_ids=True).json()["choices"][0]
        told = complete(server, max_tokens=8, logprobs=0, return_token_ids=True, stream=True, **asked).events
        spoken = chat(server, max_tokens=8, stream=True, **asked).events
    pieces = [event["choices"][0] for event in told]
    assert [len(piece["token_ids"]) for piece in pieces] == [1, 3, 3, 1]
    assert [token for piece in pieces for token in piece["token_ids"]] == whole["token_ids"]
    assert "".join(piece["text"] for piece in pieces) == whole["text"]
    assert [name for piece in pieces for name in piece["logprobs"]["tokens"]] == whole["logprobs"]["tokens"]
    assert len(spoken) == 1 + 4


@pytest.mark.parametrize("path", ["/abort_requests", "/sleep", "/pause"])
def test_abort(path: str) -> None:
    """A stream that is aborted ends at its next token, and says so; sleep and pause abort what runs."""
    asked: dict[str, Any] = {"max_tokens": 1000, "ignore_eos": True, "stream": True}
    with (
        Simulator(dev_mode=True, token_delay=0.05, enable_server_load_tracking=True) as server,
        ThreadPoolExecutor() as threads,
    ):
        streams = [threads.submit(chat, server, **asked), threads.submit(complete, server, **asked)]
        deadline = time.monotonic() + 5
        while ask(server, "GET", "/load").json()["server_load"] < len(streams):
            assert time.monotonic() < deadline
        assert ask(server, "POST", path, {}).status == 200
        ended = [stream.result(5).events for stream in streams]
    assert [events[-1]["choices"][0]["finish_reason"] for events in ended] == ["abort", "abort"]
