"""The fast lane: which calls take it, and that what it hands out is what the SDK would have."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

import openai
import pytest
from openai.resources.chat import completions as sdk_completions

import vllm_connect
from tests.callers import Caller, every_kind
from vllm_connect import (
    AnswerIncomplete,
    AsyncOpenAI,
    InvalidAnswer,
    OpenAI,
    RedirectRefused,
    Timeouts,
)
from vllm_connect.simulator import Reply, Simulator

KEY = "simulator-key"
MESSAGES: Any = [{"role": "user", "content": "Say something."}]
CHAT: dict[str, Any] = {"model": "sim-model", "messages": MESSAGES, "max_tokens": 8, "seed": 1}

both_kinds = pytest.mark.parametrize("caller", ["blocking", "asyncio"], indirect=True)


@pytest.fixture
def sent_by_the_sdk(caplog: pytest.LogCaptureFixture) -> Callable[[], int]:
    """How many requests the SDK's own path has sent: its httpx client logs each, the fast lane has none."""
    caplog.set_level(logging.INFO)
    return lambda: sum(record.name in {"httpx", "httpx2"} for record in caplog.records)


class Overriding(OpenAI):
    """A client with a hook of its own."""

    def _prepare_options(self, options: Any) -> Any:
        return super()._prepare_options(options)


LANE: dict[str, Callable[[Any], Any]] = {
    "chat": lambda client: client.chat.completions.create(**CHAT),
    "chat stream": lambda client: client.chat.completions.create(**CHAT, stream=True),
    "raw chat": lambda client: client.chat.completions.with_raw_response.create(**CHAT),
    "completion": lambda client: client.completions.create(model="sim-model", prompt="x"),
    "models": lambda client: client.models.list(),
    "extras": lambda client: client.chat.completions.create(
        **CHAT, timeout=5, extra_body={"top_k": 1}, extra_headers={"X-A": "b"}, extra_query={"a": "b"}
    ),
    "copy": lambda client: client.with_options(timeout=9).chat.completions.create(**CHAT),
}
SDK: dict[str, Callable[[Any], Any]] = {
    "responses": lambda client: client.responses.create(model="sim-model", input="x"),
    "post": lambda client: client.post("/chat/completions", cast_to=object, body=CHAT),
}


@both_kinds
@pytest.mark.parametrize("name", LANE)
def test_takes_the_lane(caller: Caller, server: Simulator, sent_by_the_sdk: Any, name: str) -> None:
    """The calls that the issue names go past the SDK's own path."""
    caller.run(LANE[name], base_url=server.url, api_key=KEY)
    assert (len(server.requests), sent_by_the_sdk()) == (1, 0)


@both_kinds
@pytest.mark.parametrize("name", SDK)
def test_takes_the_path_of_the_sdk(
    caller: Caller, server: Simulator, sent_by_the_sdk: Any, name: str
) -> None:
    """All others take it, and so does everything with `wire="sdk"`."""
    caller.run(SDK[name], base_url=server.url, api_key=KEY)
    caller.run(LANE["chat"], base_url=server.url, api_key=KEY, wire="sdk")
    assert (len(server.requests), sent_by_the_sdk()) == (2, 2)


def test_hooks_of_a_subclass_are_called(server: Simulator, sent_by_the_sdk: Any) -> None:
    """A client class with hooks of its own takes the SDK's path, which calls them."""
    with Overriding(base_url=server.url, api_key=KEY) as client:
        client.chat.completions.create(**CHAT)
    assert sent_by_the_sdk() == 1


class Proxy:
    """What wrapt puts in a function's place: equal to it in every respect but its type."""

    def __init__(self, wrapped: Callable[..., Any], seen: list[str]) -> None:
        self._wrapped = wrapped
        self._seen = seen

    def __eq__(self, other: object) -> bool:
        return self._wrapped == other

    def __hash__(self) -> int:
        return hash(self._wrapped)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else partial(self, instance)

    def __call__(self, instance: Any, **parameters: Any) -> Any:
        self._seen.append(parameters["model"])
        return self._wrapped(instance, **parameters)


def patch_by_function(wrapped: Callable[..., Any], seen: list[str]) -> Callable[..., Any]:
    @wraps(wrapped)
    def traced(self: Any, **parameters: Any) -> Any:
        seen.append(parameters["model"])
        return wrapped(self, **parameters)

    return traced


@pytest.mark.parametrize("patch", [patch_by_function, Proxy])
def test_a_patched_create_is_called(
    server: Simulator, sent_by_the_sdk: Any, monkeypatch: pytest.MonkeyPatch, patch: Any
) -> None:
    """Tracers replace `create` of the SDK's classes, at any time: our call goes through theirs, and only then."""
    seen: list[str] = []
    with OpenAI(base_url=server.url, api_key=KEY) as client, monkeypatch.context() as patched:
        client.chat.completions.create(**CHAT)
        patched.setattr(
            sdk_completions.Completions, "create", patch(sdk_completions.Completions.create, seen)
        )
        client.chat.completions.create(**CHAT)
        patched.undo()
        client.chat.completions.create(**CHAT)
    assert (seen, sent_by_the_sdk()) == (["sim-model"], 1)


@both_kinds
@pytest.mark.parametrize("name", ["chat", "chat stream", "completion", "models"])
def test_the_same_as_the_sdk(caller: Caller, server: Simulator, name: str) -> None:
    """Type by type and field by field the answer is what the SDK makes of it."""
    ours, sdks = (
        caller.run(LANE[name], base_url=server.url, api_key=KEY, wire=wire) for wire in ("own", "sdk")
    )
    ours, sdks = (answer if isinstance(answer, list) else [answer] for answer in (ours, sdks))
    assert [type(one) for one in ours] == [type(one) for one in sdks]
    for mine, theirs in zip(ours, sdks, strict=True):
        changing = {"id", "created", "data"}
        assert mine.model_dump(exclude=changing) == theirs.model_dump(exclude=changing)
        assert mine.model_fields_set == theirs.model_fields_set
        assert vars(mine).keys() == vars(theirs).keys()


def test_stream_is_the_sdks() -> None:
    """A stream is the SDK's class: iterator, context manager, with the response it came in; closing is final."""
    with Simulator(models=("sim-model",)) as server, OpenAI(base_url=server.url) as client:
        stream = client.chat.completions.create(**CHAT, stream=True)
        assert isinstance(stream, openai.Stream)
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        with stream as entered:
            first = next(entered)
        assert first.choices[0].delta.role == "assistant"
        assert list(stream) == []
        raw = client.chat.completions.with_raw_response.create(**CHAT, stream=True).parse()
        assert isinstance(raw, openai.Stream)
        assert len(list(raw)) > 1


def test_response_of_a_stream_can_be_read_instead(server: Simulator) -> None:
    """Code that reads the bytes of `stream.response` gets the events that are still to come."""
    with OpenAI(base_url=server.url, api_key=KEY) as client:
        stream = client.chat.completions.create(**CHAT, stream=True)
        next(stream)
        lines = [line for line in stream.response.iter_lines() if line]
    assert lines[0].startswith("data: {")
    assert lines[-1] == "data: [DONE]"


@pytest.mark.parametrize("how", ["close", "drop", "break and drop"])
def test_leaving_a_stream_ends_the_work(how: str) -> None:
    """A stream that is closed or dropped closes its connection at once: the server stops."""
    with Simulator(models=("sim-model",), token_delay=0.05) as server, OpenAI(base_url=server.url) as client:
        stream = client.chat.completions.create(model="sim-model", messages=MESSAGES, stream=True)
        next(stream)
        if how == "close":
            stream.close()
        elif how == "break and drop":
            for _ in stream:
                break
        del stream
        gc.collect()
        assert becomes(lambda: server.aborted == 1)


def becomes(condition: Callable[[], bool], within: float = 5.0) -> bool:
    end = time.monotonic() + within
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@both_kinds
def test_raw_response(caller: Caller, server: Simulator) -> None:
    """A raw response is the SDK's class with a real httpx response behind it, and the key masked."""
    raw = caller.run(LANE["raw chat"], base_url=server.url, api_key=KEY)
    assert isinstance(raw, openai._legacy_response.LegacyAPIResponse)
    assert (raw.status_code, raw.retries_taken, raw.method) == (200, 0, "POST")
    assert raw.headers["server"] == "uvicorn"
    assert raw.http_request.headers["authorization"] == "Bearer ***"
    assert 0 < raw.elapsed.total_seconds() < 30
    parsed = raw.parse()
    assert raw.parse() is parsed
    assert parsed.id in raw.text
    assert raw.parse(to=dict[str, Any])["id"] == parsed.id
    assert str(raw.url) == f"{server.url}/chat/completions"
    assert KEY not in f"{vars(raw)} {raw!r}"


@both_kinds
@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(200, {"content-type": "text/html"}, b"<html>Log in</html>"), InvalidAnswer, "not vLLM's (text/html"),
        (Reply(200, {}, b""), InvalidAnswer, "it is empty"),
        (Reply(200, {}, b'{"error":{"message":"no such thing","code":404}}'), openai.APIError, "no such thing"),
        (Reply(302, {"location": "http://elsewhere/"}), RedirectRefused, "http://elsewhere/"),
        (Reply(404, {}, b'{"error":{"message":"The model `m` does not exist."}}'), openai.NotFoundError, "models.list"),
        (Reply(500, {}, f"key {KEY}".encode()), openai.InternalServerError, "key ***"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)  # fmt: skip
def test_wrong_answers(caller: Caller, server: Simulator, reply: Reply, kind: type, words: str) -> None:
    """What is no answer is an error of the class that callers catch, with the server's words and ours."""
    server.reply_next(reply)
    with pytest.raises(kind, match=re.escape(words)) as caught:
        caller.run(LANE["chat"], base_url=server.url, api_key=KEY, max_retries=0)
    assert KEY not in str(caught.value)


@every_kind
def test_waits_for_a_loading_server(caller: Caller) -> None:
    """`Timeouts(ready=...)` holds on the lane too."""
    with Simulator(models=("sim-model",), loading=0.7) as server:
        answer = caller.run(
            LANE["chat"], base_url=server.url, timeouts=Timeouts(ready=20, total=30), max_retries=0
        )
    assert answer.choices[0].finish_reason


def test_what_is_changed_on_a_client_holds(server: Simulator) -> None:
    """The kept head of a request follows the client: headers, queries, timeouts that are set later."""
    headers = {"X-First": "1"}
    with OpenAI(base_url=server.url, api_key=KEY, default_headers=headers) as client:
        client.chat.completions.create(**CHAT)
        headers["X-Second"] = "2"
        client.timeout = 7.0
        client.organization = "org"
        client.chat.completions.create(**CHAT)
        for timeout in (7, 7.5, None):
            client.chat.completions.create(**CHAT, timeout=timeout)
    first, second, *more = server.requests
    assert (first.header("x-first"), first.header("x-second"), first.header("openai-organization")) == (
        "1",
        None,
        None,
    )
    assert (second.header("x-second"), second.header("openai-organization")) == ("2", "org")
    assert [request.header("x-stainless-read-timeout") for request in server.requests] == [
        "600",
        "7.0",
        "7",
        "7.5",
        None,
    ]
    assert more


def test_the_first_model_is_gone(server: Simulator) -> None:
    """A model that was found once is asked for again where the server serves another one by now."""
    with OpenAI(base_url=server.url, api_key=KEY) as client:
        client.models.list()
        client.chat.completions.create(messages=MESSAGES)
        with Simulator(models=("other",), api_key=KEY) as other:
            client.base_url = other.url
            assert client.chat.completions.create(messages=MESSAGES).model == "other"


@pytest.fixture
def long_answers() -> Iterator[Simulator]:
    with Simulator(models=("sim-model",)) as server:
        yield server


@both_kinds
def test_long_calls(caller: Caller, long_answers: Simulator) -> None:
    """A call that may become long travels as a stream once the server is known, and its answer is the same."""

    def twice(client: Any) -> Any:
        return [
            client.chat.completions.create(model="sim-model", messages=MESSAGES, seed=1) for _ in range(2)
        ]

    async def atwice(client: Any) -> Any:
        return [await one for one in twice(client)]

    first, second = caller.run(twice if caller.kind == "blocking" else atwice, base_url=long_answers.url)
    assert [b'"stream":true' in request.body for request in long_answers.requests] == [False, True]
    changing: Any = {"id": "", "created": 0}
    assert first.model_copy(update=changing) == second.model_copy(update=changing)


@pytest.mark.parametrize(
    ("mode", "parameters", "streamed"),
    [
        ("auto", {"max_tokens": 16}, False),
        ("auto", {"max_tokens": 512}, True),
        ("auto", {"tools": [{"type": "function", "function": {"name": "f"}}]}, False),
        ("auto", {"extra_body": {"use_beam_search": True}}, False),
        ("auto", {"extra_body": {"no_parameter_of_ours": 1}}, False),
        ("plain", {}, False),
        ("stream", {"max_tokens": 16}, True),
    ],
)
def test_which_calls_are_long(
    long_answers: Simulator, mode: Any, parameters: dict[str, Any], *, streamed: bool
) -> None:
    """`auto` streams what may become long and is proven the same; the other modes do as they say."""
    with OpenAI(base_url=long_answers.url, long_calls=mode) as client:
        client.chat.completions.create(model="sim-model", messages=MESSAGES, max_tokens=1)
        client.chat.completions.create(model="sim-model", messages=MESSAGES, **parameters)
    assert (b'"stream":true' in long_answers.requests[-1].body) is streamed


def test_a_server_that_parses_reasoning_is_asked_plainly() -> None:
    """Its plain answers differ from its streams, so its long calls stay plain."""
    with (
        Simulator(models=("sim-model",), reasoning_parser="qwen3") as server,
        OpenAI(base_url=server.url) as client,
    ):
        for _ in range(2):
            client.chat.completions.create(model="sim-model", messages=MESSAGES)
    assert not any(b'"stream":true' in request.body for request in server.requests)


@both_kinds
@pytest.mark.parametrize(
    ("fault", "kind"),
    [("cut", AnswerIncomplete), ("no-done", AnswerIncomplete), ("stall", vllm_connect.DeadlineExceeded)],
)
def test_long_calls_that_break(caller: Caller, long_answers: Simulator, fault: str, kind: type) -> None:
    """A long call whose server breaks off or stands still ends long before its total."""
    started = time.monotonic()
    with pytest.raises(kind):
        caller.run(
            LANE["chat"],
            base_url=long_answers.faults.url(fault),
            long_calls="stream",
            max_retries=0,
            timeouts=Timeouts(first_token=0.5, between_tokens=0.5, total=30),
        )
    assert time.monotonic() - started < 5


def test_an_error_in_a_long_call_is_that_of_the_plain_call(long_answers: Simulator) -> None:
    """An error event is the status error that the plain call would have got."""
    body = b'data: {"error":{"message":"Out of blocks.","type":"InternalServerError","code":500}}\n\ndata: [DONE]\n\n'
    long_answers.reply_next(Reply(200, {"content-type": "text/event-stream"}, body))
    with (
        OpenAI(base_url=long_answers.url, long_calls="stream", max_retries=0) as client,
        pytest.raises(openai.InternalServerError, match="Out of blocks"),
    ):
        client.chat.completions.create(**CHAT)


@pytest.mark.parametrize("value", ["sometimes", True])
def test_unknown_modes(value: Any) -> None:
    """A mode that does not exist is refused, with those that do."""
    with pytest.raises(vllm_connect.SettingsError, match='takes "auto", "stream" or "plain"'):
        AsyncOpenAI(base_url="http://localhost:8000", long_calls=value)


@both_kinds
@pytest.mark.parametrize("long_calls", ["plain", "stream"])
def test_an_end_mark_without_an_empty_line(caller: Caller, server: Simulator, long_calls: str) -> None:
    """An answer that ends right behind its end mark is whole, as a stream and as a long call."""
    chunk = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "sim-model",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    }
    body = b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n"
    server.reply_next(Reply(200, {"content-type": "text/event-stream"}, body))
    name = "chat" if long_calls == "stream" else "chat stream"
    answer = caller.run(LANE[name], base_url=server.url, api_key=KEY, long_calls=long_calls, max_retries=0)
    if long_calls == "stream":
        assert answer.choices[0].message.content == "Hi"
    else:
        assert [one.choices[0].delta.content for one in answer] == ["Hi"]


def test_an_async_stream_that_another_thread_drops() -> None:
    """The garbage collector works in any thread: the connection is closed by its own loop, and the server stops."""

    async def leave(server: Simulator) -> bool:
        async with AsyncOpenAI(base_url=server.url) as client:
            stream: Any = await client.chat.completions.create(
                model="sim-model", messages=MESSAGES, stream=True
            )
            await anext(stream)
            kept = [stream]
            del stream
            await asyncio.to_thread(kept.clear)
            for _ in range(100):
                await asyncio.sleep(0.02)
                if server.aborted:
                    return True
        return False

    with Simulator(models=("sim-model",), token_delay=0.05) as server:
        assert asyncio.run(leave(server), debug=True)  # which sees what another thread asks of a loop


@both_kinds
def test_a_closed_client_stays_closed(caller: Caller, server: Simulator) -> None:
    """A call on a client that was closed is the SDK's error, and nothing is sent."""

    async def aclose_and_call(client: Any) -> Any:
        await client.close()
        return await LANE["chat"](client)

    def close_and_call(client: Any) -> Any:
        client.close()
        return LANE["chat"](client)

    with pytest.raises((RuntimeError, openai.APIConnectionError), match="closed"):
        caller.run(
            close_and_call if caller.kind == "blocking" else aclose_and_call, base_url=server.url, api_key=KEY
        )
    assert not server.requests
