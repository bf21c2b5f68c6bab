"""A shadow run: recorded requests go to two servers, and what their answers have in common is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands import run
from vllm_connect.migrate.comparison import Answer, compared, shape
from vllm_connect.migrate.shadow import key_for
from vllm_connect.simulator import Simulator

MESSAGES = [{"role": "user", "content": "Say hello."}]
TOOL = {
    "type": "function",
    "function": {"name": "now", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}},
}
CHAT = {"path": "/v1/chat/completions", "body": {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 4}}
# What no server is to see.
CANARY = "canary-T3BlbkFJ-canary"


def shadow(
    tmp_path: Path, lines: Sequence[object], old: str, new: str, *more: str, **environ: str
) -> tuple[Any, int]:
    file = tmp_path / "requests.jsonl"
    texts = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines]
    file.write_bytes(b"".join(one + b"\n" for one in texts))
    given = ("--shadow", str(file), "--from", old, "--to", new, "--model-map", "gpt-4o=qwen", "--json", *more)
    ended = run("migrate", *given, **environ)
    return json.loads(ended.stdout), ended.returncode


def test_compared(tmp_path: Path) -> None:
    """Each form of request arrives at both, with the model's new name at the new one, and all differences are told."""
    lines = [
        {**CHAT, "body": {**CHAT["body"], "stream": True, "stream_options": {"include_usage": True}}},  # type: ignore[dict-item]
        {
            "custom_id": "1",
            "method": "POST",
            "url": "/v1/completions",
            "body": {"model": "gpt-4o", "prompt": "Hello", "max_tokens": 2},
        },
        {
            "url": "https://mine.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=1",
            "body": {"messages": MESSAGES, "tools": [TOOL], "tool_choice": "required"},
        },
        {"path": "embeddings", "body": {"model": "gpt-4o", "input": "x"}},
    ]
    with (
        Simulator(models=("gpt-4o",)) as old,
        Simulator(models=("qwen",), tool_call_parser=None, reasoning_parser="qwen3") as new,
    ):
        report, code = shadow(tmp_path, lines, old.url, new.url)
        models = [
            [one.json()["model"] for one in server.requests if one.method == "POST"] for server in (old, new)
        ]
        streams = [one.json().get("stream") for one in old.requests if one.method == "POST"]
    assert code == 0
    assert models == [["gpt-4o"] * 4, ["qwen"] * 4]
    assert streams == [None] * 4
    assert [one["path"] for one in report["lines"]] == [
        *("/chat/completions", "/completions", "/chat/completions", "/embeddings")
    ]
    told = [[(two["kind"], two["message"]) for two in one["differences"]] for one in report["lines"]]
    assert told[0] == [("shape", "choices[].message.content is missing")]
    assert told[1] == []
    assert [kind for kind, _ in told[2]] == ["status"]
    assert "parser for tool calls" in told[2][0][1]
    assert told[3] == []  # neither serves it
    assert report["lines"][2]["tool_calls"]["from"] == ["now(zone)"]
    assert report["lines"][1]["tokens"] == {"from": [1, 2], "to": [1, 2]}
    assert report["tokens"]["answer"]["to"] == 6
    assert report["differences"] == {"shape": 1, "status": 1}
    assert (report["requests"], report["compared"], report["different"]) == (4, 4, 2)


def test_check(tmp_path: Path) -> None:
    """With --check a difference, a line that is no request, or no answer at all is exit code 1, and equal answers 0."""
    with Simulator(models=("gpt-4o", "qwen")) as server:
        assert shadow(tmp_path, [CHAT], server.url, server.url, "--check")[1] == 0
        assert shadow(tmp_path, [CHAT, b"{"], server.url, server.url, "--check")[1] == 1
        assert shadow(tmp_path, [CHAT, b"{"], server.url, server.url)[1] == 0
        url = server.url
    report, code = shadow(tmp_path, [CHAT], url, url)
    assert (code, report["compared"]) == (1, 0)
    assert report["lines"][0]["status"] == {"from": None, "to": None}
    assert "connection refused" in report["lines"][0]["error"]["to"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (json.dumps(CHAT).encode().replace(b"hello", b"\xe9"), "not JSON"),
        ([1], "no object"),
        ({"path": "/v1/chat/completions"}, "no object"),
        ({"body": {}}, "neither"),
        ({"path": "/v1/files", "body": {}}, "its path is none of"),
        ({"path": "/v1/chat/completions", "body": {}, "method": "DELETE"}, "method"),
    ],
)
def test_broken(line: object, reason: str, tmp_path: Path) -> None:
    """A line that is no request is told with its number and why, and the others are sent."""
    with Simulator(models=("gpt-4o", "qwen")) as server:
        report, _ = shadow(tmp_path, [CHAT, b"", line, CHAT], server.url, server.url)
        arrived = sum(one.method == "POST" for one in server.requests)
    assert [(one["line"], reason in one["reason"]) for one in report["broken"]] == [(3, True)]
    assert [one["line"] for one in report["lines"]] == [1, 4]
    assert arrived == 4


def test_order(tmp_path: Path) -> None:
    """Requests travel several at once, and are told in their order."""
    lines = [{**CHAT, "body": {**CHAT["body"], "max_tokens": 1 + at % 7}} for at in range(40)]  # type: ignore[dict-item]
    with Simulator(models=("gpt-4o", "qwen"), token_delay=0.005) as server:
        report, _ = shadow(tmp_path, lines, server.url, server.url, "--concurrency", "8")
    assert [one["line"] for one in report["lines"]] == [*range(1, 41)]
    assert [one["tokens"]["to"][1] for one in report["lines"]] == [1 + at % 7 for at in range(40)]


def test_keys(tmp_path: Path) -> None:
    """Each server gets the key that is set beside its own address; a key without one, or of OpenAI, goes to neither."""
    with (
        Simulator(models=("gpt-4o",), api_key="of-old") as old,
        Simulator(models=("qwen",), api_key="of-new") as new,
    ):
        environ = {
            "OPENAI_BASE_URL": old.url,
            "OPENAI_API_KEY": "of-old",
            "VLLM_BASE_URL": new.url,
            "VLLM_API_KEY": "of-new",
        }
        report, _ = shadow(tmp_path, [CHAT], old.url, new.url, **environ)
        assert report["lines"][0]["status"] == {"from": 200, "to": 200}
        strangers = {"OPENAI_BASE_URL": "", "VLLM_BASE_URL": "http://gpu9:1/v1", "OPENAI_API_KEY": CANARY}
        report, _ = shadow(tmp_path, [CHAT], old.url, new.url, **{**environ, **strangers})
        arrived = [value for server in (old, new) for one in server.requests for _, value in one.headers]
    assert report["lines"][0]["status"] == {"from": 401, "to": 401}
    assert "no settings give one for this address" in report["lines"][0]["error"]["to"]
    assert CANARY not in json.dumps(report)
    assert not [value for value in arrived if CANARY.encode() in value]
    assert [value for value in arrived if value.startswith(b"Bearer ")].count(b"Bearer of-new") == len(
        [one for one in new.requests if (b"authorization", b"Bearer of-new") in _lowered(one.headers)]
    )


def _lowered(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers]


@pytest.mark.parametrize(
    ("url", "environ", "place"),
    [
        ("https://api.openai.com/v1", {"OPENAI_API_KEY": CANARY}, "OPENAI_API_KEY"),
        ("https://api.openai.com/v1", {"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": "http://gpu1/v1"}, None),
        ("https://api.openai.com/v1", {"VLLM_API_KEY": "a"}, None),
        ("https://api.openai.com/v1", {"VLLM_API_KEY": "a", "VLLM_BASE_URL": "http://gpu1/v1"}, None),
        ("http://gpu1", {"VLLM_API_KEY": "a", "VLLM_BASE_URL": "http://gpu1/v1"}, "VLLM_API_KEY"),
        ("http://gpu1:8001", {"VLLM_API_KEY": "a", "VLLM_BASE_URL": "http://gpu1:8000/v1"}, None),
        ("http://gpu1", {"OPENAI_API_KEY": CANARY}, None),
        ("http://gpu1", {"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": "http://gpu1"}, None),
        (
            "http://gpu1",
            {"HOSTED_VLLM_API_KEY": "a", "HOSTED_VLLM_API_BASE": "http://gpu1/v1"},
            "HOSTED_VLLM_API_KEY",
        ),
        ("http://localhost:8000", {"VLLM_API_KEY": "a"}, "VLLM_API_KEY"),
        ("http://gpu1", {}, None),
    ],
)
def test_key_for(
    url: str, environ: dict[str, str], place: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key is found by the address that stands beside it, and by no other."""
    monkeypatch.chdir(tmp_path)
    key = key_for(url, {**environ, "HOME": str(tmp_path)})
    assert (None if key is None else key.place) == place


PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
BODIES = st.dictionaries(
    st.sampled_from(["id", "choices", "usage", "x"]),
    st.recursive(
        PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner)
    ),
    max_size=4,
)


@settings(deadline=None)
@given(BODIES)
def test_same_answers(body: dict[str, Any]) -> None:
    """An answer does not differ from itself, whatever it is, nor from itself with null for what is not there."""
    answers = Answer(200, 0.0, body), Answer(200, 0.0, {**body, "more": None})
    assert compared(1, "/x", ("", ""), *answers).differences == ()


@settings(deadline=None)
@given(BODIES, BODIES)
def test_shapes(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Every place that is gone, and every one whose type is another, is told, and no other."""
    told = compared(1, "/x", ("", ""), Answer(200, 0.0, one), Answer(200, 0.0, other))
    before, after = shape(one), shape(other)
    assert set(told.missing) == set(before) - set(after)
    assert set(told.added) == set(after) - set(before)
    assert set(told.changed) == {place for place in set(before) & set(after) if before[place] != after[place]}
