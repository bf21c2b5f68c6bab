"""How callers use the package, as type checkers see it; checked by `./dev check`, never run."""

from __future__ import annotations

from typing import assert_type

import openai
from openai import AsyncStream, Stream
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam

from vllm_connect import AsyncOpenAI, OpenAI, Settings, Timeouts, Tls
from vllm_connect.client.server import Adaptation, Metrics, Ranking, Tokenization
from vllm_connect.facts import Kind
from vllm_connect.simulator import RecordedRequest, Rule, Simulator

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


def takes_any_openai_client(client: openai.OpenAI) -> None:
    """As every library based on openai does."""


def blocking() -> None:
    client = OpenAI(
        base_url="gpu1:8000",
        api_key="key",
        profile="prod",
        model="qwen",
        model_aliases={"gpt-4o": "qwen"},
        timeouts=Timeouts(connect=5, first_token=600, between_tokens=120, total=None, ready=0),
        tls=Tls(ca="ca.pem"),
    )
    takes_any_openai_client(client)
    assert_type(client.chat.completions.create(messages=MESSAGES), ChatCompletion)
    assert_type(client.chat.completions.create(model="m", messages=MESSAGES, temperature=0.5), ChatCompletion)
    assert_type(client.chat.completions.create(messages=MESSAGES, stream=True), Stream[ChatCompletionChunk])
    assert_type(client.completions.create(prompt="x", timeouts=Timeouts(total=5)), Completion)
    assert_type(client.completions.create(prompt="x", stream=True), Stream[Completion])
    assert_type(client.embeddings.create(input=["x"], timeout=3), CreateEmbeddingResponse)
    assert_type(client.with_options(timeout=3), OpenAI)
    assert_type(client.timeouts, Timeouts)
    assert_type(client.settings, Settings)
    client.wait_until_ready(30, report=print)
    assert_type(client.server.info().kind, Kind | None)
    assert_type(client.server.tokenize("x", timeout=3).tokens, list[int])
    assert_type(client.server.rerank("x", ["y"], top_n=1), Ranking)
    assert_type(client.server.metrics(timeouts=Timeouts(total=3)), Metrics)
    assert_type(client.server.health(), bool)
    client.server.tokenize("x", add_special_token=True)  # type: ignore[call-arg]  # a misspelling
    client.server.tokenize(3)  # type: ignore[arg-type]
    client.chat.completions.create(messages=MESSAGES, temprature=1)  # type: ignore[call-overload]  # a misspelling


def parameters() -> None:
    """Parameters of vLLM's own are typed keywords, with the overloads of streams kept."""
    client = OpenAI(parameters="strict", fit="clamp", system_roles="fold")
    assert_type(
        client.chat.completions.create(
            messages=MESSAGES,
            top_k=5,
            structured_outputs={"choice": ["yes", "no"]},
            ignore_eos=True,
            chat_template_kwargs={"enable_thinking": False},
            repetition_detection={"max_pattern_size": 4, "min_count": 3},
            truncation_side="left",
        ),
        ChatCompletion,
    )
    assert_type(
        client.chat.completions.create(messages=MESSAGES, stream=True, min_p=0.1, thinking=False),
        Stream[ChatCompletionChunk],
    )
    assert_type(client.completions.create(prompt="x", min_tokens=3, response_format=None), Completion)
    assert_type(client.completions.create(prompt="x", stream=True, top_k=1), Stream[Completion])
    assert_type(
        client.embeddings.create(input="x", embed_dtype="float16", endianness="big"), CreateEmbeddingResponse
    )
    assert_type(client.server.adaptations(), tuple[Adaptation, ...])
    client.chat.completions.create(messages=MESSAGES, top_k="5")  # type: ignore[call-overload]  # a text
    client.chat.completions.create(messages=MESSAGES, topk=5)  # type: ignore[call-overload]  # a misspelling
    client.chat.completions.create(messages=MESSAGES, structured_outputs={"choices": ["a"]})  # type: ignore[call-overload]
    client.embeddings.create(input="x", top_k=5)  # type: ignore[call-arg]  # of another kind of request
    OpenAI(parameters="loud")  # type: ignore[arg-type]


async def asynchronous() -> None:
    client = AsyncOpenAI()
    assert_type(await client.chat.completions.create(messages=MESSAGES), ChatCompletion)
    stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
    assert_type(stream, AsyncStream[ChatCompletionChunk])
    answer = await client.chat.completions.create(messages=MESSAGES, top_k=5, thinking=True)
    assert_type(answer, ChatCompletion)
    assert_type((await client.server.info()).version, str | None)
    assert_type(await client.server.tokenize(messages=MESSAGES), Tokenization)
    await client.wait_until_ready()


def simulated() -> None:
    with Simulator("pooling", models=("m",), api_key="key", own_process=True, token_delay=0.1) as server:
        assert_type(server, Simulator)
        assert_type(server.requests, list[RecordedRequest])
        assert_type(server.pid, int | None)
        with server.faults.turn_on("stall", after_events=3, path="/v1/*"):
            assert_type(server.faults.active, tuple[Rule, ...])
        assert_type(server.faults.url("stall", after_events=3), str)
        server.pace(token_delay=0, jitter=0.5)
    Simulator(modles=("m",))  # type: ignore[call-arg]  # a misspelling
    Simulator(kind="rerank")  # type: ignore[arg-type]
