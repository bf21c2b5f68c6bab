"""Cut streams that are gone on with (`resume=True`): which, from where, and what becomes of them where that fails."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.callers import Caller, every_kind
from tests.test_hedge import wait_until
from vllm_connect import AnswerIncomplete, OpenAI, Timeouts
from vllm_connect.client.resumption import Continuation, Cut, can_be_resumed, continuation
from vllm_connect.client.server.results import Tokenization
from vllm_connect.errors import Partial, PartialChoice
from vllm_connect.simulator import Simulator

MODEL = "qwen"
MESSAGES: Any = [{"role": "user", "content": "Say something."}]
both_lanes = pytest.mark.parametrize("caller", ["blocking", "asyncio"], indirect=True)
SESSION = {"X-Session-ID": "mine"}
PATHS = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}


@pytest.fixture
def server() -> Iterator[Simulator]:
    with Simulator(models=(MODEL,)) as simulator:
        yield simulator


def ask(route: str, **more: Any) -> Any:
    """Return a function that asks a client for a stream."""
    options: Any = {"model": MODEL, "max_tokens": 9, "stream": True, **more}

    def asking(client: Any) -> Any:
        if route == "chat":
            return client.chat.completions.create(messages=MESSAGES, **options)
        return client.completions.create(prompt="The sea", **options)

    return asking


def texts(chunks: list[Any]) -> list[str]:
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return [
        (getattr(one, "text", None) if hasattr(one, "text") else one.delta.content) or "" for one in choices
    ]


def token_ids(chunks: list[Any]) -> list[int]:
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return [one for choice in choices for one in getattr(choice, "token_ids", None) or ()]


def in_order(*simulators: Simulator) -> list[Simulator]:
    """Return the servers with the one first to which the session goes."""
    with OpenAI(base_url=[one.url for one in simulators], default_headers=SESSION) as client:
        client.completions.create(model=MODEL, prompt="x", max_tokens=1)
    return sorted(simulators, key=lambda one: not bodies(one, PATHS["completion"]))


def bodies(simulator: Simulator, path: str) -> list[Any]:
    return [json.loads(request.body) for request in simulator.requests if request.path == path]


# -- what is gone on with


@both_lanes
@pytest.mark.parametrize(
    "fault", ["cut", "reset", "close-in-event", "close-between-events", "engine-dead-within"]
)
@pytest.mark.parametrize("route", PATHS)
def test_a_cut_stream(caller: Caller, route: str, fault: str, server: Simulator, caplog: Any) -> None:
    """The rest is asked for by the ids of all that came, and follows what the caller has as if it were one stream."""
    more: Any = {"extra_headers": SESSION, "stream_options": {"include_usage": True}}
    with Simulator(models=(MODEL,)) as second, caplog.at_level(logging.WARNING, "vllm_connect"):
        home, other = in_order(server, second)
        home.faults.turn_on(fault, times=1, path=PATHS[route])
        chunks = caller.run(ask(route, **more), base_url=[home.url, other.url], resume=True)
    rest = [*bodies(home, PATHS["completion"]), *bodies(other, PATHS["completion"])][-1]
    first = next(number for number, chunk in enumerate(chunks) if getattr(chunk, "resumed", False))
    before, behind = token_ids(chunks[:first]), token_ids(chunks[first:])
    assert before
    assert rest["prompt"][-len(before) :] == before
    assert rest["max_tokens"] == 9 - len(before)
    assert rest["return_token_ids"] is True
    assert rest["stream_options"] == {"include_usage": True}
    # What the server says to these ids is what the caller gets behind what it has.
    with Simulator(models=(MODEL,)) as third, OpenAI(base_url=third.url) as plain:
        said = plain.completions.create(model=MODEL, prompt=rest["prompt"], max_tokens=rest["max_tokens"])
    assert "".join(texts(chunks[first:])) == said.choices[0].text
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "length"
    assert len({(chunk.id, chunk.object) for chunk in chunks}) == 1
    usage = chunks[-1].usage
    assert (usage.completion_tokens, usage.prompt_tokens) == (9, len(rest["prompt"]) - len(before))
    assert len(before) + len(behind) == 9
    assert "is gone on with at" in caplog.text


@both_lanes
def test_an_aborted_stream(caller: Caller) -> None:
    """What a server aborts is gone on with elsewhere, and never there: somebody may have wanted its end."""
    with Simulator(models=(MODEL,)) as a, Simulator(models=(MODEL,)) as b:
        for simulator in (a, b):
            simulator.faults.turn_on("aborted", path=PATHS["chat"])
        chunks = caller.run(ask("chat"), base_url=[a.url, b.url], resume=True)
        rests = [len(bodies(one, PATHS["completion"])) for one in (a, b)]
        chats = [len(bodies(one, PATHS["chat"])) for one in (a, b)]
    assert (sorted(rests), sorted(chats)) == ([0, 1], [0, 1])
    assert rests != chats
    assert len(texts(chunks)) > 3
    with Simulator(models=(MODEL,)) as alone:
        alone.faults.turn_on("aborted", path=PATHS["chat"])
        with pytest.raises(AnswerIncomplete):
            caller.run(ask("chat"), base_url=alone.url, resume=True)


@both_lanes
@pytest.mark.parametrize(
    "more",
    [{"model": openai.omit}, {"extra_body": {"allowed_token_ids": list(range(100, 900))}}],
    ids=["model", "parameter"],
)
def test_a_first_call_about_which_the_server_is_asked(
    caller: Caller, server: Simulator, more: dict[str, Any]
) -> None:
    """A first call that names no model, or has what only some releases know, is gone on with as any other."""
    server.faults.turn_on("cut", times=1, path=PATHS["chat"])
    chunks = caller.run(ask("chat", **more), base_url=server.url, resume=True)
    assert [chunk for chunk in chunks if getattr(chunk, "resumed", False)]


@both_lanes
def test_the_name_of_a_model_is_another_one_s(caller: Caller) -> None:
    """The model that was asked goes on, or none: where its name stands for another in its turn, the stream stays cut."""
    aliases = {"mine": MODEL, MODEL: "other"}
    with Simulator(models=(MODEL, "other")) as server:
        server.faults.turn_on("cut", times=1, path=PATHS["chat"])
        with pytest.raises(AnswerIncomplete):
            caller.run(ask("chat", model="mine"), base_url=server.url, resume=True, model_aliases=aliases)
        assert not bodies(server, PATHS["completion"])


def per_byte(seconds: float) -> float:
    """The pause between bytes by which a server takes about so long for the head of an answer."""
    return seconds / 150


@both_lanes
def test_questions_go_the_way_of_the_call(caller: Caller, server: Simulator) -> None:
    """What is asked on the way has the headers and the query of the call, by which a gateway may route it."""
    server.faults.turn_on("cut", times=1, path=PATHS["chat"])
    options: Any = {"extra_headers": {"X-Tenant": "mine"}, "extra_query": {"tenant": "mine"}}
    caller.run(ask("chat", **options), base_url=server.url, resume=True)
    paths = [
        request.path
        for request in server.requests
        if (b"x-tenant", b"mine") in {(name.lower(), value) for name, value in request.headers}
    ]
    queries = [request.query for request in server.requests if request.path in paths]
    assert paths == [PATHS["chat"], "/detokenize", "/detokenize", PATHS["completion"]]
    assert queries == [{"tenant": ["mine"]}] * 4


def test_a_client_that_is_closed(server: Simulator) -> None:
    """A stream that its client's end cut off is an error that tells of the cut, as ever."""
    server.pace(token_delay=0.05)
    with OpenAI(base_url=server.url, resume=True) as client:
        stream = ask("chat", max_tokens=50)(client)
        for chunk in stream:
            if getattr(chunk.choices[0], "token_ids", None):
                break
    with pytest.raises(AnswerIncomplete):
        list(stream)


@both_lanes
def test_deadline(caller: Caller, server: Simulator) -> None:
    """What is asked on the way has what is left of the call's time between it, and not each so much."""
    with Simulator(models=(MODEL,)) as second:  # so that nothing is waited for before the rest
        for one in (server, second):
            one.faults.turn_on("cut", path=PATHS["chat"])
            one.faults.turn_on("drip-head", pause=per_byte(1.5), path="/detokenize")
        began = time.monotonic()
        with pytest.raises(AnswerIncomplete):
            caller.run(
                ask("chat", timeouts=Timeouts(total=2)), base_url=[server.url, second.url], resume=True
            )
        assert time.monotonic() - began < 2.5


def test_closed_meanwhile(server: Simulator) -> None:
    """A stream that another thread closes while its rest is asked for ends, and so does the work on the rest."""
    server.pace(token_delay=0.05)
    server.faults.turn_on("cut", times=1, path=PATHS["chat"])
    server.faults.turn_on("drip-head", pause=per_byte(0.3), path="/detokenize")
    with OpenAI(base_url=server.url, resume=True) as client:
        stream = ask("chat", max_tokens=200)(client)

        def close() -> None:
            wait_until(lambda: bodies(server, "/detokenize"))
            stream.close()

        closing = threading.Thread(target=close)
        closing.start()
        chunks = list(stream)
        closing.join()
        assert not [chunk for chunk in chunks if getattr(chunk, "resumed", False)]
        wait_until(lambda: server.aborted == len(bodies(server, PATHS["completion"])))


@both_lanes
def test_a_stream_that_is_cut_twice(caller: Caller, server: Simulator) -> None:
    """A rest that is cut is gone on with in its turn, as often as a call may be tried again; then the error has it all."""
    server.faults.turn_on("cut", after_events=3, times=1, path=PATHS["chat"])
    server.faults.turn_on("cut", after_events=2, path=PATHS["completion"])
    with pytest.raises(AnswerIncomplete) as caught:
        caller.run(ask("chat", max_tokens=30), base_url=server.url, resume=True)
    asked = bodies(server, PATHS["completion"])
    assert len(asked) == 1  # a request on which servers break is tried on two at most
    partial = caught.value.partial
    assert partial is not None
    assert len(partial.choices[0].token_ids) > len(asked[0]["prompt"]) - len(partial.prompt_token_ids)


# -- what is not


@every_kind
@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({}, None),
        ({"resume": True, "max_retries": 0}, None),
        ({"resume": True, "wire": "sdk"}, None),
        ({"resume": True}, ("status", {"code": 404, "path": "/detokenize"})),
        ({"resume": True}, ("bad-parameter", {"path": "/v1/completions"})),
        ({"resume": True}, ("json-list", {"path": "/detokenize"})),
    ],
    ids=["off", "no retries", "the SDK's transport", "not served", "refused", "odd answer"],
)
def test_stays_cut(caller: Caller, options: Any, fault: Any, server: Simulator) -> None:
    """Where a stream is not gone on with, its caller gets the error of the cut, with what came."""
    server.faults.turn_on("cut", times=1, path=PATHS["chat"])
    if fault is not None:
        server.faults.turn_on(fault[0], **fault[1])
    with pytest.raises(AnswerIncomplete) as caught:
        caller.run(ask("chat"), base_url=server.url, **options)
    assert caught.value.partial is not None
    assert caught.value.partial.text
    is_asked = "return_token_ids" in bodies(server, PATHS["chat"])[0]
    assert is_asked is (
        options.get("resume", False) and options.get("wire") != "sdk" and caller.kind != "trio"
    )


CHAT = {"model": MODEL, "messages": MESSAGES}
PICTURE: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]


@pytest.mark.parametrize(
    ("more", "can"),
    [
        ({}, True),
        ({"temperature": 0.7, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1}, True),
        ({"n": 1, "logprobs": False, "top_logprobs": 0, "seed": None, "stop": None}, True),
        ({"chat_template_kwargs": {"enable_thinking": False}, "user": "me", "cache_salt": "c"}, True),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}, True),
        ({"response_format": {"type": "text"}}, True),
        ({"response_format": {"type": "json_object"}}, False),
        ({"structured_outputs": {"choice": ["a"]}}, False),
        ({"guided_choice": ["a"]}, False),
        ({"tools": []}, False),
        ({"tool_choice": "none"}, False),
        ({"n": 2}, False),
        ({"stop": "\n"}, False),
        ({"seed": 1}, False),
        ({"presence_penalty": 0.1}, False),
        ({"frequency_penalty": 0.1}, False),
        ({"logprobs": True}, False),
        ({"bad_words": ["a"]}, False),
        ({"use_beam_search": True}, False),
        ({"messages": PICTURE}, False),
        ({"max_tokens": "9"}, False),
        ({"min_tokens": "3"}, False),
        ({"not_known": 1}, False),
    ],
)
def test_requests(more: Any, can: Any) -> None:
    """Only a request all of whose parameters are known to mean the same for the rest is gone on with."""
    assert can_be_resumed("chat", {**CHAT, **more}) is can


@pytest.mark.parametrize(
    ("prompt", "can"), [("a", True), ([1, 2], True), (["a", "b"], False), ([[1]], False), ([], False)]
)
def test_prompts(prompt: Any, can: Any) -> None:
    """A completion of one prompt is gone on with, of several not."""
    assert can_be_resumed("completion", {"model": MODEL, "prompt": prompt}) is can


# -- from where


def decoded(tokens: Any) -> str:
    """What a tokenizer whose tokens are bytes says: an incomplete character is one replacement."""
    return bytes(tokens).decode("utf-8", "replace")


def whole_characters(data: bytes) -> str:
    """What a server has sent of these bytes: all characters that came whole."""
    for length in range(len(data), -1, -1):
        try:
            return data[:length].decode()
        except UnicodeDecodeError:
            continue
    raise AssertionError("b'' is a text")


def followed(cut: Cut, asked: Any, route: Any = "chat") -> Continuation | None:
    flow = continuation(route, asked, cut, lambda: 1.0)
    question = next(flow)
    try:
        while True:
            assert question.body is not None
            told = decoded(question.body["tokens"]) if question.path == "/detokenize" else ROOM
            question = flow.send(told)
    except StopIteration as end:
        result: Continuation | None = end.value
        return result


@given(st.text(min_size=1), st.data())
def test_where_it_goes_on(text: str, data: Any) -> None:
    """What the caller has, what is owed, and what follows the tokens that are kept, are the text: wherever it is cut."""
    whole = text.encode("utf-8", "replace")
    came = whole[: data.draw(st.integers(1, len(whole)))]
    sent = whole_characters(came)
    # What came with the word that it is broken off is not given to the caller.
    has = sent[: data.draw(st.integers(0, len(sent)))]
    rest = followed(
        Cut(tuple(b"prompt"), tuple(came), has, sent.removeprefix(has)),
        {**CHAT, "max_tokens": len(whole) + 1, "min_tokens": 3},
    )
    if rest is None:
        assert not sent  # nothing but a part of a character came
        return
    kept = bytes(rest.tokens)
    assert whole.startswith(kept)
    assert has + rest.owed + whole[len(kept) :].decode() == whole.decode()
    assert rest.body["prompt"] == [*b"prompt", *kept]
    assert rest.body["max_tokens"] == len(whole) + 1 - len(kept)
    assert rest.body["min_tokens"] == max(0, 3 - len(kept))


@pytest.mark.parametrize(
    "cut",
    [
        Cut((1,), tuple(b"abc"), "abd"),
        Cut((1,), tuple(b"abc"), "abcd"),
        Cut((1,), tuple(b"<think>"), ""),  # a mark that a parser takes out, before the thoughts
        Cut((1,), tuple(b"a</s>"), "a"),
        Cut((1,), (*b"a", *b"\xff" * 9), "a"),  # which ends by no part of one character
    ],
)
def test_ids_that_are_not_the_text(cut: Cut) -> None:
    """Where the ids do not say just what the caller has, nothing is asked: what a server hid stays hidden."""
    assert followed(cut, {**CHAT, "max_tokens": 99}) is None


ROOM = Tokenization(count=1, max_model_len=100, tokens=[1])


@pytest.mark.parametrize(
    ("route", "limits", "left"),
    [
        ("completion", {}, 16 - 3),
        ("completion", {"max_tokens": None}, 100 - 1 - 3),  # vLLM: to the end of the context
        ("completion", {"max_completion_tokens": 50}, 16 - 3),  # which vLLM does not know there
        ("chat", {}, 100 - 1 - 3),
        ("chat", {"max_tokens": 9}, 9 - 3),
        ("chat", {"max_tokens": 9, "max_completion_tokens": 8}, 8 - 3),
        ("chat", {"max_tokens": 9, "max_completion_tokens": None}, 9 - 3),
    ],
)
def test_how_much_is_left(route: Any, limits: Any, left: int) -> None:
    """The rest may have what the limit of the request, as vLLM reads it on this route, leaves."""
    rest = followed(Cut((1,), tuple(b"abc"), "abc"), {"model": MODEL, **limits}, route)
    assert rest is not None
    assert rest.body["max_tokens"] == left


def test_a_context_of_odd_kind() -> None:
    """A server that does not tell its context in numbers is not asked to go on to its end."""
    flow = continuation("chat", CHAT, Cut((1,), tuple(b"abc"), "abc"), lambda: 1.0)
    next(flow)
    flow.send(decoded((1,)))
    flow.send(decoded((1, *b"abc")))
    with pytest.raises(StopIteration) as end:
        flow.send(Tokenization.construct(count=1, max_model_len="long", tokens=[1]))
    assert end.value.value is None


def test_nothing_left() -> None:
    """A stream that came to its limit, and lost only its end, stays cut: nothing is made up."""
    assert followed(Cut((1,), tuple(b"abc"), "abc"), {**CHAT, "max_tokens": 3}) is None


@pytest.mark.parametrize(
    "choice",
    [
        PartialChoice(text="a"),
        PartialChoice(text="a", token_ids=(1,), reasoning="b"),
        PartialChoice(text="a", token_ids=(1,), finish_reason="stop"),
    ],
)
def test_parts_that_are_not_gone_on_with(choice: PartialChoice) -> None:
    """Without ids, with reasoning, or where the choice had finished, there is no place to go on from."""
    assert Cut.of(Partial(choices={0: choice}, prompt_token_ids=(1,)), "") is None
    assert Cut.of(
        Partial(choices={0: PartialChoice(text="ab", token_ids=(1,))}, prompt_token_ids=(1,)), "b"
    ) == Cut((1,), (1,), "a", "b")
