"""`vllm-connect migrate` against real vLLM: what the code asks for is held against it, and a shadow run goes to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.commands import run
from tests.live.servers import Certificates, Server
from vllm_connect.simulator import Simulator

MESSAGES = [{"role": "user", "content": "Say hello."}]
TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
CODE = """from openai import OpenAI


def ask(client: OpenAI, messages, tools):
    client.chat.completions.create(model="gpt-4o", messages=messages, tools=tools)
    client.chat.completions.create(model="gpt-4o", messages=messages, extra_body={"thinking_token_budget": 9})
    client.chat.completions.create(model="gpt-4o", messages=messages, max_tokens=5000)
    client.chat.completions.create(model="gpt-4", messages=messages, top_logprobs=5)
    client.chat.completions.create(model="gpt-4o", messages=messages, extra_body={"chat_template": "x"})
    client.embeddings.create(model="text-embedding-3-small", input="x", dimensions=256)
"""


def held_against(server: Server, path: Path, *more: str, **environ: str) -> Any:
    path.write_text(CODE)
    given = {"VLLM_API_KEY": server.options.api_key} if server.options.api_key else {}
    ended = run("migrate", str(path), "--url", server.url, "--json", *more, **given, **environ)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)["findings"]
    rules = ("refused-by-server", "unserved-model", "unserved-endpoint", "answer-beyond-context")
    return [(one["line"], one["rule"]) for one in found if one["rule"] in rules]


def test_url_of_text(chat_server: Server, tmp_path: Path) -> None:
    """A server of text with tools is told to lack what it lacks, and no more."""
    found = held_against(chat_server, tmp_path / "app.py", "--model-map", "gpt-4o=tiny")
    assert sorted(found) == [
        (6, "refused-by-server"),
        (7, "answer-beyond-context"),
        (8, "unserved-model"),
        (9, "refused-by-server"),
        (10, "unserved-endpoint"),
        (10, "unserved-model"),
    ]


def test_url_without_tools(tls_server: Server, certificates: Certificates, tmp_path: Path) -> None:
    """A server that was started without a tool parser is told to need one."""
    trust = {"SSL_CERT_FILE": str(certificates.authority)}
    found = held_against(tls_server, tmp_path / "app.py", "--model-map", "gpt-4o=tiny", **trust)
    assert (5, "refused-by-server") in found


def test_url_of_vectors(embed_server: Server, tmp_path: Path) -> None:
    """A server of vectors is told to serve no chats, and to refuse other dimensions than its own."""
    models = "gpt-4o=minilm,gpt-4=minilm,text-embedding-3-small=minilm"
    found = held_against(embed_server, tmp_path / "app.py", "--model-map", models)
    assert [one for one in found if one[0] == 10] == [(10, "refused-by-server")]
    assert {line for line, rule in found if rule == "unserved-endpoint"} == {5, 6, 7, 8, 9}


def test_shadow(chat_server: Server, tmp_path: Path) -> None:
    """Requests that were recorded go to real vLLM under the new name, with its key, and their answers have a shape."""
    lines = [
        {"path": "/v1/chat/completions", "body": {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 4}},
        {
            "url": "/v1/completions",
            "body": {"model": "gpt-4o", "prompt": "Hello", "max_tokens": 4, "stream": True},
        },
        {
            "url": "/v1/chat/completions",
            "body": {"model": "gpt-4o", "messages": MESSAGES, "tools": [TOOL], "tool_choice": "required"},
        },
        {"url": "/v1/responses", "body": {"model": "gpt-4o", "input": "Hello", "max_output_tokens": 16}},
        {"url": "/v1/chat/completions", "body": {"model": "gpt-4o"}},
    ]
    file = tmp_path / "requests.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    with Simulator(models=("gpt-4o",)) as old:
        ended = run(
            *("migrate", "--shadow", str(file), "--from", old.url, "--to", chat_server.url, "--json"),
            *("--model-map", "gpt-4o=tiny"),
            VLLM_BASE_URL=chat_server.url,
            VLLM_API_KEY=str(chat_server.options.api_key),
        )
    report = json.loads(ended.stdout)
    assert [one["status"] for one in report["lines"]] == [
        {"from": code, "to": code} for code in (200, 200, 200, 200, 400)
    ]
    assert report["lines"][2]["tool_calls"]["to"][0].startswith("now(")
    assert report["lines"][0]["tokens"]["to"][1] == 4
    shapes = [two for one in report["lines"] for two in one["differences"] if two["kind"] == "shape"]
    assert shapes == [], shapes
