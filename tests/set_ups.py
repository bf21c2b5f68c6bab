"""Set-ups that are broken for real on this machine: what a user has, and what doctor and the client say of it."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import trustme

from tests.gateway import gateway
from tests.test_opening import certified, peer, says
from vllm_connect import OpenAI, Timeouts
from vllm_connect.settings import FileKey
from vllm_connect.simulator import Reply, Simulator

__all__ = [
    "BROKEN",
    "CALLS",
    "CHAT",
    "EMBEDDINGS",
    "KEY",
    "PLATFORM_KEY",
    "RESTLESS",
    "Broken",
    "Place",
    "SetUp",
    "Words",
    "as_json",
    "at",
    "closed_port",
    "listed",
]

KEY = "sk-the-right-key"
PLATFORM_KEY = "sk-proj-of-openai"
CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


class SetUp(NamedTuple):
    """What a user has: the command line behind `doctor`, and the environment."""

    arguments: tuple[str, ...]
    environ: Mapping[str, str] = MappingProxyType({})

    @property
    def options(self) -> dict[str, Any]:
        """The same arguments as a client is given them."""
        given: dict[str, Any] = {}
        words = iter(self.arguments)
        for word in words:
            if word == "--key-file":
                given["api_key"] = FileKey(Path(next(words)), word)
            elif word.startswith("--"):
                given[word.removeprefix("--")] = next(words)
            else:
                given["base_url"] = word
        return given


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
        for name in ("path", "code", "to", "refused_for"):
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

    def peer(self, script: Callable[[socket.socket], None], scheme: str = "http") -> SetUp:
        """Start what does with each connection as this script says."""
        port = self.start(peer(script)).port
        return SetUp((f"{scheme}://127.0.0.1:{port}",))

    def tls(self, *names: str, ask_client: bool = False, days: int = 99) -> tuple[Simulator, Path]:
        """Start a server with a certificate by an authority of its own; return it, and the authority's file."""
        authority = trustme.CA()
        begins, ends = (datetime.now(UTC) + timedelta(days=days - span) for span in (99, 0))
        issued = authority.issue_cert(
            *(names or ("localhost", "127.0.0.1")), not_before=begins, not_after=ends
        )
        chain, ca = self.folder / "server.pem", self.folder / "ca.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(chain)
        authority.cert_pem.write_to_path(ca)
        asking: dict[str, Any] = {"ssl_ca_certs": str(ca), "ssl_cert_reqs": 2} if ask_client else {}
        return self.server(ssl_certfile=str(chain), **asking), ca

    def wanting_certificate(self, settings: str = "") -> SetUp:
        """Start a TLS server that tells by an alert, as OpenSSL does, that a client's certificate will not do."""
        authority = trustme.CA()
        ca = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(ca)
        stranger = trustme.CA().issue_cert("me@client.test").private_key_and_cert_chain_pem
        stranger.write_to_path(self.folder / "stranger.pem")
        context = certified(authority, "127.0.0.1")
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)

        def script(connected: socket.socket) -> None:
            with context.wrap_socket(connected, server_side=True, do_handshake_on_connect=False) as tls:
                with contextlib.suppress(ssl.SSLError):
                    tls.do_handshake()
                # Closed with bytes unread, it would be reset, and the alert lost.
                tls.shutdown(socket.SHUT_WR)
                while socket.socket.recv(tls, 1000):
                    pass

        made = self.peer(script, "https")
        return SetUp(
            made.arguments, {"VLLMCONNECT_CONFIG": self.file("config.toml", settings.format(self.folder))}
        )

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)


def page(status: int = 200) -> Reply:
    return Reply(status, {"content-type": "text/html"}, b"<html><title>Sign in</title></html>")


class Words(NamedTuple):
    """What is said of a breakage: by which rule of `explain` (none for settings), the cause and the fix, each whole.

    PORT stands for any port, FOLDER for the folder of the test.
    """

    rule: str
    said: str
    fix: str


class Broken(NamedTuple):
    """A broken set-up: how it comes about, which check fails first, and in which words.

    `calls` are those of a client that meet the same and have to say the same. Where the client cannot know what doctor
    has asked for, `tells` holds what it says in its place, and `because` why.
    """

    name: str
    make: Callable[[Place], SetUp]
    check: str
    words: Words
    calls: tuple[str, ...] = ("list", "retrieve", "chat", "stream", "embeddings")
    code: int = 1
    tells: Mapping[str, Words] = MappingProxyType({})
    because: str = ""


MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
TOOL: Any = {
    "type": "function",
    "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
}


def chat(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(messages=MESSAGES, max_tokens=8, **more)


CALLS: Mapping[str, Callable[[Any], Any]] = {
    "list": lambda client: client.models.list(),
    "retrieve": lambda client: client.models.retrieve("qwen"),
    "chat": chat,
    "stream": lambda client: chat(client, stream=True),
    "held": lambda client: chat(client, structured_outputs={"choice": ["yes"]}),
    "with tools": lambda client: chat(client, tools=[TOOL]),
    "with alias": lambda client: chat(client, model="gpt-4o"),
    "info": lambda client: client.server.info(),
    "embeddings": lambda client: client.embeddings.create(input="Say hello."),
}
# What those calls ask first that leave the model out; the others tell the paths of their own.
OF_MODELS = ("list", "chat", "stream", "embeddings")
CHATS = ("chat", "stream")


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


def configured(place: Place, text: str, *arguments: str) -> SetUp:
    return SetUp(arguments, {"VLLMCONNECT_CONFIG": place.file("config.toml", text)})


def proxied(place: Place, answer: bytes) -> SetUp:
    port = place.start(peer(says(answer))).port
    return SetUp(("https://gpu1.example",), {"https_proxy": f"http://127.0.0.1:{port}", "no_proxy": ""})


def refused(server: Simulator) -> SetUp:
    server.faults.turn_on("refused")
    return at(server)


def asleep(server: Simulator) -> Simulator:
    with OpenAI(base_url=server.url) as client:
        client.server.sleep()
    return server


def deaf_socket(place: Place) -> SetUp:
    path = place.folder / "deaf.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    return SetUp((f"unix://{path}",))


def as_json(told: Any, status: int = 200) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps(told).encode())


def refusing(text: str, status: int = 400) -> Reply:
    """A refusal in vLLM's shape."""
    return as_json({"error": {"message": text, "type": "X", "param": None, "code": status}}, status)


def listed(*names: str) -> Reply:
    same = {"object": "model", "created": 0, "owned_by": "vllm", "max_model_len": 4096}
    return as_json({"data": [{"id": name, "root": name, **same} for name in names]})


def events(*told: Any) -> Reply:
    body = "".join(f"data: {one}\n\n" for one in (*map(json.dumps, told), "[DONE]"))
    return Reply(200, {"content-type": "text/event-stream"}, body.encode())


NGINX_TLS = Reply(
    400,
    {"content-type": "text/html"},
    b"<html><center>The plain HTTP request was sent to HTTPS port</center></html>",
)


def other_authority(place: Place) -> SetUp:
    server, _ = place.tls()
    trustme.CA().cert_pem.write_to_path(place.folder / "other.pem")
    return configured(place, f'[tls]\nca = "{place.folder}/other.pem"', server.url)


def plain_proxy(place: Place) -> SetUp:
    front = place.gateway({"*": page(502)})
    return SetUp(("http://gpu1.example:8000",), {"http_proxy": front, "no_proxy": ""})


def prefixed(place: Place) -> str:
    """Have the API behind a gateway at /llm/v1, and the address without its end."""
    return f"{place.gateway({'/llm/v1/models': listed('qwen')})}/llm"


# What a call says in whose time nothing comes; `RESTLESS` are its timers.
RESTLESS = Timeouts(first_token=0.3, total=0.6)
LOADING = (
    "Start it, or wait for it with client.wait_until_ready() or `vllm-connect wait http://localhost:PORT/v1`; within a "
    "container localhost is the container itself. The address was given by argument."
)
BOTH_AWAY = dict.fromkeys(
    ("list", "chat", "stream", "embeddings"),
    Words(
        "refused-here",
        "No connection to http://localhost:PORT/v1 after 2 tries at 2 replicas: connection refused. Nothing listens "
        "there: the server is not running, or still loading.",
        LOADING,
    ),
)
# A refusal of an embedding names no model that is served, one of a chat no adapter.
UNLISTED = {
    "embeddings": Words(
        "model-unknown",
        "http://127.0.0.1:PORT does not serve the model `qwne` (from VLLM_MODEL).",
        "client.models.list() shows the names that this server accepts; leave `model` out to have its only one.",
    )
}
WITHOUT_ADAPTERS = dict.fromkeys(
    ("chat", "stream"),
    Words(
        "model-not-served",
        "http://127.0.0.1:PORT does not serve the model `sql-adaptor` (from VLLM_MODEL).",
        "Name one that it serves: qwen. model_aliases={'sql-adaptor': 'qwen'} maps the name in your code to it.",
    ),
)
ASLEEP = {
    "chat": Words(
        "timer-total",
        "The call to http://127.0.0.1:PORT/v1 was not complete within its total of 0.6 s.",
        "For longer answers raise timeouts.total (or timeout=), or stream the answer. (A server with sleep mode may be "
        "asleep: client.server.is_sleeping().)",
    ),
    "stream": Words(
        "timer-first-token",
        "http://127.0.0.1:PORT/v1 sent no first byte of its answer within 0.3 s.",
        "It may be busy or the prompt long; the timer is timeouts.first_token. (A server with sleep mode may be asleep: "
        "client.server.is_sleeping().)",
    ),
}

DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."
GRAMMAR = "Grammar error: Invalid type: text"
SSH = b"SSH-2.0-OpenSSH_9.6\r\n"
OLD_TLS = b"\x15\x03\x03\x00\x02\x02\x46"  # an alert: fatal, protocol_version

BROKEN = (
    # -- settings
    Broken(
        "another scheme",
        lambda _: SetUp(("ftp://gpu1",)),
        "settings",
        Words("", "base_url has the scheme 'ftp'; vLLM speaks http, https and unix.", "Write http://gpu1."),
    ),
    Broken(
        "a port that is none",
        lambda _: SetUp(("gpu1:80000",)),
        "settings",
        Words("", "base_url has the port '80000'.", "A port is a number from 1 to 65535."),
    ),
    Broken(
        "an address with a blank",
        lambda _: SetUp(("http://gpu 1:8000",)),
        "settings",
        Words("", "base_url has white space, a backslash or a control character inside.", "Remove it."),
    ),
    Broken(
        "a password in the address",
        lambda _: SetUp(("http://me:pass@gpu1:8000",)),
        "settings",
        Words(
            "",
            "base_url has user information (before '@').",
            "Write http://gpu1:8000, and give the key as api_key or in VLLM_API_KEY.",
        ),
    ),
    Broken(
        "a query in the address",
        lambda _: SetUp(("http://gpu1:8000/v1?team=a",)),
        "settings",
        Words(
            "",
            "base_url has a query (from '?' on), which would end up inside every path.",
            "Write http://gpu1:8000/v1, and give query parameters as default_query.",
        ),
    ),
    Broken(
        "an address twice",
        lambda _: SetUp(("gpu1,gpu1",)),
        "settings",
        Words("", "base_url names http://gpu1:8000/v1 twice.", "Name each replica once."),
    ),
    Broken(
        "no such profile",
        lambda _: SetUp(("--profile", "prod")),
        "settings",
        Words(
            "",
            "argument `profile`: no profile named 'prod'.",
            "Define it as a table [profiles.prod] in vllm-connect.toml.",
        ),
    ),
    Broken(
        "a file that is not TOML",
        lambda place: configured(place, "base_url = gpu1"),
        "settings",
        Words(
            "",
            "FOLDER/config.toml:1: not valid TOML: Invalid value.",
            'Mend that line; a text stands in quotes, as in base_url = "http://gpu1:8000".',
        ),
    ),
    Broken(
        "a misspelt setting",
        lambda place: configured(place, 'base_ulr = "gpu1"'),
        "settings",
        Words("", "FOLDER/config.toml:1: unknown setting `base_ulr`.", "Did you mean `base_url`?"),
    ),
    Broken(
        "two keys",
        lambda place: configured(place, 'base_url = "gpu1"\napi_key_env = "A"\napi_key_file = "b"'),
        "settings",
        Words(
            "",
            "FOLDER/config.toml:2 and FOLDER/config.toml:3: api_key_env and api_key_file both give the key.",
            "Keep one of them.",
        ),
    ),
    Broken(
        "a variable for the key that is not set",
        lambda place: configured(place, 'base_url = "gpu1"\napi_key_env = "GPU_KEY"'),
        "settings",
        Words(
            "",
            "FOLDER/config.toml:2: the environment variable GPU_KEY is not set, or empty.",
            "Set it to the key.",
        ),
    ),
    Broken(
        "no file of authorities",
        lambda place: configured(place, 'base_url = "https://127.0.0.1:9"\n[tls]\nca = "/nowhere/ca.pem"'),
        "settings",
        Words(
            "",
            "tls.ca: /nowhere/ca.pem is not a readable PEM file of certificates ([Errno 2] No such file "
            "or directory).",
            "Name the file that holds the authority's own certificate.",
        ),
    ),
    Broken(
        "a key with a line break within",
        lambda _: SetUp(("localhost:1",), {"VLLM_API_KEY": "one\ntwo", "VLLM_BASE_URL": "localhost:1"}),
        "settings",
        Words(
            "",
            "The API key from VLLM_API_KEY has a control character at position 4.",
            "Set it again without that.",
        ),
    ),
    # -- the way there
    Broken(
        "an unknown name",
        lambda _: SetUp(("gpu1.invalid",)),
        "name",
        Words(
            "unknown-host",
            "No connection to http://gpu1.invalid:8000/v1: its host name is not known.",
            "Check its spelling, and whether this machine can look gpu1.invalid up. The address was given "
            "by argument.",
        ),
        code=3,
    ),
    Broken(
        "no unix socket",
        lambda place: SetUp((f"unix://{place.folder}/none.sock",)),
        "name",
        Words(
            "no-socket",
            "No connection to unix://FOLDER/none.sock/v1: no such unix socket.",
            "Was the server started with --uds FOLDER/none.sock? The address was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "a unix socket that nobody listens at",
        deaf_socket,
        "connection",
        Words(
            "refused",
            "No connection to unix://FOLDER/deaf.sock/v1: connection refused. Nothing listens there: the "
            "server is not running, or still loading.",
            "Start it, or wait for it with client.wait_until_ready() or `vllm-connect wait "
            "unix://FOLDER/deaf.sock/v1`. The address was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "nothing listens",
        lambda _: SetUp((f"localhost:{closed_port()}",)),
        "connection",
        Words(
            "refused-here",
            "No connection to http://localhost:PORT/v1: connection refused. Nothing listens there: the "
            "server is not running, or still loading.",
            "Start it, or wait for it with client.wait_until_ready() or `vllm-connect wait "
            "http://localhost:PORT/v1`; within a container localhost is the container itself. The address "
            "was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "still loading",
        lambda place: refused(place.server()),
        "connection",
        Words(
            "refused-here",
            "No connection to http://127.0.0.1:PORT/v1: connection refused. Nothing listens there: the "
            "server is not running, or still loading.",
            "Start it, or wait for it with client.wait_until_ready() or `vllm-connect wait "
            "http://127.0.0.1:PORT/v1`; within a container 127.0.0.1 is the container itself. The address "
            "was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "the wrong variable",
        lambda _: SetUp((), {"VLLM_BASE_URL": f"http://localhost:{closed_port()}/v1"}),
        "connection",
        Words(
            "refused-here",
            "No connection to http://localhost:PORT/v1: connection refused. Nothing listens there: the "
            "server is not running, or still loading.",
            "Start it, or wait for it with client.wait_until_ready() or `vllm-connect wait "
            "http://localhost:PORT/v1`; within a container localhost is the container itself. The address "
            "is from VLLM_BASE_URL.",
        ),
        code=3,
    ),
    Broken(
        "a replica that is away, and the other too",
        lambda _: SetUp((f"localhost:{closed_port()},localhost:{closed_port()}",)),
        "connection",
        Words(
            "refused-here",
            "No connection to http://localhost:PORT/v1: connection refused. Nothing listens there: the "
            "server is not running, or still loading.",
            "Start it, or wait for it with client.wait_until_ready() or `vllm-connect wait "
            "http://localhost:PORT/v1`; within a container localhost is the container itself. The address "
            "was given by argument.",
        ),
        (),
        code=3,
        tells=BOTH_AWAY,
        because="a call asks both, and doctor each by itself",
    ),
    Broken(
        "https to a plain port",
        lambda place: SetUp((place.server().url.replace("http:", "https:"),)),
        "TLS",
        Words(
            "tls-to-plain",
            "No connection to https://127.0.0.1:PORT/v1: TLS failed: WRONG_VERSION_NUMBER. It speaks no "
            "TLS, but probably plain http.",
            "If so, write http:// in place of https://: base_url='http://127.0.0.1:PORT/v1'. The address "
            "was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "http to a TLS port",
        lambda place: SetUp((place.tls()[0].url.replace("https:", "http:"),)),
        "HTTP",
        Words(
            "closed-plain",
            "http://127.0.0.1:PORT/v1 did not answer: the server closed the connection without an answer. "
            "The server went away, or it speaks TLS there.",
            "If it speaks TLS, write https:// in place of http://: base_url='https://127.0.0.1:PORT/v1'; "
            "else look at its log. The address was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "a TLS port that answers by an alert",
        lambda place: at(place.server("tls-alert")),
        "HTTP",
        Words(
            "plain-to-tls",
            "What http://127.0.0.1:PORT/v1 answered cannot be used: its head is not HTTP/1.1 (Expected "
            "HTTP/, RTSP/ or ICE/). Something else than an http server listens there, or it speaks TLS.",
            "If it speaks TLS, write https:// in place of http://: base_url='https://127.0.0.1:PORT/v1'; "
            "else correct the port. The address was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "a TLS port behind nginx",
        lambda place: SetUp((place.gateway({"*": NGINX_TLS, "/v1/models": NGINX_TLS}),)),
        "HTTP",
        Words(
            "tls-wanted",
            "http://127.0.0.1:PORT speaks TLS, and was asked in plain http.",
            "Write https:// in place of http://: base_url='https://127.0.0.1:PORT/v1'. The address was "
            "given by argument.",
        ),
        OF_MODELS,
        code=3,
    ),
    Broken(
        "a TLS of another age",
        lambda place: place.peer(says(OLD_TLS), "https"),
        "TLS",
        Words(
            "tls-failed",
            "No connection to https://127.0.0.1:PORT/v1: TLS failed: TLSV1_ALERT_PROTOCOL_VERSION.",
            "Is it an https server, of TLS 1.2 or newer? The address was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "a private authority",
        lambda place: at(place.tls()[0]),
        "TLS",
        Words(
            "certificate-authority",
            "No connection to https://127.0.0.1:PORT/v1: its certificate is not trusted: unable to get "
            "local issuer certificate.",
            "For a private authority give its certificate: tls=Tls(ca='ca.pem'), or SSL_CERT_FILE=ca.pem "
            "in the environment.",
        ),
        code=3,
    ),
    Broken(
        "another authority",
        other_authority,
        "TLS",
        Words(
            "certificate-other-authority",
            "No connection to https://127.0.0.1:PORT/v1: its certificate is not trusted: unable to get "
            "local issuer certificate.",
            "FOLDER/other.pem (tls.ca) does not hold the authority of this certificate: put the "
            "authority's own certificate there.",
        ),
        code=3,
    ),
    Broken(
        "a certificate of another name",
        lambda place: trusted(*place.tls("other.example")),
        "TLS",
        Words(
            "certificate-name",
            "No connection to https://127.0.0.1:PORT/v1: its certificate is not trusted: IP address "
            "mismatch, certificate is not valid for '127.0.0.1'.",
            "Write a name that the certificate holds in base_url, or give the server a certificate for "
            "127.0.0.1. The address was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "a certificate that has ended",
        lambda place: trusted(*place.tls(days=-1)),
        "TLS",
        Words(
            "certificate-expired",
            "No connection to https://127.0.0.1:PORT/v1: its certificate is not trusted: certificate has "
            "expired.",
            "Renew the certificate on the server; if it is new, start the server again or look at this "
            "machine's clock.",
        ),
        code=3,
    ),
    Broken(
        "a certificate of tomorrow",
        lambda place: trusted(*place.tls(days=100)),
        "TLS",
        Words(
            "certificate-not-yet-valid",
            "No connection to https://127.0.0.1:PORT/v1: its certificate is not trusted: certificate is "
            "not yet valid.",
            "Look at this machine's clock, and at the certificate's first day.",
        ),
        code=3,
    ),
    Broken(
        "no client certificate",
        lambda place: trusted(*place.tls(ask_client=True)),
        "HTTP",
        Words(
            "closed-tls",
            "https://127.0.0.1:PORT/v1 did not answer: the server closed the connection without an "
            "answer. The server went away, or it wants a client certificate.",
            "If it wants a certificate, give one: tls=Tls(client_cert='client.pem'); else look at its log.",
        ),
        code=3,
    ),
    Broken(
        "no client certificate, by an alert",
        lambda place: place.wanting_certificate('[tls]\nca = "{0}/ca.pem"'),
        "HTTP",
        Words(
            "client-certificate-missing",
            "https://127.0.0.1:PORT/v1 did not answer: TLS failed: TLSV13_ALERT_CERTIFICATE_REQUIRED. The "
            "server wants a client certificate.",
            "Give one: tls=Tls(client_cert='client.pem'), or the pair (certificate, key).",
        ),
        code=3,
    ),
    Broken(
        "a stranger's client certificate",
        lambda place: place.wanting_certificate('[tls]\nca = "{0}/ca.pem"\nclient_cert = "{0}/stranger.pem"'),
        "HTTP",
        Words(
            "client-certificate-refused",
            "https://127.0.0.1:PORT/v1 did not answer: TLS failed: TLSV1_ALERT_UNKNOWN_CA. The server "
            "does not accept the client certificate.",
            "Give one of an authority that the server knows (its --ssl-ca-certs): "
            "tls=Tls(client_cert='client.pem').",
        ),
        code=3,
    ),
    Broken(
        "a proxy that is away",
        lambda _: SetUp(
            ("http://gpu1.example",), {"http_proxy": f"http://127.0.0.1:{closed_port()}", "no_proxy": ""}
        ),
        "connection",
        Words(
            "proxy-unreachable",
            "No connection to http://gpu1.example/v1: no connection to the proxy http://127.0.0.1:PORT "
            "(from http_proxy): 127.0.0.1:PORT: Connection refused.",
            "Correct http_proxy, or add gpu1.example to NO_PROXY if the server can be reached without the "
            "proxy.",
        ),
        code=3,
    ),
    Broken(
        "a proxy that is none",
        lambda _: SetUp(("http://gpu1.example",), {"http_proxy": "gopher://x", "no_proxy": ""}),
        "proxy",
        Words(
            "",
            "http_proxy holds no address of a proxy.",
            "Write it like http://proxy.example.com:3128 (or https, socks5, socks5h), with user:password@ "
            "before the host where the proxy wants them, special characters percent-encoded; or unset it.",
        ),
        code=3,
    ),
    Broken(
        "a proxy that wants credentials",
        lambda place: proxied(place, b"HTTP/1.1 407 Auth\r\n\r\n"),
        "TLS",
        Words(
            "proxy-credentials",
            "No connection to https://gpu1.example/v1: the proxy http://127.0.0.1:PORT wants credentials "
            "(407).",
            "For its credentials, write them into https_proxy, as http://user:password@127.0.0.1:PORT; or "
            "add gpu1.example to NO_PROXY if the server can be reached without the proxy.",
        ),
        code=3,
    ),
    Broken(
        "a proxy that knows no way",
        lambda place: proxied(place, b"HTTP/1.1 502 No\r\n\r\n"),
        "TLS",
        Words(
            "proxy-refused",
            "No connection to https://gpu1.example/v1: the proxy http://127.0.0.1:PORT answered 502 when "
            "asked for gpu1.example:443: it cannot reach the server; the proxy is from https_proxy.",
            "If the server can be reached without the proxy, add gpu1.example to NO_PROXY.",
        ),
        code=3,
    ),
    Broken(
        "a proxy that answers by itself",
        plain_proxy,
        "HTTP",
        Words(
            "proxy-answered",
            "The answer to /v1/models of http://gpu1.example:8000 is not vLLM's (status 502): it came "
            "through the proxy http://127.0.0.1:PORT from http_proxy.",
            "If the server can be reached without the proxy, add gpu1.example to NO_PROXY.",
        ),
        OF_MODELS,
        code=3,
    ),
    # -- what answers
    Broken(
        "not HTTP",
        lambda place: place.peer(says(SSH)),
        "HTTP",
        Words(
            "plain-to-tls",
            "What http://127.0.0.1:PORT/v1 answered cannot be used: its head is not HTTP/1.1 (Expected "
            "HTTP/, RTSP/ or ICE/). Something else than an http server listens there, or it speaks TLS.",
            "If it speaks TLS, write https:// in place of http://: base_url='https://127.0.0.1:PORT/v1'; "
            "else correct the port. The address was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "broken HTTP",
        lambda place: at(place.server("two-lengths")),
        "HTTP",
        Words(
            "malformed",
            "What http://127.0.0.1:PORT/v1 answered cannot be used: its head is not HTTP/1.1 (Duplicate "
            "Content-Length).",
            "Look at what stands at that address: a server, or a gateway before it, writes broken HTTP. "
            "The address was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "a connection that ends",
        lambda place: at(place.server("close-unanswered")),
        "HTTP",
        Words(
            "closed-plain",
            "http://127.0.0.1:PORT/v1 did not answer: the server closed the connection without an answer. "
            "The server went away, or it speaks TLS there.",
            "If it speaks TLS, write https:// in place of http://: base_url='https://127.0.0.1:PORT/v1'; "
            "else look at its log. The address was given by argument.",
        ),
        code=3,
    ),
    Broken(
        "a page to sign in",
        lambda place: SetUp((place.gateway({"*": page(), "/v1/models": page()}),)),
        "HTTP",
        Words(
            "page-of-success",
            "http://127.0.0.1:PORT answered /v1/models with a page of HTML that is not vLLM's (text/html).",
            "A page for people (of a login, of a chat application) is no vLLM server: correct base_url, "
            "or give the gateway what it wants (default_headers=). The address was given by argument.",
        ),
        OF_MODELS,
        code=3,
    ),
    Broken(
        "something else that says hello",
        lambda place: SetUp(
            (place.gateway({"/v1/models": Reply(200, {"content-type": "text/plain"}, b"hello")}),)
        ),
        "HTTP",
        Words(
            "shape",
            "http://127.0.0.1:PORT answered /v1/models with something that is not vLLM's (text/plain): it is not JSON "
            "(at character 0).",
            "Is it the address of a vLLM server, and does a gateway before it pass the route on? The address was "
            "given by argument.",
        ),
        OF_MODELS,
        code=3,
    ),
    Broken(
        "a list of models that is nested without end",
        lambda place: at(place.server("deep-json", path="/v1/models")),
        "HTTP",
        Words(
            "shape",
            "http://127.0.0.1:PORT answered /v1/models with something that is not vLLM's (application/json): it is "
            "nested too deeply.",
            "Is it the address of a vLLM server, and does a gateway before it pass the route on? The address was "
            "given by argument.",
        ),
        OF_MODELS,
        code=3,
    ),
    Broken(
        "something else that speaks JSON",
        lambda place: at(place.server("json-list")),
        "models",
        Words(
            "",
            "`model` was left out and http://127.0.0.1:PORT lists no model.",
            "Correct base_url if it is no vLLM server, else name the model to use.",
        ),
        CHATS,
    ),
    Broken(
        "a redirect to another host",
        lambda place: at(place.server("redirect", to="http://other.invalid")),
        "HTTP",
        Words(
            "redirect",
            "http://127.0.0.1:PORT/v1 answered with a redirect (307) to http://other.invalid/v1/models, "
            "which is not followed: key and prompt go only to the server you named.",
            "If that is where your server is, write base_url='http://other.invalid/v1'. The address was "
            "given by argument.",
        ),
        OF_MODELS,
        code=3,
    ),
    Broken(
        "a redirect to https",
        lambda place: at(place.server("redirect", to="https://127.0.0.1")),
        "HTTP",
        Words(
            "redirect-to-https",
            "http://127.0.0.1:PORT/v1 answered with a redirect (307) to https://127.0.0.1/v1/models, "
            "which is not followed: key and prompt go only to the server you named.",
            "Write base_url='https://127.0.0.1/v1'. The address was given by argument.",
        ),
        OF_MODELS,
        code=3,
    ),
    Broken(
        "a redirect to a slash",
        lambda place: SetUp((place.gateway({"/v1/models": Reply(307, {"location": "/v1/models/"}, b"")}),)),
        "HTTP",
        Words(
            "redirect-of-slash",
            "http://127.0.0.1:PORT/v1 answered with a redirect (307) to /v1/models/, which is not "
            "followed: key and prompt go only to the server you named.",
            "Write the path of your call as it is there: vLLM's have no slash at their end; what wants one is a "
            "gateway before it.",
        ),
        OF_MODELS,
        code=3,
    ),
    Broken(
        "a gateway without a server",
        lambda place: at(place.server("bad-gateway")),
        "HTTP",
        Words(
            "gateway-without-server",
            "A gateway at http://127.0.0.1:PORT cannot reach the server behind it (502).",
            "Is the server there running and loaded? Wait for it with client.wait_until_ready() or "
            "`vllm-connect wait http://127.0.0.1:PORT/v1`.",
        ),
        code=3,
    ),
    Broken(
        "a gateway whose server is loading",
        lambda place: SetUp((place.gateway({"*": page(503), "/v1/models": page(503)}),)),
        "HTTP",
        Words(
            "gateway-without-server",
            "A gateway at http://127.0.0.1:PORT cannot reach the server behind it (503).",
            "Is the server there running and loaded? Wait for it with client.wait_until_ready() or "
            "`vllm-connect wait http://127.0.0.1:PORT/v1`.",
        ),
        code=3,
    ),
    Broken(
        "a gateway that gives up",
        lambda place: at(place.server("gateway-timeout")),
        "HTTP",
        Words(
            "gateway-slow",
            "A gateway at http://127.0.0.1:PORT gave up waiting for the server behind it (504).",
            "Stream the answer (stream=True, or long_calls='stream'), ask for less, or raise the "
            "gateway's timeout.",
        ),
        code=3,
    ),
    Broken(
        "a gateway that has enough",
        lambda place: at(place.server("too-many-requests")),
        "HTTP",
        Words(
            "too-many-requests",
            "http://127.0.0.1:PORT was asked more often than it allows.",
            "Ask less at once; the limit is of the gateway before the server, as vLLM has none.",
        ),
        code=3,
    ),
    Broken(
        "a server that fails",
        lambda place: at(place.server("internal-error")),
        "HTTP",
        Words(
            "internal-error",
            "http://127.0.0.1:PORT failed at /v1/models, and does not say of what.",
            "The cause stands in the server's log.",
        ),
        OF_MODELS,
        code=3,
    ),
    Broken(
        "a server that is scaled",
        lambda place: at(place.server("scaling")),
        "HTTP",
        Words(
            "scaling",
            "http://127.0.0.1:PORT is being scaled and takes no requests meanwhile.",
            "Ask again in a while, or give the client more replicas (base_url=[...]).",
        ),
        code=3,
    ),
    Broken(
        "another path",
        lambda place: SetUp((f"{place.server().url}2",)),
        "base path",
        Words(
            "missing-v1",
            "http://127.0.0.1:PORT has no route /v12/models: the base path /v12 of the address lacks its "
            "/v1.",
            "Write base_url='http://127.0.0.1:PORT/v1'. The address was given by argument.",
        ),
        OF_MODELS,
    ),
    Broken(
        "a path without /v1",
        lambda place: SetUp((prefixed(place),)),
        "base path",
        Words(
            "missing-v1",
            "http://127.0.0.1:PORT has no route /llm/models: the base path /llm of the address lacks its "
            "/v1.",
            "Write base_url='http://127.0.0.1:PORT/llm/v1'. The address was given by argument.",
        ),
        OF_MODELS,
    ),
    Broken(
        "a path too many",
        lambda place: SetUp((f"{place.server().url}/x/v1",)),
        "base path",
        Words(
            "base-path",
            "http://127.0.0.1:PORT has no route /v1/x/v1/models: its API is not at the base path /v1/x/v1 "
            "of the address.",
            "Write base_url='http://127.0.0.1:PORT/v1'. The address was given by argument.",
        ),
        OF_MODELS,
    ),
    Broken(
        "a prefix that is none",
        lambda place: SetUp((place.server().url.replace("/v1", "/llm/v1"),)),
        "base path",
        Words(
            "base-path",
            "http://127.0.0.1:PORT has no route /llm/v1/models: its API is not at the base path /llm/v1 "
            "of the address.",
            "Write base_url='http://127.0.0.1:PORT/v1'. The address was given by argument.",
        ),
        OF_MODELS,
    ),
    Broken(
        "a page in the place of the API",
        lambda place: SetUp((place.gateway({"*": page(404), "/v1/models": page(404)}),)),
        "base path",
        Words(
            "route-foreign",
            "The answer is not vLLM's: http://127.0.0.1:PORT has no route /v1/models (status 404).",
            "vLLM has /v1/models always; a gateway before it must let it through. The address was given "
            "by argument.",
        ),
        OF_MODELS,
    ),
    Broken(
        "a route that is barred",
        lambda place: at(place.server("status", code=403)),
        "base path",
        Words(
            "barred-said",
            "http://127.0.0.1:PORT bars /v1/models (Forbidden).",
            "A gateway before the server must let it through, or wants credentials of its own "
            "(default_headers=).",
        ),
        OF_MODELS,
    ),
    Broken(
        "a page that bars",
        lambda place: SetUp((place.gateway({"*": page(403), "/v1/models": page(403)}),)),
        "base path",
        Words(
            "barred",
            "The answer is not vLLM's: http://127.0.0.1:PORT bars /v1/models.",
            "A gateway before the server must let it through, or wants credentials of its own "
            "(default_headers=).",
        ),
        OF_MODELS,
    ),
    # -- the key
    Broken(
        "no key",
        lambda place: keyed(place, {}),
        "key",
        Words(
            "key-missing",
            "http://127.0.0.1:PORT wants an API key and none was sent.",
            "Set VLLM_API_KEY beside VLLM_BASE_URL, or pass api_key.",
        ),
    ),
    Broken(
        "a wrong key",
        lambda place: SetUp((), {"VLLM_BASE_URL": place.server(api_key=KEY).url, "VLLM_API_KEY": "sk-wrong"}),
        "key",
        Words(
            "key-refused",
            "http://127.0.0.1:PORT refused the API key from VLLM_API_KEY.",
            "Put there the key that the server was started with (--api-key, or VLLM_API_KEY in its "
            "environment).",
        ),
    ),
    Broken(
        "a wrong key of a file",
        lambda place: keyed(place, {}, "--key-file", place.file("key", "sk-wrong")),
        "key",
        Words(
            "key-refused",
            "http://127.0.0.1:PORT refused the API key from --key-file.",
            "Put there the key that the server was started with (--api-key, or VLLM_API_KEY in its "
            "environment).",
        ),
    ),
    Broken(
        "a key of OpenAI's",
        lambda place: SetUp(
            (), {"OPENAI_BASE_URL": place.server(api_key=KEY).url, "OPENAI_API_KEY": PLATFORM_KEY}
        ),
        "key",
        Words(
            "key-of-openai",
            "http://127.0.0.1:PORT wants an API key and none was sent (OPENAI_API_KEY was not sent: it is "
            "a key of the OpenAI platform and the server is not OpenAI's).",
            "Set this server's own key as VLLM_API_KEY beside VLLM_BASE_URL, or pass api_key; "
            "use_openai_api_key=True sends the other all the same.",
        ),
    ),
    Broken(
        "a key of somewhere else",
        lambda place: SetUp(
            (), {"VLLM_BASE_URL": place.server(api_key=KEY).url, "OPENAI_API_KEY": "sk-wrong"}
        ),
        "key",
        Words(
            "key-withheld",
            "http://127.0.0.1:PORT wants an API key and none was sent (OPENAI_API_KEY was not sent: "
            "OPENAI_API_KEY goes only with OPENAI_BASE_URL or an address given by argument).",
            "If it is this server's, set it where the address is set: VLLM_API_KEY beside VLLM_BASE_URL, "
            "or pass api_key.",
        ),
    ),
    Broken(
        "no file for the key",
        lambda place: keyed(place, {}, "--key-file", str(place.folder / "none.txt")),
        "key",
        Words(
            "",
            "--key-file: the key file FOLDER/none.txt cannot be read (No such file or directory).",
            "Name a text file that holds the key and nothing else.",
        ),
    ),
    # -- what it serves
    Broken(
        "a dead engine",
        lambda place: SetUp((place.gateway({"/health": Reply(503, {}, b""), CHAT: refusing(DEAD, 500)}),)),
        "engine",
        Words(
            "engine-dead",
            "The engine of http://127.0.0.1:PORT has failed, and does not come back by itself.",
            "Start the server again; what the engine failed of stands in the server's log, before its "
            "last error.",
        ),
        CHATS,
    ),
    Broken(
        "asleep",
        lambda place: at(asleep(place.server(dev_mode=True))),
        "engine",
        Words(
            "asleep",
            "http://127.0.0.1:PORT is asleep, and lets requests wait until it is woken.",
            "Wake it: client.server.wake_up(), or POST /wake_up.",
        ),
        (),
        tells=ASLEEP,
        because="a call gets no answer of any kind, so that its error can only say what may be",
    ),
    Broken(
        "a misspelt model",
        lambda place: SetUp((place.server().url, "--model", "qwne")),
        "models",
        Words(
            "model-not-served",
            "http://127.0.0.1:PORT does not serve the model `qwne`.",
            "Name one that it serves: qwen. model_aliases={'qwne': 'qwen'} maps the name in your code to it.",
        ),
        CHATS,
    ),
    Broken(
        "a model of the environment",
        lambda place: at(place.server(models=("qwen", "llama")), VLLM_MODEL="gpt-4o"),
        "models",
        Words(
            "model-not-served",
            "http://127.0.0.1:PORT does not serve the model `gpt-4o` (from VLLM_MODEL).",
            "Name one that it serves: qwen, llama. model_aliases={'gpt-4o': 'qwen'} maps the name in your "
            "code to it.",
        ),
        CHATS,
    ),
    Broken(
        "a misspelt model that embeds",
        lambda place: at(place.server(kind="pooling"), VLLM_MODEL="qwne"),
        "models",
        Words(
            "model-not-served",
            "http://127.0.0.1:PORT does not serve the model `qwne` (from VLLM_MODEL).",
            "Name one that it serves: qwen. model_aliases={'qwne': 'qwen'} maps the name in your code to it.",
        ),
        (),
        tells=UNLISTED,
        because="a call does not ask what else is served, which doctor has done",
    ),
    Broken(
        "a misspelt adapter",
        lambda place: at(place.server(lora_modules={"sql-adapter": "/models/sql"}), VLLM_MODEL="sql-adaptor"),
        "models",
        Words(
            "model-not-served-adapters",
            "http://127.0.0.1:PORT does not serve the model `sql-adaptor` (from VLLM_MODEL), nor has it "
            "an adapter of that name loaded.",
            "Name one that it serves: sql-adapter. An adapter is loaded by "
            "client.server.load_lora_adapter(name, path).",
        ),
        (),
        tells=WITHOUT_ADAPTERS,
        because="a call does not ask what else is served, which doctor has done",
    ),
    Broken(
        "no model at all",
        lambda place: SetUp((place.gateway({"/v1/models": listed()}),)),
        "models",
        Words(
            "",
            "`model` was left out and http://127.0.0.1:PORT lists no model.",
            "Correct base_url if it is no vLLM server, else name the model to use.",
        ),
        CHATS,
    ),
    # -- what it does
    Broken(
        "a full queue",
        lambda place: at(place.server("busy", path=CHAT)),
        "chat",
        Words(
            "queue-full",
            "The queue of http://127.0.0.1:PORT is full.",
            "Ask less at once or later, give the client more replicas (base_url=[...]), or start the "
            "server with a larger --max-num-queued-reqs.",
        ),
        CHATS,
    ),
    Broken(
        "a context that is too short",
        lambda place: at(place.server(max_model_len=8)),
        "chat",
        Words(
            "prompt-too-long",
            "The prompt has at least 9 tokens, and http://127.0.0.1:PORT takes 8 tokens of prompt and "
            "answer together.",
            "Shorten the prompt (client.server.tokenize() counts it), let the server cut it by "
            "extra_body={'truncate_prompt_tokens': -1}, or start the server with a larger --max-model-len "
            "if the model has it.",
        ),
        CHATS,
    ),
    Broken(
        "a gateway with a page for chats",
        lambda place: SetUp((place.gateway({CHAT: page()}),)),
        "chat",
        Words(
            "page-of-success",
            "http://127.0.0.1:PORT answered /v1/chat/completions with a page of HTML that is not "
            "vLLM's (text/html).",
            "A page for people (of a login, of a chat application) is no vLLM server: correct base_url, "
            "or give the gateway what it wants (default_headers=). The address was given by argument.",
        ),
        CHATS,
    ),
    Broken(
        "a gateway that lets no chat through",
        lambda place: SetUp((place.gateway({CHAT: page(404)}),)),
        "chat",
        Words(
            "route-foreign",
            "The answer is not vLLM's: http://127.0.0.1:PORT has no route /v1/chat/completions (status 404).",
            "vLLM has /v1/chat/completions with a model that generates text (--runner generate); a "
            "gateway before it must let it through. The address was given by argument.",
        ),
        CHATS,
    ),
    Broken(
        "a gateway that takes no request so large",
        lambda place: at(place.server("status", code=413, path=CHAT)),
        "chat",
        Words(
            "too-large-request",
            "The request is larger than http://127.0.0.1:PORT takes.",
            "Send less, or raise the limit of the gateway before the server (nginx: client_max_body_size).",
        ),
        CHATS,
    ),
    Broken(
        "a template that fails",
        lambda place: SetUp((place.gateway({CHAT: refusing("can only concatenate str")}),)),
        "chat",
        Words(
            "said",
            "http://127.0.0.1:PORT answered /v1/chat/completions with status 400: can only concatenate str.",
            "More stands in the log of the server, or of a gateway before it.",
        ),
        CHATS,
    ),
    Broken(
        "an answer that is stopped",
        lambda place: at(place.server("finish-abort", path=CHAT)),
        "chat",
        Words(
            "cut",
            "The answer of http://127.0.0.1:PORT/v1 is not complete: the server broke it off (finish "
            "reason 'abort').",
            "What came of it is in the error's `partial` (39 characters): ask again, or go on from there. "
            "Why it broke off stands in the log of the server, or of a gateway before it.",
        ),
        ("chat",),
    ),
    Broken(
        "an answer that is cut",
        lambda place: at(place.server("length-too-long", path=CHAT)),
        "chat",
        Words(
            "cut-unread",
            "The answer of http://127.0.0.1:PORT/v1 is not complete: the connection ended before the "
            "answer was complete.",
            "Ask again. Why it broke off stands in the log of the server, or of a gateway before it.",
        ),
        ("chat",),
    ),
    Broken(
        "an answer without choices",
        lambda place: at(place.server("choices-empty", path=CHAT)),
        "chat",
        Words(
            "shape",
            "http://127.0.0.1:PORT answered /v1/chat/completions with something that is not vLLM's "
            "(application/json): its list of choices is empty.",
            "Is it the address of a vLLM server, and does a gateway before it pass the route on? The "
            "address was given by argument.",
        ),
        ("chat",),
    ),
    Broken(
        "a stream that is cut",
        lambda place: at(place.server("cut", path=CHAT)),
        "stream",
        Words(
            "cut",
            "The answer of http://127.0.0.1:PORT/v1 is not complete: the connection ended before the "
            "answer was complete.",
            "What came of it is in the error's `partial` (8 characters): ask again, or go on from there. "
            "Why it broke off stands in the log of the server, or of a gateway before it.",
        ),
        ("stream",),
    ),
    Broken(
        "a stream without its end mark",
        lambda place: at(place.server("no-done", path=CHAT)),
        "stream",
        Words(
            "cut",
            "The answer of http://127.0.0.1:PORT/v1 is not complete: it ended without its end mark.",
            "What came of it is in the error's `partial` (39 characters): ask again, or go on from there. "
            "Why it broke off stands in the log of the server, or of a gateway before it.",
        ),
        ("stream",),
    ),
    Broken(
        "a stream that is aborted",
        lambda place: at(place.server("aborted", path=CHAT)),
        "stream",
        Words(
            "cut",
            "The answer of http://127.0.0.1:PORT/v1 is not complete: the server broke it off (finish "
            "reason 'abort').",
            "What came of it is in the error's `partial` (8 characters): ask again, or go on from there. "
            "Why it broke off stands in the log of the server, or of a gateway before it.",
        ),
        ("stream",),
    ),
    Broken(
        "a stream whose engine dies",
        lambda place: at(place.server("engine-dead-within", path=CHAT, refused_for=0.0)),
        "stream",
        Words(
            "engine-dead",
            "The answer of http://127.0.0.1:PORT/v1 is not complete: the server failed (EngineCore "
            "encountered an issue. See stack trace (above) for the root cause.).",
            "Start the server again; what the engine failed of stands in the server's log, before its "
            "last error. What came of it is in the error's `partial` (8 characters): ask again, or go on "
            "from there.",
        ),
        ("stream",),
    ),
    Broken(
        "a stream that begins with an error",
        lambda place: at(place.server("error-first", path=CHAT)),
        "stream",
        Words(
            "server-failed",
            "http://127.0.0.1:PORT failed: The engine failed.",
            "The cause stands in the server's log.",
        ),
        ("stream",),
    ),
    Broken(
        "a stream that is a page",
        lambda place: SetUp((place.gateway({f"{CHAT} stream": page()}),)),
        "stream",
        Words(
            "page-of-success",
            "http://127.0.0.1:PORT answered /v1/chat/completions with a page of HTML that is not "
            "vLLM's (text/html).",
            "A page for people (of a login, of a chat application) is no vLLM server: correct base_url, "
            "or give the gateway what it wants (default_headers=). The address was given by argument.",
        ),
        ("stream",),
    ),
    Broken(
        "a grammar error in a stream",
        lambda place: SetUp(
            (
                place.gateway(
                    {
                        f"{CHAT} stream": events(
                            {"error": {"message": GRAMMAR, "type": "BadRequestError", "code": 400}}
                        )
                    }
                ),
            )
        ),
        "stream",
        Words(
            "grammar",
            "http://127.0.0.1:PORT cannot make a grammar of what the answer is to be held to: Grammar "
            "error: Invalid type: text.",
            "Correct the schema, regex or grammar in response_format or structured_outputs; what one "
            "backend lacks another may have: start the server with --structured-outputs-config "
            '\'{"backend": "guidance"}\'.',
        ),
        ("stream",),
    ),
    Broken(
        "no grammars",
        lambda place: SetUp((place.gateway({f"{CHAT} structured_outputs": refusing(GRAMMAR)}),)),
        "structured output",
        Words(
            "grammar",
            "http://127.0.0.1:PORT cannot make a grammar of what the answer is to be held to: Grammar "
            "error: Invalid type: text.",
            "Correct the schema, regex or grammar in response_format or structured_outputs; what one "
            "backend lacks another may have: start the server with --structured-outputs-config "
            '\'{"backend": "guidance"}\'.',
        ),
        ("held",),
    ),
    Broken(
        "no embeddings",
        lambda place: at(place.server("internal-error", kind="pooling", path=EMBEDDINGS)),
        "embedding",
        Words(
            "internal-error",
            "http://127.0.0.1:PORT failed at /v1/embeddings, and does not say of what.",
            "The cause stands in the server's log.",
        ),
        ("embeddings",),
    ),
)
