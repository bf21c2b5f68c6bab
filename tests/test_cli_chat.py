"""`vllm-connect chat` asked once: by -q or a pipe, against servers on real sockets."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import COMMAND, run, run_process
from vllm_connect import OpenAI
from vllm_connect.simulator import Cut, Reply, Simulator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


@pytest.fixture
def thinking() -> Iterator[Simulator]:
    """A stand-in server whose model reasons before it answers."""
    with Simulator(models=("thinker",), reasoning_parser="qwen3") as simulator:
        yield simulator


@pytest.fixture
def plain() -> Iterator[Simulator]:
    """A stand-in server for text without a key."""
    with Simulator() as simulator:
        yield simulator


def chunk(content: str = "", finish_reason: str | None = None, **delta: Any) -> bytes:
    """Return one event of a chat's stream."""
    added = {**({"content": content} if content else {}), **delta}
    choice = {"index": 0, "delta": added, "finish_reason": finish_reason}
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def stream(*events: bytes) -> Reply:
    """Return a canned stream."""
    return Reply(headers={"content-type": "text/event-stream"}, body=b"".join((*events, b"data: [DONE]\n\n")))


def said(server: Simulator) -> list[dict[str, Any]]:
    """Return the messages of the last request."""
    messages: list[dict[str, Any]] = server.requests[-1].json()["messages"]
    return messages


def test_answer(server: Simulator) -> None:
    """`-q` writes the answer, and nothing else, to stdout: what the client gets for the same request."""
    asked = run("chat", server.url, "-q", "Hello?", "-o", "seed=7", VLLM_API_KEY="simulator-key")
    with OpenAI(base_url=server.url, api_key="simulator-key") as client:
        answer = client.chat.completions.create(messages=[{"role": "user", "content": "Hello?"}], seed=7)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout == f"{answer.choices[0].message.content}\n"


def test_json(thinking: Simulator) -> None:
    """`--json` writes one object: text and reasoning apart, the finish reason, usage, and timings."""
    asked = run("chat", thinking.url, "-q", "Hello?", "--json")
    answer = json.loads(asked.stdout)
    assert asked.stderr == ""
    assert list(answer) == ["model", "text", "reasoning", "tool_calls", "finish_reason", "usage", "timings"]
    assert (answer["model"], answer["finish_reason"], answer["tool_calls"]) == ("thinker", "stop", [])
    assert answer["text"]
    assert answer["reasoning"]
    assert answer["usage"]["completion_tokens"] > 0
    timings = answer["timings"]
    assert 0 < timings["first_token_seconds"] <= timings["total_seconds"] < 60


@pytest.mark.parametrize(
    ("arguments", "piped", "asked"),
    [
        (["-q", "one"], "", "one"),
        ([], "two\nlines\n", "two\nlines"),
        (["-q", "explain"], "a = 1\n", "explain\n\na = 1"),
        (["-q", "héllo ☃"], "", "héllo ☃"),
    ],
)
def test_question(plain: Simulator, arguments: list[str], piped: str, asked: str) -> None:
    """What is asked is -q, what is piped in, or both with the piped text after."""
    assert run("chat", plain.url, *arguments, stdin=piped).returncode == 0
    assert said(plain) == [{"role": "user", "content": asked}]


def test_parameters(plain: Simulator) -> None:
    """`-o` takes JSON, else text, for OpenAI's parameters and vLLM's; the request has them where vLLM reads them."""
    options = ["temperature=0.5", "top_k=3", 'chat_template_kwargs={"enable_thinking": false}', "stop=END"]
    given = [part for option in options for part in ("-o", option)]
    asked = run("chat", plain.url, "-q", "x", "--system", "Be brief.", "--max-tokens", "9", *given)
    assert asked.returncode == 0, asked.stderr
    body = plain.requests[-1].json()
    assert said(plain)[0] == {"role": "system", "content": "Be brief."}
    del body["messages"]
    assert body == {
        "model": "sim-model",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "temperature": 0.5,
        "top_k": 3,
        "chat_template_kwargs": {"enable_thinking": False},
        "stop": "END",
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "say something with -q, or on stdin"),
        (["-q", "x", "-o", "temperature"], "is not KEY=VALUE"),
        (["-q", "x", "-o", "model=other"], "--model"),
        (["-q", "x", "-o", "stream=false"], "answers always stream"),
        (["-q", "x", "--key-file", "k", "--ask-key"], "give the key once"),
    ],
)
def test_wrong_command_lines(plain: Simulator, arguments: list[str], told: str) -> None:
    """A wrong command line is exit code 2 and says how it is right; nothing is asked."""
    asked = run("chat", plain.url, *arguments)
    assert asked.returncode == 2
    assert told in asked.stderr
    assert plain.connections == 0


def test_reasoning(thinking: Simulator) -> None:
    """On a pipe reasoning is left out; --reasoning writes it apart, before the answer."""
    answer = json.loads(run("chat", thinking.url, "-q", "Hello?", "--json").stdout)
    plain = run("chat", thinking.url, "-q", "Hello?").stdout
    whole = run("chat", thinking.url, "-q", "Hello?", "--reasoning").stdout
    assert plain == answer["text"].lstrip("\n") + "\n"
    assert whole == f"<think>\n{answer['reasoning'].strip()}\n</think>\n\n{plain}"


def test_stats(plain: Simulator) -> None:
    """`--stats` says on stderr how fast the answer came and how many tokens it has."""
    told = run("chat", plain.url, "-q", "Hello?", "--max-tokens", "5", "--stats").stderr
    for part in ("first token after ", " tokens/s, ", " 5 tokens, ", " s in total, ", " prompt tokens"):
        assert part in told


@pytest.mark.parametrize(
    ("reason", "code", "told"),
    [
        ("stop", 0, ""),
        ("length", 0, "cut off"),
        ("repetition", 0, "repeated itself"),
        ("new-one", 0, "finish_reason 'new-one'"),
        ("abort", 1, "broke it off (finish reason 'abort')"),
        ("error", 1, "broke it off (finish reason 'error')"),
        (None, 1, "not complete: it has no finish reason. Ask again."),
    ],
)
def test_endings(plain: Simulator, reason: str | None, code: int, told: str) -> None:
    """An answer that the server did not finish is a failure; any unusual end is told, apart from the answer."""
    plain.reply_next(stream(chunk("so far"), chunk(finish_reason=reason)))
    asked = run("chat", plain.url, "-q", "x", "--model", "sim-model")
    assert (asked.stdout, asked.returncode) == ("so far\n", code)
    assert told in asked.stderr
    assert bool(asked.stderr) == bool(told)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (
            stream(
                chunk("so far"), b'data: {"error": {"message": "engine\\n\\u001b[2Jdied", "code": 500}}\n\n'
            ),
            "engine",
        ),
        (
            Reply(400, body=b'{"error": {"message": "sim is not a multimodal model", "code": 400}}'),
            "text only",
        ),
        (Cut(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\ndata: {"), "not complete after 2 tries"),
        (Reply(500, body=b"<html>oops</html>"), "500"),
    ],
)
def test_errors(plain: Simulator, reply: Reply | Cut, told: str) -> None:
    """An error is one line on stderr without control characters, and exit code 1, wherever it comes."""
    plain.reply_next(reply, reply, reply)
    asked = run("chat", plain.url, "-q", "x", "--model", "sim-model")
    assert asked.returncode == 1
    assert told in asked.stderr
    assert asked.stderr.startswith("vllm-connect: ")
    assert asked.stderr.count("\n") == 1
    assert "\x1b" not in asked.stderr


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["a\x1b", "[2Jb"], "a [2Jb"),
        (["\x1b]8;;http://evil\x1b", "\\text"], " ]8;;http://evil \\text"),
        (["one\ttwo\n", "three\rfour"], "one\ttwo\nthree four"),
        (["a\u202eb\u2066c\u061cd\ufeff"], "abcd"),
        (["\x9b31m"], " 31m"),
        (["नम\u200cस्ते 👩\u200d💻"], "नम\u200cस्ते 👩\u200d💻"),
        (["a" + "\u0301" * 5, "\u0301" * 500, "b\u0301"], "a" + "\u0301" * 8 + "b\u0301"),
        (["a\ud800b"], "a\ufffdb"),
        (["a\u2028b"], "a\nb"),
    ],
)
def test_hostile_text(plain: Simulator, pieces: list[str], shown: str) -> None:
    """Text of a server is shown without what could rewrite a screen or hide what is read; layout survives."""
    events = [chunk(piece) for piece in pieces]
    plain.reply_next(stream(*events, chunk(finish_reason="stop")))
    asked = run("chat", plain.url, "-q", "x", "--model", "sim-model")
    assert asked.stdout == f"{shown}\n"


def test_ascii_locale(plain: Simulator) -> None:
    """A locale without UTF-8 is no reason to fail: what it cannot show is replaced."""
    plain.reply_next(stream(chunk("naïve ☃"), chunk(finish_reason="stop")))
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"}
    asked = run_process("chat", plain.url, "-q", "é", "--model", "sim-model", **ascii_only)
    assert (asked.stdout, asked.returncode) == ("na?ve ?\n", 0), asked.stderr
    assert said(plain)[0]["content"] == "é"


def test_tool_calls(plain: Simulator) -> None:
    """Calls that the model asks for are shown a line each, and whole in JSON."""
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
    arguments = ["-q", "weather?", "-o", f"tools={json.dumps(tools)}", "-o", "tool_choice=required"]
    (call,) = json.loads(run("chat", plain.url, *arguments, "--json").stdout)["tool_calls"]
    assert call["name"] == "get_weather"
    assert call["id"]
    shown = run("chat", plain.url, *arguments).stdout
    assert shown.startswith("-> get_weather({")


def test_images(plain: Simulator, tmp_path: Path) -> None:
    """`--image` sends a file as a data URL by what it holds, an address as it is; a text model's refusal is clear."""
    (tmp_path / "cat.dat").write_bytes(PNG)
    asked = run(
        "chat", plain.url, "-q", "x", "--image", f"{tmp_path}/cat.dat", "--image", "https://a.test/b.png"
    )
    content = said(plain)[0]["content"]
    data, address, text = content
    assert data["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert address == {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}
    assert text == {"type": "text", "text": "x"}
    assert asked.returncode == 1
    assert "is not a multimodal model. The model sim-model of" in asked.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"text", "is no image"), (PNG + bytes(20 * 2**20), "larger than 20 MiB"), (None, "No such")],
)
def test_bad_images(plain: Simulator, tmp_path: Path, content: bytes | None, told: str) -> None:
    """A file that is no image, too large or not there is told, and nothing is asked."""
    if content is not None:
        (tmp_path / "cat.png").write_bytes(content)
    asked = run("chat", plain.url, "-q", "x", "--image", f"{tmp_path}/cat.png")
    assert asked.returncode == 1
    assert told in asked.stderr
    assert plain.connections == 0


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Start a command whose output is read while it runs."""
    return subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_streams_and_stops() -> None:
    """An answer is written as it comes; Ctrl-C ends it at once, with exit code 130, and the server sees it."""
    with (
        Simulator(token_delay=0.2) as server,
        start("chat", server.url, "-q", "x", "-o", "min_tokens=999") as asked,
    ):
        assert asked.stdout is not None
        assert asked.stderr is not None
        assert os.read(asked.stdout.fileno(), 100)
        assert asked.poll() is None
        asked.send_signal(signal.SIGINT)
        assert asked.wait(10) == 130
        assert asked.stderr.read() == b""
        deadline = time.monotonic() + 10
        while not server.aborted and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.aborted == 1


def test_reader_that_leaves() -> None:
    """A reader that has seen enough (`| head`) ends the command quietly, and with it the request."""
    with (
        Simulator(token_delay=0.05) as server,
        start("chat", server.url, "-q", "x", "-o", "min_tokens=999") as asked,
    ):
        assert asked.stdout is not None
        assert asked.stderr is not None
        asked.stdout.read(1)
        asked.stdout.close()
        assert asked.stderr.read() == b""
        assert asked.wait(10) == 1
