"""The command line: what it prints, its exit codes, and that help is quick."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import vllm_connect
from tests.commands import COMMAND, Terminal, run
from vllm_connect import OpenAI
from vllm_connect.cli.app import COMMANDS
from vllm_connect.settings.fields import FIELDS, KEY_FIELDS
from vllm_connect.simulator import Reply, Simulator
from vllm_connect.simulator.options import OPTIONS


def test_help_does_not_import_the_sdk() -> None:
    """`--help` of every command answers without importing the SDK, nor LibCST."""
    code = (
        "import sys\n"
        "from vllm_connect.cli import main\n"
        "for command in ('', *sys.argv[1:]):\n"
        "    sys.argv = ['vllm-connect', *command.split(), '--help']\n"
        "    try: main()\n"
        "    except SystemExit as end: assert end.code == 0, (command, end.code)\n"
        "    assert not {'openai', 'httpx', 'httpx2', 'libcst'} & set(sys.modules), command\n"
    )
    names = [function.__name__ for function, _examples in COMMANDS]
    shown = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, timeout=60, check=False
    )
    assert shown.returncode == 0, shown.stderr
    for name in ("", *(f" {name}" for name in names)):
        assert f"Usage: vllm-connect{name} [OPTIONS]" in shown.stdout


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
    as_json = json.loads(run("config", "gpu1", "--json", "--key-file", "key").stdout)["settings"]
    assert as_json["base_url"] == {"value": "http://gpu1:8000/v1", "origin": "argument"}
    assert as_json["api_key"] == {"value": "***", "origin": "--key-file"}
    named = {name.partition(".")[0] for name in as_json}
    # Shown where they are given only: tables without a default, and what a command line or a file reads a key with.
    assert named >= FIELDS.keys() - {*KEY_FIELDS, "tls", "model_aliases"}
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
    body = b'{"object":"list","data":[{"id":"evil\\u001b[2J\\u202e%s"}]}' % (b"x" * 200)
    server.reply_next(Reply(headers={"content-type": "application/json"}, body=body))
    hostile = run("models", server.url, "--key-file", key)
    assert f"evil [2J{'x' * 200}" in hostile.stdout
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


def test_version() -> None:
    """`--version` names the version of the package."""
    assert run("--version").stdout == f"vllm-connect {vllm_connect.__version__}\n"


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


def test_simulator(tmp_path: Path) -> None:
    """`simulator` serves as its options say, with a key from a file, until it is told to stop, and then ends well."""
    (tmp_path / "key").write_text("secret-key\n", encoding="utf-8")
    arguments = ["--port", "0", "--model", "mine", "--models", "alias", "--lora-modules", "tuned=path"]
    given = ["--key-file", f"{tmp_path}/key", "--dev-mode", "--max-model-len", "512", "--json"]
    with subprocess.Popen(
        [*COMMAND, "simulator", *arguments, *given], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        about = json.loads(process.stdout.readline())
        assert about == {"url": about["url"], "kind": "generate", "models": ["mine", "alias"]}
        with OpenAI(base_url=about["url"], api_key="secret-key") as client:
            facts = client.server.info()
        assert [model.id for model in facts.models] == ["mine", "alias", "tuned"]
        assert facts.max_model_len == 512
        assert facts.needs_key
        assert "sleep" in (facts.serves or ())
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_simulator_options() -> None:
    """`simulator` has every option of the stand-in server but the key, which is no value of a command line."""
    shown = run("simulator", "--help").stdout
    assert [option.flag for option in OPTIONS if f" {option.flag}" not in shown] == [
        "--api-key",
        "--own-process",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--port", "99999"], 2, "less than or equal to 65535"),
        (["--kind", "both"], 2, "'generate', 'pooling'"),
        (["--lora-modules", "tuned"], 2, "--lora-modules takes NAME=PATH"),
        (["--ssl-keyfile", "key.pem"], 2, "TLS needs one"),
        (["--ssl-certfile", "/nowhere.pem"], 2, "/nowhere.pem cannot be loaded"),
        (["--key-file", "/nowhere"], 1, "/nowhere cannot be read"),
        (["--port", "{port}"], 1, "address already in use"),
    ],
)
def test_simulator_wrong(server: Simulator, arguments: list[str], code: int, told: str) -> None:
    """`simulator` says what cannot be, and why it cannot start."""
    shown = run("simulator", *(one.format(port=server.port) for one in arguments))
    assert shown.returncode == code
    assert told in " ".join(shown.stderr.split())


def test_ask_key(server: Simulator) -> None:
    """`--ask-key` asks at the terminal for the key of this server, does not show it, and uses it."""
    with Terminal("models", server.url, "--ask-key") as models:
        models.wait_for(f"API key for {server.url}: ")
        models.type("simulator-key\r")
        assert models.exit_code() == 0, models.shown
    assert "sim-model" in models.shown
    assert "simulator-key" not in models.shown


def test_info(server: Simulator, pooling: Simulator) -> None:
    """`info` shows what a server is, with or without its key; what it does not tell is unknown."""
    shown = run("info", server.url, VLLM_API_KEY="simulator-key")
    assert (shown.returncode, shown.stderr) == (0, "")
    told = {line.split("  ")[0]: line.split("  ")[-1].strip() for line in shown.stdout.splitlines()}
    assert told["vLLM"] == "0.32.0"
    assert told["kind"] == "generate"
    assert told["model"] == "sim-alias (context 4096)"
    assert told["API key"] == "needed"
    assert told["requests"] == "0 running, 0 waiting, 0 finished"
    facts = json.loads(run("info", pooling.url, "--json").stdout)
    assert (facts["kind"], facts["needs_key"], facts["load"]) == ("pooling", False, 0)
    assert facts["metrics"]["running"] == 0
    assert "embeddings" in facts["serves"]
    gateway = {"content-type": "application/json"}, b'{"object":"list","data":[{"id":"m"}]}'
    hidden = [Reply(404, body=b'{"detail":"Not Found"}')] * 40
    pooling.reply_next(Reply(headers=gateway[0], body=gateway[1]), *hidden)
    shown = run("info", pooling.url)
    assert shown.returncode == 0, shown.stderr
    for part in ("version unknown", "m (context unknown)", "metrics  "):
        assert part in shown.stdout


def test_tokenize(server: Simulator, tmp_path: Path) -> None:
    """`tokenize` shows ids and pieces of a text or a conversation, and how many there are of how many."""
    key = {"VLLM_API_KEY": "simulator-key"}
    shown = run("tokenize", server.url, "--text", "one two", **key)
    counted = json.loads(run("tokenize", server.url, "--json", stdin="one two\n", **key).stdout)
    assert f"{counted['count']} tokens; the context holds 4096" in shown.stdout
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:-1]] == [
        str(one) for one in counted["tokens"]
    ]
    assert len(counted["token_strs"]) == counted["count"]
    conversation = '[{"role": "user", "content": "one two"}]'
    (tmp_path / "chat.json").write_text(conversation, encoding="utf-8")
    both = [
        run("tokenize", server.url, "--json", "--messages", one, **key)
        for one in (conversation, f"@{tmp_path}/chat.json")
    ]
    assert both[0].stdout == both[1].stdout
    assert json.loads(both[0].stdout)["count"] > counted["count"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give a text by --text"),
        (["--text", "a", "--messages", "[]"], "not both"),
        (["--messages", "{"], "takes a JSON list"),
        (["--messages", "@/nowhere"], "/nowhere cannot be read"),
    ],
)
def test_tokenize_wrong(arguments: list[str], told: str) -> None:
    """`tokenize` says what it takes."""
    shown = run("tokenize", "127.0.0.1:1", *arguments)
    assert shown.returncode == 2
    assert told in " ".join(shown.stderr.split())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize(
    ("output", "arguments", "code", "told"),
    [
        ("/dev/full", [], 1, "No space left on device"),
        ("/dev/full", ["--json"], 1, "No space left on device"),
        ("&-", [], 0, ""),
    ],
)
def test_output_that_cannot_be_written(
    server: Simulator, output: str, arguments: list[str], code: int, told: str
) -> None:
    """A full disk is told in a line; an output that is closed is nobody's."""
    command = shlex.join([*COMMAND, "config", server.url, *arguments])
    shown = subprocess.run(
        f"{command} >{output}",
        shell=True,
        # Else each line is written at once, and nothing is left to be written at the end.
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.returncode == code
    assert told in shown.stderr
    assert shown.stderr.count("\n") == bool(told)


@pytest.mark.parametrize("traceback", [False, True])
def test_a_bug(*, traceback: bool) -> None:
    """An error that nobody thought of is one line that says how to report it; a variable shows its traceback."""
    code = (
        "from vllm_connect.cli.app import app, main\n"
        "@app.command()\n"
        "def fail(): return {}['x']\n"
        "import sys; sys.argv = ['vllm-connect', 'fail']\n"
        "main()\n"
    )
    environ = {**os.environ, **({"VLLMCONNECT_TRACEBACK": "1"} if traceback else {})}
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "a bug in vllm-connect: KeyError: 'x'. Please open an issue" in shown.stderr
    assert ("Traceback" in shown.stderr) == traceback
    assert (shown.stderr.count("\n") == 1) != traceback


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion() -> None:
    """Bash completes commands and options by the script that `--show-completion` prints."""
    script = """
        eval "$(vllm-connect --show-completion)"
        for words in "vllm-connect co" "vllm-connect chat --sys"; do
            COMP_WORDS=($words) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            function=$(complete -p vllm-connect | sed 's/.*-F \\([^ ]*\\).*/\\1/')
            $function vllm-connect
            echo "${COMPREPLY[@]}"
        done
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shown = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.stdout.splitlines() == ["config complete", "--system"], shown.stderr
