"""`parameters=`: what becomes of parameters that a server does not read, on every kind of client, over real sockets."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.resources import completions, embeddings, responses
from openai.resources.chat import completions as chat_completions

from tests.callers import Caller, every_kind
from tests.gateway import gateway
from vllm_connect import AsyncOpenAI, OpenAI, ParameterRefused, SettingsError
from vllm_connect.client.review import arguments
from vllm_connect.facts import ServedModel, ServerFacts
from vllm_connect.facts.parameters import KINDS, PARAMETERS, TABLE, taken
from vllm_connect.facts.parameters.releases import SINCE, UNTIL
from vllm_connect.parameters import Dialect, Verdict, folded, is_doubtful, looked_over, template_kwargs
from vllm_connect.simulator import Reply, Simulator

MESSAGES: Any = [{"role": "user", "content": "Say something."}]
FUNCTION = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}
ASKED = {"/v1/models", "/version", "/openapi.json"}
HIDDEN = Reply(404, {"content-type": "text/html"}, b"<html>no such page</html>")


def chat(**parameters: Any) -> Callable[[Any], Any]:
    return lambda client: client.chat.completions.create(**{"model": "m", "messages": MESSAGES, **parameters})


def chat_without_model(parameters: Any) -> Callable[[Any], Any]:
    return lambda client: client.chat.completions.create(**parameters)


def complete(**parameters: Any) -> Callable[[Any], Any]:
    return lambda client: client.completions.create(model="m", prompt="x", **parameters)


def respond(**parameters: Any) -> Callable[[Any], Any]:
    return lambda client: client.responses.create(model="m", input="x", **parameters)


@pytest.fixture
def vllm() -> Iterator[Simulator]:
    with Simulator(models=("m",), tool_call_parser="hermes") as simulator:
        yield simulator


def told(caller: Caller, server: str, call: Callable[[Any], Any], **arguments: Any) -> tuple[Any, list[Any]]:
    """Make one call; return what was raised or answered, and the adaptations."""
    adaptations: list[Any] = []

    def run(client: Any) -> Any:
        result = call(client)
        if not inspect.isawaitable(result):
            adaptations.extend(client.server.adaptations())
            return result

        async def finished() -> Any:
            answer = await result
            adaptations.extend(client.server.adaptations())
            return answer

        return finished()

    try:
        return caller.run(run, base_url=server, **arguments), adaptations
    except ParameterRefused as refused:
        return refused, adaptations


def sent(server: Simulator) -> dict[str, Any]:
    """Return the body of the last request that generates, without what every request holds."""
    body = next(one.json() for one in reversed(server.requests) if one.method == "POST")
    return {name: value for name, value in body.items() if name not in ("model", "prompt", "input")}


# -- the table


def test_every_parameter_once() -> None:
    """A parameter of a kind of request has one row, and what replaces it is a parameter of that kind."""
    named = [(kind, one.name) for one in PARAMETERS for kind in one.kinds]
    assert len(named) == len(set(named))


@pytest.mark.parametrize(
    ("kind", "create"),
    [
        ("chat", chat_completions.Completions.create),
        ("completions", completions.Completions.create),
        ("embeddings", embeddings.Embeddings.create),
        ("responses", responses.Responses.create),
    ],
)
def test_every_parameter_of_the_sdk(kind: Any, create: Any) -> None:
    """Every keyword of the SDK's own methods is in the table; one that a new release brings has to be looked at."""
    names = set(inspect.signature(create).parameters)
    assert names - {"self", "extra_headers", "extra_query", "extra_body", "timeout"} <= set(TABLE[kind])


def facts(version: str | None, declares: Any = None, owner: str | None = "vllm") -> ServerFacts:
    return ServerFacts("http://gpu1", version, (ServedModel("m", owned_by=owner),), None, None, declares)


@pytest.mark.parametrize(
    ("version", "kind", "name", "known"),
    [
        ("0.10.2", "chat", "guided_json", True),
        ("0.11.2", "chat", "guided_json", True),
        ("0.12.0", "chat", "guided_json", False),
        ("0.10.2", "chat", "structured_outputs", False),
        ("0.11.0", "chat", "structured_outputs", True),
        ("0.11.0rc2.dev5+g1", "chat", "structured_outputs", True),
        ("0.26.0", "chat", "stream_interval", False),
        ("0.27.0", "chat", "stream_interval", True),
        ("0.32.0", "chat", "return_weight_versions", False),
        ("0.33.0", "chat", "return_weight_versions", True),
        ("0.32.0", "chat", "store", False),
        ("0.32.0", "chat", "topk", False),
        (None, "chat", "guided_json", None),
        (None, "chat", "top_k", True),
        (None, "chat", "store", False),
        (None, "chat", "stream_interval", None),
        ("0.10.2", "chat", "guided_json_object", False),
        ("0.16.0", "responses", "structured_outputs", False),
        ("0.17.0", "responses", "structured_outputs", True),
        ("0.25.1", "chat", "bad_words", True),
        ("0.25.1", "completions", "bad_words", False),
        ("0.33.0", "responses", "return_weight_versions", False),
        (None, "responses", "prompt_cache_key", False),
    ],
)
def test_known_by_version(version: str | None, kind: Any, name: str, known: bool | None) -> None:  # noqa: FBT001 - a column
    """Without its document, a server's version says what it reads; without a version what all releases do."""
    assert Dialect(facts(version), kind).knows(name) is known


@pytest.mark.parametrize(
    ("kind", "body", "lacks", "has", "says"),
    [
        ("completions", {"bad_words": ["x"]}, "0.25.1", "0.26.0", "It came with vLLM 0.26.0."),
        ("chat", {"allowed_token_ids": [1]}, "0.9.0", "0.9.1", "It came with vLLM 0.9.1."),
        ("chat", {"cache_salt": "x"}, "0.8.5", "0.9.0", "It came with vLLM 0.9.0."),
        ("chat", {"best_of": 2}, "0.12.0", "0.11.2", "The last release that has it is vLLM 0.11.2."),
        (
            "chat",
            {"logits_processors": ["x"]},
            "0.17.0",
            "0.16.0",
            "The last release that has it is vLLM 0.16.0.",
        ),
    ],
)
def test_the_release_is_named(kind: Any, body: dict[str, Any], lacks: str, has: str, says: str) -> None:
    """Of what a release does not have is said which one brought it, or which was the last; one that has it is content."""
    verdict = looked_over(kind, body, facts(lacks), "warn")
    assert says in verdict.reason + "".join(one.message for one in verdict.adaptations)
    assert looked_over(kind, body, facts(has), "strict") == Verdict()


@pytest.mark.parametrize(
    ("kind", "version", "is_told"),
    [
        ("chat", "0.4.1", True),
        ("chat", "0.4.2", False),
        ("chat", "0.6.4.post1", False),
        ("chat", "0.6.5", True),
        ("embeddings", "0.5.2", True),
        ("embeddings", "0.5.3", False),
    ],
)
def test_a_release_that_answers_400_itself(kind: Any, version: str, is_told: bool) -> None:  # noqa: FBT001 - a column
    """What a server does not know is told where it would be lost; old releases refuse it, which says more."""
    verdict = looked_over(kind, {"topk": 1}, facts(version), "warn")
    assert bool(verdict.adaptations) is is_told


def test_every_parameter_has_its_releases() -> None:
    """Each row names the release that brought it; one that no release has is ignored by all, and its source says how known."""
    for one in PARAMETERS:
        if one.first:
            assert numbers(one.first) <= numbers(one.last or NEWEST_READ), one
        else:
            assert (one.effect, one.last, bool(one.source)) == ("ignores", "", True), one
    listed = {(kind, name) for kind in KINDS for names in SINCE[kind].values() for name in names.split()}
    gone = {(kind, name) for kind in UNTIL for names in UNTIL[kind].values() for name in names.split()}
    assert listed == {(kind, one.name) for kind in KINDS for one in TABLE[kind].values() if one.first}
    assert gone <= listed


NEWEST_READ = "0.33.0"


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_its_own_document_goes_first() -> None:
    """What a server declares by itself it knows, whatever the table says; what it does not declare it does not."""
    dialect = Dialect(facts("0.32.0", {"chat": frozenset({"messages", "store", "brand_new"})}), "chat")
    assert [dialect.knows(name) for name in ("store", "brand_new", "top_k")] == [True, True, False]
    verdict = looked_over("chat", {"messages": [], "store": True, "brand_new": 1}, dialect.facts, "strict")
    assert (verdict.adaptations, verdict.refused) == ((), ())


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_for_another_server(kind: Any) -> None:
    """Of a server that is not known to be a vLLM nothing is said, whatever a request holds."""
    body = {"guided_json": {}, "functions": [FUNCTION], "topk": 3, "store": True, "normalize": True}
    for other in (facts("1.0", owner="sglang"), facts(None, owner="openai"), facts(None, owner=None), None):
        for mode in ("warn", "strict", "off"):
            verdict = looked_over(kind, body, other, mode)
            assert verdict == Verdict()


# -- what leaves

SCHEMA = {"type": "object"}
TRANSLATED: Any = {
    "guided_choice": (
        chat(extra_body={"guided_choice": ["a", "b"]}),
        {"structured_outputs": {"choice": ["a", "b"]}},
    ),
    "guided_json with white space": (
        complete(extra_body={"guided_json": SCHEMA, "guided_whitespace_pattern": " ?"}),
        {"structured_outputs": {"json": SCHEMA, "whitespace_pattern": " ?"}},
    ),
    "functions": (
        chat(functions=[FUNCTION], function_call={"name": "weather"}),
        {
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
        },
    ),
    "functions in extra_body": (
        chat(extra_body={"functions": [FUNCTION], "function_call": "none"}),
        {"tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": False},
    ),
    "functions of the history": (
        chat(
            functions=[FUNCTION],
            messages=[
                *MESSAGES,
                {
                    "role": "assistant",
                    "content": None,
                    "function_call": {"name": "weather", "arguments": "{}"},
                },
                {"role": "function", "name": "weather", "content": "rain"},
            ],
        ),
        {
            "tools": [TOOL],
            "parallel_tool_calls": False,
            "messages": [
                *MESSAGES,
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "weather", "arguments": "{}"},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            ],
        },
    ),
    "reasoning_content": (
        chat(messages=[{"role": "assistant", "content": "a", "reasoning_content": "r"}, *MESSAGES]),
        {"messages": [{"role": "assistant", "content": "a", "reasoning": "r"}, *MESSAGES]},
    ),
    "max_completion_tokens": (complete(extra_body={"max_completion_tokens": 3}), {"max_tokens": 3}),
    "max_tokens": (respond(extra_body={"max_tokens": 3}), {"max_output_tokens": 3}),
    "response_format": (
        respond(
            extra_body={
                "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
            }
        ),
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}},
    ),
}


@every_kind
@pytest.mark.parametrize("name", TRANSLATED)
def test_translated(caller: Caller, vllm: Simulator, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What has an exact equivalent leaves as that, which the log says in one line, and strictness refuses."""
    call, expected = TRANSLATED[name]
    with caplog.at_level(logging.WARNING, "vllm_connect"):
        answer, adaptations = told(caller, vllm.url, call)
    assert not isinstance(answer, ParameterRefused)
    body = sent(vllm)
    if "messages" not in expected:
        body.pop("messages", None)
    assert body == expected
    assert [(one.action, bool(one.became)) for one in adaptations] == [("translated", True)]
    assert [record.getMessage() for record in caplog.records] == [adaptations[0].message]
    if name == "reasoning_content":  # which this release takes, too
        return
    before = len(vllm.requests)
    refused, _ = told(caller, vllm.url, call, parameters="strict")
    assert isinstance(refused, ParameterRefused)
    assert adaptations[0].became.split(".")[0] in str(refused)
    assert {request.path for request in vllm.requests[before:]} <= ASKED


@every_kind
def test_translated_for_an_old_release(caller: Caller) -> None:
    """A constraint in today's words reaches a release that knows yesterday's alone, and the other way round."""
    with Simulator(models=("m",), version="0.10.2") as old:
        answer, _ = told(caller, old.url, chat(structured_outputs={"choice": ["zebra"]}))
        assert answer.choices[0].message.content == "zebra"
        assert sent(old)["guided_choice"] == ["zebra"]
        answer, adaptations = told(caller, old.url, chat(extra_body={"guided_choice": ["zebra"]}))
        assert (answer.choices[0].message.content, adaptations) == ("zebra", [])
        told(caller, old.url, chat(structured_outputs={"json_object": True}))
        assert sent(old)["response_format"] == {"type": "json_object"}
        refused, _ = told(caller, old.url, chat(structured_outputs={"structural_tag": "{}"}))
        assert isinstance(refused, ParameterRefused)
    with Simulator(models=("m",)) as new:
        answer, _ = told(caller, new.url, chat(extra_body={"guided_choice": ["zebra"]}))
        assert answer.choices[0].message.content == "zebra"


@every_kind
def test_a_release_that_is_not_told(caller: Caller, vllm: Simulator) -> None:
    """Where a gateway hides the release, a constraint leaves in the words of both."""
    with gateway(vllm.url, {"/version": HIDDEN, "/openapi.json": HIDDEN}) as url:
        answer, _ = told(caller, url, chat(extra_body={"guided_choice": ["zebra"]}))
    assert answer.choices[0].message.content == "zebra"
    assert {"guided_choice", "structured_outputs"} <= sent(vllm).keys()


@every_kind
def test_a_constraint_that_came_later(caller: Caller) -> None:
    """A constraint that a release does not have yet is refused, also where chats of that release have it."""
    with (
        Simulator(models=("m",), version="0.25.0") as old,
        gateway(old.url, {"/openapi.json": HIDDEN}) as url,
    ):
        refused, _ = told(caller, url, complete(extra_body={"bad_words": ["x"]}))
        assert isinstance(refused, ParameterRefused)
        assert "It came with vLLM 0.26.0." in str(refused)
        both = complete(extra_body={"bad_words": ["x"], "structured_outputs": {"choice": ["a"]}})
        assert isinstance(told(caller, url, both)[0], ParameterRefused)
        answer, adaptations = told(caller, url, chat(bad_words=["x"]))
        assert (answer.choices[0].message.content is not None, adaptations) == (True, [])


# -- what is said, and what is refused

SAID: Any = {
    "ignored": (chat(store=True), "ignored", "ignores `store`"),
    "misspelt": (chat(extra_body={"repetion_penalty": 1.1}), "unknown", "Did you mean `repetition_penalty`?"),
    "of a gateway": (chat(extra_body={"zzz_quota": 3}), "unknown", "knows no parameter `zzz_quota`"),
    "of the V0 engine": (complete(best_of=3), "ignored", "ignores `best_of`"),
    "functions that are not to be called": (
        chat(functions=[FUNCTION], function_call="none", tools=[TOOL]),
        "ignored",
        "ignores `functions`",
    ),
    "newer": (chat(return_weight_versions=True), "ignored", "It came with vLLM 0.33.0."),
    "of responses": (respond(prompt_cache_retention="24h"), "ignored", "the answer is the same without it"),
    "backend": (
        chat(
            extra_body={
                "guided_choice": ["a"],
                "guided_decoding_backend": "outlines",
                "structured_outputs": {"choice": ["a"]},
            }
        ),
        "ignored",
        "",
    ),
}


@every_kind
@pytest.mark.parametrize("name", SAID)
def test_said_once(caller: Caller, vllm: Simulator, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What the server ignores is sent as it is and said once; strictness refuses it, "off" says nothing."""
    call, action, says = SAID[name]
    with caplog.at_level(logging.WARNING, "vllm_connect"):
        answer, adaptations = told(caller, vllm.url, call)
        told(
            caller,
            vllm.url,
            lambda client: (call(client), call(client))[0] if caller.kind == "blocking" else call(client),
        )
    assert not isinstance(answer, ParameterRefused)
    assert {one.action for one in adaptations} == {action}
    assert any(says in one.message for one in adaptations)
    assert len(caplog.records) == 2 * len(adaptations)  # of two clients
    before = len(vllm.requests)
    refused, _ = told(caller, vllm.url, call, parameters="strict")
    assert isinstance(refused, ParameterRefused)
    assert says in str(refused)
    assert set(refused.parameters) == {one.parameter for one in adaptations}
    assert {request.path for request in vllm.requests[before:]} <= ASKED
    before = len(vllm.requests)
    answer, adaptations = told(caller, vllm.url, call, parameters="off")
    assert not isinstance(answer, ParameterRefused)
    assert (adaptations, len(vllm.requests) - before) == ([], 1)


HARMLESS: Any = [
    *(chat(**{name: None}) for name in ("store", "functions", "metadata", "audio")),
    chat(store=False, service_tier="auto", modalities=["text"], functions=[], metadata={}),
    chat(extra_body={"guided_json": None, "logits_processors": []}),
    complete(best_of=1),
    chat(temperature=0, top_k=1, min_p=0.1, extra_body={"cache_salt": "s"}, user="me", tools=[TOOL]),
    complete(top_k=1, extra_body={"ignore_eos": True}, max_tokens=2),
    lambda client: client.with_options(timeout=5).chat.completions.create(model="m", messages=MESSAGES),
]


@every_kind
@pytest.mark.parametrize("at", range(len(HARMLESS)))
def test_nothing_is_asked(caller: Caller, vllm: Simulator, at: int) -> None:
    """A request without anything doubtful, or with values that mean the same unread, is one request and no more."""
    _, adaptations = told(caller, vllm.url, HARMLESS[at])
    assert [request.method for request in vllm.requests] == ["POST"]
    assert adaptations == []


@every_kind
@pytest.mark.parametrize(
    "call",
    [
        chat(functions=[FUNCTION], tools=[TOOL]),
        respond(extra_body={"response_format": {"type": "structural_tag", "format": {}}}),
    ],
)
def test_refused(caller: Caller, vllm: Simulator, call: Any) -> None:
    """What would silently drop tools or a constraint, without an equivalent, is refused with nothing generated."""
    refused, _ = told(caller, vllm.url, call)
    assert isinstance(refused, ParameterRefused)
    assert isinstance(refused, openai.OpenAIError)
    assert (refused.server, bool(refused.explanation), bool(refused.fix)) == (vllm.url, True, True)
    assert pickle.loads(pickle.dumps(refused)).parameters == refused.parameters
    assert {request.path for request in vllm.requests} <= ASKED


@every_kind
def test_other_servers_are_left_alone(caller: Caller) -> None:
    """Towards a server that is no vLLM all of it is sent as it is, also where strictness was asked for."""
    body = {"guided_choice": ["a"], "topk": 1, "functions": [FUNCTION], "store": True}
    models = b'{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"sglang"}]}'
    own = {"/v1/models": Reply(200, {"content-type": "application/json"}, models), "/version": HIDDEN}
    with Simulator(models=("m",)) as server, gateway(server.url, own) as url:
        for mode in ("warn", "strict"):
            answer, adaptations = told(caller, url, chat(extra_body=body), parameters=mode)
            assert (isinstance(answer, ParameterRefused), adaptations) == (False, [])
            assert sent(server).items() >= body.items()


NAMES = st.sampled_from(
    sorted(
        {one.name for one in PARAMETERS if one.is_doubtful}
        | {"topk", "zzz", "top_k", "tools", "text", "reasoning"}
    )
)
VALUES = st.sampled_from(
    [None, False, True, 1, "auto", [], {}, [FUNCTION], {"choice": ["a"]}, {"type": "text"}]
)
RELEASES = st.sampled_from(
    [None, "0.8.5", "0.10.2", "0.11.0", "0.11.2", "0.12.0", "0.22.1", "0.32.0", "0.33.0"]
)


@given(st.sampled_from(KINDS), st.dictionaries(NAMES, VALUES, max_size=6), RELEASES)
def test_nothing_is_lost_without_a_word(kind: Any, body: dict[str, Any], release: str | None) -> None:
    """Whatever is sent: what is dropped is told, what leaves is settled, and strictness refuses what warnings tell."""
    verdict = looked_over(kind, body, facts(release), "warn")
    told = {name for one in verdict.adaptations for name in one.parameter.split(", ")}
    assert verdict.drops - {"function_call"} <= told
    assert verdict.drops <= body.keys()
    if verdict.refused:
        assert verdict == Verdict(refused=verdict.refused, reason=verdict.reason, fix=verdict.fix)
        assert all(body[name] is not None for name in verdict.refused)
    else:
        left = {name: value for name, value in body.items() if name not in verdict.drops} | dict(verdict.puts)
        again = looked_over(kind, left, facts(release), "warn")
        assert again == Verdict(adaptations=again.adaptations)
    strict = looked_over(kind, body, facts(release), "strict")
    assert strict == Verdict(refused=strict.refused, reason=strict.reason, fix=strict.fix)
    assert bool(strict.refused) == bool(verdict.refused or verdict.adaptations)
    assert looked_over(kind, body, facts(release), "off") == Verdict()
    if not is_doubtful(
        kind, body
    ):  # then nothing is asked, and what an old release does not have is not told
        assert verdict == Verdict(adaptations=verdict.adaptations)


def looked_at(client: OpenAI, given: dict[str, Any]) -> None:
    arguments(client, "chat", dict(given))


def test_what_a_clean_request_costs() -> None:
    """A look at a request without anything doubtful takes less than 2 us, with typed parameters and extra_body too."""
    with OpenAI(base_url="http://localhost:1") as client:
        history = MESSAGES * 20
        for given in (
            {"model": "m", "messages": history, "temperature": 0.5, "stream": True},
            {"model": "m", "messages": MESSAGES, "top_k": 5, "ignore_eos": True},
            {"model": "m", "messages": MESSAGES, "extra_body": {"top_k": 5}},
        ):
            look = functools.partial(looked_at, client, given)
            took = timeit.repeat(look, number=500, repeat=40)
            assert min(took) / 500 < 2e-6


# -- the question


@every_kind
def test_asked_once(caller: Caller, vllm: Simulator) -> None:
    """What a server is, is asked once for a client and its copies, and told by `info()` as well."""

    def blocking(client: Any) -> None:
        client.chat.completions.create(model="m", messages=MESSAGES, store=True)
        client.with_options(max_retries=0).completions.create(model="m", prompt="x", best_of=2)
        client.copy().chat.completions.create(model="m", messages=MESSAGES, extra_body={"topk": 1})

    async def asynchronous(client: Any) -> None:
        await client.chat.completions.create(model="m", messages=MESSAGES, store=True)
        await client.with_options(max_retries=0).completions.create(model="m", prompt="x", best_of=2)
        await client.copy().chat.completions.create(model="m", messages=MESSAGES, extra_body={"topk": 1})

    caller.run(blocking if caller.kind == "blocking" else asynchronous, base_url=vllm.url)
    assert sorted(request.path for request in vllm.requests if request.method == "GET") == sorted(ASKED)


def test_what_it_was_stays(vllm: Simulator) -> None:
    """A server that does not tell when it is asked again is taken for what it was."""
    with OpenAI(base_url=vllm.url, parameters="strict", max_retries=0) as client:
        now = time.monotonic()
        client._clock = lambda: now
        with pytest.raises(ParameterRefused):
            chat(store=True)(client)
        asked = len(vllm.requests)
        now += 700
        client._catalogue.models = None
        vllm.reply_next(Reply(503, {}, b"{}"))
        with pytest.raises(ParameterRefused):
            chat(store=True)(client)
        assert len(vllm.requests) == asked + 1
        now += 310
        with pytest.raises(ParameterRefused):
            chat(store=True)(client)
        assert len(vllm.requests) == asked + 1 + len(ASKED)


@every_kind
def test_asked_when_it_is_there(caller: Caller) -> None:
    """A server that was away is asked with the first call that reaches it."""
    server = Simulator(models=("m",))
    server.start()
    port, url = server.port, server.url
    server.stop()

    def blocking(client: Any) -> None:
        with pytest.raises(openai.APIConnectionError):
            chat(extra_body={"guided_choice": ["zebra"]})(client)
        with Simulator(models=("m",), port=port):
            answer = chat(extra_body={"guided_choice": ["zebra"]})(client)
        assert answer.choices[0].message.content == "zebra"

    async def asynchronous(client: Any) -> None:
        with pytest.raises(openai.APIConnectionError):
            await chat(extra_body={"guided_choice": ["zebra"]})(client)
        with Simulator(models=("m",), port=port):
            answer = await chat(extra_body={"guided_choice": ["zebra"]})(client)
        assert answer.choices[0].message.content == "zebra"

    caller.run(blocking if caller.kind == "blocking" else asynchronous, base_url=url, max_retries=0)


def test_threads_ask_once(vllm: Simulator) -> None:
    """Of many threads that begin at once, one asks and the others wait for the answer."""
    with OpenAI(base_url=vllm.url) as client:
        threads = [threading.Thread(target=lambda: chat(store=True)(client)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len([request for request in vllm.requests if request.method == "GET"]) == 3


def test_tasks_ask_once(vllm: Simulator) -> None:
    """Of many tasks that begin at once, one asks and the others wait for the answer."""

    async def run() -> None:
        async with AsyncOpenAI(base_url=vllm.url) as client, anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(
                    lambda: client.chat.completions.create(model="m", messages=MESSAGES, store=True)
                )

    anyio.run(run)
    assert len([request for request in vllm.requests if request.method == "GET"]) == 3


@every_kind
def test_under_the_deadline_of_the_call(caller: Caller, vllm: Simulator) -> None:
    """A server that keeps silent about itself does not hold a call up beyond its deadline."""
    silent = Reply(200, {"content-type": "application/json"}, b"{}", 5.0)
    with gateway(vllm.url, {"/version": silent, "/openapi.json": silent}) as url:
        with timer() as took, contextlib.suppress(openai.APITimeoutError):
            told(caller, url, chat(store=True), timeout=1.0, max_retries=0)
        assert took() < 2.5


@every_kind
def test_a_server_that_does_not_tell(caller: Caller, vllm: Simulator) -> None:
    """Where not even the models are told, calls go on as they are."""
    with gateway(vllm.url, {"/v1/models": HIDDEN, "/version": HIDDEN, "/openapi.json": HIDDEN}) as url:
        answer, adaptations = told(
            caller, url, chat(extra_body={"guided_choice": ["a"]}), parameters="strict"
        )
    assert (isinstance(answer, ParameterRefused), adaptations) == (False, [])


@contextlib.contextmanager
def timer() -> Iterator[Callable[[], float]]:
    began = time.monotonic()
    yield lambda: time.monotonic() - began


# -- keywords


@every_kind
def test_typed(caller: Caller, vllm: Simulator) -> None:
    """Parameters of vLLM's own are keywords; what stands in extra_body goes before, and what is left out is left out."""
    call = chat(
        top_k=5, ignore_eos=True, min_p=openai.omit, extra_body={"top_k": 7, "cache_salt": "s"}, max_tokens=2
    )
    told(caller, vllm.url, call)
    assert {**sent(vllm), "messages": 0} == {
        "messages": 0,
        "max_tokens": 2,
        "top_k": 7,
        "ignore_eos": True,
        "cache_salt": "s",
    }


PATCHED = """
import sys
from openai.resources.chat.completions import Completions
plain, seen = Completions.create, []
def create(*arguments, **named):
    seen.append(named)
    return plain(*arguments, **named)
Completions.create = create
from vllm_connect import OpenAI
client = OpenAI(base_url=sys.argv[1])
client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], temperature=0, top_k=5)
(named,) = seen
assert named["extra_body"] == {"top_k": 5}, named
"""


def test_a_tracer_that_takes_anything(vllm: Simulator) -> None:
    """A method in the place of the SDK's that names no keywords gets what the SDK's own would."""
    shown = subprocess.run(
        [sys.executable, "-c", PATCHED, vllm.url], capture_output=True, text=True, check=False, timeout=60
    )
    assert shown.returncode == 0, shown.stderr
    assert sent(vllm)["top_k"] == 5


@every_kind
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (chat(topk=5), "unexpected keyword argument 'topk'. Did you mean `top_k`?"),
        (chat(temprature=1), "Did you mean `temperature`?"),
        (chat(guided_json={}), 'Use structured_outputs={"json": ...}.'),
        (chat(thinking="yes"), "`thinking` takes True or False"),
        (complete(thinking=True), "unexpected keyword argument 'thinking'"),
        (complete(zzz=1), "extra_body"),
        (lambda client: client.embeddings.create(model="m", input="x", top_k=1), "Embeddings.create()"),
    ],
)
def test_unknown_keyword(caller: Caller, vllm: Simulator, call: Any, says: str) -> None:
    """A keyword that neither the SDK nor vLLM knows is a TypeError, with the nearest name, and nothing is sent."""
    with pytest.raises(TypeError) as raised:
        caller.run(call, base_url=vllm.url)
    assert says in str(raised.value)
    assert vllm.requests == []


@pytest.mark.parametrize("kind", ["chat", "completions", "embeddings"])
def test_every_typed_parameter_leaves(kind: Any, vllm: Simulator, pooling: Simulator) -> None:
    """Each of vLLM's own parameters is taken as a keyword and stands in the body under its name."""
    names = sorted(taken(kind) - {"messages", "chat_template", "media_io_kwargs", "mm_processor_kwargs"})
    given: Any = dict.fromkeys(names)
    server = pooling if kind == "embeddings" else vllm
    # Null is no value for many of them.
    with OpenAI(base_url=server.url, parameters="off") as client, contextlib.suppress(openai.BadRequestError):
        if kind == "chat":
            client.chat.completions.create(model="m", messages=MESSAGES, **given)
        elif kind == "completions":
            client.completions.create(model="m", prompt="x", **given)
        else:
            client.embeddings.create(model="embedder", input="x", **given)
    assert set(names) <= server.requests[-1].json().keys()


@every_kind
@pytest.mark.parametrize("way", ["raw", "parse", "stream manager"])
def test_other_ways(caller: Caller, vllm: Simulator, way: str) -> None:
    """Raw responses, `parse()` and `stream()` take the same keywords, and are looked over as `create()` is."""
    parameters: Any = {"model": "m", "messages": MESSAGES, "top_k": 5, "extra_body": {"guided_choice": ["a"]}}

    def blocking(client: Any) -> None:
        if way == "raw":
            client.chat.completions.with_raw_response.create(**parameters).parse()
        elif way == "parse":
            client.chat.completions.parse(**parameters)
        else:
            with client.chat.completions.stream(**parameters) as events:
                list(events)

    async def asynchronous(client: Any) -> None:
        if way == "raw":
            (await client.chat.completions.with_raw_response.create(**parameters)).parse()
        elif way == "parse":
            await client.chat.completions.parse(**parameters)
        else:
            async with client.chat.completions.stream(**parameters) as events:
                [event async for event in events]

    caller.run(blocking if caller.kind == "blocking" else asynchronous, base_url=vllm.url)
    body = sent(vllm)
    assert (body["top_k"], body["structured_outputs"]) == (5, {"choice": ["a"]})
    assert "guided_choice" not in body


@pytest.mark.parametrize("setting", ["parameters", "fit", "system_roles"])
def test_settings(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the three is an argument, a variable and a line of a file, and takes its own words alone."""
    word = {"parameters": "strict", "fit": "clamp", "system_roles": "fold"}[setting]
    with pytest.raises(SettingsError, match=setting):
        OpenAI(**{setting: "loud"})  # type: ignore[arg-type]
    assert getattr(OpenAI(**{setting: word}).settings, setting) == word  # type: ignore[arg-type]
    monkeypatch.setenv(f"VLLMCONNECT_{setting.upper()}", word)
    assert getattr(OpenAI().settings, setting) == word
    Path("vllm-connect.toml").write_text(f'{setting} = "loud"', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"vllm-connect\.toml"):
        OpenAI()
    Path("vllm-connect.toml").unlink()
    monkeypatch.setenv(f"VLLMCONNECT_{setting.upper()}", "loud")
    with pytest.raises(SettingsError, match="VLLMCONNECT"):
        OpenAI()


# -- thinking, roles, fit, vectors


@pytest.mark.parametrize(
    ("model", "switch"),
    [
        ("Qwen/Qwen3-8B", "enable_thinking"),
        ("qwen3-next-80b", "enable_thinking"),
        ("deepseek-ai/DeepSeek-V3.1", "thinking"),
        ("deepseek-ai/DeepSeek-V3.2-Exp", "thinking"),
        ("ibm-granite/granite-3.2-8b-instruct", "thinking"),
        ("zai-org/GLM-4.5-Air", "enable_thinking"),
        ("google/gemma-4-12b", "enable_thinking"),
    ],
)
def test_thinking_by_family(model: str, switch: str) -> None:
    """`thinking` is the family's own switch, found by any name of the model; what is given by itself goes before."""
    assert template_kwargs(None, (model,), "s", wanted=False) == {switch: False}
    assert template_kwargs({"x": 1, switch: True}, ("alias", model), "s", wanted=False) == {
        "x": 1,
        switch: True,
    }


@pytest.mark.parametrize(
    ("model", "wanted", "says"),
    [
        ("mystery-7b", True, "not known"),
        ("Qwen/QwQ-32B", False, "always thinks"),
        ("deepseek-ai/DeepSeek-R1", False, "always thinks"),
        ("openai/gpt-oss-20b", False, "reasoning_effort"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", True, "never thinks"),
    ],
)
def test_thinking_without_a_switch(model: str, wanted: bool, says: str) -> None:  # noqa: FBT001 - a column
    """A model without a switch, or of an unknown family, refuses what it cannot do and says what to write."""
    with pytest.raises(ParameterRefused, match=says):
        template_kwargs(None, (model,), "s", wanted=wanted)
    if says != "not known":
        assert template_kwargs(None, (model,), "s", wanted=not wanted) is None


@every_kind
def test_thinking(caller: Caller) -> None:
    """`thinking=` reaches the server as the model's own switch, with the model left out too, and not by its own name."""
    with Simulator(models=("qwen3-8b", "org/model")) as server:
        caller.run(
            chat_without_model({"messages": MESSAGES, "thinking": True, "model": "qwen3-8b"}),
            base_url=server.url,
        )
        assert len(server.requests) == 1  # the name itself tells
        for parameters in ({}, {"model": "qwen3-8b"}, {"extra_body": {"chat_template_kwargs": {"x": 1}}}):
            call: Any = {"messages": MESSAGES, "thinking": False, **parameters}
            caller.run(chat_without_model(call), base_url=server.url)
            body = sent(server)
            assert body["chat_template_kwargs"]["enable_thinking"] is False
            assert not any("thinking" in name for name in body)


def test_folded() -> None:
    """Instructions stand in one system message at the start, in their order; where they do, nothing changes."""
    late = [*MESSAGES, {"role": "developer", "content": "a"}, {"role": "system", "content": "b"}]
    assert folded(late) == [{"role": "system", "content": "a\n\nb"}, *MESSAGES]
    assert folded([{"role": "developer", "content": "a"}]) == [{"role": "system", "content": "a"}]
    twice = [{"role": "system", "content": "a"}, {"role": "developer", "content": "b"}]
    assert folded(twice) == [{"role": "system", "content": "a\n\nb"}]
    parts = [{"type": "text", "text": "p"}]
    mixed = [{"role": "system", "content": parts}, *MESSAGES, {"role": "system", "content": "b"}]
    assert folded(mixed) == [
        {"role": "system", "content": [*parts, {"type": "text", "text": "b"}]},
        *MESSAGES,
    ]
    assert folded([{"role": "system", "content": "a"}, *MESSAGES]) is None
    assert folded(iter(late)) is None


@every_kind
def test_roles_are_folded_where_asked_for(caller: Caller, vllm: Simulator) -> None:
    """`system_roles="fold"` folds, and by default messages leave as they are."""
    messages = [{"role": "developer", "content": "a"}, *MESSAGES]
    told(caller, vllm.url, chat(messages=messages))
    assert sent(vllm)["messages"] == messages
    told(caller, vllm.url, chat(messages=messages), system_roles="fold")
    assert sent(vllm)["messages"] == [{"role": "system", "content": "a"}, *MESSAGES]


@every_kind
def test_fit(caller: Caller) -> None:
    """With "clamp" the answer is lowered to what the server's own count leaves of the context; "error" tells both numbers."""
    with Simulator(models=("m",), max_model_len=64) as small:
        told(caller, small.url, chat(max_tokens=1000), fit="clamp")
        clamped = sent(small)["max_tokens"]
        counted = caller.run(lambda client: client.server.tokenize(messages=MESSAGES), base_url=small.url)
        assert clamped == 64 - counted.count
        told(caller, small.url, complete(max_tokens=5), fit="error")
        assert sent(small)["max_tokens"] == 5
        before = len(small.requests)
        refused, _ = told(caller, small.url, chat(max_tokens=1000), fit="error")
        assert isinstance(refused, ParameterRefused)
        assert all(str(number) in str(refused) for number in (counted.count, 64, clamped, 1000))
        long = chat(messages=[{"role": "user", "content": "word " * 200}])
        refused, _ = told(caller, small.url, long, fit="clamp")
        assert isinstance(refused, ParameterRefused)
        assert "no room" in str(refused)
        assert "/v1/chat/completions" not in {request.path for request in small.requests[before:]}


@every_kind
def test_fit_without_a_count(caller: Caller, vllm: Simulator) -> None:
    """Where /tokenize is hidden the call goes on as it is, which is said."""
    with gateway(vllm.url, {"/tokenize": HIDDEN}) as url:
        answer, adaptations = told(caller, url, chat(max_tokens=5), fit="clamp")
    assert not isinstance(answer, ParameterRefused)
    assert [one.action for one in adaptations] == ["not fitted"]


@every_kind
@pytest.mark.parametrize(
    "own",
    [
        {"embed_dtype": "float16"},
        {"embed_dtype": "bfloat16"},
        {"endianness": "big"},
        {"embed_dtype": "float32"},
    ],
)
@pytest.mark.parametrize("place", ["keyword", "extra_body"])
def test_vectors_in_other_encodings(caller: Caller, pooling: Simulator, own: Any, place: str) -> None:
    """A vector is the same whatever encoding was asked for beside: the SDK would read other numbers from its base64."""

    def embed(client: Any, **more: Any) -> Any:
        return client.embeddings.create(model="embedder", input="x", **more)

    given = own if place == "keyword" else {"extra_body": own}
    plain = caller.run(embed, base_url=pooling.url).data[0].embedding
    other = caller.run(lambda client: embed(client, **given), base_url=pooling.url).data[0].embedding
    assert other == pytest.approx(plain, abs=1e-2)


# Forks.


FORKED = """
import os, sys, threading, time
from vllm_connect import OpenAI

client = OpenAI(base_url=sys.argv[1], api_key="k", model="m", max_retries=0)

def ask():
    client.completions.create(prompt="Hello", max_tokens=1, extra_body={"topk": 1}, timeout=30)

thread = threading.Thread(target=ask, daemon=True)
thread.start()
deadline = time.monotonic() + 10
while not client._catalogue.asking.locked() and time.monotonic() < deadline:
    time.sleep(0.01)
child = os.fork()
if not child:
    os._exit(0 if client._catalogue.asking.acquire(timeout=0) else 1)
print(os.waitpid(child, 0)[1], client._catalogue.asking.locked(), flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are of POSIX")
def test_fork_while_the_server_is_asked_what_it_is() -> None:
    """A process that is forked while another thread asks the server what it is does not wait for that thread."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        ran = subprocess.run(
            [sys.executable, "-c", FORKED, url], capture_output=True, text=True, check=False, timeout=50
        )
    assert (ran.stdout.strip(), ran.stderr) == ("0 True", "")
