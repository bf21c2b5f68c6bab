"""Every command against real vLLM."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.commands import COMMAND, PROMPT, Terminal, run
from tests.live.servers import Server
from vllm_connect import OpenAI

GREEDY = ("-o", "temperature=0")


@pytest.fixture
def environ(chat_server: Server, live_key: str) -> dict[str, str]:
    """The variables that set a command up for the chat server."""
    return {"VLLM_BASE_URL": chat_server.url, "VLLM_API_KEY": live_key}


def reading(server: Server, name: str) -> float:
    """Return the value of one of the server's metrics."""
    metrics = server.ask("GET", "/metrics").body.decode()
    (value,) = re.findall(rf"^vllm:{name}{{.*}} (\S+)$", metrics, re.MULTILINE)
    return float(value)


def wait_until_idle(server: Server) -> None:
    """Wait until the server works on no request; an answer that is not given up would take longer."""
    deadline = time.monotonic() + 3
    while reading(server, "num_requests_running"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["config"], "VLLM_BASE_URL"),
        (["models"], "tiny-alias"),
        (["wait", "--timeout", "5"], "is ready after"),
        (["info"], "0.32.0"),
        (["tokenize", "--text", "import os"], "the context holds 1024"),
        (["complete", "-q", "import ", "--max-tokens", "4"], ""),
        (["chat", "-q", "Hello", "--max-tokens", "4"], ""),
    ],
)
def test_commands(command: list[str], told: str, environ: dict[str, str], live_key: str) -> None:
    """Each command works on the real server, set up by variables alone, and never shows the key."""
    shown = run(*command, **environ)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip()
    assert told in shown.stdout
    assert live_key not in shown.stdout + shown.stderr


def test_info(environ: dict[str, str], embed_server: Server) -> None:
    """`info` tells a generating server from an embedding one, and whether a key is needed."""
    chat, embed = (
        json.loads(run("info", *url, "--json", **environ).stdout) for url in ([], [embed_server.url])
    )
    assert (chat["kind"], chat["needs_key"], chat["models"][0]["max_model_len"]) == ("generate", True, 1024)
    assert (embed["kind"], embed["needs_key"], embed["version"]) == ("pooling", False, "0.32.0")
    assert "chat" in chat["serves"]
    assert chat["metrics"]["generation_tokens"] > 0
    assert "embeddings" in embed["serves"]


def test_answers(environ: dict[str, str]) -> None:
    """`chat` and `complete` stream the very text that a plain call gives, with its usage and finish reason."""
    with OpenAI(base_url=environ["VLLM_BASE_URL"], api_key=environ["VLLM_API_KEY"]) as client:
        messages = [{"role": "user", "content": "Hello"}]
        said = client.chat.completions.create(messages=messages, temperature=0, max_tokens=9)  # type: ignore[arg-type]
        went_on = client.completions.create(prompt="import ", temperature=0, max_tokens=9)
    chat = json.loads(run("chat", "-q", "Hello", *GREEDY, "--max-tokens", "9", "--json", **environ).stdout)
    complete = json.loads(
        run("complete", "-q", "import ", *GREEDY, "--max-tokens", "9", "--json", **environ).stdout
    )
    for answer, choice, text in (
        (chat, said.choices[0], said.choices[0].message.content),
        (complete, went_on.choices[0], went_on.choices[0].text),
    ):
        assert (answer["text"], answer["finish_reason"]) == (text, choice.finish_reason)
        assert answer["usage"]["completion_tokens"] <= 9
        assert answer["timings"]["first_token_seconds"] > 0


def test_parameters(environ: dict[str, str]) -> None:
    """`-o` reaches vLLM's own parameters, and what the server refuses is told in its words."""
    choice = '{"choice": ["yes", "no"]}'
    shown = run("chat", "-q", "Is it?", "-o", f"structured_outputs={choice}", **environ)
    assert shown.stdout.strip() in {"yes", "no"}
    refused = run("chat", "-q", "Is it?", "-o", "top_k=-5", **environ)
    assert refused.returncode == 1
    assert "top_k" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_image(environ: dict[str, str], tmp_path: Path) -> None:
    """An image for a model of text alone is refused with what to do."""
    (tmp_path / "dot.gif").write_bytes(b"GIF89a")
    shown = run("chat", "-q", "What is this?", "--image", f"{tmp_path}/dot.gif", **environ)
    assert shown.returncode == 1
    assert "is not a multimodal model. The model tiny of" in shown.stderr


def test_embed(embed_server: Server) -> None:
    """`embed` writes unit vectors, the same whatever the batch; a chat server says that it has none."""
    one, two = (
        [
            json.loads(line)["embedding"]
            for line in run("embed", embed_server.url, *size, stdin="a\nb\nc\n").stdout.splitlines()
        ]
        for size in (["--batch-size", "1"], ["--batch-size", "3"])
    )
    assert [len(vector) for vector in one] == [384, 384, 384]
    for first, second in zip(one, two, strict=True):
        assert math.isclose(math.hypot(*first), 1, abs_tol=1e-5)
        assert all(math.isclose(left, right, abs_tol=1e-5) for left, right in zip(first, second, strict=True))


def test_wrong_kind(environ: dict[str, str]) -> None:
    """A server without embeddings is told from one with a fault."""
    shown = run("embed", "--text", "a", **environ)
    assert shown.returncode == 1
    assert "/v1/embeddings" in shown.stderr


def test_interrupted(chat_server: Server, environ: dict[str, str]) -> None:
    """Ctrl-C makes the server give the request up, whether one was asked for or a chat goes on."""
    endless = ("-o", "ignore_eos=true", "--max-tokens", "1000")
    before = reading(chat_server, "generation_tokens_total")
    with subprocess.Popen(
        [*COMMAND, "chat", "-q", "Hello", *endless],
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as asked:
        assert asked.stdout is not None
        os.read(asked.stdout.fileno(), 100)
        asked.send_signal(signal.SIGINT)
        assert asked.wait(10) == 130
    wait_until_idle(chat_server)
    with Terminal("chat", *endless, **environ) as chat:
        chat.wait_for(PROMPT)
        chat.type("Hello\r")
        chat.wait_for("Hello\r\n")
        chat.wait_for(" ")
        chat.interrupt()
        chat.wait_for("stopped; /retry asks again")
        wait_until_idle(chat_server)
        chat.wait_for(PROMPT)
        chat.type("\x04")
        assert chat.exit_code() == 0
    assert reading(chat_server, "generation_tokens_total") - before < 2 * 900
