"""`vllm-connect doctor` on set-ups that are broken for real: its first failing line names the cause and the fix."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import anyio
import openai
import pytest

from tests.commands import Terminal, run
from tests.runs import SHELLS
from tests.set_ups import (
    BROKEN,
    CALLS,
    CHAT,
    EMBEDDINGS,
    KEY,
    PLATFORM_KEY,
    RESTLESS,
    Broken,
    Place,
    SetUp,
    Words,
    as_json,
    at,
    closed_port,
    listed,
)
from vllm_connect import AsyncOpenAI, OpenAI
from vllm_connect.checks import Check, Told, fail, findings, ok, warn
from vllm_connect.simulator import Reply

every_shell = pytest.mark.parametrize("shell", SHELLS)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as started:
        yield Place(started, tmp_path)


# -- what is broken

every_broken = pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name.replace(" ", "-"))


# Whether a connection that ends with bytes unread is closed or reset is a race within the system.
RESET, CLOSED = "connection reset by the server", "the server closed the connection without an answer"


def shown(text: str, place: Place) -> str:
    """Return a text without what is of this one run: ports, the folder, how a connection ended."""
    text = text.replace(str(place.folder), "FOLDER").replace(RESET, CLOSED)
    return re.sub(r"(127\.0\.0\.1|localhost):\d{4,5}\b", r"\1:PORT", text)


def words_of(error: Any, place: Place) -> Words:
    return Words(getattr(error, "rule", ""), shown(error.explanation, place), shown(error.fix, place))


def error_of(shell: str, set_up: SetUp, calls: tuple[str, ...], **more: Any) -> openai.OpenAIError:
    """Return what a new client, or making it, raises of the last of some calls; a stream is read to its end."""
    options = {**set_up.options, "max_retries": 0, **more}
    with mock.patch.dict(os.environ, set_up.environ), pytest.raises(openai.OpenAIError) as caught:
        if shell == "asyncio":
            anyio.run(_ask, options, calls)
        else:
            with OpenAI(**options) as client:
                for call in calls:
                    answer = CALLS[call](client)
                    if call == "stream":
                        list(answer)
    return caught.value


async def _ask(options: dict[str, Any], calls: tuple[str, ...]) -> None:
    async with AsyncOpenAI(**options) as client:
        for call in calls:
            answer = CALLS[call](client)
            if inspect.isawaitable(answer):
                answer = await answer
            if call == "stream":
                async for _ in answer:
                    pass


@every_broken
def test_broken(broken: Broken, place: Place) -> None:
    """The first failing line names the cause and the fix, in exactly these words; no key is shown."""
    arguments, environ = broken.make(place)
    ended = run("doctor", *arguments, "--json", **environ)
    report = json.loads(ended.stdout)
    first = next(one for one in report["findings"] if one["status"] == "fail")
    said = Words(first["facts"]["rule"], shown(first["said"], place), shown(first["fix"], place))
    assert (first["check"], said, ended.returncode) == (broken.check, broken.words, broken.code)
    assert said.fix
    assert (report["ok"], report["set_up"]) == (False, "")
    for secret in (KEY, PLATFORM_KEY, "sk-wrong", "one\ntwo", "me:pass"):
        assert secret not in ended.stdout + ended.stderr


@every_shell
@every_broken
def test_broken_for_a_client(broken: Broken, shell: str, place: Place) -> None:
    """What a client raises in the same set-up, of every call that meets the breakage, says the same as doctor."""
    set_up = broken.make(place)
    told = {call: words_of(error_of(shell, set_up, (call,)), place) for call in broken.calls}
    assert told == dict.fromkeys(broken.calls, broken.words)
    said = {
        call: words_of(error_of(shell, set_up, (call,), timeouts=RESTLESS), place) for call in broken.tells
    }
    assert said == broken.tells
    assert broken.calls or broken.because


def test_every_stage() -> None:
    """Each check that can fail has a set-up that is broken there; names and words are told apart."""
    stages = {broken.check for broken in BROKEN}
    assert stages == {
        "settings",
        "proxy",
        "name",
        "connection",
        "TLS",
        "HTTP",
        "base path",
        "key",
        "engine",
        "models",
        "chat",
        "stream",
        "embedding",
        "structured output",
    }
    assert len({broken.name for broken in BROKEN}) == len(BROKEN)


# -- what is well


def report_on(*arguments: str, **environ: str) -> Any:
    return json.loads(run("doctor", *arguments, "--json", **environ).stdout)


def statuses(report: Any) -> dict[str, str]:
    return {one["check"]: one["status"] for one in report["findings"]}


@pytest.mark.parametrize(
    ("options", "skipped"),
    [
        ({}, {"embedding"}),
        ({"kind": "pooling"}, {"chat", "stream", "tools", "reasoning", "structured output"}),
        ({"uds": True}, {"embedding"}),
        ({"api_key": KEY}, {"embedding"}),
        ({"wire": "sdk", "tls": True}, {"embedding"}),
        ({"api_key": KEY, "tls": True}, {"embedding"}),
    ],
    ids=["generates", "embeds", "unix socket", "key", "SDK transport", "TLS"],
)
def test_well(options: Any, skipped: set[str], place: Place) -> None:
    """A healthy server passes every check of what it serves, and the set-up that is told works as it stands."""
    environ: dict[str, str] = {}
    if options.get("uds"):
        options = {"uds": str(place.folder / "socket")}
    options = dict(options)
    if "wire" in options:
        environ["VLLMCONNECT_WIRE"] = options.pop("wire")
    if options.pop("tls", False):
        server, ca = place.tls()
        environ["SSL_CERT_FILE"] = str(ca)
    else:
        server = place.server(**options)
    if "api_key" in options:
        environ["VLLM_API_KEY"] = KEY
    report = report_on(VLLM_BASE_URL=server.url, **environ)
    found = statuses(report)
    assert report["ok"], report
    assert {name for name, status in found.items() if status == "skipped"} == skipped
    assert not [name for name, status in found.items() if status == "warn"]
    exports, _, code = report["set_up"].partition("\n\n")
    told = dict(re.findall(r"^export (\w+)=(\S+)", exports, re.MULTILINE))
    assert ("VLLM_API_KEY" in told) == ("api_key" in options)
    environ |= {"VLLM_BASE_URL": told["VLLM_BASE_URL"]}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.strip()


class Warned(NamedTuple):
    """What works all the same: how it comes about, which check warns, with which fix.

    `calls` are those that fail by it and say the same; where there is none, `because` says why.
    """

    make: Callable[[Place], SetUp]
    check: str
    fix: str
    calls: tuple[str, ...] = ()
    because: str = ""


WARNED = {
    "several models": Warned(
        lambda place: SetUp((place.gateway({"/v1/models": listed("qwen", "llama")}),)),
        "models",
        "Name one in the call or as VLLM_MODEL: qwen, llama.",
        ("chat", "stream"),
    ),
    "no tool parser": Warned(
        lambda place: at(place.server(tool_call_parser="")),
        "tools",
        "Start the server with --enable-auto-tool-choice --tool-call-parser PARSER",
        ("with tools",),
    ),
    "an alias of nothing": Warned(
        lambda place: at(
            place.server(),
            VLLMCONNECT_CONFIG=place.file("config.toml", '[model_aliases]\n"gpt-4o" = "llama"'),
        ),
        "models",
        "Name one that it serves: qwen.",
        ("with alias",),
    ),
    "another kind of server": Warned(
        lambda place: SetUp((place.gateway({"/version": Reply(404, {}, b"")}),)),
        "version",
        "GET /version",
        because="nothing fails",
    ),
    "connections that are closed": Warned(
        lambda place: SetUp((place.gateway({"/health": Reply(200, {"connection": "close"}, b"")}),)),
        "keep-alive",
        "keep connections",
        because="calls are slower, and answered",
    ),
    "an answer that is collected": Warned(
        lambda place: SetUp((place.gateway({}, first_token_delay=0.1, token_delay=0.02),)),
        "stream",
        "proxy_buffering off",
        because="a stream comes late, and whole",
    ),
    "replicas that differ": Warned(
        lambda place: SetUp((f"{place.server().url},{place.server(max_model_len=1024).url}",)),
        "replicas",
        "Serve the same model, name and --max-model-len everywhere",
        because="calls pass over the one that differs",
    ),
}


@every_shell
@pytest.mark.parametrize("name", WARNED)
def test_warned(name: str, shell: str, place: Place) -> None:
    """What works all the same is a warning with its fix and exit code 0; a call that fails by it says the same."""
    warned = WARNED[name]
    set_up = warned.make(place)
    ended = run("doctor", *set_up.arguments, "--json", **set_up.environ)
    report = json.loads(ended.stdout)
    (finding,) = (one for one in report["findings"] if one["status"] == "warn")
    assert (finding["check"], ended.returncode) == (warned.check, 0)
    assert warned.fix in finding["fix"]
    for call in warned.calls:
        error = words_of(error_of(shell, set_up, (call,)), place)
        assert error[1:] == (shown(finding["said"], place), shown(finding["fix"], place))
    assert warned.calls or warned.because


@every_shell
@pytest.mark.parametrize(
    ("kind", "check", "call"), [("pooling", "chat", "chat"), ("generate", "embedding", "embeddings")]
)
def test_of_another_kind(kind: str, check: str, call: str, shell: str, place: Place) -> None:
    """What this kind of server does not serve is skipped in the words in which a call is refused that asks for it."""
    set_up = at(place.server(kind=kind))
    (skipped,) = (one for one in report_on(*set_up.arguments)["findings"] if one["check"] == check)
    error: Any = error_of(shell, set_up, ("info", call))
    assert (skipped["status"], skipped["said"]) == ("skipped", error.explanation)
    assert error.rule == "other-kind-known"
    assert error.fix.startswith("Set base_url to a server with")


def said(message: Any, usage: Any = None) -> Reply:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    same = {"id": "c", "object": "chat.completion", "created": 0, "model": "qwen"}
    return as_json({**same, "choices": [choice], "usage": usage})


def streamed(*deltas: Any) -> Reply:
    same = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "qwen"}
    ends = [None] * (len(deltas) - 1) + ["stop"]
    chunks = [
        {**same, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
        for delta, end in zip(deltas, ends, strict=True)
    ]
    events = [f"data: {told}\n\n" for told in (*map(json.dumps, chunks), "[DONE]")]
    return Reply(200, {"content-type": "text/event-stream"}, "".join(events).encode())


def embedded(vector: Any) -> Reply:
    return as_json({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": vector}]})


BOTH = as_json({"paths": {CHAT: {}, EMBEDDINGS: {}}})


@pytest.mark.parametrize(
    "own",
    [
        {CHAT: said({"role": "assistant", "content": "x"}, "many")},
        {CHAT: said({"role": "assistant", "content": 5})},
        {CHAT: said({"role": "assistant", "content": ["yes"]})},
        {f"{CHAT} stream": streamed(None, {"content": "a"})},
        {f"{CHAT} stream": streamed("a", {})},
        {EMBEDDINGS: embedded(["a", "b"]), "/openapi.json": BOTH},
        {EMBEDDINGS: embedded([[1.0]]), "/openapi.json": BOTH},
        {"/version": as_json({"version": "0" * 5000})},
    ],
    ids=["usage", "number", "list", "no delta", "text", "texts", "nested", "version"],
)
def test_odd_answers(own: dict[str, Reply], place: Place) -> None:
    """What a server puts where something else is due ends no examination: it goes on to its last check."""
    ended = run("doctor", place.gateway(own), "--json")
    assert "a bug" not in ended.stderr
    assert json.loads(ended.stdout)["findings"][-1]["check"] == "latency"


def test_dripping(place: Place) -> None:
    """A server that lets the head of /health drip, each byte in time, is not waited for byte by byte."""
    server = place.server()
    server.faults.turn_on("drip-head", pause=0.5, path="/health")
    ended = run("doctor", server.url, "--json")
    found = {one["check"]: one for one in json.loads(ended.stdout)["findings"]}
    assert found["keep-alive"]["status"] == "skipped"
    assert (found["engine"]["status"], ended.returncode) == ("fail", 1)


def test_many_models(place: Place) -> None:
    """However many models a server lists, a line stays one that can be read."""
    ended = run("doctor", place.gateway({"/v1/models": listed(*(f"m{number}" for number in range(3000)))}))
    assert max(map(len, ended.stdout.splitlines())) < 3000


# -- several


def test_replicas_that_serve_the_same(place: Place) -> None:
    """Each replica is looked at by itself, and then they are compared."""
    first, second = place.server(), place.server()
    report = report_on(f"{first.url},{second.url}")
    assert report["ok"]
    assert {one["server"] for one in report["findings"]} == {first.url, second.url, ""}
    assert report["findings"][-1]["said"] == "2 serve the same"
    assert f"{first.url},{second.url}" in report["set_up"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_model_len": 1024}, "1024|1,024"),
        ({"version": "0.31.0"}, "several releases"),
        ({"models": ("b",)}, "qwen"),
    ],
)
def test_replicas_that_differ(options: Any, said: str, place: Place) -> None:
    """Another model, a shorter context, another release at one of them is told."""
    report = report_on(f"{place.server().url},{place.server(**options).url}")
    last = report["findings"][-1]
    assert (last["check"], last["status"]) == ("replicas", "warn")
    assert re.search(said, last["said"]), last
    assert last["fix"]


def test_one_replica_away(place: Place) -> None:
    """One that is away is named, with its fix; somebody was reached, so that the exit code is that of a problem."""
    ended = run("doctor", f"{place.server().url},http://localhost:{closed_port()}/v1")
    assert ended.returncode == 1
    assert re.search(r"fail +connection +No connection to http://localhost", ended.stdout)
    assert "not looked at: TLS, HTTP, base path" in ended.stdout
    assert "One problem was found; begin with connection." in ended.stdout


# -- how it is shown


def test_an_echoed_key(place: Place) -> None:
    """A key that a server puts into its answers, as the name of a model, is not shown."""
    url = place.gateway({"/v1/models": listed(KEY), "/version": Reply(404, {}, b"")}, api_key=KEY)
    for more in ((), ("--json",)):
        ended = run("doctor", *more, VLLM_BASE_URL=url, VLLM_API_KEY=KEY)
        assert KEY not in ended.stdout + ended.stderr
        assert "***" in ended.stdout


def test_shown(place: Place) -> None:
    """A line per check, its fix below; nothing that a server says steers the terminal."""
    server = place.server(models=("qwen\x1b[2J",))
    ended = run("doctor", server.url, "--model", "x")
    assert ended.returncode == 1
    assert "\x1b" not in ended.stdout
    assert "ok      settings          http://127.0.0.1" in ended.stdout
    assert re.search(
        r"^fail +models +http://127.0.0.1:\d+ does not serve the model `x`\.$", ended.stdout, re.MULTILINE
    )
    assert re.search(r"^ +-> Name one that it serves: qwen", ended.stdout, re.MULTILINE)


def test_at_a_terminal(place: Place) -> None:
    """Long lines are broken between words, and go on below where they began."""
    server = place.server()
    with Terminal("doctor", server.url, "--model", "gpt-4o", COLUMNS="80", NO_COLOR="1") as terminal:
        assert terminal.exit_code() == 1
    lines = terminal.shown.splitlines()
    assert max(map(len, lines)) <= 80
    below = lines[lines.index(next(line for line in lines if "-> Name one that it serves" in line)) + 1]
    assert re.match(r" {29}\S", below)


def test_checks() -> None:
    """A check whose need failed or was skipped is skipped and not run; an error of ours is raised."""
    ran: list[str] = []

    def run_as(name: str, told: Told) -> Check[None]:
        needs = {"b": ("a",), "c": ("b",), "d": ()}.get(name, ())

        def check(_: None) -> Told:
            ran.append(name)
            return told

        return Check(name, check, needs)

    found = [
        (one.check, one.status, one.said)
        for one in findings(
            [run_as("a", fail("broken")), run_as("b", ok("")), run_as("c", ok("")), run_as("d", warn("odd"))],
            None,
        )
    ]
    assert found == [
        ("a", "fail", "broken"),
        ("b", "skipped", "needs a"),
        ("c", "skipped", "needs b"),
        ("d", "warn", "odd"),
    ]
    assert ran == ["a", "d"]
    with pytest.raises(ZeroDivisionError):
        list(findings([Check("e", lambda _: ok(str(1 / 0)))], None))
