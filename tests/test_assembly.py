"""Putting a stream together: the answer of the plain call, however the stream was cut; never something of no chunk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.exchanges import Exchange, recorded
from vllm_connect.client.assembly import Assembly, Route, as_stream, can_be_streamed, parses_reasoning
from vllm_connect.client.replies import CHAT, COMPLETION, ErrorInAnswer, NotAnAnswer, reader

ROUTES: dict[str, Route] = {"CHAT": "chat", "COMPLETION": "completion"}


def pairs() -> Iterator[tuple[Exchange, Exchange]]:
    """Yield each recorded answer that could have come as a stream, and that stream."""
    by_name = {exchange.name: exchange for exchange in recorded()}
    for plain in by_name.values():
        streamed = by_name.get(f"{plain.name}, streamed")
        if streamed is not None and can_be_streamed(ROUTES[plain.form], plain.request or {}):
            yield plain, streamed


def assembled(route: Route, payloads: list[bytes]) -> bytes:
    assembly = Assembly(route)
    for payload in payloads:
        assembly.add(payload)
    return assembly.result()


@pytest.mark.parametrize(("plain", "streamed"), list(pairs()), ids=lambda exchange: exchange.name)
def test_recorded_pairs(plain: Exchange, streamed: Exchange) -> None:
    """Where a request can be streamed, its recorded stream gives its recorded answer."""
    assert plain.request is not None
    assert streamed.request == as_stream(plain.request, interval=None)
    assert same_but_for_times(plain.bodies[0], assembled(ROUTES[plain.form], streamed.bodies))


def same_but_for_times(one: bytes, other: bytes) -> bool:
    answers = [json.loads(body) for body in (one, other)]
    for answer in answers:
        del answer["id"], answer["created"]
        answer["metrics"] = answer["metrics"] and sorted(answer["metrics"])
        # A prompt that was asked before is cached.
        answer["usage"]["prompt_tokens_details"] = None
    # As text: the order of the fields is part of it.
    return json.dumps(answers[0]) == json.dumps(answers[1])


def chunk(*choices: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"id": "a", "created": 1, "model": "m", "choices": list(choices), **more}).encode()


@given(st.permutations([0, 0, 0, 1, 1, 2]), st.data())
def test_cut_anywhere(order: list[int], data: st.DataObject) -> None:
    """However texts are cut, and choices mixed, each gets its own text, tokens and end, in the order of their numbers."""
    pieces: dict[int, list[str]] = {0: [], 1: [], 2: []}
    assembly = Assembly("chat")
    for number in order:
        piece = data.draw(st.text(max_size=3))
        pieces[number].append(piece)
        tokens = [ord(letter) for letter in piece]
        assembly.add(chunk({"index": number, "delta": {"content": piece}, "token_ids": tokens}))
    for number in order[:3]:
        assembly.add(chunk({"index": number, "delta": {}, "finish_reason": "stop"}))
    assembly.add(chunk(usage={"prompt_tokens": 1, "completion_tokens": 6, "total_tokens": 7}))
    answer = reader(CHAT)(assembly.result())
    whole = {number: "".join(parts) for number, parts in pieces.items()}
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [choice.message.content for choice in answer.choices] == list(whole.values())
    assert [choice.token_ids for choice in answer.choices] == [
        [ord(letter) for letter in text] for text in whole.values()
    ]
    ends = {choice.index: choice.finish_reason for choice in answer.choices}
    assert ends == assembly.finish_reasons == {n: "stop" if n in order[:3] else None for n in whole}


OPENING = {"role": "assistant", "content": ""}
REASONS = {"completion_tokens_details": {"reasoning_tokens": 1}}


@pytest.mark.parametrize(
    ("deltas", "usage", "content", "reasoning"),
    [
        ([OPENING, {}], {}, "", None),
        ([OPENING, {"content": ""}], {}, "", None),
        ([OPENING, {}], REASONS, None, None),
        ([OPENING, {"reasoning": "a"}, {"reasoning": "b"}, {}], REASONS, None, "ab"),
        (
            [OPENING, {"reasoning": "a"}, {"reasoning": "b", "content": "c"}, {"content": "d"}],
            REASONS,
            "cd",
            "ab",
        ),
        ([{"role": "assistant", "content": "x"}, {"content": None}], {}, "x", None),
    ],
    ids=str,
)
def test_content_and_reasoning(
    deltas: list[Any], usage: dict[str, Any], content: str | None, reasoning: str | None
) -> None:
    """A content of which no event told is null where reasoning is parsed, else empty, as in a plain answer."""
    payloads = [chunk({"index": 0, "delta": delta}) for delta in deltas]
    whole = reader(CHAT)(assembled("chat", [*payloads, chunk(usage=usage)]))
    message = whole.choices[0].message
    assert (message.content, message.reasoning) == (content, reasoning)


def test_halves_of_a_surrogate_pair() -> None:
    """A character whose halves come in two events is whole again."""
    halves = [
        b'{"choices": [{"index": 0, "text": "\\ud83d"}]}',
        b'{"choices": [{"index": 0, "text": "\\ude00"}]}',
    ]
    assert reader(COMPLETION)(assembled("completion", halves)).choices[0].text == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("payloads", "reason"),
    [
        ([b"[DONE]"], "not JSON"),
        ([b'{"id": "a"}'], "no list of choices"),
        ([chunk({"delta": {}})], "no index"),
        ([chunk({"index": "0"})], "no index"),
        ([b'{"choices": ["x"]}'], "no index"),
        ([chunk({"index": 0, "delta": "x"})], "not made of text"),
        ([chunk({"index": 0, "delta": {"tool_calls": [{"index": 0}]}})], "not made of text"),
        (
            [chunk({"index": 0, "delta": {"content": "a"}}), chunk({"index": 0, "delta": {"content": [1]}})],
            "go on",
        ),
        (
            [chunk({"index": 0, "delta": {"content": [1]}}), chunk({"index": 0, "delta": {"content": "a"}})],
            "go on",
        ),
        ([chunk({"index": 0, "logprobs": 1}), chunk({"index": 0, "logprobs": {}})], "go on"),
        ([chunk({"index": 0, "token_ids": [1]}), chunk({"index": 0, "token_ids": 1})], "go on"),
    ],
    ids=str,
)
def test_no_chunk(payloads: list[bytes], reason: str) -> None:
    """What is no chunk, or does not go on what came before, is refused, and never fails with an error of Python's."""
    with pytest.raises(NotAnAnswer, match=reason):
        assembled("chat", payloads)


def test_error_after_some_text() -> None:
    """An error inside a stream is raised as the error that it is."""
    error = {"message": "m", "type": "BadRequestError", "param": None, "code": 400}
    with pytest.raises(ErrorInAnswer) as caught:
        assembled(
            "chat", [chunk({"index": 0, "delta": {"content": "a"}}), json.dumps({"error": error}).encode()]
        )
    assert (caught.value.error, caught.value.status) == (error, 400)


@pytest.mark.parametrize(
    ("route", "field"),
    [
        ("chat", {"tools": []}),
        ("chat", {"tool_choice": "auto"}),
        ("chat", {"functions": []}),
        ("chat", {"echo": True}),
        ("chat", {"include_reasoning": False}),
        ("chat", {"guided_json": {}}),
        ("chat", {"prompt": "x"}),
        ("completion", {"use_beam_search": True}),
        ("completion", {"prompt_logprobs": 0}),
        ("completion", {"kv_transfer_params": {}}),
        ("completion", {"vllm_xargs": {}}),
        ("completion", {"suffix": "x"}),
        ("completion", {"stream": True}),
        ("completion", {"stream_options": {}}),
        ("completion", {"never heard of": None}),
    ],
    ids=str,
)
def test_never_streamed(route: Route, field: dict[str, Any]) -> None:
    """A request that names something unproven, or unknown, is not streamed; without it the same one is."""
    body = {"model": "m", "max_tokens": 5, "temperature": 0.5}
    assert can_be_streamed(route, body)
    assert not can_be_streamed(route, {**body, **field})


def test_as_stream() -> None:
    """The stream is asked for with its usage; an interval is the caller's own where there is one."""
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    assert as_stream({"n": 1}, interval=None) == {"n": 1, **asked}
    assert as_stream({"n": 1}, interval=16) == {"n": 1, **asked, "stream_interval": 16}
    assert as_stream({"stream_interval": 3}, interval=16) == {**asked, "stream_interval": 3}


@pytest.mark.parametrize(
    ("usage", "message", "parses"),
    [
        ({"completion_tokens_details": {"reasoning_tokens": 0}}, {}, True),
        ({"completion_tokens_details": None}, {"reasoning": None}, False),
        (None, {"reasoning": "a"}, True),
        ("none", {"content": "a"}, False),
    ],
    ids=str,
)
def test_parses_reasoning(usage: Any, message: Any, parses: bool) -> None:  # noqa: FBT001
    """A server that parses reasoning is known by its answers."""
    body = json.dumps({"choices": [{"message": message}], "usage": usage}).encode()
    assert parses_reasoning(reader(CHAT)(body)) is parses
