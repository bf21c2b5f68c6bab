"""The table of parameters against real vLLM: every name that it declares, and each claim that random weights decide.

What a parameter does is seen in how an answer differs from the one without it: at temperature 0 answers are the same
each time, so that whatever is ignored leaves all of it as it was.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest

from tests.live.servers import Reply, Server
from vllm_connect import OpenAI, ParameterRefused
from vllm_connect.discovery.document import declared_parameters
from vllm_connect.facts.parameters import KINDS, PATHS, TABLE, TABLE_VERSION, RequestKind

MESSAGES: Any = [{"role": "user", "content": "Tell me about the sea."}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"enum": ["Rome"]}}, "required": ["city"]},
    },
}
BASE: dict[RequestKind, dict[str, Any]] = {
    "chat": {"model": "tiny", "messages": MESSAGES, "max_tokens": 24, "temperature": 0},
    "completions": {"model": "tiny", "prompt": "The sea is", "max_tokens": 24, "temperature": 0},
    "responses": {
        "model": "tiny",
        "input": "Tell me about the sea.",
        "max_output_tokens": 24,
        "temperature": 0,
    },
    "embeddings": {"model": "minilm", "input": "Tell me about the sea."},
}
GENERATING: tuple[RequestKind, ...] = ("chat", "completions", "responses")
TEXT: tuple[RequestKind, ...] = ("chat", "completions")
CITY = {"type": "object", "properties": {"city": {"enum": ["Rome"]}}, "required": ["city"]}
ROME = {"type": "json_schema", "json_schema": {"name": "x", "schema": CITY}}
# Fields of the answer that differ each time.
PASSING = ("id", "created", "created_at", "completed_at", "request_id", "metrics")


@pytest.fixture
def ask(chat_server: Server, embed_server: Server, live_key: str) -> Callable[..., Reply]:
    def asked(kind: RequestKind, **changes: Any) -> Reply:
        body = {name: value for name, value in {**BASE[kind], **changes}.items() if value is not ...}
        if kind == "embeddings":
            return embed_server.ask("POST", "/v1/embeddings", body)
        return chat_server.ask("POST", f"/v1{PATHS[kind]}", body, key=live_key)

    return asked


# -- every name


@pytest.mark.parametrize("kind", KINDS)
def test_every_declared_parameter(kind: RequestKind, chat_server: Server, embed_server: Server) -> None:
    """Every parameter that the server declares is in the table, and what the table says is read is declared."""
    server = embed_server if kind == "embeddings" else chat_server
    declared = declared_parameters(server.ask("GET", "/openapi.json").json())[kind]
    release = server.ask("GET", "/version").json()["version"]
    assert declared - TABLE[kind].keys() == set(), (
        f"vLLM {release} brings parameters that the table does not have"
    )
    read = {
        name
        for name, row in TABLE[kind].items()
        if row.effect in ("honours", "differs") and not row.last and numbers(row.first) <= numbers(release)
    }
    assert read - declared == set(), f"vLLM {release} no longer declares what the table says that it reads"
    ignored = {name for name, row in TABLE[kind].items() if row.effect == "ignores"}
    # The one that it declares and says itself that it ignores.
    assert ignored & declared == ({"prompt_cache_key"} if kind == "responses" else set())
    assert release.startswith(TABLE_VERSION), "the table was written for another release"


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")[:3])) if version else ()


# -- what is ignored

# Values that would show, were they read.
TELLING: Mapping[str, Any] = {
    "guided_json": CITY,
    "guided_regex": "zebra",
    "guided_choice": ["zebra"],
    "guided_grammar": 'root ::= "zebra"',
    "guided_json_object": True,
    "functions": [TOOL["function"]],
    "function_call": {"name": "weather"},
    "response_format": {"type": "json_object"},
    "max_tokens": 3,
    "max_completion_tokens": 3,
    "best_of": 3,
}


def ignored_rows() -> list[Any]:
    rows = [(kind, name) for kind in KINDS for name, row in TABLE[kind].items() if row.effect == "ignores"]
    return [pytest.param(kind, name, id=f"{kind} {name}") for kind, name in rows]


@pytest.mark.parametrize(("kind", "name"), ignored_rows())
def test_ignored(kind: RequestKind, name: str, ask: Callable[..., Reply]) -> None:
    """What the table says is ignored is accepted, and leaves everything of the answer as it was."""
    value = TELLING.get(name, "zebra")
    reply = ask(kind, **{name: value})
    assert reply.status == 200, reply.body
    assert seen(kind, reply.json()) == seen(kind, ask(kind).json())


def seen(kind: RequestKind, answer: Any) -> Any:
    """Return what a caller sees of an answer, without what differs each time."""
    if kind != "responses":
        return {name: value for name, value in answer.items() if name not in PASSING}
    told = [[part.get("text") for part in item.get("content") or ()] for item in answer["output"]]
    return told, answer["status"], answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]


# -- what is read


@dataclass(frozen=True)
class Probe:
    """What a parameter does, as a question about the answers with and without it; `beside` goes into both requests."""

    names: tuple[str, ...]
    kinds: tuple[RequestKind, ...]
    gives: Mapping[str, Any]
    holds: Callable[[Any, Any], bool]
    beside: Mapping[str, Any] = field(default_factory=dict)


def text(answer: Any) -> str:
    if "output" in answer:
        return "".join(
            part.get("text", "") for item in answer["output"] for part in item.get("content") or ()
        )
    choice = answer["choices"][0]
    return str(choice["message"]["content"] if "message" in choice else choice["text"])


def used(answer: Any) -> int:
    return int(answer["usage"].get("completion_tokens", answer["usage"].get("output_tokens")))


def prompted(answer: Any) -> int:
    return int(answer["usage"].get("prompt_tokens", answer["usage"].get("input_tokens")))


def finish(answer: Any) -> str:
    return str(answer["choices"][0]["finish_reason"])


def vector(answer: Any) -> list[float]:
    return list(answer["data"][0]["embedding"])


def same_text(one: Any, other: Any) -> bool:
    return text(one) == text(other)


def other_text(one: Any, other: Any) -> bool:
    return text(one) != text(other)


def close(one: list[float], other: list[float]) -> bool:
    return len(one) == len(other) and all(abs(a - b) < 1e-2 for a, b in zip(one, other, strict=True))


def unpacked(answer: Any, form: str) -> list[float]:
    raw = base64.b64decode(answer["data"][0]["embedding"])
    return list(struct.unpack(f"{form[0]}{len(raw) // struct.calcsize(form[1])}{form[1]}", raw))


def length(values: list[float]) -> float:
    return math.sqrt(sum(value * value for value in values))


ALL_TOKENS = list(range(100, 400))
LONG: Any = {"max_tokens": 150}
# Random weights in bfloat16 have ties, which greedy decoding breaks in its own way: the fewer tokens, the fewer ties.
FEW: Any = {"max_tokens": 4}
SHOWN: Any = {"return_token_ids": True}
PROBES = (
    # Sampling at its limits is greedy.
    Probe(("top_k", "temperature"), GENERATING, {"temperature": 1, "top_k": 1}, same_text, FEW),
    Probe(("min_p",), GENERATING, {"temperature": 1, "min_p": 1.0}, same_text, FEW),
    Probe(("top_p",), GENERATING, {"temperature": 1, "top_p": 1e-6}, same_text, FEW),
    Probe(("temperature",), GENERATING, {"temperature": 1.5, "seed": 1}, other_text),
    Probe(("seed",), GENERATING, {"seed": 1}, other_text, {"temperature": 1.5, "seed": 2}),
    Probe(("seed",), GENERATING, {}, same_text, {"temperature": 1.5, "seed": 2}),
    Probe(("repetition_penalty",), GENERATING, {"repetition_penalty": 2.0}, other_text),
    Probe(("presence_penalty",), GENERATING, {"presence_penalty": 2.0}, other_text),
    Probe(("frequency_penalty",), GENERATING, {"frequency_penalty": 2.0}, other_text),
    Probe(("logit_bias",), GENERATING, {"logit_bias": {"150": 100}}, other_text),
    Probe(
        ("allowed_token_ids", "return_token_ids"),
        TEXT,
        {"allowed_token_ids": [150]},
        lambda one, _: set(one["choices"][0]["token_ids"]) == {150},
        SHOWN,
    ),
    Probe(("n",), TEXT, {"n": 3}, lambda one, _: len(one["choices"]) == 3, {"temperature": 1}),
    Probe(
        ("use_beam_search", "length_penalty"),
        TEXT,
        {"use_beam_search": True, "n": 2, "length_penalty": 1.0},
        lambda one, _: len(one["choices"]) == 2,
    ),
    # How much, and when it ends.
    Probe(("max_tokens",), TEXT, {"max_tokens": 3}, lambda one, _: used(one) == 3),
    Probe(("max_completion_tokens",), ("chat",), {"max_completion_tokens": 3}, lambda one, _: used(one) == 3),
    Probe(("max_output_tokens",), ("responses",), {"max_output_tokens": 3}, lambda one, _: used(one) == 3),
    Probe(
        ("ignore_eos",),
        TEXT,
        {"ignore_eos": True},
        lambda one, other: used(one) == 150 > used(other),
        {**LONG, "temperature": 1, "seed": 7},
    ),
    Probe(
        ("stop",), GENERATING, {"stop": ["e"]}, lambda one, other: "e" in text(other) and "e" not in text(one)
    ),
    Probe(
        ("include_stop_str_in_output",),
        GENERATING,
        {"include_stop_str_in_output": True},
        lambda one, other: text(one) == text(other) + "e",
        {"stop": ["e"]},
    ),
    Probe(
        ("stop_token_ids",),
        GENERATING,
        {"stop_token_ids": ALL_TOKENS},
        lambda one, other: used(one) < used(other),
    ),
    Probe(
        ("min_tokens",),
        TEXT,
        {"min_tokens": 9},
        lambda one, other: used(one) >= 9 > used(other),
        {"stop_token_ids": [150], "logit_bias": {"150": 100}},
    ),
    Probe(
        ("repetition_detection",),
        TEXT,
        {
            "repetition_detection": {"max_pattern_size": 8, "min_pattern_size": 1, "min_count": 2},
            "ignore_eos": True,
            "allowed_token_ids": [150],
        },
        lambda one, _: finish(one) == "repetition",
    ),
    # The form of the answer.
    Probe(
        ("structured_outputs",),
        GENERATING,
        {"structured_outputs": {"choice": ["zebra"]}},
        lambda one, _: text(one) == "zebra",
    ),
    Probe(
        ("response_format",),
        TEXT,
        {"response_format": ROME},
        lambda one, _: json.loads(text(one)) == {"city": "Rome"},
        {"max_tokens": 100},
    ),
    Probe(
        ("text",),
        ("responses",),
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": CITY}}},
        lambda one, _: json.loads(text(one)) == {"city": "Rome"},
        {"max_output_tokens": 100},
    ),
    Probe(
        ("logprobs", "top_logprobs"),
        ("chat",),
        {"logprobs": True, "top_logprobs": 3},
        lambda one, _: len(one["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 3,
    ),
    Probe(
        ("logprobs",),
        ("completions",),
        {"logprobs": 3},
        lambda one, _: len(one["choices"][0]["logprobs"]["top_logprobs"][0]) >= 3,
    ),
    Probe(
        ("top_logprobs", "include"),
        ("responses",),
        {"top_logprobs": 2, "include": ["message.output_text.logprobs"]},
        lambda one, _: any(
            len(token["top_logprobs"]) == 2
            for item in one["output"]
            for part in item.get("content") or ()
            for token in part.get("logprobs") or ()
        ),
    ),
    Probe(
        ("prompt_logprobs",), ("chat",), {"prompt_logprobs": 1}, lambda one, _: bool(one["prompt_logprobs"])
    ),
    Probe(
        ("prompt_logprobs",),
        ("completions",),
        {"prompt_logprobs": 1},
        lambda one, _: bool(one["choices"][0]["prompt_logprobs"]),
    ),
    Probe(
        ("return_token_ids",),
        TEXT,
        SHOWN,
        lambda one, other: bool(one["choices"][0]["token_ids"]) and not other["choices"][0]["token_ids"],
    ),
    Probe(
        ("return_tokens_as_token_ids",),
        ("chat",),
        {"return_tokens_as_token_ids": True},
        lambda one, _: one["choices"][0]["logprobs"]["content"][0]["token"].startswith("token_id:"),
        {"logprobs": True},
    ),
    Probe(
        ("return_tokens_as_token_ids",),
        ("completions",),
        {"return_tokens_as_token_ids": True},
        lambda one, _: one["choices"][0]["logprobs"]["tokens"][0].startswith("token_id:"),
        {"logprobs": 1},
    ),
    Probe(
        ("logprob_token_ids",),
        ("chat",),
        {"logprob_token_ids": [150, 151]},
        lambda one, _: (
            {"token_id:150", "token_id:151"}
            <= {token["token"] for token in one["choices"][0]["logprobs"]["content"][0]["top_logprobs"]}
        ),
        {"logprobs": True, "return_tokens_as_token_ids": True},
    ),
    Probe(
        ("logprob_token_ids",),
        ("completions",),
        {"logprob_token_ids": [150, 151]},
        lambda one, _: (
            {"token_id:150", "token_id:151"} <= one["choices"][0]["logprobs"]["top_logprobs"][0].keys()
        ),
        {"logprobs": 1, "return_tokens_as_token_ids": True},
    ),
    Probe(
        ("return_prompt_text",),
        ("chat",),
        {"return_prompt_text": True},
        lambda one, _: "Tell me about the sea." in one["prompt_text"],
    ),
    Probe(
        ("echo",),
        ("completions",),
        {"echo": True},
        lambda one, other: text(one) == "The sea is" + text(other),
    ),
    Probe(
        ("echo", "continue_final_message", "add_generation_prompt"),
        ("chat",),
        {"echo": True},
        lambda one, other: text(one) == "Well, " + text(other),
        {
            "messages": [*MESSAGES, {"role": "assistant", "content": "Well, "}],
            "continue_final_message": True,
            "add_generation_prompt": False,
        },
    ),
    Probe(("request_id",), TEXT, {"request_id": "mine"}, lambda one, _: "mine" in one["id"]),
    # How the prompt is made.
    Probe(
        ("add_generation_prompt",),
        ("chat",),
        {"add_generation_prompt": False},
        lambda one, other: prompted(one) < prompted(other),
    ),
    Probe(
        ("tools", "tool_choice"),
        ("chat",),
        {"tools": [TOOL], "tool_choice": "auto"},
        lambda one, other: prompted(one) > prompted(other),
    ),
    Probe(
        ("tool_choice",),
        ("chat",),
        {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        lambda one, _: (
            json.loads(one["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
            == {"city": "Rome"}
        ),
        {"tools": [TOOL], "max_tokens": 100},
    ),
    Probe(
        ("instructions",),
        ("responses",),
        {"instructions": "Be short."},
        lambda one, other: prompted(one) > prompted(other),
    ),
    Probe(
        ("truncate_prompt_tokens",), TEXT, {"truncate_prompt_tokens": 2}, lambda one, _: prompted(one) == 2
    ),
    Probe(
        ("truncation_side",),
        ("completions",),
        {"truncation_side": "right"},
        lambda one, other: one["choices"][0]["prompt_token_ids"] != other["choices"][0]["prompt_token_ids"],
        {"truncate_prompt_tokens": 2, **SHOWN, "truncation_side": "left"},
    ),
    Probe(
        ("metadata",), ("responses",), {"metadata": {"a": "b"}}, lambda one, _: one["metadata"] == {"a": "b"}
    ),
    # What only routers read.
    Probe(
        ("user", "priority", "session_id", "cache_salt"),
        TEXT,
        {"user": "me", "priority": 3, "session_id": "s", "cache_salt": "c"},
        same_text,
    ),
    # Vectors.
    Probe(
        ("encoding_format",),
        ("embeddings",),
        {"encoding_format": "base64"},
        lambda one, other: close(unpacked(one, "<f"), vector(other)),
    ),
    Probe(
        ("embed_dtype",),
        ("embeddings",),
        {"encoding_format": "base64", "embed_dtype": "float16"},
        lambda one, other: close(unpacked(one, "<e"), vector(other)),
    ),
    Probe(
        ("endianness",),
        ("embeddings",),
        {"encoding_format": "base64", "endianness": "big"},
        lambda one, other: close(unpacked(one, ">f"), vector(other)),
    ),
    Probe(
        ("truncate_prompt_tokens",),
        ("embeddings",),
        {"truncate_prompt_tokens": 4},
        lambda one, _: prompted(one) == 4,
    ),
    Probe(
        ("add_special_tokens",),
        ("embeddings",),
        {"add_special_tokens": False},
        lambda one, other: prompted(one) == prompted(other) - 2,
    ),
    Probe(
        ("user", "request_id", "priority", "cache_salt"),
        ("embeddings",),
        {"user": "me", "priority": 1, "request_id": "r", "cache_salt": "c"},
        lambda one, other: close(vector(one), vector(other)),
    ),
    Probe(
        ("use_activation",),
        ("embeddings",),
        {"use_activation": True},
        lambda one, _: abs(length(vector(one)) - 1) < 1e-2,
    ),
)


def probes() -> list[Any]:
    return [
        pytest.param(kind, probe, id=f"{kind} {' '.join(probe.names)} {at}")
        for at, probe in enumerate(PROBES)
        for kind in probe.kinds
    ]


@pytest.mark.parametrize(("kind", "probe"), probes())
def test_read(kind: RequestKind, probe: Probe, ask: Callable[..., Reply]) -> None:
    """What the table says is read does to an answer what it is for."""
    beside = dict(probe.beside)
    if kind == "responses" and "max_tokens" in beside:
        beside["max_output_tokens"] = beside.pop("max_tokens")
    one, other = ask(kind, **{**beside, **probe.gives}), ask(kind, **beside)
    assert (one.status, other.status) == (200, 200), (one.body, other.body)
    assert probe.holds(one.json(), other.json()), (one.body, other.body)


@pytest.mark.parametrize("kind", GENERATING)
def test_stream(kind: RequestKind, ask: Callable[..., Reply]) -> None:
    """`stream` makes events of an answer; `stream_options` brings its usage, `stream_interval` makes fewer of them."""
    every = ask(kind, stream=True).body.count(b"\ndata: " if kind == "responses" else b"data: ")
    assert every > 5
    if kind == "responses":
        return
    assert b'"usage":{' in ask(kind, stream=True, stream_options={"include_usage": True}).body
    assert ask(kind, stream=True, stream_interval=12).body.count(b"data: ") < every


@pytest.mark.parametrize("kind", TEXT)
def test_bad_words(kind: RequestKind, ask: Callable[..., Reply], chat_server: Server) -> None:
    """A word that is not wanted does not come where it came before."""
    before = ask(kind, return_token_ids=True).json()["choices"][0]["token_ids"]
    word = chat_server.ask("POST", "/detokenize", {"model": "tiny", "tokens": before[:1]}).json()["prompt"]
    after = ask(kind, return_token_ids=True, bad_words=[word]).json()["choices"][0]["token_ids"]
    assert after[0] != before[0], word


REFUSED: Any = [
    ("chat", {"chat_template": "x"}),
    ("chat", {"media_io_kwargs": {"image": {"a": 1}}}),
    ("chat", {"mm_processor_kwargs": {"a": 1}}),
    ("chat", {"thinking_token_budget": 3}),
    ("chat", {"tools": []}),
    ("chat", {"temperature": 3}),
    ("chat", {"top_k": -2}),
    ("chat", {"min_p": 2}),
    ("chat", {"structured_outputs": {"choice": ["a"], "regex": "a"}}),
    ("chat", {"allowed_token_ids": []}),
    ("chat", {"min_tokens": 30}),
    ("chat", {"stop": ["a", "b", "c", "d", "e"]}),
    ("chat", {"stream_options": {"include_usage": True}}),
    ("chat", {"continue_final_message": True, "add_generation_prompt": True}),
    ("chat", {"cache_salt": ""}),
    ("completions", {"suffix": "x"}),
    ("completions", {"prompt_logprobs": 1, "stream": True}),
    ("responses", {"prompt": {"id": "p"}}),
    ("responses", {"service_tier": "fast"}),
    ("embeddings", {"dimensions": 8}),
    ("embeddings", {"normalize": True}),
    ("embeddings", {"endianness": "middle"}),
]


@pytest.mark.parametrize(("kind", "gives"), REFUSED, ids=[f"{kind} {gives}" for kind, gives in REFUSED])
def test_refused_by_the_server(kind: RequestKind, gives: dict[str, Any], ask: Callable[..., Reply]) -> None:
    """What the table says of ranges and refusals: the server answers 400."""
    assert ask(kind, **gives).status == 400


# Parameters that no answer of a random model shows, and why.
UNDECIDED = {
    **dict.fromkeys(("messages", "prompt", "input", "model"), "what every request holds"),
    **dict.fromkeys(
        ("watermarking", "routed_experts_prompt_start", "prompt_embeds"), "needs a server option"
    ),
    **dict.fromkeys(
        ("kv_transfer_params", "ec_transfer_params", "vllm_xargs"), "needs a connector or a plugin"
    ),
    **dict.fromkeys(
        ("thinking_token_budget", "include_reasoning", "reasoning_effort", "reasoning"),
        "needs a reasoning model",
    ),
    **dict.fromkeys(("chat_template_kwargs", "documents"), "needs a template that reads it"),
    **dict.fromkeys(("return_token_offsets", "mm_payload", "return_mm_kwargs"), "for /render alone"),
    **dict.fromkeys(
        ("previous_response_id", "background", "previous_input_messages", "store"),
        "needs a server that stores responses",
    ),
    **dict.fromkeys(("max_tool_calls", "enable_response_messages"), "needs built-in tools or harmony"),
    **dict.fromkeys(
        ("skip_special_tokens", "spaces_between_special_tokens"), "the model writes no special token"
    ),
    "add_special_tokens": "the tokenizer of the tiny model adds none; seen with embeddings",
    "parallel_tool_calls": "a random model makes no two calls",
    "padding": "the model pads to nothing",
    "truncation": "the input fits",
    "truncation_side": "seen with completions",
    "return_weight_versions": "0.33",
    "ignore_eos": "seen with chat",
    "service_tier": "no effect to see; the value that is refused is",
    "tools": "seen with chat",
    "tool_choice": "seen with chat",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_claim_is_tried(kind: RequestKind) -> None:
    """Each row of the table is tried above, or stands among those that a random model cannot decide, with the reason."""
    tried = {name for probe in PROBES if kind in probe.kinds for name in probe.names}
    tried |= {name for one, gives in REFUSED if one == kind for name in gives}
    tried |= {name for name, row in TABLE[kind].items() if row.effect == "ignores"}
    tried |= {"stream", "stream_options", "stream_interval", "bad_words"}
    others = {name for probe in PROBES for name in probe.names} | {
        name for _, gives in REFUSED for name in gives
    }
    assert TABLE[kind].keys() - tried - UNDECIDED.keys() - others == set()


# -- the client


def test_the_client_on_real_vllm(chat_server: Server, live_key: str) -> None:
    """A constraint of an older release constrains, functions are seen, a misspelling is told; `adaptations` tells all."""
    with OpenAI(base_url=chat_server.url, api_key=live_key) as client:
        chat = client.chat.completions
        plain = chat.create(messages=MESSAGES, max_tokens=8)
        zebra = chat.create(messages=MESSAGES, max_tokens=20, extra_body={"guided_choice": ["zebra"]})
        assert zebra.choices[0].message.content == "zebra"
        tools = chat.create(messages=MESSAGES, max_tokens=8, functions=[TOOL["function"]])
        assert plain.usage is not None
        assert tools.usage is not None
        assert tools.usage.prompt_tokens > plain.usage.prompt_tokens
        chat.create(messages=MESSAGES, max_tokens=8, extra_body={"repetion_penalty": 1.1}, store=True)
        limited = client.completions.create(prompt="x", extra_body={"max_completion_tokens": 3})
        assert limited.usage is not None
        assert limited.usage.completion_tokens == 3
        found = {(one.parameter, one.action) for one in client.server.adaptations()}
    assert found == {
        ("guided_choice", "translated"),
        ("functions", "translated"),
        ("repetion_penalty", "unknown"),
        ("store", "ignored"),
        ("max_completion_tokens", "translated"),
    }


def test_vectors_on_real_vllm(embed_server: Server) -> None:
    """Vectors are the same whatever their encoding: with the SDK alone float16 gives half as many, and wrong ones."""
    with OpenAI(base_url=embed_server.url) as client:
        plain = client.embeddings.create(input="The sea").data[0].embedding
        for given in ({"embed_dtype": "float16"}, {"embed_dtype": "bfloat16"}, {"endianness": "big"}):
            other = client.embeddings.create(input="The sea", **given).data[0].embedding  # type: ignore[arg-type]  # words
            assert close(other, plain)


def test_fit_on_real_vllm(chat_server: Server, live_key: str) -> None:
    """The server's own count is that of its answer, so that a clamped answer fits; unclamped it is refused."""
    long = [{"role": "user", "content": "Tell me about the sea. " * 40}]
    given: Any = {"messages": long, "max_tokens": 5000, "temperature": 0, "stop": ["e"]}
    with OpenAI(base_url=chat_server.url, api_key=live_key) as client:
        with pytest.raises(openai.BadRequestError, match="max_tokens"):
            client.chat.completions.create(**given)
        counted = client.server.tokenize(messages=given["messages"])
    with OpenAI(base_url=chat_server.url, api_key=live_key, fit="clamp") as client:
        answer = client.chat.completions.create(**given)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == counted.count
    with (
        OpenAI(base_url=chat_server.url, api_key=live_key, fit="error") as client,
        pytest.raises(ParameterRefused, match=f"{counted.count} tokens.*1024"),
    ):
        client.chat.completions.create(**given)
