"""No wrong or cut answer passes as a good one: over both lanes, plain and streamed, each is its answer or its error.

The numbers are rows of the fault catalogue; the faults are the simulator's. What came before an error is in it.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import anyio
import openai
import pytest

from tests.corpus.exchanges import Exchange, recorded
from tests.gateway import gateway
from tests.sdk_reading import difference
from vllm_connect import AnswerIncomplete, AsyncOpenAI, DeadlineExceeded, InvalidAnswer, OpenAI, Timeouts
from vllm_connect.client import replies
from vllm_connect.client.received import Received
from vllm_connect.outcome import unknown_finish_reasons
from vllm_connect.outcome.completeness import asked_items
from vllm_connect.simulator import Reply, Simulator

MODEL = "sim-model"
MESSAGES: Any = [{"role": "user", "content": "Say something."}]
http = importlib.import_module("httpx" if int(openai.__version__.partition(".")[0]) < 3 else "httpx2")


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator(models=(MODEL,)) as simulator:
        yield simulator


# -- the ways: which lane, which kind of client


class Way(NamedTuple):
    """A kind of client, and whether its calls take the SDK's own path."""

    kind: str
    options: dict[str, Any]


WAYS = {
    "blocking lane": Way("blocking", {"wire": "own"}),
    "asyncio lane": Way("asyncio", {"wire": "own"}),
    "blocking sdk": Way("blocking", {"wire": "sdk"}),
    "asyncio sdk": Way("asyncio", {"wire": "sdk"}),
    "trio": Way("trio", {"wire": "own"}),
}
LANES = ("blocking lane", "asyncio lane")


class Got(NamedTuple):
    """What a call gave: its answer, or the items of its stream, and its error."""

    answer: Any
    error: Any


def run(way: Way, url: str, call: Callable[[Any], Any], **options: Any) -> Got:
    """Make a call to its end on a client of its own."""
    settings = {
        "base_url": url,
        "model": MODEL,
        "max_retries": 0,
        "timeouts": Timeouts(total=30),
        **way.options,
        **options,
    }
    if way.kind != "blocking":
        return anyio.run(arun, settings, call, backend=way.kind)
    items: list[Any] = []
    with OpenAI(**settings) as client:
        try:
            answer = call(client)
            if not hasattr(answer, "__next__"):
                return Got(answer, None)
            items.extend(answer)
        except Exception as error:  # noqa: BLE001 - which one is what the tests ask
            return Got(items, error)
    return Got(items, None)


async def arun(settings: dict[str, Any], call: Callable[[Any], Awaitable[Any]]) -> Got:
    items: list[Any] = []
    async with AsyncOpenAI(**settings) as client:
        try:
            answer = await call(client)
            if not hasattr(answer, "__anext__"):
                return Got(answer, None)
            async for item in answer:
                items.append(item)  # noqa: PERF401 - what came before an error counts
        except Exception as error:  # noqa: BLE001 - as above
            return Got(items, error)
    return Got(items, None)


# -- the calls


def chat(client: Any, fault: str = "", **options: Any) -> Any:
    return client.chat.completions.create(
        messages=MESSAGES, max_tokens=8, extra_headers=asked(fault), **options
    )


def completion(client: Any, fault: str = "", **options: Any) -> Any:
    return client.completions.create(prompt="Once", max_tokens=8, extra_headers=asked(fault), **options)


def asked(fault: str) -> dict[str, str]:
    return {"x-simulator-fault": fault} if fault else {}


CALLS = {"chat": chat, "completion": completion}


def text_of(choice: Any) -> str:
    """The text of a choice, of whatever endpoint, plain or of a chunk."""
    said = getattr(choice, "message", None) or getattr(choice, "delta", None)
    return (choice.text if said is None else said.content) or ""


def text_of_all(answer: Any, index: int = 0) -> str:
    chunks = answer if isinstance(answer, list) else [answer]
    return "".join(text_of(choice) for one in chunks for choice in one.choices if choice.index == index)


@pytest.fixture(scope="module")
def honest(server: Simulator) -> dict[tuple[str, int], Any]:
    """The chunks of each endpoint when nothing is wrong, by the number of choices."""

    def answer(name: str, n: int) -> Any:
        return run(
            WAYS["blocking lane"], server.url, lambda client: CALLS[name](client, stream=True, n=n)
        ).answer

    return {(name, n): answer(name, n) for name in CALLS for n in (1, 2)}


# -- streams


class Cut(NamedTuple):
    """A fault of a stream: its error, the outcome, how many events of the answer came (None for all), the choices."""

    row: int
    fault: str
    error: type[Any] | None
    outcome: str = ""
    events: int | None = None
    reasons: tuple[str | None, ...] | None = None
    n: int = 1


CUTS = (
    Cut(44, "", None),
    Cut(44, "finish-unknown", None),
    Cut(44, "finish-abort", AnswerIncomplete, "PARTIAL", reasons=("abort",)),
    Cut(44, "finish-null", AnswerIncomplete, "PARTIAL", reasons=(None,)),
    Cut(44, "aborted; after_events=3", AnswerIncomplete, "PARTIAL", 3, ("abort",)),
    Cut(44, "stops-early; after_events=4", AnswerIncomplete, "PARTIAL", 4, (None,)),
    Cut(51, "no-done", AnswerIncomplete, "PARTIAL", reasons=("length",)),
    Cut(51, "empty-stream", AnswerIncomplete, "PARTIAL", 0, (None,)),
    Cut(52, "close-between-events", AnswerIncomplete, "PARTIAL", 3, (None,)),
    Cut(53, "close-in-event", AnswerIncomplete, "PARTIAL", 3, (None,)),
    Cut(54, "cut", AnswerIncomplete, "PARTIAL", 3, (None,)),
    Cut(54, "reset; after_events=5", AnswerIncomplete, "PARTIAL", 5, (None,)),
    Cut(57, "error-first", openai.APIError, "UNKNOWN"),
    Cut(57, "error-within", AnswerIncomplete, "PARTIAL", 3, (None,)),
    Cut(57, "error-last", None),
    Cut(58, "bad-json-event", InvalidAnswer, "PARTIAL", 3),
    Cut(58, "bad-utf8-event", InvalidAnswer, "PARTIAL", 3),
    Cut(60, "done-misspelt", InvalidAnswer, "PARTIAL"),
    Cut(60, "after-done", None),
    Cut(62, "usage-within", None),
    Cut(63, "one-never-finishes", AnswerIncomplete, "PARTIAL", reasons=("length", None), n=2),
    Cut(64, "html", InvalidAnswer, "INVALID", 0),
    Cut(64, "json-instead", InvalidAnswer, "INVALID", 0),
    Cut(38, "error-in-200", openai.APIError, "UNKNOWN"),
)


STREAMS = [
    pytest.param(name, cut, id=f"{cut.row}-{cut.fault or 'none'}-{name}")
    for cut in CUTS
    for name in CALLS
    if (cut.fault, name) != ("usage-within", "completion")  # a delta within a completion is none
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "cut"), STREAMS)
def test_stream(way: str, name: str, cut: Cut, server: Simulator, honest: dict[tuple[str, int], Any]) -> None:
    """A stream ends as it was meant to, or with an error that holds the very text that came."""
    got = run(WAYS[way], server.url, lambda client: CALLS[name](client, cut.fault, stream=True, n=cut.n))
    chunks = honest[name, cut.n]
    if cut.error is None:
        assert got.error is None
        assert text_of_all(got.answer) == text_of_all(chunks)
        return
    assert type(got.error) is cut.error, repr(got.error)
    assert got.error.outcome == cut.outcome
    if cut.reasons is not None:
        assert got.error.finish_reasons == cut.reasons
    if got.error.outcome != "PARTIAL":
        assert got.answer == []
        return
    sent = chunks[: cut.events]
    partial = got.error.partial
    assert partial.texts == ({index: text_of_all(sent, index) for index in range(cut.n)} if sent else {})
    assert partial.text.startswith(text_of_all(got.answer))
    assert bool(partial.id) is bool(sent)
    if isinstance(got.error, AnswerIncomplete):
        assert got.error.attempt.delivered is bool(got.answer)


@pytest.mark.parametrize("way", LANES)
def test_the_first_chunk_waits_for_the_first_token(way: str, server: Simulator) -> None:
    """A stream that breaks before anything of its answer came has shown nothing; else its opening comes first."""
    broken = run(WAYS[way], server.url, lambda client: chat(client, "cut; after_events=1", stream=True))
    assert (broken.answer, broken.error.attempt.delivered) == ([], False)
    sound = run(WAYS[way], server.url, lambda client: chat(client, stream=True))
    assert [bool(text_of(one.choices[0])) for one in sound.answer[:3]] == [False, True, True]
    assert sound.answer[0].choices[0].delta.role == "assistant"


@pytest.mark.parametrize("way", WAYS)
def test_the_error_of_a_stream(way: str, server: Simulator) -> None:
    """An error event after tokens is the body of the error, with its type and code; behind the end it is logged."""
    got = run(WAYS[way], server.url, lambda client: chat(client, "error-within", stream=True))
    assert got.error.body["message"] == "The engine failed."
    assert (str(got.error.code), got.error.type) == ("500", "InternalServerError")
    assert "The engine failed." in str(got.error)
    first = run(WAYS[way], server.url, lambda client: chat(client, "error-first", stream=True))
    assert (first.error.body, first.error.attempt.status) == (got.error.body, 500)


@pytest.mark.parametrize("way", WAYS)
def test_an_error_behind_the_end_is_logged(
    way: str, server: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """An error event behind a complete answer changes nothing about it, and is a warning in the log."""
    run(WAYS[way], server.url, lambda client: chat(client, "error-last", stream=True))
    assert [record.levelname for record in caplog.records if "The engine failed." in record.message] == [
        "WARNING"
    ]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("before", [0, 2], ids=["first", "after tokens"])
def test_a_key_that_is_echoed_in_a_stream(way: str, before: int) -> None:
    """An error event that echoes the key shows a mask in its place, wherever it stands in the stream."""
    key = "the-secret-key-of-this-test"
    error = {
        "error": {"message": f"Bad key {key}", "type": f"Type {key}", "param": {"a": [key]}, "code": 400}
    }
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}
    events = [*[{**chunk, "choices": [choice]}] * before, error]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    with Simulator(models=(MODEL,), api_key=key) as guarded:
        guarded.reply_next(Reply(200, {"content-type": "text/event-stream"}, body))
        got = run(WAYS[way], guarded.url, lambda client: chat(client, stream=True), api_key=key)
    assert len(got.answer) == before
    assert "Bad key ***" in str(got.error)
    assert key not in f"{got.error}{vars(got.error)}"


# -- plain answers


class Plain(NamedTuple):
    """A fault of a plain answer: its error and outcome; whether the error holds the honest text; the choices."""

    row: int
    fault: str
    error: type[Any] | None
    outcome: str = ""
    n: int = 1


PLAIN = (
    Plain(37, "html", InvalidAnswer, "INVALID"),
    Plain(38, "error-in-200", openai.APIError, "UNKNOWN"),
    Plain(39, "no-content", InvalidAnswer, "INVALID"),
    Plain(39, "empty-body", InvalidAnswer, "INVALID"),
    Plain(39, "json-list", InvalidAnswer, "INVALID"),
    Plain(39, "json-string", InvalidAnswer, "INVALID"),
    Plain(39, "json-null", InvalidAnswer, "INVALID"),
    Plain(40, "nan", InvalidAnswer, "INVALID"),
    Plain(40, "infinity", InvalidAnswer, "INVALID"),
    Plain(41, "deep-json", InvalidAnswer, "INVALID"),
    Plain(41, "huge-integer", InvalidAnswer, "INVALID"),
    Plain(42, "bad-utf8", InvalidAnswer, "INVALID"),
    Plain(43, "choices-empty", InvalidAnswer, "INVALID"),
    Plain(43, "choices-missing", InvalidAnswer, "INVALID"),
    Plain(43, "choices-too-few", InvalidAnswer, "INVALID", n=2),
    Plain(44, "finish-abort", AnswerIncomplete, "PARTIAL"),
    Plain(44, "finish-null", AnswerIncomplete, "PARTIAL"),
    Plain(44, "finish-unknown", None),
    Plain(45, "usage-missing", None),
    Plain(45, "usage-null", None),
    Plain(45, "usage-negative", None),
    Plain(46, "wrong-content-type", None),
    Plain(47, "other-model", None),
    Plain(42, "lone-surrogate", None),
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("plain", PLAIN, ids=lambda plain: f"{plain.row}-{plain.fault}")
def test_plain(
    way: str, name: str, plain: Plain, server: Simulator, honest: dict[tuple[str, int], Any]
) -> None:
    """A plain answer is what was asked for, all of it, or an error; one that is only unfinished holds its text."""
    got = run(WAYS[way], server.url, lambda client: CALLS[name](client, plain.fault, n=plain.n))
    whole = text_of_all(honest[name, plain.n])
    if plain.error is None:
        assert got.error is None
        if plain.fault != "lone-surrogate":
            assert text_of_all(got.answer) == whole
        return
    assert type(got.error) is plain.error, repr(got.error)
    assert got.error.outcome == plain.outcome
    if plain.outcome == "PARTIAL":
        assert (got.error.partial.text, got.error.partial.usage.completion_tokens) == (whole, 8)
    if plain.fault == "choices-too-few":
        assert got.error.partial.texts == {0: whole}


@pytest.mark.parametrize("way", WAYS)
def test_content_is_not_judged(way: str, server: Simulator) -> None:
    """A null content reaches the caller as it is (row 43)."""
    got = run(WAYS[way], server.url, lambda client: chat(client, "content-null"))
    assert got.error is None
    assert got.answer.choices[0].message.content is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_an_unknown_finish_is_done_and_flagged(
    way: str,
    streamed: bool,  # noqa: FBT001
    server: Simulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A finish reason that is new to us ends an answer: the log has it, and `unknown_finish_reasons` finds it."""
    caplog.set_level(logging.INFO, logger="vllm_connect")
    got = run(WAYS[way], server.url, lambda client: chat(client, "finish-unknown", stream=streamed))
    assert got.error is None
    answers = got.answer if streamed else [got.answer]
    assert [reason for one in answers for reason in unknown_finish_reasons(one)] == ["exploded"]
    assert [record.levelname for record in caplog.records if "'exploded'" in record.message] == ["INFO"]


@pytest.mark.parametrize("way", WAYS)
def test_several_prompts(way: str, server: Simulator) -> None:
    """A completion has a choice for each prompt and each of `n`: fewer are an error, all of them are none."""
    two = {
        "choices": [{"index": at, "text": "a", "finish_reason": "stop", "logprobs": None} for at in (0, 1)]
    }
    body = {"id": "c", "object": "text_completion", "created": 1, "model": MODEL, **two}

    def call(prompt: Any) -> Callable[[Any], Any]:
        def ask(client: Any) -> Any:
            server.reply_next(Reply(200, {"content-type": "application/json"}, json.dumps(body).encode()))
            return client.completions.create(prompt=prompt, max_tokens=1)

        return ask

    assert run(WAYS[way], server.url, call(["a", "b"])).error is None
    assert run(WAYS[way], server.url, call([[1, 2], [3]])).error is None
    error = run(WAYS[way], server.url, call(["a", "b", "c"])).error
    assert isinstance(error, InvalidAnswer)
    assert "2 of 3 choices" in str(error)


@pytest.mark.parametrize("way", WAYS)
def test_fewer_vectors_than_inputs(way: str, pooling: Simulator) -> None:
    """Embeddings are one for each input: fewer are no answer."""
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "model": "embedder",
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }

    def ask(client: Any) -> Any:
        pooling.reply_next(Reply(200, {"content-type": "application/json"}, json.dumps(body).encode()))
        return client.embeddings.create(input=["a", "b"], model="embedder")

    error = run(WAYS[way], pooling.url, ask).error
    assert isinstance(error, InvalidAnswer)
    assert "1 of 2 vectors" in str(error)


# A fault of a stream -> the error of the plain call that travels as one, and how many of its events came.
LONG: dict[str, tuple[type[Any] | None, int | None]] = {
    "": (None, None),
    "error-last": (None, None),
    "finish-unknown": (None, None),
    "finish-abort": (AnswerIncomplete, None),
    "finish-null": (AnswerIncomplete, None),
    "aborted; after_events=5": (AnswerIncomplete, 5),
    "one-never-finishes": (AnswerIncomplete, None),
    "no-done": (AnswerIncomplete, None),
    "cut; after_events=5": (AnswerIncomplete, 5),
    "reset; after_events=5": (AnswerIncomplete, 5),
    "stall; after_events=5": (DeadlineExceeded, 5),
    "bad-json-event; after_events=5": (InvalidAnswer, 5),
    "error-within; after_events=5": (openai.InternalServerError, 5),
}


@pytest.mark.parametrize("way", LANES)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fault", LONG)
def test_long_calls(
    way: str, name: str, fault: str, server: Simulator, honest: dict[tuple[str, int], Any]
) -> None:
    """A plain call that travels as a stream is judged as the answer that is made of it; an error holds what came."""
    n = 2 if fault == "one-never-finishes" else 1
    timeouts = Timeouts(between_tokens=0.3) if fault.startswith("stall") else Timeouts(total=30)
    got = run(
        WAYS[way],
        server.url,
        # One token in an event, for the text of some events to be known.
        lambda client: CALLS[name](client, fault, n=n, extra_body={"stream_interval": 1}),
        long_calls="stream",
        timeouts=timeouts,
    )
    kind, events = LONG[fault]
    text = text_of_all(honest[name, n][:events])
    if kind is None:
        assert got.error is None
        assert text_of_all(got.answer) == text
        return
    assert type(got.error) is kind, repr(got.error)
    assert got.error.partial is not None
    assert got.error.partial.text == text


# -- what real vLLM says


RECORDED = [exchange for exchange in recorded() if exchange.form.startswith(("CHAT", "COMPLETION"))]


@pytest.mark.parametrize("exchange", RECORDED, ids=lambda exchange: exchange.name)
def test_recorded_answers_are_whole(exchange: Exchange) -> None:
    """What a real vLLM answers is whole, and no chunk is another one for having been taken note of."""
    form: Any = getattr(replies, exchange.form)
    asked_for = asked_items(exchange.request or {})
    if not exchange.form.endswith("CHUNK"):
        assert not form.may_lack(replies.reader(form)(exchange.bodies[0]), asked_for)
        return
    read = replies.reader(form, settles=form is not replies.CHAT_CHUNK)
    account = Received()
    note = account.note_chat if form is replies.CHAT_CHUNK else account.note_completion
    assert not account.has_finished(asked_for)
    for body in exchange.bodies:
        chunk = read(body)
        assert not note(chunk)
        assert difference(chunk, replies.reader(form)(body)) is None
    assert account.has_finished(asked_for)
    for call in account.partial().tool_calls:
        assert call.name
        assert isinstance(json.loads(call.arguments), dict)


# -- what is not text


TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


@pytest.mark.parametrize("way", WAYS)
def test_cut_tool_calls(way: str) -> None:
    """The tool calls of a broken stream are in its error as text; those that end by their length reach the caller."""
    with Simulator(models=(MODEL,)) as server:

        def call(fault: str) -> Callable[[Any], Any]:
            return lambda client: client.chat.completions.create(
                messages=MESSAGES,
                tools=TOOLS,
                tool_choice="required",
                stream=True,
                extra_headers=asked(fault),
            )

        sound = run(WAYS[way], server.url, call(""))
        assert sound.error is None
        told = [choice.delta for chunk in sound.answer for choice in chunk.choices]
        calls = [one for delta in told for one in delta.tool_calls or ()]
        whole = "".join(one.function.arguments or "" for one in calls)
        broken = run(WAYS[way], server.url, call("cut; after_events=4")).error
        (part,) = broken.partial.tool_calls
        assert (part.name, part.id) == ("weather", calls[0].id)
        assert whole.startswith(part.arguments)
        assert 0 < len(part.arguments) < len(whole)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reason", ["length", "tool_calls"])
def test_cut_arguments_are_the_callers(way: str, reason: str, server: Simulator) -> None:
    """Arguments that are no JSON reach the caller as they are: what to make of them is not ours to say (row 67)."""
    call = {"id": "t", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Par'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
    }

    def ask(client: Any) -> Any:
        server.reply_next(Reply(200, {"content-type": "application/json"}, json.dumps(body).encode()))
        return chat(client)

    got = run(WAYS[way], server.url, ask)
    assert got.error is None
    assert got.answer.choices[0].message.tool_calls[0].function.arguments == '{"city": "Par'


@pytest.mark.parametrize("way", WAYS)
def test_cut_reasoning(way: str) -> None:
    """What a model reasoned before its stream broke is in the error."""
    with Simulator(models=(MODEL,), reasoning_parser="qwen3") as server:
        got = run(WAYS[way], server.url, lambda client: chat(client, "cut; after_events=3", stream=True))
    said = "".join(choice.delta.reasoning for chunk in got.answer[1:] for choice in chunk.choices)
    assert said
    assert (got.error.partial.reasoning, got.error.partial.text) == (said, "")


@pytest.mark.parametrize("way", LANES)
def test_token_ids(way: str, server: Simulator) -> None:
    """Where the request asks for token ids, the error has those of what came, and of the prompt."""
    got = run(
        WAYS[way],
        server.url,
        lambda client: chat(
            client, "cut; after_events=4", stream=True, extra_body={"return_token_ids": True}
        ),
    )
    partial = got.error.partial
    assert len(partial.choices[0].token_ids) == 3
    assert partial.prompt_token_ids == tuple(got.answer[0].prompt_token_ids)


# -- the Responses API, which only the SDK's own path has


def response(client: Any, fault: str = "", **options: Any) -> Any:
    return client.responses.create(
        input="Say something.", max_output_tokens=8, extra_headers=asked(fault), **options
    )


RESPONSES = (
    Cut(64, "", None),
    Cut(52, "close-between-events; after_events=8", AnswerIncomplete, "PARTIAL", 8),
    Cut(53, "close-in-event; after_events=8", AnswerIncomplete, "PARTIAL", 8),
    Cut(54, "cut; after_events=8", AnswerIncomplete, "PARTIAL", 8),
    Cut(54, "reset; after_events=8", AnswerIncomplete, "PARTIAL", 8),
    Cut(44, "stops-early; after_events=8", AnswerIncomplete, "PARTIAL", 8),
    Cut(51, "empty-stream", AnswerIncomplete, "PARTIAL", 0),
    Cut(57, "error-within; after_events=8", AnswerIncomplete, "PARTIAL", 8),
    Cut(57, "error-first", openai.APIError, "UNKNOWN"),
    Cut(58, "bad-json-event; after_events=8", InvalidAnswer, "PARTIAL", 8),
    Cut(58, "bad-utf8-event; after_events=8", InvalidAnswer, "PARTIAL", 8),
    Cut(64, "html", InvalidAnswer, "INVALID", 0),
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cut", RESPONSES, ids=lambda cut: f"{cut.row}-{cut.fault or 'none'}")
def test_responses(way: str, cut: Cut, server: Simulator) -> None:
    """A stream of the Responses API ends with a terminal event, or with an error that holds what came."""
    got = run(WAYS[way], server.url, lambda client: response(client, cut.fault, stream=True))
    if cut.error is None:
        assert (got.error, got.answer[-1].type) == (None, "response.completed")
        return
    assert type(got.error) is cut.error, repr(got.error)
    assert got.error.outcome == cut.outcome
    if cut.outcome == "PARTIAL":
        said = [item.delta for item in got.answer if item.type == "response.output_text.delta"]
        assert len(got.answer) == cut.events
        assert got.error.partial.text == "".join(said)
        assert bool(said) is bool(cut.events)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("html", InvalidAnswer),
        ("json-list", InvalidAnswer),
        ("json-string", InvalidAnswer),
        ("json-null", InvalidAnswer),
        ("empty-body", InvalidAnswer),
        ("no-content", InvalidAnswer),
        ("error-in-200", openai.APIError),
    ],
)
def test_plain_responses(way: str, fault: str, error: type[Any], server: Simulator) -> None:
    """A response is an object of its class, or an error: the SDK hands out texts, lists and None."""
    got = run(WAYS[way], server.url, lambda client: response(client, fault))
    assert type(got.error) is error
    assert got.error.outcome in ("INVALID", "UNKNOWN")


def test_borrowed_client(server: Simulator) -> None:
    """Calls over a caller's own http_client are judged too."""
    for fault, kind in (("no-done", AnswerIncomplete), ("bad-json-event", InvalidAnswer)):
        with http.Client() as sender:
            got = run(
                Way("blocking", {"http_client": sender}),
                server.url,
                lambda client, fault=fault: chat(client, fault, stream=True),  # type: ignore[misc]
            )
        assert type(got.error) is kind


def test_a_caller_that_stops_is_no_error(server: Simulator) -> None:
    """A stream on the SDK's own path that is left early ends without a word, and its connection is closed."""
    with OpenAI(base_url=server.url, model=MODEL, wire="sdk") as client:
        with response(client, stream=True) as stream:
            assert next(stream).type == "response.created"
        assert list(stream) == []


@pytest.mark.parametrize("wire", ["own", "sdk"])
@pytest.mark.parametrize("ask", [chat, response])
def test_dropped_streams(wire: Any, ask: Callable[..., Any]) -> None:
    """A stream that is dropped half-way ends the server's work at once, whoever reads it; nothing waits for garbage."""

    async def leave(url: str) -> None:
        async with AsyncOpenAI(base_url=url, model=MODEL, wire=wire) as client:
            stream = await ask(client, stream=True)
            await anext(aiter(stream))
            del stream
            await until(lambda: server.aborted == 2)

    async def until(is_so: Callable[[], bool]) -> None:
        with anyio.fail_after(5):
            while not is_so():  # noqa: ASYNC110 - of a server in other threads
                await anyio.sleep(0.01)

    gc.disable()
    try:
        with Simulator(models=(MODEL,), token_delay=0.2) as server:
            with OpenAI(base_url=server.url, model=MODEL, wire=wire) as client:
                stream: Any = ask(client, stream=True)
                next(iter(stream))
                del stream
                anyio.run(until, lambda: server.aborted == 1)
            anyio.run(leave, server.url)
    finally:
        gc.enable()


# -- other kinds of server


def models(owner: str | None) -> Reply:
    card = {"id": MODEL, "object": "model", "created": 1, "owned_by": owner}
    body = json.dumps({"object": "list", "data": [card]}).encode()
    return Reply(200, {"content-type": "application/json"}, body)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("owner", "fault", "accepted"),
    [
        ("library", "finish-null", True),
        ("library", "no-done", False),
        ("llamacpp", "no-done", True),
        ("llamacpp", "finish-null", False),
        ("somebody", "finish-null", True),
        ("somebody", "no-done", True),
        ("somebody", "finish-abort", False),
        ("somebody", "close-between-events", False),
        ("vllm", "finish-null", False),
        (None, "no-done", False),
    ],
)
def test_other_servers(way: str, owner: str | None, fault: str, *, accepted: bool, server: Simulator) -> None:
    """A stream that lacks what its kind of server leaves out is whole there, and nowhere else."""
    with gateway(server.url, {"/v1/models": models(owner)}) as url:
        got = run(WAYS[way], f"{url}/v1", lambda client: chat(client, fault, stream=True))
    assert isinstance(got.error, AnswerIncomplete) is not accepted
    assert (got.error is None) is accepted


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("owner", "accepted"), [("library", True), ("llamacpp", False), ("vllm", False)])
def test_other_servers_plain(way: str, owner: str, *, accepted: bool, server: Simulator) -> None:
    """A plain answer without a finish reason is whole where its kind of server leaves that out."""
    message = {"role": "assistant", "content": "Hello"}
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": None}],
    }
    reply = Reply(200, {"content-type": "application/json"}, json.dumps(body).encode())
    with gateway(server.url, {"/v1/models": models(owner), "/v1/chat/completions": reply}) as url:
        got = run(WAYS[way], f"{url}/v1", chat)
    assert isinstance(got.error, AnswerIncomplete) is not accepted


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("models_fault", ["", "no-such-model"])
def test_a_server_is_asked_once(way: str, models_fault: str) -> None:
    """Who a server is, is asked where it decides, and once, answered or refused; never where an answer is whole."""

    def paths(server: Simulator) -> list[str]:
        return [request.path for request in server.requests]

    with Simulator(models=(MODEL,)) as server:
        run(WAYS[way], server.url, lambda client: chat(client, stream=True))
        run(WAYS[way], server.url, lambda client: chat(client, "finish-abort", stream=True))
        assert "/v1/models" not in paths(server)
        if models_fault:
            server.faults.turn_on(models_fault, path="/v1/models")

        def twice(client: Any) -> Any:
            for _ in range(2):
                with pytest.raises(AnswerIncomplete):
                    list(chat(client, "no-done", stream=True))

        async def atwice(client: Any) -> Any:
            for _ in range(2):
                with pytest.raises(AnswerIncomplete):
                    _ = [item async for item in await chat(client, "no-done", stream=True)]

        run(WAYS[way], server.url, twice if WAYS[way].kind == "blocking" else atwice)
        assert paths(server).count("/v1/models") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_did_not_answer_is_asked_again(way: str) -> None:
    """Who a server is, is asked again where the question failed."""
    with Simulator(models=(MODEL,)) as server:
        server.faults.turn_on("internal-error", path="/v1/models", times=1)

        def often(client: Any) -> Any:
            for _ in range(3):
                with pytest.raises(AnswerIncomplete):
                    list(chat(client, "no-done", stream=True))

        async def aoften(client: Any) -> Any:
            for _ in range(3):
                with pytest.raises(AnswerIncomplete):
                    _ = [item async for item in await chat(client, "no-done", stream=True)]

        run(WAYS[way], server.url, often if WAYS[way].kind == "blocking" else aoften)
        assert [request.path for request in server.requests].count("/v1/models") == 2
