"""`vllm-connect doctor` on real vLLM servers: all is well, in seconds, and what is broken is named."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.commands import run
from tests.live.servers import Certificates, Server
from vllm_connect import OpenAI

# What a server of text, and one of vectors, is not asked.
NOT_OF_TEXT = {"embedding"}
NOT_OF_VECTORS = {"chat", "stream", "tools", "reasoning", "structured output"}


def examined(server: Server, *more: str, **environ: str) -> tuple[Any, int]:
    given = {"VLLM_BASE_URL": server.url, **environ}
    if server.options.api_key:
        given = {"VLLM_API_KEY": server.options.api_key, **given}
    ended = run("doctor", *more, "--json", **given)
    return json.loads(ended.stdout), ended.returncode


def by_status(report: Any, status: str) -> dict[str, str]:
    return {one["check"]: one["said"] for one in report["findings"] if one["status"] == status}


@pytest.mark.parametrize(
    ("name", "skipped"),
    [
        ("chat_server", NOT_OF_TEXT),
        # It reasons longer than the answer that is asked for.
        ("uds_server", NOT_OF_TEXT | {"structured output"}),
        ("tls_server", NOT_OF_TEXT),
        ("embed_server", NOT_OF_VECTORS),
    ],
)
def test_well(
    name: str, skipped: set[str], request: pytest.FixtureRequest, certificates: Certificates
) -> None:
    """A healthy server passes every check of what it serves, and its facts are told."""
    server: Server = request.getfixturevalue(name)
    report, code = examined(server, SSL_CERT_FILE=str(certificates.authority))
    assert (code, report["ok"]) == (0, True), report
    assert set(by_status(report, "skipped")) == skipped
    assert by_status(report, "fail") == {}
    assert by_status(report, "ok")["version"].startswith("vLLM ")


def test_no_tool_parser(uds_server: Server) -> None:
    """A server without a tool parser is one that works: a warning, with the options that bring it."""
    report, code = examined(uds_server)
    assert code == 0
    warned = {one["check"]: one["fix"] for one in report["findings"] if one["status"] == "warn"}
    assert set(warned) <= {"tools"}
    if warned:
        assert "--enable-auto-tool-choice" in warned["tools"]


def test_asleep(uds_server: Server) -> None:
    """An engine that sleeps is told at once, though /health says that it lives."""
    with OpenAI(base_url=uds_server.url, api_key=uds_server.options.api_key) as client:
        client.server.sleep(level=0, mode="wait")
        try:
            report, code = examined(uds_server)
        finally:
            client.server.wake_up(tags=["weights", "kv_cache"])
    assert code == 1
    root = uds_server.url.removesuffix("/v1")
    assert by_status(report, "fail") == {
        "engine": f"{root} is asleep, and lets requests wait until it is woken."
    }


def failing(report: Any) -> Any:
    (broken,) = (one for one in report["findings"] if one["status"] == "fail")
    return broken


def said_by_a_client(server: Server, **options: Any) -> tuple[str, str]:
    """Return what a chat of a client in the same set-up says that is raised."""
    given = {"base_url": server.url, "api_key": server.options.api_key, **options}
    with OpenAI(**given) as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(messages=[{"role": "user", "content": "Say hello."}], max_tokens=8)
    error: Any = caught.value
    return error.explanation, error.fix


def test_broken(chat_server: Server) -> None:
    """A wrong key, a misspelt model and a path that is none are named with their fix, as a client names them."""
    report, code = examined(chat_server, VLLM_API_KEY="sk-wrong")
    broken = failing(report)
    assert (code, broken["check"]) == (1, "key")
    assert broken["said"] == f"{chat_server.root_url} refused the API key from VLLM_API_KEY."
    report, code = examined(chat_server, "--model", "tinny")
    broken = failing(report)
    assert (code, broken["check"]) == (1, "models")
    assert (broken["said"], broken["fix"]) == said_by_a_client(chat_server, model="tinny")
    assert broken["fix"].startswith("Name one that it serves: tiny")
    address = f"{chat_server.url}/x"
    report, code = examined(chat_server, VLLM_BASE_URL=address)
    broken = failing(report)
    assert (code, broken["check"]) == (1, "base path")
    explanation, fix = said_by_a_client(chat_server, base_url=address)
    assert (broken["said"], broken["fix"].partition(". ")[0]) == (explanation, fix.partition(". ")[0])
    assert broken["fix"] == f"Write base_url='{chat_server.root_url}/v1'. The address is from VLLM_BASE_URL."
