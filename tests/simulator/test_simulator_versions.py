"""Simulated releases: what a client of an older vLLM sees, by the table of changes."""

from typing import Any

import pytest

from tests.simulator.simulated import ask, chat
from vllm_connect.simulator import Simulator

Case = tuple[str, dict[str, Any], str, str]
LONG = [{"role": "user", "content": "word " * 60}]


def error_of(server: Simulator, **parameters: Any) -> str:
    reply = chat(server, **parameters)
    return str(reply.error["message"]) if reply.status >= 400 else ""


@pytest.mark.parametrize(
    ("since", "before", "parameters", "said", "said_before"),
    [
        ("0.32.0", "0.31.0", {"messages": LONG, "max_tokens": 50}, "", "you requested 50 output tokens"),
        ("0.32.0", "0.31.0", {"model": "nope"}, "Valid aliases: sim-model.", "`nope` does not exist."),
        ("0.31.0", "0.30.0", {"mm_processor_kwargs": {"a": 1}}, "--trust-request-mm-kwargs", ""),
        ("0.28.0", "0.27.0", {"stop": list("abcde")}, "at most 4 items", ""),
        ("0.24.0", "0.22.1", {"temperature": 3}, "must be in [0, 2]", ""),
        ("0.20.0", "0.18.1", {"tools": []}, "must not be an empty array", ""),
    ],
)
def test_refusals(since: str, before: str, parameters: dict[str, Any], said: str, said_before: str) -> None:
    """A release refuses what its predecessors accepted, or in other words, from the release on that brought it."""
    for version, expected in ((since, said), (before, said_before)):
        with Simulator(version=version, max_model_len=100) as server:
            text = error_of(server, **parameters)
            assert text.endswith(expected) if expected.endswith(".") else expected in text
            assert bool(text) == bool(expected)


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("0.32.0", {"reasoning"}),
        ("0.14.1", {"reasoning", "reasoning_content"}),
        ("0.11.0", {"reasoning_content"}),
    ],
)
def test_reasoning(version: str, names: set[str]) -> None:
    """Reasoning comes under the release's names, in messages and in deltas alike."""
    with Simulator(version=version, reasoning_parser="qwen3") as server:
        message = chat(server).json()["choices"][0]["message"]
        streamed = {
            name for event in chat(server, stream=True).events for name in event["choices"][0]["delta"]
        }
    for found in (set(message), streamed):
        assert {name for name in found if name.startswith("reasoning")} == names


@pytest.mark.parametrize(
    ("version", "guided", "structured"),
    [("0.32.0", False, True), ("0.11.0", True, True), ("0.10.2", True, False)],
)
def test_constraints(version: str, *, guided: bool, structured: bool) -> None:
    """`guided_*` binds the output up to 0.11, `structured_outputs` from 0.11 on; the other is ignored."""
    with Simulator(version=version) as server:
        by_guided = chat(server, guided_choice=["qqq"])
        by_structured = chat(server, structured_outputs={"choice": ["qqq"]})
    said = [reply.json()["choices"][0]["message"]["content"] for reply in (by_guided, by_structured)]
    assert [text == "qqq" for text in said] == [guided, structured]


def test_guarded_paths() -> None:
    """A key guarded /v1 alone up to 0.20, /v2 too from 0.22 on."""
    for version, status in (("0.20.2", 200), ("0.22.1", 401)):
        with Simulator(kind="pooling", api_key="key", version=version) as server:
            reply = ask(server, "POST", "/v2/rerank", {"query": "a", "documents": ["b"]})
            assert reply.status == status


@pytest.mark.parametrize(
    ("path", "since", "before"),
    [
        ("/v1/systemone", "0.32.0", "0.31.0"),
        ("/v1/chat/completions/batch", "0.20.2", "0.18.1"),
        ("/v1/messages", "0.11.2", "0.11.0"),
        ("/v1/responses", "0.10.0", "0.9.2"),
    ],
)
def test_routes(path: str, since: str, before: str) -> None:
    """A route is there, and in /openapi.json, from the release on that brought it."""
    for version, is_there in ((since, True), (before, False)):
        with Simulator(version=version) as server:
            assert (ask(server, "POST", path, {}).status != 404) is is_there
            assert (path in ask(server, "GET", "/openapi.json").json()["paths"]) is is_there


def test_error_shape() -> None:
    """Before 0.10.2 an error's fields stood at the top, beside `"object": "error"`; inside a stream never."""
    wrong = {"structured_outputs": None, "logit_bias": {"999999": 1}}
    with Simulator(version="0.10.0") as server:
        whole = chat(server, **wrong).json()
        (event,) = chat(server, **wrong, stream=True).events
    assert (whole["object"], whole["code"]) == ("error", 400)
    assert event["error"] == whole


def test_fingerprint_and_metrics() -> None:
    """`system_fingerprint` tells the version from 0.22 on; the cache's gauge had another name before 0.12."""
    for version, fingerprint, gauge in (
        ("0.32.0", "vllm-0.32.0-", "vllm:kv_cache_usage_perc"),
        ("0.11.0", "None", "vllm:gpu_cache_usage_perc"),
    ):
        with Simulator(version=version) as server:
            assert str(chat(server).json()["system_fingerprint"]).startswith(fingerprint)
            assert gauge.encode() in ask(server, "GET", "/metrics").body


@pytest.mark.parametrize(("version", "told"), [("0.8.4", "oldest"), ("latest", "write it as 0.32.0")])
def test_unknown_versions(version: str, told: str) -> None:
    """A release too old to be told apart, and what is no release, are refused when the server is made."""
    with pytest.raises(ValueError, match=told):
        Simulator(version=version)
