"""The command line: what it prints, its exit codes, and that help is quick."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from vllm_connect.simulator import Reply, Simulator


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "vllm_connect", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_does_not_import_the_sdk() -> None:
    """`--help` of every command answers without importing the SDK."""
    code = (
        "import sys; sys.argv = ['vllm-connect', *sys.argv[1:]]\n"
        "from vllm_connect.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "assert not {'openai', 'httpx', 'httpx2'} & set(sys.modules)\n"
    )
    for command in ([], ["demo"], ["config"], ["models"], ["wait"], ["simulator"]):
        shown = subprocess.run(
            [sys.executable, "-c", code, *command, "--help"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert shown.returncode == 0, shown.stderr
        assert "Usage: vllm-connect" in shown.stdout


def test_config(server: Simulator) -> None:
    """`config` shows every setting and where it comes from, and keys that are withheld; without a network."""
    shown = run("config", VLLM_BASE_URL=server.url, OPENAI_API_KEY="canary", VLLM_MODEL="qwen")
    assert shown.returncode == 0
    for part in (
        server.url,
        "VLLM_BASE_URL",
        "qwen",
        "VLLM_MODEL",
        "default",
        "not sent: the key from OPENAI_API_KEY",
    ):
        assert part in shown.stdout
    as_json = json.loads(run("config", "gpu1", "--json").stdout)
    assert as_json["settings"]["base_url"] == {"value": "http://gpu1:8000/v1", "origin": "argument"}
    assert server.connections == 0


def test_models(server: Simulator, tmp_path: os.PathLike[str]) -> None:
    """`models` lists names and context lengths; the key may come from a file; control characters are not shown."""
    key = os.path.join(tmp_path, "key")  # noqa: PTH118
    with open(key, "w") as file:  # noqa: PTH123
        file.write("simulator-key\n")
    shown = run("models", server.url, "--key-file", key)
    assert shown.returncode == 0, shown.stderr
    assert "sim-model" in shown.stdout
    assert "4096" in shown.stdout
    listed = json.loads(run("models", "--url", server.url, "--key-file", key, "--json").stdout)
    assert [model["id"] for model in listed] == ["sim-model", "sim-alias"]
    body = b'{"object":"list","data":[{"id":"evil\\u001b[2J\\u202e"}]}'
    server.reply_next(Reply(headers={"content-type": "application/json"}, body=body))
    hostile = run("models", server.url, "--key-file", key)
    assert "evil [2J" in hostile.stdout
    assert "\x1b" not in hostile.stdout
    assert "\u202e" not in hostile.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["models", "http://u:secret@gpu1"], 1, "user information"),
        (["models", "127.0.0.1:1"], 1, "connection refused"),
        (["models", "--profile", "nope"], 1, "no profile named 'nope'"),
        (["models", "a", "--url", "b"], 2, "give the address once"),
        (["nonsense"], 2, "No such command"),
        (["wait", "127.0.0.1:1", "--timeout", "0.3"], 1, "was not ready within 0.3 s"),
    ],
)
def test_failures(arguments: list[str], code: int, told: str) -> None:
    """A failure is one line on stderr and exit code 1, a wrong command line exit code 2; never a traceback."""
    shown = run(*arguments)
    assert shown.returncode == code
    assert told in shown.stderr
    assert "Traceback" not in shown.stderr
    assert "secret" not in shown.stderr


def test_wait(server: Simulator) -> None:
    """`wait` says when the server is ready."""
    server.reply_next(Reply(503))
    shown = run("wait", server.url, VLLM_API_KEY="simulator-key")
    assert shown.returncode == 0, shown.stderr
    assert "is ready after" in shown.stdout
    assert "HTTP status 503" in shown.stderr
    assert json.loads(run("wait", server.url, "--json", VLLM_API_KEY="simulator-key").stdout)["ready"] is True


def test_demo() -> None:
    """`demo` shows the client's main job from connecting to an explained error, in under 10 s."""
    shown = run("demo")
    assert shown.returncode == 0, shown.stderr
    for part in (
        "Connect",
        "vLLM 0.32.0",
        "demo-model",
        "Stream",
        "Complete",
        "Embed",
        "refused the API key",
    ):
        assert part in shown.stdout
    assert "demo-key" not in shown.stdout


def test_simulator() -> None:
    """`simulator` serves on a free port until it is told to stop, and then ends well."""
    with subprocess.Popen(
        [sys.executable, "-m", "vllm_connect", "simulator", "--port", "0", "--model", "mine"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{url}/models", timeout=10) as response:
            assert json.load(response)["data"][0]["id"] == "mine"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_ask_key(server: Simulator) -> None:
    """`--ask-key` asks at the terminal for the key of this server, does not show it, and uses it."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "vllm_connect", "models", server.url, "--ask-key"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = os.read(ours, 4096)
        assert f"API key for {server.url}".encode() in shown
        os.write(ours, b"simulator-key\n")
        # A pseudo-terminal whose other end is closed fails to read (Linux) or ends (macOS).
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                shown += piece
        assert process.wait(30) == 0, shown
    os.close(ours)
    assert b"sim-model" in shown
    assert b"simulator-key" not in shown
