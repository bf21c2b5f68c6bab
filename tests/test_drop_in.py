"""Drop-in is the first law: the same call makes the same request, byte for byte, as plain openai."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import openai
import pytest

import vllm_connect
from vllm_connect.simulator import RecordedRequest, Reply, Simulator

KEY = "simulator-key"
MESSAGES: Any = [{"role": "user", "content": "Grüße \u2028 \U0001f600"}]
MODEL = "sim-model"
CHAT = {"model": MODEL, "messages": MESSAGES}


def history(client: Any) -> Any:
    """Append a reply to the history as a model, as most programs do."""
    reply = openai.types.chat.ChatCompletionMessage.model_validate(
        {"role": "assistant", "content": "hi", "reasoning": "because", "tool_calls": None}
    )
    return client.chat.completions.create(model=MODEL, messages=[*MESSAGES, reply, *MESSAGES])


def generator(client: Any) -> Any:
    """Give the messages as a generator."""
    return client.chat.completions.create(model=MODEL, messages=(message for message in MESSAGES))


# Every parameter of openai 2.25, in an order that is not the SDK's.
EVERY_CHAT_PARAMETER: dict[str, Any] = {
    "web_search_options": {"search_context_size": "low"},
    "verbosity": "low",
    "user": "u",
    "top_p": 1,
    "top_logprobs": 2,
    "tools": ({"type": "function", "function": {"name": "f"}},),
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "temperature": 1e-7,
    "stream_options": {"include_usage": True},
    "stream": True,
    "store": False,
    "stop": ["a", "\n"],
    "service_tier": "auto",
    "seed": 2**40,
    "safety_identifier": "s",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "reasoning_effort": "low",
    "prompt_cache_retention": None,
    "prompt_cache_key": "k",
    "presence_penalty": -0.5,
    "prediction": {"type": "content", "content": "c"},
    "parallel_tool_calls": True,
    "n": 2,
    "modalities": ["text"],
    "metadata": {"key": "value"},
    "max_tokens": 5,
    "max_completion_tokens": 6,
    "logprobs": True,
    "logit_bias": {"50256": -100},
    "functions": [{"name": "f"}],
    "function_call": "none",
    "frequency_penalty": 0.25,
    "audio": {"voice": "alloy", "format": "wav"},
    "model": MODEL,
    "messages": MESSAGES,
}


def parts(client: Any) -> Any:
    """Give contents of parts, and a tool's answer in the history."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return client.chat.completions.create(
        model=MODEL,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "x"},
                    {"type": "image_url", "image_url": {"url": "data:,"}},
                ],
            },
            {"role": "assistant", "content": None, "tool_calls": (call,)},
            {"role": "tool", "tool_call_id": "c", "content": "{}"},
        ],
    )


CALLS: dict[str, Callable[[Any], Any]] = {
    "chat": lambda client: client.chat.completions.create(**CHAT),
    "chat, streamed": lambda client: client.chat.completions.create(
        **CHAT, stream=True, stream_options={"include_usage": True}
    ),
    "chat, every kind of nothing": lambda client: client.chat.completions.create(
        **CHAT, temperature=openai.omit, top_p=openai.NOT_GIVEN, seed=None, stop=None, n=1
    ),
    "chat, model none": lambda client: client.chat.completions.create(messages=MESSAGES, model=None),
    "chat, history": history,
    "chat, generator": generator,
    "chat, tools": lambda client: client.chat.completions.create(
        **CHAT,
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        tool_choice="auto",
    ),
    "chat, extras": lambda client: client.chat.completions.create(
        **CHAT,
        extra_headers={"X-Session-ID": "s", "Authorization": "Bearer mine"},
        extra_query={"a": "b", "c": ["d", "e"]},
        extra_body={"top_k": 5, "chat_template_kwargs": {"enable_thinking": False}},
        timeout=5,
    ),
    "chat, no authorization": lambda client: client.chat.completions.create(
        **CHAT, extra_headers={"Authorization": openai.omit}
    ),
    "chat, everything": lambda client: client.chat.completions.create(**EVERY_CHAT_PARAMETER),
    "chat, parts": parts,
    "chat, omitted by the body": lambda client: client.chat.completions.create(
        **CHAT, n=2, extra_body={"n": openai.omit, "model": "other", "messages": []}
    ),
    "chat, a timeout of a whole number": lambda client: client.chat.completions.create(**CHAT, timeout=5.0),
    "chat, raw": lambda client: client.chat.completions.with_raw_response.create(**CHAT),
    "completions": lambda client: client.completions.create(
        model=MODEL, prompt=["a", "b"], max_tokens=3, logprobs=None
    ),
    "completions, token ids": lambda client: client.completions.create(model=MODEL, prompt=[1, 2, 3]),
    "completions, everything": lambda client: client.completions.create(
        user="u",
        top_p=1,
        temperature=0.5,
        suffix="s",
        stop="x",
        seed=1,
        n=1,
        max_tokens=1,
        logprobs=1,
        logit_bias={"1": 2},
        frequency_penalty=1,
        presence_penalty=1,
        echo=True,
        best_of=1,
        prompt=[[1, 2], [3]],
        model=MODEL,
    ),
    "embeddings, everything": lambda client: client.embeddings.create(
        user="u", encoding_format="base64", dimensions=8, model=MODEL, input=[[1, 2], [3]]
    ),
    "models, with extras": lambda client: client.models.list(
        extra_query={"a": "b"}, extra_headers={"X-A": "b"}, timeout=3
    ),
    "embeddings": lambda client: client.embeddings.create(model=MODEL, input="text"),
    "embeddings, floats": lambda client: client.embeddings.create(
        model=MODEL, input=["a"], encoding_format="float"
    ),
    "models": lambda client: client.models.list(),
    "models, one": lambda client: client.models.retrieve("org/sim model"),
    "responses": lambda client: client.responses.create(model=MODEL, input="hello"),
    "file": lambda client: client.files.create(file=("a.txt", b"content"), purpose="batch"),
    "raw post": lambda client: client.post("/../tokenize", cast_to=object, body={"prompt": "x"}),
    "options": lambda client: client.with_options(
        timeout=3, default_headers={"X-More": "1"}, default_query={"q": "1"}
    ).chat.completions.create(**CHAT),
}
CLIENT: dict[str, Any] = {
    "default_headers": {"X-Default": "yes"},
    "default_query": {"v": "1"},
    "max_retries": 0,
}
# What differs by nature: the port, the random boundary of a form.
BOUNDARY = b"boundary="
# What differs by intent: we ask for none, see docs/deviations.md.
COMPRESSION = {b"accept-encoding": b"-"}
# What is asked before a request that holds parameters which a vLLM ignores.
QUESTIONS = {"/v1/models", "/version", "/openapi.json"}


def recorded(package: Any, call: Callable[[Any], Any], *, is_async: bool) -> RecordedRequest:
    """Make one call with a client of this package; return the request that left."""
    with Simulator(models=(MODEL,)) as server:
        server.reply_next(Reply(200, {"content-type": "application/json"}, b'{"object":"list","data":[]}'))
        given = {"base_url": server.url, "api_key": KEY, **CLIENT}
        if is_async:
            anyio.run(_acall, package, call, given)
        else:
            with package.OpenAI(**given) as client:
                _ignoring_answers(lambda: call(client))
        *asked, request = server.requests
        assert package is vllm_connect or not asked
        assert {one.path for one in asked} <= QUESTIONS
        return request


async def _acall(package: Any, call: Callable[[Any], Any], given: Any) -> None:
    async with package.AsyncOpenAI(**given) as client:
        try:
            await call(client)
        except (ValueError, openai.OpenAIError, AttributeError, TypeError):
            return


def _ignoring_answers(call: Callable[[], Any]) -> None:
    """The recording server answers everything alike; only the request matters."""
    try:
        call()
    except (ValueError, openai.OpenAIError, AttributeError, TypeError):
        return


def comparable(request: RecordedRequest) -> tuple[str, str, list[tuple[bytes, bytes]], bytes]:
    """Return the request without its port, its random boundary, and what is asked of compression."""
    boundary = next((value.partition(BOUNDARY)[2] for _, value in request.headers if BOUNDARY in value), b"")
    headers = [
        (name, COMPRESSION.get(name.lower(), value.replace(boundary, b"-") if boundary else value))
        for name, value in request.headers
        if name.lower() != b"host"
    ]
    return (
        request.method,
        request.target,
        headers,
        request.body.replace(boundary, b"-") if boundary else request.body,
    )


@pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])
@pytest.mark.parametrize("name", CALLS)
def test_same_request(name: str, *, is_async: bool) -> None:
    """A call makes the same request line, headers in the same order, and body as plain openai, byte for byte."""
    ours = recorded(vllm_connect, CALLS[name], is_async=is_async)
    plain = recorded(openai, CALLS[name], is_async=is_async)
    assert comparable(ours) == comparable(plain)


def test_same_answers() -> None:
    """Answers have the SDK's types and values, extra fields included."""
    with Simulator(models=(MODEL,)) as server:
        answers = []
        for package in (openai, vllm_connect):
            with package.OpenAI(base_url=server.url, api_key=KEY) as client:
                answer = client.chat.completions.create(**CHAT, seed=1)
                answers.append(answer.model_copy(update={"id": "", "created": 0}))
                chunks = list(client.chat.completions.create(**CHAT, seed=1, stream=True))
                answers.append([chunk.model_dump(exclude={"id", "created"}) for chunk in chunks])
        assert answers[0] == answers[2]
        assert type(answers[0]) is type(answers[2])
        assert answers[1] == answers[3]
