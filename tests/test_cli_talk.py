"""`vllm-connect chat` at a terminal: line editing, commands, and what is said again with the next question."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import PROMPT, Terminal
from vllm_connect.simulator import Reply, Simulator

HISTORY = Path(".local/state/vllm-connect/chat-history.jsonl")


@pytest.fixture
def thinking() -> Iterator[Simulator]:
    """A stand-in server whose model reasons before it answers."""
    with Simulator(models=("thinker",), reasoning_parser="qwen3") as simulator:
        yield simulator


@pytest.fixture
def slow() -> Iterator[Simulator]:
    """A stand-in server that takes its time with each token."""
    with Simulator(models=("slow",), token_delay=0.1) as simulator:
        yield simulator


def messages(server: Simulator) -> list[dict[str, Any]]:
    """Return the messages of the last chat request."""
    asked: list[dict[str, Any]] = server.requests[-1].json()["messages"]
    return asked


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_conversation(thinking: Simulator, tmp_path: Path) -> None:
    """What was said goes with the next question, without reasoning, which is shown dim; Ctrl-D ends well."""
    with Terminal("chat", thinking.url, "--system", "Be brief.") as chat:
        assert "serves thinker. /help shows the commands" in chat.wait_for(PROMPT)
        first = chat.say("one")
        thought, _, answer = first.partition("\x1b[2m")[2].partition("\x1b[22m")
        assert thought.strip()
        said = answer.replace("\r", "").removesuffix(PROMPT).strip("\n")
        assert said
        chat.say("two")
        assert [{**one, "content": one["content"].strip()} for one in messages(thinking)] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": said},
            {"role": "user", "content": "two"},
        ]
        chat.say("/undo")
        chat.say("/system Shout.")
        chat.say("/set temperature=0.5")
        chat.say("/retry")
        assert [one["content"] for one in messages(thinking)] == ["Shout.", "one"]
        assert thinking.requests[-1].json()["temperature"] == 0.5
        chat.say(f"/save {tmp_path}/chat.json")
        saved = json.loads((tmp_path / "chat.json").read_text(encoding="utf-8"))
        assert [one["role"] for one in saved["messages"]] == ["system", "user", "assistant"]
        assert saved["temperature"] == 0.5
        chat.say("/clear")
        chat.say("three")
        assert [one["content"] for one in messages(thinking)] == ["Shout.", "three"]
        chat.type("\x04")
        assert chat.exit_code() == 0


def test_commands(server: Simulator) -> None:
    """Commands answer for themselves; one that is not known is told the nearest, and a wrong one what it takes."""
    with Terminal("chat", server.url, "--no-reasoning", VLLM_API_KEY="simulator-key") as chat:
        chat.wait_for(PROMPT)
        for line, told in (
            ("/help", "/undo "),
            ("/modle", "did you mean /model?"),
            ("/model", "sim-alias"),
            ("/system", "There is no system prompt."),
            ("/set", "No parameter is set."),
            ("/set temperature", "is not KEY=VALUE"),
            ("/set top_k=4", ""),
            ("/set", "top_k=4"),
            ("/set top_k=", ""),
            ("/retry", "nothing has been asked yet"),
            ("/undo", "nothing has been asked yet"),
            ("/save", "name a file"),
            ("/save /", "cannot be written"),
            ("/image", "name a file"),
            ("/image nowhere.png", "cannot be read"),
            ("/image https://a.test/b.png", "goes with your next message"),
        ):
            assert told in chat.say(line)
        asked = len(server.requests)
        assert "is not a multimodal model" in chat.say("look")
        assert messages(server)[0]["content"][0]["image_url"] == {"url": "https://a.test/b.png"}
        chat.say("/image https://a.test/b.png")
        event = (
            b'data: {"choices": [{"index": 0, "delta": {"content": "a cat"}, "finish_reason": "stop"}]}\n\n'
        )
        server.reply_next(
            Reply(headers={"content-type": "text/event-stream"}, body=event + b"data: [DONE]\n\n")
        )
        assert "a cat" in chat.say("look")
        chat.say("and now?")
        assert [type(one["content"]) for one in messages(server)] == [list, str, str]
        chat.say("/clear")
        chat.say("//etc/hosts is a file")
        assert messages(server) == [{"role": "user", "content": "/etc/hosts is a file"}]
        chat.say("/model sim-alias")
        chat.say("x")
        assert server.requests[-1].json()["model"] == "sim-alias"
        assert len(server.requests) == asked + 5
        chat.type("/quit\r")
        assert chat.exit_code() == 0


def test_an_error_does_not_end_the_chat(server: Simulator) -> None:
    """An error is told and the chat goes on: the question that failed is not said again, but can be retried."""
    with Terminal("chat", server.url, VLLM_API_KEY="simulator-key") as chat:
        chat.wait_for(PROMPT)
        server.reply_next(Reply(400, body=b'{"error": {"message": "no such luck", "code": 400}}'))
        assert "no such luck" in chat.say("one")
        chat.say("two")
        assert messages(server) == [{"role": "user", "content": "two"}]
        server.reply_next(Reply(400, body=b'{"error": {"message": "again", "code": 400}}'))
        chat.say("three")
        chat.say("/retry")
        assert [one["content"] for one in messages(server) if one["role"] == "user"] == ["two", "three"]


def test_stopping_an_answer(slow: Simulator) -> None:
    """Ctrl-C stops an answer: the server sees it, the prompt is back, and what was seen was said."""
    with Terminal("chat", slow.url, "-o", "min_tokens=999") as chat:
        chat.wait_for(PROMPT)
        chat.type("one\r")
        chat.wait_for("one\r\n")
        chat.wait_for(" ")
        chat.interrupt()
        assert "stopped; /retry asks again" in chat.wait_for(PROMPT)
        until(lambda: slow.aborted == 1)
        chat.say("/set min_tokens=")
        chat.say("/set max_tokens=1")
        chat.say("two")
        roles = [one["role"] for one in messages(slow)]
        assert roles == ["user", "assistant", "user"]
        assert messages(slow)[1]["content"]


def test_stopping_before_the_first_token() -> None:
    """Ctrl-C before anything came forgets the question, which can be asked again."""
    with Simulator(first_token_delay=3) as server, Terminal("chat", server.url) as chat:
        chat.wait_for(PROMPT)
        chat.type("one\r")
        until(lambda: server.requests[-1].method == "POST")
        chat.interrupt()
        chat.wait_for(PROMPT)
        until(lambda: server.aborted == 1)
        chat.type("two\r")
        until(lambda: messages(server) == [{"role": "user", "content": "two"}])
        chat.interrupt()
        chat.wait_for(PROMPT)
        asked = len(server.requests)
        chat.type("/retry\r")
        until(lambda: len(server.requests) > asked)
        assert messages(server) == [{"role": "user", "content": "two"}]


def test_lines(server: Simulator) -> None:
    """Ctrl-C empties a line and ends at an empty one; blocks and pasted lines are one message; lines are recalled."""
    with Terminal("chat", server.url, VLLM_API_KEY="simulator-key") as chat:
        chat.wait_for(PROMPT)
        chat.type("half a thou")
        chat.wait_for("thou")
        chat.interrupt()
        chat.wait_for(PROMPT)
        chat.type('"""one\r')
        chat.wait_for("\n. ")
        chat.say('  two"""')
        assert messages(server)[-1]["content"] == "one\n  two"
        chat.type('"""given up\r')
        chat.wait_for("\n. ")
        chat.interrupt()
        chat.wait_for(PROMPT)
        chat.say("\x1b[200~three\nfour\x1b[201~")
        assert messages(server)[-1]["content"] == "three\nfour"
        chat.say("/undo")
        chat.say("alpha gamma\x1bbbeta ")
        assert messages(server)[-1]["content"] == "alpha beta gamma"
        chat.interrupt()
        assert chat.exit_code() == 0
    with Terminal("chat", server.url, VLLM_API_KEY="simulator-key") as chat:
        chat.wait_for(PROMPT)
        chat.say("\x1b[A again")
        assert messages(server) == [{"role": "user", "content": "alpha beta gamma again"}]
    assert stat.S_IMODE(HISTORY.stat().st_mode) == 0o600
    assert json.loads(HISTORY.read_text(encoding="utf-8").splitlines()[-1]) == "alpha beta gamma again"


@pytest.mark.parametrize("off", [{}, {"VLLMCONNECT_HISTORY": "0"}])
def test_no_history(server: Simulator, off: dict[str, str]) -> None:
    """The history can be switched off, and then nothing is written; a folder that cannot be used is no error."""
    arguments = [] if off else ["--no-history"]
    with Terminal("chat", server.url, *arguments, VLLM_API_KEY="simulator-key", **off) as chat:
        assert "warning" not in chat.wait_for(PROMPT)
        chat.say("/help")
        chat.type("\x04")
        assert chat.exit_code() == 0
    assert not HISTORY.parent.exists()


def test_without_readline(server: Simulator, tmp_path: Path) -> None:
    """Where Python has no readline, and where no history can be kept, lines are read all the same."""
    (tmp_path / "readline.py").write_text("raise ImportError", encoding="utf-8")
    Path(".local").write_text("in the way", encoding="utf-8")
    environ = {"PYTHONPATH": str(tmp_path), "VLLM_API_KEY": "simulator-key", "NO_COLOR": "1"}
    with Terminal("chat", server.url, **environ) as chat:
        assert "the history is not kept" in chat.wait_for(PROMPT)
        chat.say("one")
        assert messages(server) == [{"role": "user", "content": "one"}]
        chat.interrupt()
        assert chat.exit_code() == 0


def test_a_server_that_is_not_there() -> None:
    """A server that cannot be reached is told before the first prompt, in a line."""
    with Terminal("chat", "127.0.0.1:1") as chat:
        assert chat.exit_code() == 1
        assert "connection refused" in chat.shown
        assert ">" not in chat.shown.splitlines()[-1]
