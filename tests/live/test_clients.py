"""The clients against real vLLM: what the README promises, on the four endpoints."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import openai
import pytest

from tests.callers import Caller, every_kind
from tests.live.servers import Certificates, Server
from vllm_connect import DeadlineExceeded, OpenAI, ServerUnreachable, Timeouts, Tls
from vllm_connect.discovery import Ready

MESSAGES: Any = [{"role": "user", "content": "Tell me about the sea."}]
GREEDY: Any = {"temperature": 0, "max_tokens": 12}
WEATHER: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"enum": ["Rome", "Oslo"]}},
                "required": ["city"],
            },
        },
    }
]


def set_up(server: Server, key: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the arguments of a client for a server."""
    return {"base_url": server.url, "api_key": key, **more}


@pytest.mark.timeout(240)
def test_cold_start(cold_server: Server, live_key: str) -> None:
    """A loading vLLM refuses connections; waiting ends when it serves, and the next call works."""
    with OpenAI(**set_up(cold_server, live_key, max_retries=0)) as client:
        with pytest.raises(ServerUnreachable, match="still loading"):
            client.models.list()
        events: list[Any] = []
        client.wait_until_ready(180, report=events.append)
        assert isinstance(events[-1], Ready)
        assert any(event.answer == "connection refused" for event in events[:-1])
        assert (
            client.chat.completions.create(messages=MESSAGES, **GREEDY).choices[0].finish_reason == "length"
        )


@every_kind
def test_chat(caller: Caller, chat_server: Server, live_key: str) -> None:
    """A chat call without a model answers; its stream yields the same text."""
    given = set_up(chat_server, live_key)
    whole = caller.run(lambda client: client.chat.completions.create(messages=MESSAGES, **GREEDY), **given)
    assert type(whole) is openai.types.chat.ChatCompletion
    assert (whole.model, whole.choices[0].finish_reason) == ("tiny", "length")
    chunks = caller.run(
        lambda client: client.chat.completions.create(
            messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **GREEDY
        ),
        **given,
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == 12


@every_kind
def test_completions(caller: Caller, chat_server: Server, live_key: str) -> None:
    """Text completions work without a model, whole and streamed, several prompts at once."""
    given = set_up(chat_server, live_key)
    whole = caller.run(
        lambda client: client.completions.create(prompt=["The sea", "A tree"], **GREEDY), **given
    )
    assert [choice.index for choice in whole.choices] == [0, 1]
    chunks = caller.run(
        lambda client: client.completions.create(prompt="The sea", stream=True, **GREEDY), **given
    )
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text


@every_kind
def test_embeddings(caller: Caller, embed_server: Server) -> None:
    """Embeddings without a key and without a model: unit vectors, equal in both encodings, close for close texts."""
    texts = ["a ship on the sea", "a boat on the ocean", "a tax form"]
    given = set_up(embed_server)
    default = caller.run(lambda client: client.embeddings.create(input=texts), **given)
    floats = caller.run(
        lambda client: client.embeddings.create(input=texts, encoding_format="float"), **given
    )
    one, two, three = (item.embedding for item in default.data)
    assert len(one) == 384
    assert math.isclose(math.hypot(*one), 1.0, abs_tol=1e-3)
    assert one == pytest.approx(floats.data[0].embedding, abs=1e-6)
    assert dot(one, two) > dot(one, three) + 0.2


def dot(one: list[float], two: list[float]) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True))


@every_kind
def test_models_and_info(caller: Caller, chat_server: Server, live_key: str) -> None:
    """The served names are listed, one is retrieved though vLLM has no such route, and the server tells what it is."""
    given = set_up(chat_server, live_key)
    assert [model.id for model in caller.run(lambda client: client.models.list(), **given).data] == [
        "tiny",
        "tiny-alias",
    ]
    assert caller.run(lambda client: client.models.retrieve("tiny-alias"), **given).id == "tiny-alias"
    with pytest.raises(openai.NotFoundError, match="Did you mean 'tiny-alias'"):
        caller.run(lambda client: client.models.retrieve("tiny-alais"), **given)
    facts = caller.run(lambda client: client.server.info(), **given)
    assert facts.version == "0.32.0"
    assert [(model.id, model.max_model_len) for model in facts.base_models] == [("tiny", 1024)]


@every_kind
@pytest.mark.parametrize("asked", ["tiny", "tiny-alias", "gpt-4o"])
def test_aliases(caller: Caller, chat_server: Server, live_key: str, asked: str) -> None:
    """Served names and names of one's own reach the model."""
    answer = caller.run(
        lambda client: client.chat.completions.create(model=asked, messages=MESSAGES, **GREEDY),
        **set_up(chat_server, live_key, model_aliases={"gpt-4o": "tiny-alias"}),
    )
    assert answer.choices[0].finish_reason == "length"


@every_kind
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_tools(caller: Caller, chat_server: Server, live_key: str, choice: Any) -> None:
    """A forced tool call comes back parsed, with arguments that fit its schema."""
    # At temperature 0 random weights repeat one allowed token, white space, to the end of the context.
    answer = caller.run(
        lambda client: client.chat.completions.create(
            messages=MESSAGES, tools=WEATHER, tool_choice=choice, temperature=1, seed=1
        ),
        **set_up(chat_server, live_key),
    )
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in ("Rome", "Oslo")


@every_kind
def test_tls(caller: Caller, tls_server: Server, live_key: str, certificates: Certificates) -> None:
    """With the private authority's certificate a TLS server answers; without it the error says what to give."""
    given = set_up(tls_server, live_key)
    trusting = {**given, "tls": Tls(ca=str(certificates.authority))}
    answer = caller.run(
        lambda client: client.chat.completions.create(messages=MESSAGES, **GREEDY), **trusting
    )
    assert answer.model == "tiny"
    with pytest.raises(ServerUnreachable, match=r"certificate is not trusted.*tls=Tls\(ca=") as caught:
        caller.run(lambda client: client.models.list(), **given)
    assert caught.value.attempts == 1
    plain = {**given, "base_url": tls_server.url.replace("https:", "http:")}
    with pytest.raises(ServerUnreachable, match="write https:// in place of http://"):
        caller.run(lambda client: client.models.list(), **plain, max_retries=0)


@every_kind
def test_unix_socket(caller: Caller, uds_server: Server) -> None:
    """A server at a unix socket answers, streams and tells what it is."""
    given = set_up(uds_server)
    chunks = caller.run(
        lambda client: client.chat.completions.create(messages=MESSAGES, stream=True, **GREEDY), **given
    )
    assert chunks[-1].choices[0].finish_reason == "length"
    assert caller.run(lambda client: client.server.info(), **given).version == "0.32.0"


@every_kind
@pytest.mark.parametrize("key", ["wrong-key", None])
def test_wrong_key(caller: Caller, chat_server: Server, key: str | None) -> None:
    """A wrong and a missing key are openai's AuthenticationError, with what to do."""
    advice = "refused the API key from argument" if key else "wants an API key and none was sent"
    with pytest.raises(openai.AuthenticationError, match=advice):
        caller.run(lambda client: client.models.list(), **set_up(chat_server, key))


@every_kind
def test_mistakes(caller: Caller, chat_server: Server, embed_server: Server, live_key: str) -> None:
    """A wrong model, a wrong kind of server and a wrong base path are told in words."""
    given = set_up(chat_server, live_key)
    with pytest.raises(
        openai.NotFoundError,
        match=r"Valid aliases: tiny, tiny-alias.*Name one that it serves: tiny, tiny-alias",
    ):
        caller.run(lambda client: client.chat.completions.create(model="nope", messages=MESSAGES), **given)
    with pytest.raises(
        openai.NotFoundError, match=r"chat needs a generate server.*with a model that generates text"
    ):
        caller.run(
            lambda client: client.chat.completions.create(model="minilm", messages=MESSAGES),
            **set_up(embed_server),
        )
    with pytest.raises(openai.NotFoundError, match="lacks its /v1"):
        caller.run(
            lambda client: client.models.list(), **{**given, "base_url": f"{chat_server.root_url}/wrong"}
        )
    with pytest.raises(openai.BadRequestError, match="max_tokens=5000 cannot be greater"):
        caller.run(lambda client: client.completions.create(prompt="x", max_tokens=5000), **given)


@every_kind
@pytest.mark.parametrize("streamed", [False, True])
def test_deadline(caller: Caller, chat_server: Server, live_key: str, *, streamed: bool) -> None:
    """A call ends at its total, is not repeated, and vLLM stops generating for it."""
    endless: Any = {"max_tokens": 1000, "temperature": 0, "extra_body": {"ignore_eos": True}}
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"total of 0.5 s"):
        caller.run(
            lambda client: client.chat.completions.create(
                messages=MESSAGES, stream=streamed, timeouts=Timeouts(total=0.5), **endless
            ),
            **set_up(chat_server, live_key, model="tiny"),
        )
    assert time.monotonic() - started < 2
    assert idle_within(chat_server, seconds=3)


def idle_within(server: Server, seconds: float) -> bool:
    """Whether vLLM's gauge of running requests falls to 0 in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lines = server.ask("GET", "/metrics").body.decode().splitlines()
        running = [
            float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:num_requests_running")
        ]
        if running and not any(running):
            return True
        time.sleep(0.05)
    return False


def test_same_as_plain_openai(chat_server: Server, live_key: str) -> None:
    """Plain openai and we get the same answer from the same server, field by field, whole and streamed."""
    given: Any = {"base_url": chat_server.url, "api_key": live_key}
    asked: Any = {"model": "tiny", "messages": MESSAGES, "logprobs": True, "top_logprobs": 2, **GREEDY}
    volatile = {"id": True, "created": True}
    with openai.OpenAI(**given) as plain, OpenAI(**given) as ours:
        one, two = (client.chat.completions.create(**asked) for client in (plain, ours))
        assert one.model_dump(exclude=volatile) == two.model_dump(exclude=volatile)
        # How many tokens vLLM puts into one chunk is a matter of its load, not of the request.
        ones, twos = (
            streamed(client.chat.completions.create(**asked, stream=True)) for client in (plain, ours)
        )
        assert ones == twos


def streamed(chunks: Any) -> tuple[str, list[Any], set[type], str | None]:
    """Return what a stream says, however it is cut: text, log probabilities, types, finish reason."""
    kept = [chunk for chunk in chunks if chunk.choices]
    choices = [chunk.choices[0] for chunk in kept]
    tokens = [
        token.model_dump() for choice in choices if choice.logprobs for token in choice.logprobs.content
    ]
    text = "".join(choice.delta.content or "" for choice in choices)
    return text, tokens, {type(chunk) for chunk in kept}, choices[-1].finish_reason
