"""What goes wrong between a client and a server, made for real on this machine: one situation for each rule of `explain`."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.gateway import gateway
from tests.test_opening import certified, peer, refusing_port, says
from vllm_connect import Limits, Timeouts, Tls
from vllm_connect.simulator import Reply, Simulator

__all__ = ["KEY", "MODEL", "SITUATIONS", "Ground", "Step", "chat", "info", "post", "stream"]

MODEL = "sim-model"
KEY = "simulator-key"
MESSAGES: Any = [{"role": "user", "content": "Say something."}]
TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
PICTURE = [
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}
]
PAGE = b"<html><body>Sign in</body></html>"
BAD_GATEWAY = Reply(502, {"content-type": "text/html"}, b"<html><h1>502 Bad Gateway</h1></html>")

# What a client is asked for.
Step = Callable[[Any], Any]


@dataclass
class Ground:
    """What a situation is made on: certificates, the environment, and what is taken down at its end.

    `names` are what the texts of an error hold of this very situation, such as a port.
    """

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    stack: contextlib.ExitStack
    names: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def server(self, **options: Any) -> Simulator:
        """Start a simulated server; the client asks it."""
        server = self.stack.enter_context(Simulator(**{"models": (MODEL,), **options}))
        self.at(server.url)
        return server

    def at(self, url: str) -> None:
        """Have the client ask this address."""
        root = url.removesuffix("/v1")
        self.names |= {"root": root, "port": root.rpartition(":")[2]}
        self.options["base_url"] = url

    def given(self, **options: Any) -> None:
        """Give the client these arguments."""
        self.options |= options

    def variable(self, name: str, value: str) -> None:
        self.monkeypatch.setenv(name, value)


# -- what is asked


def chat(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": MODEL, "messages": MESSAGES, "max_tokens": 8, **more})


def chat_with(**more: Any) -> Step:
    return lambda client: chat(client, **more)


def stream(client: Any, **more: Any) -> Any:
    return chat(client, stream=True, **more)


def embed(client: Any, **more: Any) -> Any:
    return client.embeddings.create(**{"model": MODEL, "input": "a text", **more})


def embed_with(**more: Any) -> Step:
    return lambda client: embed(client, **more)


def without_model(client: Any) -> Any:
    return client.chat.completions.create(messages=MESSAGES, max_tokens=8)


def info(client: Any) -> Any:
    return client.server.info()


def get(path: str) -> Step:
    return lambda client: client.get(path, cast_to=object)


def post(path: str, **body: Any) -> Step:
    return lambda client: client.post(
        path, cast_to=object, body={"model": MODEL, "messages": MESSAGES, **body}
    )


# -- how it is made


def serving(**options: Any) -> Callable[[Ground], object]:
    return lambda ground: ground.server(**options)


def failing(fault: str, **given: Any) -> Callable[[Ground], object]:
    def make(ground: Ground) -> None:
        ground.server(faults=(fault,))
        ground.given(**given)

    return make


def replying(
    status: int, body: Any, kind: str = "application/json", **headers: str
) -> Callable[[Ground], object]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda ground: ground.server().reply_next(
        Reply(status, {"content-type": kind, **headers} if content else headers, content)
    )


def saying(text: str, status: int = 400, **more: Any) -> Callable[[Ground], object]:
    """Refuse in vLLM's shape."""
    return replying(status, {"error": {"message": text, "type": "X", "param": None, "code": status, **more}})


def nobody(ground: Ground) -> None:
    ground.at(f"http://127.0.0.1:{ground.stack.enter_context(refusing_port())}/v1")


def deaf_socket(ground: Ground) -> None:
    path = str(ground.folder / "deaf.sock")
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
    ground.names["socket"] = path
    ground.given(base_url=f"unix://{path}")


def saying_bytes(
    answer: bytes, *, scheme: str = "http", tls: bool = False, client: str = ""
) -> Callable[[Ground], object]:
    """Have whatever comes answered by these bytes, and the connection closed."""

    def script(connected: socket.socket) -> None:
        connected.recv(10_000)
        connected.sendall(answer)

    def make(ground: Ground) -> None:
        context = None
        if tls:
            context = certified(authority_of(ground), "127.0.0.1")
            certificate = str(ground.folder / client) if client else None
            ground.given(tls=Tls(ca=str(ground.folder / "ca.pem"), client_cert=certificate))
        port = ground.stack.enter_context(peer(script, tls=context)).port
        ground.at(f"{scheme}://127.0.0.1:{port}/v1")

    return make


_authorities: dict[Path, trustme.CA] = {}


def authority_of(ground: Ground) -> trustme.CA:
    """The private authority of these tests, whose certificate is ca.pem."""
    if ground.folder not in _authorities:
        authority = _authorities[ground.folder] = trustme.CA()
        authority.cert_pem.write_to_path(ground.folder / "ca.pem")
        trustme.CA().cert_pem.write_to_path(ground.folder / "other.pem")
        authority.issue_cert("me@client.test").private_key_and_cert_chain_pem.write_to_path(
            ground.folder / "client.pem"
        )
        trustme.CA().issue_cert("me@client.test").private_key_and_cert_chain_pem.write_to_path(
            ground.folder / "stranger.pem"
        )
    return _authorities[ground.folder]


def over_tls(
    *,
    ca: str = "ca.pem",
    scheme: str = "https",
    dates: Mapping[str, dt.datetime] | None = None,
    name: str = "127.0.0.1",
) -> Callable[[Ground], object]:
    """Serve over TLS, with a certificate by the private authority; trust the authority in this file."""

    def make(ground: Ground) -> None:
        authority = authority_of(ground)
        served = ground.folder / f"server-{name}-{bool(dates)}.pem"
        with contextlib.suppress(FileNotFoundError):
            served.unlink()
        authority.issue_cert(name, **(dates or {})).private_key_and_cert_chain_pem.write_to_path(served)  # type: ignore[arg-type]  # of datetimes
        server = ground.server(ssl_certfile=str(served))
        ground.at(f"{scheme}://127.0.0.1:{server.port}/v1")
        ground.names["folder"] = str(ground.folder)
        ground.given(tls=Tls(ca=str(ground.folder / ca)) if ca else None)

    return make


def wanting_certificate(*, client: str = "") -> Callable[[Ground], object]:
    """Have a TLS server that tells by an alert, as OpenSSL does, that a client's certificate is missing or a stranger's."""

    def make(ground: Ground) -> None:
        authority = authority_of(ground)
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

        port = ground.stack.enter_context(peer(script)).port
        ground.at(f"https://127.0.0.1:{port}/v1")
        certificate = str(ground.folder / client) if client else None
        ground.given(tls=Tls(ca=str(ground.folder / "ca.pem"), client_cert=certificate))

    return make


def socket_failing(fault: str) -> Callable[[Ground], object]:
    def make(ground: Ground) -> None:
        path = str(ground.folder / "vllm.sock")
        ground.server(uds=path, faults=(fault,))
        ground.names["socket"] = path

    return make


def through_proxy(answer: bytes | None) -> Callable[[Ground], object]:
    """Have an https server behind a proxy that answers so; None where nobody runs the proxy."""

    def make(ground: Ground) -> None:
        if answer is None:
            port = ground.stack.enter_context(refusing_port())
        else:
            port = ground.stack.enter_context(peer(says(answer))).port
        ground.names["port"] = str(port)
        ground.variable("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        ground.given(base_url="https://gpu1.test/v1")

    return make


def through_gateway(reply: Reply) -> Callable[[Ground], object]:
    """Have a gateway before a server answer in its place."""

    def make(ground: Ground) -> None:
        ground.at(f"{ground.stack.enter_context(gateway(ground.server().url, {'*': reply}))}/v1")

    return make


def plain_proxy(ground: Ground) -> None:
    front = ground.stack.enter_context(gateway(ground.server().url, {"*": BAD_GATEWAY}))
    ground.names["proxy"] = front
    ground.variable("HTTP_PROXY", front)
    ground.given(base_url="http://gpu1.test:8000/v1")


def locked(**variables: str) -> Callable[[Ground], object]:
    """Serve with a key, in an environment with these variables."""

    def make(ground: Ground) -> None:
        ground.server(api_key=KEY)
        for name, value in variables.items():
            ground.variable(name, value)

    return make


def key_of_variable(ground: Ground) -> None:
    server = ground.server(api_key=KEY)
    ground.options.pop("base_url")
    ground.variable("VLLM_BASE_URL", server.url)
    ground.variable("VLLM_API_KEY", "another")


def key_elsewhere(ground: Ground) -> None:
    server = ground.server(api_key=KEY)
    ground.options.pop("base_url")
    ground.variable("VLLM_BASE_URL", server.url)
    ground.variable("OPENAI_API_KEY", "sk-of-a-gateway")


def without_v1(ground: Ground) -> None:
    ground.given(base_url=f"{ground.server().url.removesuffix('/v1')}/llm")


def elsewhere(ground: Ground) -> None:
    ground.given(base_url=f"{ground.server().url.removesuffix('/v1')}/llm/v1")


def keyed(ground: Ground) -> None:
    ground.server()
    ground.given(api_key="k")


def sleeping(ground: Ground) -> None:
    ground.server(dev_mode=True)
    ground.given(timeouts=Timeouts(first_token=0.3))


def expired() -> dict[str, dt.datetime]:
    now = dt.datetime.now(dt.UTC)
    return {"not_before": now - dt.timedelta(days=9), "not_after": now - dt.timedelta(days=1)}


def to_come() -> dict[str, dt.datetime]:
    now = dt.datetime.now(dt.UTC)
    return {"not_before": now + dt.timedelta(days=1), "not_after": now + dt.timedelta(days=9)}


TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x46"  # fatal, protocol_version

# Each rule -> how its situation is made, and what is asked in it, of which the last fails.
SITUATIONS: dict[str, tuple[Callable[[Ground], object], tuple[Step, ...]]] = {
    "proxy-unreachable": (through_proxy(None), (chat,)),
    "proxy-credentials": (through_proxy(b"HTTP/1.1 407 Auth\r\n\r\n"), (chat,)),
    "proxy-refused": (through_proxy(b"HTTP/1.1 502 No\r\n\r\n"), (chat,)),
    "unknown-host": (lambda ground: ground.given(base_url="http://no-such-host.invalid"), (chat,)),
    "refused-here": (nobody, (chat,)),
    "refused": (deaf_socket, (chat,)),
    "no-socket": (lambda ground: ground.given(base_url="unix:///nowhere/vllm.sock"), (chat,)),
    "certificate-expired": (over_tls(dates=expired()), (chat,)),
    "certificate-not-yet-valid": (over_tls(dates=to_come()), (chat,)),
    "certificate-name": (over_tls(name="gpu1.test"), (chat,)),
    "certificate-other-authority": (over_tls(ca="other.pem"), (chat,)),
    "certificate-authority": (over_tls(ca=""), (chat,)),
    "client-certificate-missing": (wanting_certificate(), (chat,)),
    "client-certificate-refused": (wanting_certificate(client="stranger.pem"), (chat,)),
    "tls-to-plain": (lambda ground: ground.at(ground.server().url.replace("http", "https")), (chat,)),
    "tls-failed": (saying_bytes(TLS_ALERT, scheme="https"), (chat,)),
    "plain-to-tls": (failing("tls-alert"), (chat,)),
    "not-http": (saying_bytes(b"SSH-2.0-OpenSSH_9.6\r\n", scheme="https", tls=True), (chat,)),
    "closed-plain": (over_tls(scheme="http"), (chat,)),
    # What uvicorn does, of which vLLM is made, with a client without a certificate or with a stranger's.
    "closed-tls": (saying_bytes(b"", scheme="https", tls=True), (chat,)),
    "closed-tls-certified": (saying_bytes(b"", scheme="https", tls=True, client="stranger.pem"), (chat,)),
    "lost": (socket_failing("close-unanswered"), (chat,)),
    "malformed": (failing("two-lengths"), (chat,)),
    "timer-connect": (failing("full-backlog", timeouts=Timeouts(connect=0.3)), (chat,)),
    "timer-asleep": (sleeping, (info, lambda client: client.server.sleep(level=1), stream)),
    "timer-first-token": (failing("no-answer", timeouts=Timeouts(first_token=0.3)), (stream,)),
    "timer-between-tokens": (failing("stall", timeouts=Timeouts(between_tokens=0.3)), (stream,)),
    "timer-total": (failing("no-answer", timeout=0.3), (chat,)),
    "not-ready": (nobody, (lambda client: client.wait_until_ready(0.1),)),
    "redirect-to-https": (failing("redirect; to=https://127.0.0.1"), (chat,)),
    "redirect-of-slash": (replying(307, b"", location="/v1/chat/completions/"), (chat,)),
    "redirect": (failing("redirect"), (chat,)),
    "page-of-success": (failing("html"), (chat,)),
    "shape": (failing("choices-empty"), (chat,)),
    "too-large": (failing("huge-line; size=200000", limits=Limits(event=65536)), (stream,)),
    "cut": (failing("cut; after_events=4"), (stream,)),
    "cut-unread": (failing("length-too-long"), (chat,)),
    "own-header-refused": (locked(), (chat_with(extra_headers={"Authorization": "Bearer mine"}),)),
    "key-refused": (key_of_variable, (chat,)),
    "key-of-openai": (locked(OPENAI_API_KEY="sk-proj-canary"), (chat,)),
    "key-withheld": (key_elsewhere, (chat,)),
    "key-missing": (locked(), (chat,)),
    "key-in-clear": (lambda ground: ground.given(base_url="http://203.0.113.9:8000", api_key="k"), (chat,)),
    "key-of-another": (
        keyed,
        (get("http://other.invalid/v1/x"),),
    ),
    "adapter-not-loaded": (
        serving(enable_lora=True, allow_runtime_lora_updating=True),
        (lambda client: client.server.unload_lora_adapter("sql"),),
    ),
    "adapter-not-found": (
        serving(enable_lora=True, allow_runtime_lora_updating=True, lora_paths=()),
        (lambda client: client.server.load_lora_adapter("sql", "/models/sql"),),
    ),
    "adapters-off": (
        serving(allow_runtime_lora_updating=True),
        (lambda client: client.server.load_lora_adapter("sql", "/models/sql"),),
    ),
    "model-not-served-adapters": (
        serving(models=("qwen3-8b",), lora_modules={"sql-adapter": "/models/sql"}),
        (without_model, chat_with(model="sql-adaptor")),
    ),
    "model-not-served": (
        serving(models=("qwen3-8b", "qwen-3")),
        (chat_with(model="Qwen/Qwen3-8B-Instruct"),),
    ),
    "model-unknown": (failing("no-such-model"), (chat,)),
    "tools-auto-off": (serving(tool_call_parser=""), (chat_with(tools=TOOLS),)),
    "tools-parser-missing": (serving(tool_call_parser=""), (chat_with(tools=TOOLS, tool_choice="required"),)),
    "reasoning-parser-missing": (serving(), (chat_with(extra_body={"thinking_token_budget": 5}),)),
    "prompt-too-long": (
        serving(max_model_len=64),
        (chat_with(messages=[{"role": "user", "content": "word " * 100}]),),
    ),
    "prompt-and-answer-too-long": (serving(max_model_len=64, version="0.30.0"), (chat_with(max_tokens=60),)),
    "prompt-too-long-otherwise": (
        saying("The engine prompt length 70 exceeds the max_model_len 64. Please reduce prompt."),
        (chat,),
    ),
    "answer-too-long": (serving(max_model_len=64), (chat_with(max_tokens=500),)),
    "prompt-fills-context": (
        saying("max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)", param="max_tokens"),
        (chat,),
    ),
    "no-images": (serving(), (chat_with(messages=PICTURE),)),
    "too-many-images": (
        saying(
            "At most 1 image(s) may be provided in one prompt. Set `--limit-mm-per-prompt` to increase this limit."
        ),
        (chat,),
    ),
    "dimensions-fixed": (serving(kind="pooling"), (embed_with(dimensions=64),)),
    "dimensions-out-of-range": (
        serving(kind="pooling", matryoshka_dimensions=(64, 384)),
        (embed_with(dimensions=500),),
    ),
    "dimensions-other": (
        serving(kind="pooling", matryoshka_dimensions=(64, 128)),
        (embed_with(dimensions=100),),
    ),
    "grammar": (serving(), (chat_with(extra_body={"structured_outputs": {"regex": "("}}),)),
    "structured-several": (
        serving(),
        (chat_with(extra_body={"structured_outputs": {"regex": "a", "choice": ["a"]}}),),
    ),
    "template-not-trusted": (serving(), (chat_with(extra_body={"chat_template": "{{ messages }}"}),)),
    "media-options-not-trusted": (serving(), (chat_with(extra_body={"mm_processor_kwargs": {"a": 1}}),)),
    "prompt-embeds-off": (
        serving(),
        (
            lambda client: client.completions.create(
                model=MODEL, prompt="a", max_tokens=3, extra_body={"prompt_embeds": "AA=="}
            ),
        ),
    ),
    "too-many-logprobs": (serving(), (chat_with(logprobs=True, top_logprobs=21),)),
    "scale-out-off": (serving(), (post("/chat/completions/render"),)),
    "engine-dead": (failing("engine-dead"), (chat,)),
    "queue-full": (failing("busy"), (chat,)),
    "scaling": (failing("scaling"), (chat,)),
    "tls-wanted": (
        replying(
            400, b"<html><center>The plain HTTP request was sent to HTTPS port</center></html>", "text/html"
        ),
        (chat,),
    ),
    "client-certificate-wanted": (
        replying(400, b"<html><center>No required SSL certificate was sent</center></html>", "text/html"),
        (chat,),
    ),
    "doubled-v1": (serving(), (post("/v1/chat/completions"),)),
    "missing-v1": (without_v1, (chat,)),
    "base-path": (elsewhere, (without_model,)),
    "base-path-or-kind": (elsewhere, (chat,)),
    "missing-api": (serving(), (lambda client: client.moderations.create(input="x"),)),
    "other-kind-known": (serving(kind="pooling"), (info, chat)),
    "other-kind": (serving(kind="pooling"), (chat,)),
    "api-not-supported": (saying("The model does not support Embeddings API"), (embed,)),
    "method": (serving(), (get("/chat/completions"),)),
    "route-optional": (serving(), (lambda client: client.server.wake_up(),)),
    "route-unknown": (serving(), (get("/nowhere"),)),
    "route-foreign": (through_gateway(Reply(404, {"content-type": "text/html"}, PAGE)), (chat,)),
    "route-foreign-unknown": (
        through_gateway(Reply(404, {"content-type": "text/html"}, PAGE)),
        (get("/nowhere"),),
    ),
    "barred": (through_gateway(Reply(403, {"content-type": "text/html"}, PAGE)), (chat,)),
    "barred-said": (failing("status; code=403"), (chat,)),
    "proxy-answered": (plain_proxy, (chat,)),
    "gateway-slow": (failing("gateway-timeout"), (chat,)),
    "gateway-without-server": (failing("bad-gateway"), (chat,)),
    "too-many-requests": (failing("too-many-requests; retry_after=99999"), (chat,)),
    "too-large-request": (failing("status; code=413"), (chat,)),
    "internal-error": (failing("internal-error"), (chat,)),
    "page": (replying(418, PAGE, "text/html"), (chat,)),
    "parameter": (failing("bad-parameter"), (chat,)),
    "server-failed": (saying("out of luck", 500), (chat,)),
    "said": (failing("status; code=409"), (chat,)),
    "said-within": (
        replying(200, b'data: {"error":{"message":"something odd"}}\n\n', "text/event-stream"),
        (stream,),
    ),
    "nothing-said": (replying(409, b""), (chat,)),
    "answer-cut-short": (
        serving(),
        (
            lambda client: client.chat.completions.parse(
                model=MODEL, messages=MESSAGES, max_tokens=1, response_format={"type": "json_object"}
            ),
        ),
    ),
}
