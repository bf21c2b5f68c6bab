"""Chat, completions and tokens of a simulated server."""

from typing import Any

import pytest

from tests.simulator.simulated import CHAT, MESSAGES, Answer, ask, chat, complete
from vllm_connect.simulator import Simulator


def text(answer: Answer) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


def test_chat_shape(generate: Simulator) -> None:
    """A chat reply has all keys of vLLM's, in its order, and is named by the first alias."""
    reply = chat(generate, model="sim-alias").json()
    assert list(reply) == [
        "id",
        "object",
        "created",
        "model",
        "choices",
        "service_tier",
        "system_fingerprint",
        "usage",
        "prompt_logprobs",
        "prompt_token_ids",
        "prompt_text",
        "kv_transfer_params",
        "ec_transfer_params",
        "metrics",
    ]
    assert list(reply["choices"][0]) == [
        "index",
        "message",
        "logprobs",
        "finish_reason",
        "stop_reason",
        "token_ids",
        "routed_experts",
    ]
    assert list(reply["choices"][0]["message"]) == [
        "role",
        "content",
        "refusal",
        "annotations",
        "audio",
        "function_call",
        "reasoning",
    ]
    assert reply["model"] == "sim-model"
    assert reply["system_fingerprint"].startswith("vllm-0.32.0-")
    assert reply["choices"][0]["finish_reason"] == "stop"


def test_deterministic(generate: Simulator) -> None:
    """Prompt and seed decide the text; other choices of one request differ."""
    assert text(chat(generate, seed=1)) == text(chat(generate, seed=1))
    assert text(chat(generate, seed=1)) != text(chat(generate, seed=2))
    assert text(chat(generate, seed=1, temperature=0)) == text(chat(generate, seed=2, temperature=0))
    first, second = (choice["message"]["content"] for choice in chat(generate, n=2).json()["choices"])
    assert first != second


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"max_tokens": 5},
        {"stop": ["river", "table"], "max_tokens": 200, "ignore_eos": True},
        {"stop": "ea", "include_stop_str_in_output": True, "max_tokens": 200, "ignore_eos": True},
        {"min_tokens": 60, "max_tokens": 70},
        {"n": 3, "max_tokens": 9},
    ],
)
def test_stream_equals_whole(generate: Simulator, parameters: dict[str, Any]) -> None:
    """A stream adds up to the plain reply: text, ends and usage."""
    whole = chat(generate, **parameters).json()
    stream = chat(generate, **parameters, stream=True, stream_options={"include_usage": True})
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    *chunks, last = stream.events
    usage = {key: value for key, value in whole["usage"].items() if value is not None}
    assert (last["choices"], last["usage"]) == ([], usage)
    for choice in whole["choices"]:
        mine = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == choice["index"]]
        assert mine[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(part["delta"].get("content", "") for part in mine) == choice["message"]["content"]
        assert mine[-1]["finish_reason"] == choice["finish_reason"]
        assert mine[-1]["stop_reason"] == choice["stop_reason"]


def test_stop_string(generate: Simulator) -> None:
    """A stop string ends the text before itself and is named; it shows only if that was asked for."""
    word = text(chat(generate)).split()[3]
    whole = chat(generate, stop=[word]).json()["choices"][0]
    kept = chat(generate, stop=[word], include_stop_str_in_output=True).json()["choices"][0]
    assert (whole["finish_reason"], whole["stop_reason"]) == ("stop", word)
    assert word not in whole["message"]["content"]
    assert kept["message"]["content"] == whole["message"]["content"] + word


def test_stop_string_over_tokens(generate: Simulator) -> None:
    """A stop string that spans tokens is found, and none of it has left in a stream by then."""
    spoken = text(chat(generate))
    stop = spoken[12:21]
    whole = text(chat(generate, stop=stop))
    streamed = [event["choices"][0] for event in chat(generate, stop=stop, stream=True).events]
    assert whole == spoken[: spoken.index(stop)]
    assert "".join(choice["delta"].get("content", "") for choice in streamed) == whole
    assert streamed[-1]["stop_reason"] == stop


def test_lengths(generate: Simulator) -> None:
    """Completions end after 16 tokens by default, chat when all is said; a limit beyond the context is clamped."""
    assert complete(generate).json()["usage"]["completion_tokens"] == 16
    assert complete(generate, max_tokens=3).json()["choices"][0]["finish_reason"] == "length"
    assert chat(generate, max_tokens=9, max_completion_tokens=2).json()["usage"]["completion_tokens"] == 2
    nearly_full = complete(generate, [300] * 4090, max_tokens=4000, ignore_eos=True).json()
    assert nearly_full["usage"] == {
        "prompt_tokens": 4090,
        "total_tokens": 4096,
        "completion_tokens": 6,
        "prompt_tokens_details": None,
        "completion_tokens_details": None,
    }


def test_prompt_forms(generate: Simulator) -> None:
    """Texts, token ids and lists of either are prompts; the same tokens get the same text."""
    ids = ask(generate, "POST", "/tokenize", {"prompt": "Once upon"}).json()["tokens"]
    by_text = complete(generate, "Once upon").json()["choices"][0]["text"]
    by_ids = complete(generate, ids).json()["choices"][0]["text"]
    several = complete(generate, ["Once upon", "Once upon"], n=2).json()
    by_lists = complete(generate, [ids, ids]).json()
    assert by_text == by_ids == several["choices"][0]["text"] == several["choices"][2]["text"]
    assert [choice["index"] for choice in several["choices"]] == [0, 1, 2, 3]
    assert several["usage"]["prompt_tokens"] == by_lists["usage"]["prompt_tokens"] == 2 * len(ids)


def test_echo(generate: Simulator) -> None:
    """An echo repeats the prompt before the text; alone, it costs one hidden token."""
    plain = complete(generate, "Once upon").json()["choices"][0]["text"]
    echoed = complete(generate, "Once upon", echo=True).json()["choices"][0]["text"]
    alone = complete(generate, "Once upon", echo=True, max_tokens=0, logprobs=1).json()
    assert echoed == "Once upon" + plain
    assert alone["choices"][0]["text"] == "Once upon"
    assert alone["usage"]["completion_tokens"] == 1
    assert alone["choices"][0]["logprobs"]["token_logprobs"][0] is None


def test_logprobs(generate: Simulator) -> None:
    """Logprobs come per token, the sampled one first, and spell the text."""
    reply = chat(generate, logprobs=True, top_logprobs=3, max_tokens=6).json()["choices"][0]
    entries = reply["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == reply["message"]["content"]
    for entry in entries:
        ranked = [option["logprob"] for option in entry["top_logprobs"]]
        assert (len(ranked), ranked[0]) == (3, entry["logprob"])
        assert ranked == sorted(ranked, reverse=True)
    completed = complete(generate, logprobs=1, max_tokens=4).json()["choices"][0]
    offsets = completed["logprobs"]["text_offset"]
    assert [completed["text"][offset:].startswith(token) for offset, token in zip(
        offsets, completed["logprobs"]["tokens"], strict=True
    )] == [True] * 4  # fmt: skip


def test_streamed_logprobs(generate: Simulator) -> None:
    """The logprobs of a stream add up to those of the plain reply, echo and all."""
    parameters = {"logprobs": 1, "max_tokens": 4, "echo": True}
    whole = complete(generate, **parameters).json()["choices"][0]["logprobs"]
    streamed = [
        event["choices"][0]["logprobs"] for event in complete(generate, **parameters, stream=True).events
    ]
    for key, values in whole.items():
        assert [value for part in streamed for value in part[key]] == values


def test_token_ids(generate: Simulator) -> None:
    """Token ids of prompt and reply are returned on demand and turn back into the text."""
    reply = chat(generate, return_token_ids=True).json()
    choice, usage = reply["choices"][0], reply["usage"]
    spoken = ask(generate, "POST", "/detokenize", {"tokens": choice["token_ids"]}).json()["prompt"]
    assert spoken == choice["message"]["content"] + "<|im_end|>"
    assert (len(reply["prompt_token_ids"]), len(choice["token_ids"])) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )


@pytest.mark.parametrize(
    "given", ["Hello, world!", "naïve façade 漢字 🎉\n\n\ttabs  twice", "<|im_start|>", ""]
)
def test_tokens_round_trip(generate: Simulator, given: str) -> None:
    """Any text survives tokenize and detokenize."""
    counted = ask(generate, "POST", "/tokenize", {"prompt": given, "return_token_strs": True}).json()
    assert counted["count"] == len(counted["tokens"]) == len(counted["token_strs"])
    assert ask(generate, "POST", "/detokenize", {"tokens": counted["tokens"]}).json() == {"prompt": given}


def test_tokenized_conversation(generate: Simulator) -> None:
    """/tokenize counts a conversation as chat does."""
    counted = ask(generate, "POST", "/tokenize", {"messages": MESSAGES}).json()
    assert counted["count"] == chat(generate).json()["usage"]["prompt_tokens"]
    assert counted["max_model_len"] == 4096
    ended = {"messages": MESSAGES, "add_generation_prompt": False}
    assert ask(generate, "POST", "/tokenize", ended).json()["count"] < counted["count"]


def test_request_id(generate: Simulator) -> None:
    """A reply is named by the X-Request-Id, then by the body's request_id."""
    body = {"messages": MESSAGES, "request_id": "body"}
    assert ask(generate, "POST", CHAT, body, {"X-Request-Id": "head"}).json()["id"] == "chatcmpl-head"
    assert ask(generate, "POST", CHAT, body).json()["id"] == "chatcmpl-body"
