"""The machinery itself, by the standard library's HTTP client: a broken client must not hide a broken server."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import Launch
from tests.live.processes import running
from tests.live.servers import READY_WITHIN, Options, Server, ServerNotReadyError, environment

ROOT = Path(__file__).parents[2]
OPTIONS = Options(kind="chat", model=Path("/nowhere"), names=("tiny",))
SERVERS = ["chat_server", "embed_server", "tls_server", "uds_server"]

WEATHER = {
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}

RUN_AND_DIE = """
import os, pathlib, signal, sys
from tests.live.processes import running
folder = pathlib.Path(sys.argv[1])
with running(["sleep", "600"], environment=os.environ, folder=folder, log=folder / "log") as process:
    print(process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=SERVERS)
def any_server(request: pytest.FixtureRequest) -> Server:
    server = request.getfixturevalue(request.param)
    assert isinstance(server, Server)
    return server


def test_every_server_is_healthy(any_server: Server) -> None:
    """/health answers 200 with nothing in it, and asks for no key."""
    reply = any_server.ask("GET", "/health")
    assert (reply.status, reply.body) == (200, b"")


def test_every_server_lists_its_names(any_server: Server) -> None:
    """/v1/models lists the served names in the order they were given."""
    reply = any_server.ask("GET", "/v1/models", key=any_server.options.api_key)
    assert [model["id"] for model in reply.json()["data"]] == list(any_server.options.names)


@pytest.mark.parametrize("key", [None, "another-key"])
def test_a_server_with_a_key_refuses_others(chat_server: Server, key: str | None) -> None:
    """Without its key a server answers 401, with a body that only middleware writes."""
    reply = chat_server.ask("GET", "/v1/models", key=key)
    assert (reply.status, reply.json()) == (401, {"error": "Unauthorized"})


def test_a_required_tool_is_called(chat_server: Server) -> None:
    """tool_choice="required" gives one parsed call whose arguments follow the tool's schema."""
    question = {
        "messages": [{"role": "user", "content": "How is the weather?"}],
        "tools": [{"type": "function", "function": WEATHER}],
        "tool_choice": "required",
        "temperature": 0,
    }
    reply = chat_server.ask("POST", "/v1/chat/completions", question, key=chat_server.options.api_key)
    (choice,) = reply.json()["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"])["city"] in {"Paris", "Rome"}


def test_the_same_question_has_the_same_answer(chat_server: Server) -> None:
    """At temperature 0 an answer can be compared with another: it depends on the question alone."""
    answers = {text: [chat_answer(chat_server, text) for _ in range(3)] for text in ("One?", "Two?")}
    assert all(len(set(same)) == 1 for same in answers.values()), answers
    assert answers["One?"] != answers["Two?"]


def test_a_cold_server_refuses_connections(cold_server: Server) -> None:
    """A server that is loading listens nowhere yet."""
    with pytest.raises(ConnectionRefusedError):
        cold_server.ask("GET", "/health")


@pytest.mark.timeout(READY_WITHIN)
def test_a_stopped_server_is_gone(launch: Launch, embed_model: Path) -> None:
    """After `stop` no process of the server lives, no one listens, and stopping again does nothing."""
    server = launch(Options(kind="embed", model=embed_model, names=("minilm",)))
    server.wait_ready()
    assert len(list(living(server.process_group))) > 1
    server.stop()
    server.stop()
    assert list(living(server.process_group)) == []
    assert not server.is_ready()


def test_a_server_that_fails_says_why(tmp_path: Path) -> None:
    """A process that ends early ends the waiting, and the error carries its last words."""
    with (
        Server(OPTIONS, python=Path(sys.executable), log=tmp_path / "log") as server,
        pytest.raises(ServerNotReadyError, match="No module named 'vllm'"),
    ):
        server.wait_ready()


def test_the_key_is_on_no_command_line(chat_server: Server) -> None:
    """The key travels by the environment, which only the same user can read."""
    for pid in living(chat_server.process_group):
        assert str(chat_server.options.api_key) not in Path(f"/proc/{pid}/cmdline").read_text()


def test_the_developers_settings_stay_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server sees neither the settings a developer has for vLLM and its clients, nor those for Python."""
    for name in ("VLLM_API_KEY", "OPENAI_API_KEY", "PYTHONWARNINGS"):
        monkeypatch.setenv(name, "theirs")
    assert "theirs" not in environment(OPTIONS, Path(sys.executable), tmp_path).values()


def test_children_do_not_outlive_the_context(tmp_path: Path) -> None:
    """A child that ignores SIGTERM ends with its leader."""
    script = "trap '' TERM; sleep 600 & trap - TERM; wait"
    with running(
        ["sh", "-c", script], environment=os.environ, folder=tmp_path, log=tmp_path / "log"
    ) as leader:
        while len(list(living(leader.pid))) < 2:
            time.sleep(0.01)
    assert list(living(leader.pid)) == []


def test_nothing_outlives_killed_tests(tmp_path: Path) -> None:
    """Servers end even when the process of the tests is killed without a word."""
    killed = subprocess.run(
        [sys.executable, "-c", RUN_AND_DIE, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    while list(living(int(killed.stdout))):
        time.sleep(0.01)


def chat_answer(server: Server, question: str) -> str:
    body = {"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 20}
    reply = server.ask("POST", "/v1/chat/completions", body, key=server.options.api_key)
    answer = reply.json()["choices"][0]["message"]["content"]
    assert isinstance(answer, str)
    return answer


def living(group: int) -> Iterator[int]:
    """Find the processes of a group that have not ended; one that waits to be reaped has."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended while we looked
            state, _parent, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                yield int(folder.name)
