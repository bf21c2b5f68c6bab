"""`migrate --url`: what the code asks for is held against a server, and what it cannot do is told at its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run
from vllm_connect.simulator import Simulator

HEAD = "from openai import OpenAI\n\n\ndef ask(messages, tools, name, schema):\n    client = OpenAI()\n    return client."
CHAT = "chat.completions.create(model='gpt-4o', messages=messages"


def told(
    tmp_path: Path, call: str, server: Simulator, *more: str
) -> tuple[list[tuple[str, str, str]], Any, int]:
    """Return the findings about the server at the line of the call: rule, message, what to do; the report; the exit code."""
    (tmp_path / "app.py").write_text(f"{HEAD}{call}\n")
    ended = run("migrate", str(tmp_path / "app.py"), "--url", server.url, "--json", *more)
    report = json.loads(ended.stdout)
    found = [
        (one["rule"], one["message"], one["todo"])
        for one in report["findings"]
        if server.root_url in one["message"] and one["line"] == 6
    ]
    return found, report, ended.returncode


@pytest.mark.parametrize(
    ("options", "call", "rule", "words", "todo"),
    [
        ({}, f"{CHAT}, tools=tools)", "", "", ""),
        (
            {"tool_call_parser": None},
            f"{CHAT}, tools=tools)",
            *("refused-by-server", "not started for automatic tool choice", "--enable-auto-tool-choice"),
        ),
        (
            {"tool_call_parser": None},
            f"{CHAT}, tools=tools, tool_choice='auto')",
            *("refused-by-server", "not started for automatic tool choice", "--tool-call-parser"),
        ),
        ({}, f"{CHAT}, top_logprobs=5)", "", "", ""),
        (
            {"max_logprobs": 2},
            f"{CHAT}, logprobs=True, top_logprobs=5)",
            *("refused-by-server", "gives 2 logprobs for a token at most", "--max-logprobs 5"),
        ),
        (
            {},
            f"{CHAT}, extra_body={{'thinking_token_budget': 100}})",
            *("refused-by-server", "without a reasoning parser", "--reasoning-parser"),
        ),
        ({"reasoning_parser": "qwen3"}, f"{CHAT}, extra_body={{'thinking_token_budget': 100}})", "", "", ""),
        (
            {},
            f"{CHAT}, extra_body={{'chat_template': 'x'}})",
            *("refused-by-server", "does not take a chat template", "--trust-request-chat-template"),
        ),
        ({"max_model_len": 100}, f"{CHAT}, max_tokens=99)", "", "", ""),
        (
            {"max_model_len": 100},
            f"{CHAT}, max_tokens=100)",
            *("answer-beyond-context", "asks for 100 tokens, and the context of", "Ask for fewer"),
        ),
        ({"max_model_len": 100}, f"{CHAT}, max_tokens=name)", "", "", ""),
        (
            {},
            f"{CHAT}, extra_body={{'return_weight_versions': True}})",
            *("unread-parameter", "It came with vLLM 0.33.0", "Use a release"),
        ),
        (
            {"models": ("qwen2.5", "bge")},
            "chat.completions.create(model='qwen2', messages=messages)",
            *(
                "unserved-model",
                "does not serve `qwen2`; it serves qwen2.5, bge",
                "--model-map qwen2=qwen2.5",
            ),
        ),
        (
            {"kind": "pooling"},
            f"{CHAT})",
            *("unserved-endpoint", "does not serve /chat/completions", "Start a server that has it"),
        ),
        (
            {},
            "embeddings.create(model='gpt-4o', input=name)",
            *("unserved-endpoint", "--runner pooling", "Start a server that has it"),
        ),
        (
            {"kind": "pooling"},
            "embeddings.create(model='gpt-4o', input=name, dimensions=256)",
            *("refused-by-server", "makes vectors of one length only", "Leave `dimensions` out"),
        ),
        (
            {"kind": "pooling", "matryoshka_dimensions": (256,)},
            "embeddings.create(model='gpt-4o', input=name, dimensions=256)",
            *("", "", ""),
        ),
    ],
)
def test_told(  # noqa: PLR0917 - a table's columns
    options: dict[str, Any], call: str, rule: str, words: str, todo: str, tmp_path: Path
) -> None:
    """What a server lacks is told with what it has to be started with, and what it has is not."""
    with Simulator(**{"models": ("qwen",), **options}) as server:
        served = server.options.models[0]
        found, report, _ = told(tmp_path, call, server, "--model-map", f"gpt-4o={served}")
    assert [one[0] for one in found] == ([rule] if rule else []), found
    assert all(words in one[1] and todo in one[2] for one in found), found
    assert report["server"]["models"] == list(server.options.models)


def test_each_doubt_is_asked_once(tmp_path: Path) -> None:
    """A server gets one small request for each doubt, however often the code has it, and each place is told."""
    calls = "\n".join(f"    client.{CHAT}, tools=tools)" for _ in range(5))
    with Simulator(models=("gpt-4o",), tool_call_parser=None) as server:
        (tmp_path / "app.py").write_text(f"{HEAD}{CHAT}, tools=tools)\n\n{calls}\n")
        ended = run("migrate", str(tmp_path), "--url", server.url, "--json", "--check")
        posts = [one.json() for one in server.requests if one.method == "POST"]
    places = [
        one["line"] for one in json.loads(ended.stdout)["findings"] if one["rule"] == "refused-by-server"
    ]
    assert places == [6, *range(8, 13)]
    assert len(posts) == 1
    assert posts[0]["max_tokens"] == 1
    assert ended.returncode == 1


def test_no_server(tmp_path: Path) -> None:
    """Where no server answers nothing is written, and the error says why."""
    path = tmp_path / "app.py"
    path.write_text(f"{HEAD}{CHAT})\n")
    ended = run("migrate", str(path), "--write", "--url", "http://127.0.0.1:9/v1")
    assert ended.returncode == 1
    assert "connection refused" in ended.stderr
    assert path.read_text() == f"{HEAD}{CHAT})\n"
