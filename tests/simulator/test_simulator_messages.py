"""/v1/messages of a simulated server: the model in the terms of Anthropic's API."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.simulated import MESSAGES, Answer, ask, chat
from vllm_connect.simulator import Simulator

ROUTE = "/v1/messages"
TOOLS = [
    {
        "name": "get_weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


def write(server: Simulator, **body: Any) -> Answer:
    return ask(server, "POST", ROUTE, {"model": "sim-model", "max_tokens": 100, "messages": MESSAGES, **body})


@pytest.fixture(scope="module")
def reasoning() -> Iterator[Simulator]:
    with Simulator(reasoning_parser="qwen3") as server:
        yield server


def test_whole(reasoning: Simulator) -> None:
    """A reply is what /v1/chat/completions says to the same, thoughts and all."""
    written = write(reasoning).json()
    said = chat(reasoning, max_tokens=100).json()
    message = said["choices"][0]["message"]
    thought, text = written["content"]
    assert (thought["type"], thought["thinking"]) == ("thinking", message["reasoning"])
    assert (text["type"], text["text"]) == ("text", message["content"])
    assert (written["type"], written["role"], written["stop_reason"]) == ("message", "assistant", "end_turn")
    assert written["usage"] == {
        "input_tokens": said["usage"]["prompt_tokens"],
        "output_tokens": said["usage"]["completion_tokens"],
    }


def test_stream(reasoning: Simulator) -> None:
    """A stream adds up to the whole reply, block after block."""
    whole = write(reasoning).json()
    told = write(reasoning, stream=True).named_events
    assert (told[0]["type"], told[-1]) == ("message_start", {"type": "message_stop"})
    assert told[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert told[-2]["usage"] == whole["usage"]
    for index, (block, kind) in enumerate(zip(whole["content"], ("thinking", "text"), strict=True)):
        mine = [event for event in told if event.get("index") == index]
        assert mine[0] == {
            "type": "content_block_start",
            "content_block": {"type": kind, kind: ""},
            "index": index,
        }
        assert "".join(event["delta"].get(kind, "") for event in mine[1:-1]) == block[kind]
        assert mine[-1] == {"type": "content_block_stop", "index": index}


@pytest.mark.parametrize(
    "choice", [{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "get_weather"}]
)
def test_tools(generate: Simulator, choice: Any) -> None:
    """A call of a tool is a block with its input, and its stream adds up to it."""
    asked = {"tools": TOOLS, "tool_choice": choice, "messages": [{"role": "user", "content": "weather?"}]}
    whole = write(generate, **asked).json()
    (block,) = whole["content"]
    assert (block["type"], block["name"], whole["stop_reason"]) == ("tool_use", "get_weather", "tool_use")
    told = write(generate, **asked, stream=True).named_events
    pieces = [
        event["delta"].get("partial_json", "") for event in told if event["type"] == "content_block_delta"
    ]
    assert json.loads("".join(pieces)) == block["input"]


def test_tool_result(generate: Simulator) -> None:
    """After a tool's result, which comes from the user, the model answers in words."""
    history = [
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "get_weather", "input": {}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sunny"}]},
    ]
    assert [block["type"] for block in write(generate, tools=TOOLS, messages=history).json()["content"]] == [
        "text"
    ]


def test_stop(generate: Simulator) -> None:
    """What ended a reply is told: its limit, or one of its stop sequences."""
    cut = write(generate, max_tokens=2).json()
    assert (cut["stop_reason"], cut["usage"]["output_tokens"]) == ("max_tokens", 2)
    stopped = write(generate, stop_sequences=["."]).json()
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", ".")


def test_count(generate: Simulator) -> None:
    """Tokens can be counted before they are sent; instructions count too."""
    counted = ask(
        generate, "POST", f"{ROUTE}/count_tokens", {"model": "sim-model", "messages": MESSAGES}
    ).json()
    assert counted["input_tokens"] == write(generate, max_tokens=1).json()["usage"]["input_tokens"]
    longer = {"model": "sim-model", "messages": MESSAGES, "system": "Be brief."}
    assert (
        ask(generate, "POST", f"{ROUTE}/count_tokens", longer).json()["input_tokens"]
        > counted["input_tokens"]
    )


REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"model": "no"}, 404, "NotFoundError", "The model `no` does not exist. Valid aliases: sim-model, sim-alias."),
    ({"messages": []}, 400, "BadRequestError",
     "Cannot apply chat template to an empty conversation. Provide at least one message."),
    ({"temperature": 3}, 400, "BadRequestError",
     "temperature must be in [0, 2], got 3.0. (parameter=temperature, value=3.0)"),
    ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "no"}}, 400, "BadRequestError",
     "The tool with name 'no' is not found in the tools list."),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "kind", "text"), REFUSED)
def test_refusal(generate: Simulator, body: dict[str, Any], status: int, kind: str, text: str) -> None:
    """What is refused is refused in Anthropic's shape."""
    answer = write(generate, **body)
    assert answer.status == status
    assert answer.json() == {"type": "error", "error": {"type": kind, "message": text}}


def test_no_message(generate: Simulator) -> None:
    """What is no request at all is refused in vLLM's own shape."""
    assert write(generate, max_tokens=0).error["message"] == (
        "1 validation error:\n  {'type': 'value_error', 'loc': 'body.max_tokens', 'msg': 'Value error, max_tokens must"
        " be positive', 'input': '0', 'ctx': {'error': ValueError('max_tokens must be positive')}}"
    )


def test_key() -> None:
    """Only a bearer's key counts; Anthropic's own header does not."""
    with Simulator(api_key="key") as server:
        statuses = [
            ask(server, "POST", ROUTE, {}, headers).status
            for headers in ({"x-api-key": "key"}, {"Authorization": "Bearer key"})
        ]
    assert statuses == [401, 400]


def test_batch(generate: Simulator) -> None:
    """A batch has one choice for each conversation, the same as if each had been sent alone."""
    other = [{"role": "user", "content": "And the sea?"}]
    body = {"messages": [MESSAGES, other], "max_tokens": 9}
    batch = ask(generate, "POST", "/v1/chat/completions/batch", body).json()
    alone = [chat(generate, messages=messages, max_tokens=9).json() for messages in (MESSAGES, other)]
    assert [choice["message"] for choice in batch["choices"]] == [
        reply["choices"][0]["message"] for reply in alone
    ]
    assert batch["usage"]["total_tokens"] == sum(reply["usage"]["total_tokens"] for reply in alone)
    refused = ask(generate, "POST", "/v1/chat/completions/batch", {**body, "n": 2})
    assert refused.error["message"] == (
        "Batch chat completions do not support `n > 1`. Please set `n` to 1. (parameter=n, value=2)"
    )


def test_generative_scoring(generate: Simulator) -> None:
    """Each item is scored by how likely it goes on with the first label; the labels' scores add up to one."""
    asked = {"query": "Is it good? ", "items": ["bread", "stone"]}
    one, two = (
        [
            item["score"]
            for item in ask(
                generate, "POST", "/generative_scoring", {**asked, "label_token_ids": labels}
            ).json()["data"]
        ]
        for labels in ([300, 301], [301, 300])
    )
    assert [first + second for first, second in zip(one, two, strict=True)] == pytest.approx([1, 1])
    assert one[0] != one[1]
