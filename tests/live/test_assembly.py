"""Long calls as streams: what can be streamed gets, put together, the answer of the plain call, on real vLLM."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from tests.live.servers import Server
from vllm_connect.client.assembly import (
    ALLOWED,
    Assembly,
    Route,
    as_stream,
    can_be_streamed,
    parses_reasoning,
)
from vllm_connect.client.replies import ErrorInAnswer

PATHS: dict[Route, str] = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}
MESSAGES = [{"role": "user", "content": "Tell me about the sea."}]
ASKED: dict[Route, dict[str, Any]] = {
    "chat": {"model": "tiny", "messages": MESSAGES, "max_tokens": 24, "temperature": 0},
    "completion": {"model": "tiny", "prompt": "The sea is", "max_tokens": 24, "temperature": 0},
}
CHANCE = {"temperature": 1, "seed": 7}
TO_THE_END = {**CHANCE, "max_tokens": 400}
CITY = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]}
CONTINUED = [*MESSAGES, {"role": "assistant", "content": "Well, "}]

# What each row adds to a request. Between them they name all that `ALLOWED` allows.
COMMON: list[dict[str, Any]] = [
    {},
    CHANCE,
    {**CHANCE, "n": 3, "return_token_ids": True},
    {**CHANCE, "top_p": 0.9, "top_k": 20, "min_p": 0.01, "user": "me"},
    {**CHANCE, "presence_penalty": 1, "frequency_penalty": 0.5, "repetition_penalty": 1.2},
    {**CHANCE, "logit_bias": {"100": 5}, "bad_words": ["a"]},
    {**CHANCE, "allowed_token_ids": [100, 101, 102, 103]},
    {**TO_THE_END, "stop": ["e"]},
    {**TO_THE_END, "stop": ["a", "e"], "include_stop_str_in_output": True, "return_token_ids": True},
    {**TO_THE_END, "stop_token_ids": list(range(100, 300)), "min_tokens": 3},
    {**TO_THE_END, "skip_special_tokens": False, "spaces_between_special_tokens": False},
    {**CHANCE, "ignore_eos": True, "max_tokens": 150, "stream_interval": 3},
    {"structured_outputs": {"choice": ["yes", "no"]}},
    {**TO_THE_END, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": CITY}}},
    {
        "max_tokens": 200,
        "repetition_detection": {"max_pattern_size": 8, "min_pattern_size": 1, "min_count": 2},
    },
    {"truncate_prompt_tokens": 2, "truncation_side": "left", "add_special_tokens": True},
    {"priority": 1, "request_id": "r", "session_id": "s", "cache_salt": "c"},
    {"max_tokens": 1},
    {"stream": False, "stream_options": None, "echo": False, "use_beam_search": False},
    {"prompt_logprobs": None, "kv_transfer_params": None},
]
ROWS: dict[Route, list[dict[str, Any]]] = {
    "chat": [
        *COMMON,
        {"logprobs": True, "top_logprobs": 3},
        {**CHANCE, "logprobs": True, "n": 2, "return_tokens_as_token_ids": True},
        {"logprobs": True, "logprob_token_ids": [100, 200]},
        {"max_completion_tokens": 9, "return_prompt_text": True},
        {"messages": CONTINUED, "add_generation_prompt": False, "continue_final_message": True},
        {
            "reasoning_effort": "low",
            "chat_template_kwargs": {"x": 1},
            "documents": [{"title": "t", "text": "x"}],
        },
        {"tools": None, "tool_choice": "none"},
    ],
    "completion": [
        *COMMON,
        {"logprobs": 2},
        {"logprobs": 0, "return_tokens_as_token_ids": True},
        {"logprobs": 1, "logprob_token_ids": [100, 200]},
        {"prompt": [10, 20, 30]},
        {**CHANCE, "prompt": ["The sea", "A tree"], "n": 2, "logprobs": 1, "stop": ["on"]},
    ],
}
PROVEN = [(route, row) for route, rows in ROWS.items() for row in rows]


def test_every_parameter_is_proven() -> None:
    """No parameter is allowed that is in no row below."""
    for route, rows in ROWS.items():
        named = {*ASKED[route], *(name for row in rows for name in row)}
        assert set(ALLOWED[route]) == named


@pytest.mark.parametrize(("route", "more"), PROVEN, ids=str)
def test_same_answer(chat_server: Server, route: Route, more: dict[str, Any]) -> None:
    """Under one seed the assembled answer is the plain one, field by field in its order, but for id and time."""
    body = {**ASKED[route], **more}
    assert can_be_streamed(route, body)
    plain = plain_answer(chat_server, route, body)
    assert assembled_answer(chat_server, route, body, interval=None) == plain
    assert assembled_answer(chat_server, route, body, interval=16) == plain


@pytest.mark.parametrize(("route", "more"), [("chat", {}), ("chat", CHANCE), ("completion", CHANCE)], ids=str)
def test_same_answer_with_all_that_is_optional(
    uds_server: Server, route: Route, more: dict[str, Any]
) -> None:
    """A server that tells details of its tokens, measures requests and parses reasoning: only its times differ."""
    body = {**ASKED[route], **more}
    plain_answer(uds_server, route, body)  # so that the prompt is cached for both, which is told
    plain = json.loads(plain_answer(uds_server, route, body))
    assembled = json.loads(assembled_answer(uds_server, route, body, interval=16))
    assert plain["metrics"].keys() == assembled["metrics"].keys()
    del plain["metrics"], assembled["metrics"]
    assert plain == assembled


def test_reasoning_is_counted_otherwise(uds_server: Server) -> None:
    """What parses_reasoning() is for: such a server counts the reasoning of one answer differently in a stream."""
    body = {**ASKED["chat"], **CHANCE, "allowed_token_ids": [100, 101, 102, 103], "max_tokens": 40}
    plain = json.loads(plain_answer(uds_server, "chat", body))
    assembled = json.loads(assembled_answer(uds_server, "chat", body, interval=16))
    assert plain["choices"] == assembled["choices"]
    assert all(parses_reasoning(ChatCompletion.construct(**answer)) for answer in (plain, assembled))
    assert plain["usage"]["completion_tokens_details"] != assembled["usage"]["completion_tokens_details"]


@pytest.mark.parametrize("route", PATHS)
@pytest.mark.parametrize(
    "wrong", [{"structured_outputs": {"regex": "("}}, {"logit_bias": {"10000000": 5}}], ids=str
)
def test_error_in_a_stream(chat_server: Server, route: Route, wrong: dict[str, Any]) -> None:
    """What a plain call is refused for comes inside a stream with status 200, as the same error."""
    body = {**ASKED[route], **wrong}
    plain = chat_server.ask("POST", PATHS[route], body, key=chat_server.options.api_key)
    with pytest.raises(ErrorInAnswer) as caught:
        assembled_answer(chat_server, route, body, interval=16)
    assert (caught.value.status, caught.value.error) == (plain.status, plain.json()["error"])


@pytest.mark.parametrize(
    ("route", "more"),
    [
        ("chat", {"echo": True}),
        ("chat", {"prompt_logprobs": 0}),
        ("completion", {"echo": True}),
        ("completion", {"echo": True, "logprobs": 1}),
    ],
    ids=str,
)
def test_other_answer(chat_server: Server, route: Route, more: dict[str, Any]) -> None:
    """What cannot be streamed is rightly so: the answers differ."""
    body = {**ASKED[route], **more}
    assert not can_be_streamed(route, body)
    assert plain_answer(chat_server, route, body) != assembled_answer(chat_server, route, body, interval=None)


def plain_answer(server: Server, route: Route, body: dict[str, Any]) -> str:
    reply = server.ask("POST", PATHS[route], body, key=server.options.api_key)
    assert reply.status == 200, reply.body
    return comparable(reply.body)


def assembled_answer(server: Server, route: Route, body: dict[str, Any], *, interval: int | None) -> str:
    reply = server.ask("POST", PATHS[route], as_stream(body, interval=interval), key=server.options.api_key)
    *events, done = reply.body.decode().strip().split("\n\n")
    assert done == "data: [DONE]"
    assembly = Assembly(route)
    for event in events:
        assembly.add(event.removeprefix("data: ").encode())
    assert None not in assembly.finish_reasons.values()
    return comparable(assembly.result())


def comparable(body: bytes) -> str:
    """Return an answer without what differs in any two, as text, as the order of its fields is part of it."""
    answer = json.loads(body)
    assert answer.pop("id")
    assert answer.pop("created")
    return json.dumps(answer)
