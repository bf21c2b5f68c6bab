"""`vllm-connect doctor` on set-ups that are broken for real: its first failing line names the cause and the fix."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest import mock

import openai
import pytest
import trustme

from tests.commands import run
from tests.gateway import gateway
from vllm_connect import OpenAI
from vllm_connect.checks import Check, Told, fail, findings, ok, warn
from vllm_connect.settings import FileKey
from vllm_connect.simulator import Reply, Simulator

KEY = "sk-the-right-key"
PLATFORM_KEY = "sk-proj-of-openai"


class SetUp(NamedTuple):
    """What a user has: the command line behind `doctor`, and the environment."""

    arguments: tuple[str, ...]
    environ: Mapping[str, str] = MappingProxyType({})


class Place:
    """Where set-ups are built: what they start is stopped at the end."""

    def __init__(self, started: ExitStack, folder: Path) -> None:
        self._started = started
        self.folder = folder

    def start(self, context: Any) -> Any:
        return self._started.enter_context(context)

    def server(self, fault: str = "", **options: Any) -> Simulator:
        """Start a server, which meets a fault at every request."""
        given: dict[str, Any] = {"models": ("qwen",), **options}
        fault_options: dict[str, Any] = {}
        for name in ("path", "code", "to"):
            if name in given:
                fault_options[name] = given.pop(name)
        server: Simulator = self.start(Simulator(**given))
        if fault:
            server.faults.turn_on(fault, **fault_options)
        return server

    def gateway(self, own: dict[str, Reply], **options: Any) -> str:
        """Start a server behind a gateway, and return the gateway's address."""
        url: str = self.start(gateway(self.server(**options).url.removesuffix("/v1"), own))
        return url

    def tls(self, *names: str, ask_client: bool = False, expired: bool = False) -> tuple[Simulator, Path]:
        """Start a server with a certificate by an authority of its own; return it, and the authority's file."""
        authority = trustme.CA()
        ends = datetime.now(UTC) - timedelta(days=1) if expired else None
        issued = authority.issue_cert(*(names or ("localhost", "127.0.0.1")), not_after=ends)
        chain, ca = self.folder / "server.pem", self.folder / "ca.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(chain)
        authority.cert_pem.write_to_path(ca)
        asking: dict[str, Any] = {"ssl_ca_certs": str(ca), "ssl_cert_reqs": 2} if ask_client else {}
        return self.server(ssl_certfile=str(chain), **asking), ca

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as started:
        yield Place(started, tmp_path)


def page(status: int = 200) -> Reply:
    return Reply(status, {"content-type": "text/html"}, b"<html><title>Sign in</title></html>")


class Broken(NamedTuple):
    """A broken set-up: how it comes about, which check fails first, what it says and how it is mended."""

    name: str
    make: Callable[[Place], SetUp]
    check: str
    said: str
    fix: str = ""
    code: int = 1


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def at(server: Simulator, **environ: str) -> SetUp:
    return SetUp((server.url,), environ)


def trusted(server: Simulator, ca: Path, url: str = "") -> SetUp:
    return SetUp((url or server.url,), {"SSL_CERT_FILE": str(ca)})


def keyed(place: Place, environ: dict[str, str], *arguments: str) -> SetUp:
    server = place.server(api_key=KEY)
    return SetUp((server.url, *arguments), environ)


def refused(server: Simulator) -> SetUp:
    server.faults.turn_on("refused")
    return at(server)


BROKEN = (
    # -- settings
    Broken(
        "another scheme", lambda _: SetUp(("ftp://gpu1",)), "settings", "scheme 'ftp'", "Write http://gpu1"
    ),
    Broken("no such profile", lambda _: SetUp(("--profile", "prod")), "settings", "no profile.*prod|prod"),
    Broken(
        "a file that is not TOML",
        lambda place: SetUp((), {"VLLMCONNECT_CONFIG": place.file("config.toml", "base_url = gpu1")}),
        "settings",
        "config.toml",
    ),
    Broken(
        "a misspelt setting",
        lambda place: SetUp((), {"VLLMCONNECT_CONFIG": place.file("config.toml", 'base_ulr = "gpu1"')}),
        "settings",
        "base_ulr",
        "base_url",
    ),
    Broken("an address twice", lambda _: SetUp(("gpu1,gpu1",)), "settings", "twice"),
    Broken(
        "a key with a line break within",
        lambda _: SetUp(("localhost:1",), {"VLLM_API_KEY": "one\ntwo", "VLLM_BASE_URL": "localhost:1"}),
        "settings",
        "VLLM_API_KEY",
    ),
    # -- the way there
    Broken("an unknown name", lambda _: SetUp(("gpu1.invalid",)), "name", "not known", "spelling", 3),
    Broken(
        "no unix socket",
        lambda place: SetUp((f"unix://{place.folder}/none.sock",)),
        "name",
        "no such unix socket",
        "--uds",
        3,
    ),
    Broken(
        "nothing listens",
        lambda _: SetUp((f"localhost:{closed_port()}",)),
        "connection",
        "connection refused",
        "wait",
        3,
    ),
    Broken(
        "still loading",
        lambda place: refused(place.server()),
        "connection",
        "connection refused",
        "loading",
        3,
    ),
    Broken(
        "the wrong variable",
        lambda _: SetUp((), {"VLLM_BASE_URL": f"http://localhost:{closed_port()}/v1"}),
        "connection",
        "connection refused",
        "VLLM_BASE_URL",
        3,
    ),
    Broken(
        "https to a plain port",
        lambda place: SetUp((place.server().url.replace("http:", "https:"),)),
        "TLS",
        "TLS failed",
        "http:// in place of https://",
        3,
    ),
    Broken(
        "http to a TLS port",
        lambda place: SetUp((place.tls()[0].url.replace("https:", "http:"),)),
        "HTTP",
        "",
        "https:// in place of http://",
        3,
    ),
    Broken(
        "a private authority",
        lambda place: at(place.tls()[0]),
        "TLS",
        "certificate is not trusted",
        r"tls=Tls\(ca='ca.pem'\)",
        3,
    ),
    Broken(
        "a certificate of another name",
        lambda place: trusted(*place.tls("other.example")),
        "TLS",
        "certificate",
        "",
        3,
    ),
    Broken(
        "a certificate that has ended",
        lambda place: trusted(*place.tls(expired=True)),
        "TLS",
        "certificate",
        "",
        3,
    ),
    Broken(
        "no client certificate",
        lambda place: trusted(*place.tls(ask_client=True)),
        "HTTP",
        "",
        "client_cert",
        3,
    ),
    Broken(
        "a proxy that is away",
        lambda _: SetUp(
            ("http://gpu1.example",), {"http_proxy": f"http://127.0.0.1:{closed_port()}", "no_proxy": ""}
        ),
        "connection",
        "proxy",
        "NO_PROXY",
        3,
    ),
    Broken(
        "a proxy that is none",
        lambda _: SetUp(("http://gpu1.example",), {"http_proxy": "gopher://x", "no_proxy": ""}),
        "proxy",
        "http_proxy",
        "",
        3,
    ),
    # -- what answers
    Broken("not HTTP", lambda place: at(place.server("not-http-on-accept")), "HTTP", "", "", 3),
    Broken(
        "a page to sign in",
        lambda place: SetUp((place.gateway({"*": page(), "/v1/models": page()}),)),
        "HTTP",
        "text/html",
        "",
        3,
    ),
    Broken(
        "a redirect",
        lambda place: at(place.server("redirect", to="http://other.invalid")),
        "HTTP",
        "redirect",
        "other.invalid",
        3,
    ),
    Broken("a gateway without a server", lambda place: at(place.server("bad-gateway")), "HTTP", "502", "", 3),
    Broken("a TLS alert", lambda place: at(place.server("tls-alert")), "HTTP", "", "https", 3),
    Broken("a connection that ends", lambda place: at(place.server("close-unanswered")), "HTTP", "", "", 3),
    Broken(
        "another path",
        lambda place: SetUp((f"{place.server().url}2",)),
        "base path",
        "no route",
        "/v1: write that",
    ),
    Broken(
        "a path too many",
        lambda place: SetUp((f"{place.server().url}/x/v1",)),
        "base path",
        "no route",
        "/v1: write that",
    ),
    Broken(
        "a route that is barred",
        lambda place: at(place.server("status", code=403)),
        "base path",
        "403|bars",
        "",
    ),
    # -- the key
    Broken(
        "no key", lambda place: keyed(place, {}), "key", "wants an API key and none was sent", "VLLM_API_KEY"
    ),
    Broken(
        "a wrong key",
        lambda place: SetUp((), {"VLLM_BASE_URL": place.server(api_key=KEY).url, "VLLM_API_KEY": "sk-wrong"}),
        "key",
        "refused the API key from VLLM_API_KEY",
    ),
    Broken(
        "a key of OpenAI's",
        lambda place: SetUp(
            (), {"OPENAI_BASE_URL": place.server(api_key=KEY).url, "OPENAI_API_KEY": PLATFORM_KEY}
        ),
        "key",
        "OPENAI_API_KEY was not sent",
    ),
    Broken(
        "no file for the key",
        lambda place: keyed(place, {}, "--key-file", str(place.folder / "none.txt")),
        "key",
        "none.txt",
    ),
    # -- what it serves
    Broken(
        "a misspelt model",
        lambda place: SetUp((place.server().url, "--model", "qwne")),
        "models",
        "qwne .* is not served; served is qwen",
        'model="qwen"',
    ),
    Broken(
        "a model of the environment",
        lambda place: at(place.server(), VLLM_MODEL="gpt-4o"),
        "models",
        r"gpt-4o \(from VLLM_MODEL\)",
        '"gpt-4o": "qwen"',
    ),
    Broken(
        "a dead engine",
        lambda place: at(place.server("status", code=503, path="/health")),
        "engine",
        "503",
        "Start the server again",
    ),
    Broken(
        "asleep",
        lambda place: at(asleep(place.server(dev_mode=True))),
        "engine",
        "sleeps",
        "wake_up",
    ),
    Broken(
        "a full queue",
        lambda place: at(place.server("busy", path="/v1/chat/completions")),
        "chat",
        "503|queue",
        "",
    ),
    Broken(
        "a stream without its end",
        lambda place: at(place.server("cut", path="/v1/chat/completions")),
        "stream",
        "not complete",
    ),
)


def asleep(server: Simulator) -> Simulator:
    with OpenAI(base_url=server.url) as client:
        client.server.sleep()
    return server


# What these tell is what a call meets.
WORDS_OF_THE_CLIENT = frozenset(
    {"settings", "proxy", "name", "connection", "TLS", "HTTP", "base path", "key"}
)
ARGUMENTS = {"--profile": "profile", "--model": "model", "--key-file": "api_key"}


def error_of(arguments: tuple[str, ...], environ: Mapping[str, str]) -> openai.OpenAIError:
    """Return what the client raises in the same set-up."""
    options = dict(zip(arguments[-2::2], arguments[-1::2], strict=True)) if "--" in str(arguments) else {}
    given: dict[str, Any] = {ARGUMENTS[name]: value for name, value in options.items()}
    if "api_key" in given:
        given["api_key"] = FileKey(Path(given["api_key"]), "--key-file")
    url = arguments[0] if arguments and not arguments[0].startswith("--") else None
    with mock.patch.dict(os.environ, environ), pytest.raises(openai.OpenAIError) as caught:
        client = OpenAI(base_url=url, max_retries=0, **given)
        client.models.list()
    return caught.value


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name.replace(" ", "-"))
def test_broken(broken: Broken, place: Place) -> None:
    """The first failing line names the cause and the fix, and the client's own exception says the same."""
    arguments, environ = broken.make(place)
    ended = run("doctor", *arguments, "--json", **environ)
    report = json.loads(ended.stdout)
    first = next(one for one in report["findings"] if one["status"] == "fail")
    told = f"{first['said']} {first['fix']}"
    assert (first["check"], ended.returncode) == (broken.check, broken.code), told
    assert re.search(broken.said, first["said"]), told
    assert re.search(broken.fix, told), told
    assert (report["ok"], report["set_up"]) == (False, "")
    if broken.check in WORDS_OF_THE_CLIENT:
        error = error_of(arguments, environ)
        # A call tells more of an answer that is none.
        assert getattr(error, "explanation", str(error)).startswith(first["said"].rstrip(".)"))
    for secret in (KEY, PLATFORM_KEY, "sk-wrong", "one\ntwo"):
        assert secret not in ended.stdout + ended.stderr


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
        ({"api_key": KEY, "tls": True}, {"embedding"}),
    ],
    ids=["generates", "embeds", "unix socket", "key", "TLS"],
)
def test_well(options: Any, skipped: set[str], place: Place) -> None:
    """A healthy server passes every check of what it serves, and the set-up that is told works as it stands."""
    environ: dict[str, str] = {}
    if options.get("uds"):
        options = {"uds": str(place.folder / "socket")}
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


def listed(*names: str) -> Reply:
    same = {"object": "model", "created": 0, "owned_by": "vllm", "max_model_len": 4096}
    models = [{"id": name, "root": name, **same} for name in names]
    return Reply(200, {"content-type": "application/json"}, json.dumps({"data": models}).encode())


WARNED: dict[str, tuple[Callable[[Place], SetUp], str, str]] = {
    "several models": (
        lambda place: SetUp((place.gateway({"/v1/models": listed("qwen", "llama")}),)),
        "models",
        "VLLM_MODEL=qwen",
    ),
    "no tool parser": (
        lambda place: at(place.server(tool_call_parser="")),
        "tools",
        "--enable-auto-tool-choice",
    ),
    "another kind of server": (
        lambda place: SetUp((place.gateway({"/version": Reply(404, {}, b"")}),)),
        "version",
        "",
    ),
    "connections that are closed": (
        lambda place: SetUp((place.gateway({"/health": Reply(200, {"connection": "close"}, b"")}),)),
        "keep-alive",
        "keep connections",
    ),
    "an answer that is collected": (
        lambda place: SetUp((place.gateway({}, first_token_delay=0.1, token_delay=0.02),)),
        "stream",
        "proxy_buffering off",
    ),
    "an alias of nothing": (
        lambda place: at(
            place.server(),
            VLLMCONNECT_CONFIG=place.file("config.toml", '[model_aliases]\n"gpt-4o" = "llama"'),
        ),
        "models",
        "",
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_warned(name: str, place: Place) -> None:
    """What works all the same, and should be known, is a warning with its fix; the exit code stays 0."""
    make, check, fix = WARNED[name]
    arguments, environ = make(place)
    ended = run("doctor", *arguments, "--json", **environ)
    report = json.loads(ended.stdout)
    warned = [one for one in report["findings"] if one["status"] == "warn"]
    assert [one["check"] for one in warned] == [check], report
    assert fix in warned[0]["fix"]
    assert ended.returncode == 0


def as_json(told: Any) -> Reply:
    return Reply(200, {"content-type": "application/json"}, json.dumps(told).encode())


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


CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
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
    assert re.search(r"^fail +models +x \(from argument\) is not served", ended.stdout, re.MULTILINE)
    assert re.search(r"^ +-> Set model=", ended.stdout, re.MULTILINE)


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
