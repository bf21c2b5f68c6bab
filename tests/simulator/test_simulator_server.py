"""The simulated server as a process guest: sockets, threads, recording, canned replies, the command."""

import contextlib
import http.client
import inspect
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trustme

from tests.simulator.simulated import CHAT, MESSAGES, ask, chat
from tests.simulator.wire import connected, exchange, request, wait_until
from vllm_connect.simulator import Cut, Drop, Reply, Simulator
from vllm_connect.simulator.options import OPTIONS, Options

GET_VERSION = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
STREAM = json.dumps({"messages": MESSAGES, "stream": True}).encode()
POST_STREAM = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    CHAT.encode(), len(STREAM), STREAM,
)  # fmt: skip


def test_starts_fast_and_ends_clean() -> None:
    """A start takes under 0.3 s; after a stop, with streams open, nothing listens and no thread is left."""
    before = threading.active_count()
    started = time.monotonic()
    with Simulator(token_delay=5) as server:
        assert time.monotonic() - started < 0.3
        with connected(server) as connection:
            connection.sendall(POST_STREAM)
            assert connection.recv(100)
            server.stop()
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(1000):
                    pass
        assert server.aborted == 1
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError), connected(server):
        pass


def test_start_fails_aloud(generate: Simulator) -> None:
    """A port in use is the OSError it always is."""
    with pytest.raises(OSError, match="in use"):
        Simulator(port=generate.port).start()


def test_recording() -> None:
    """Every request is recorded as it came, refused ones too."""
    with Simulator(api_key="key") as server:
        ask(server, "POST", "/v1/completions?a=1", {"x": 1}, {"X-Odd-Case": "1", "x-odd-case": "2"})
        (request,) = server.requests
    assert (request.method, request.target, request.json()) == ("POST", "/v1/completions?a=1", {"x": 1})
    assert [header for header in request.headers if header[0].lower() == b"x-odd-case"] == [
        (b"X-Odd-Case", b"1"),
        (b"x-odd-case", b"2"),
    ]
    assert server.connections == 1


def test_keep_alive_and_pipelining(generate: Simulator) -> None:
    """Requests sent at once are answered in order on the one connection."""
    before = generate.connections
    with connected(generate) as connection:
        connection.sendall(
            GET_VERSION + POST_STREAM + GET_VERSION.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert received.index(b'{"version"') < received.index(b"[DONE]") < received.rindex(b'{"version"')
    assert b"connection: close\r\n" in received[received.rindex(b"HTTP/1.1") :]
    assert generate.connections == before + 1


def test_headers(generate: Simulator) -> None:
    """Headers are uvicorn's, in its order."""
    with connected(generate) as connection:
        connection.sendall(GET_VERSION)
        head = connection.recv(65536).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [line.partition(b":")[0] for line in head] == [
        b"HTTP/1.1 200 OK", b"date", b"server", b"content-length", b"content-type", b"vary",
    ]  # fmt: skip
    assert head[2] == b"server: uvicorn"


def test_idle_close() -> None:
    """An idle connection is closed, after uvicorn's five seconds or what the option says."""
    assert Options().keep_alive == 5
    with Simulator(keep_alive=0.05) as server, connected(server) as connection:
        connection.sendall(GET_VERSION)
        assert connection.recv(65536)
        assert connection.recv(65536) == b""


def test_garbage(generate: Simulator) -> None:
    """What is not HTTP gets uvicorn's words and is hung up on."""
    with connected(generate) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert received.endswith(b"Invalid HTTP request received.")


@pytest.mark.parametrize("stream", [True, False])
def test_disconnect(stream: bool) -> None:  # noqa: FBT001 - a column of the table
    """A client that goes away stops what was made for it."""
    with Simulator(first_token_delay=30, max_num_queued_reqs=1) as server:
        body = POST_STREAM if stream else POST_STREAM.replace(b'"stream": true', b'"stream":false')
        with connected(server) as connection:
            connection.sendall(body)
            wait_until(5, lambda: server.requests)
            assert chat(server).status == 503
        wait_until(5, lambda: server.aborted == 1)
        server.reply_next(Reply())
        assert ask(server, "GET", "/version").status == 200


def test_abort_frees_its_place() -> None:
    """Work that its client gave up while it waited for the engine is counted as aborted and gone at once."""
    with Simulator(dev_mode=True, enable_server_load_tracking=True, max_num_queued_reqs=1) as server:
        ask(server, "POST", "/sleep")
        with connected(server) as connection:
            connection.sendall(POST_STREAM)
            wait_until(5, lambda: ask(server, "GET", "/load").json() == {"server_load": 1})
            assert chat(server).status == 503
        wait_until(5, lambda: ask(server, "GET", "/load").json() == {"server_load": 0})
        assert server.aborted == 1
        ask(server, "POST", "/wake_up")
        assert chat(server).status == 200


CHUNKED = (
    b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"pro\r\n9\r\nmpt":"a"}\r\n0\r\n\r\n'
)


@pytest.mark.parametrize(
    ("sent", "status", "closes"),
    [
        (b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK", False),
        (b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"200 OK", True),
        (b"GET /version HTTP/1.0\r\n\r\n", b"200 OK", True),
        (b"GET /version HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"200 OK", True),
        (b"HEAD /version HTTP/1.1\r\nHost: x\r\n\r\n", b"405 Method Not Allowed", False),
        (
            CHUNKED,
            b"200 OK",
            False,
        ),
    ],
)
def test_as_uvicorn(generate: Simulator, sent: bytes, status: bytes, closes: bool) -> None:  # noqa: FBT001 - a column
    """Versions of HTTP, methods and framings are taken, and connections kept, as uvicorn under vLLM does it."""
    seen = exchange(generate, sent)
    assert seen.head[0] == b"HTTP/1.1 " + status
    assert (b"connection: close" in seen.head, seen.end) == (closes, "eof" if closes else "open")
    assert (seen.body == b"") == sent.startswith(b"HEAD")


def test_large_body(generate: Simulator) -> None:
    """A request may be of any size; what is too long for the model is refused only when all of it was read."""
    prompt = "x" * 20_000_000
    answer = ask(generate, "POST", "/v1/completions", {"prompt": prompt})
    assert (answer.status, answer.error["param"]) == (400, "input_text")


def test_comments_in_silence() -> None:
    """A stream that is silent sends vLLM's comments at their interval, and is otherwise as it is."""
    with Simulator(first_token_delay=0.25, sse_keep_alive_interval=0.1) as server:
        answer = chat(server, stream=True, max_tokens=2)
    assert answer.body.startswith(b": keep-alive\n\n: keep-alive\n\ndata: {")
    assert answer.body.count(b"keep-alive") == 2


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_jitter(seed: int) -> None:
    """A delay varies by a share of itself that its seed decides."""
    expected = 0.4 * (1 + Random(seed).uniform(-1, 1))
    with Simulator(first_token_delay=0.4, jitter=1, jitter_seed=seed) as server:
        started = time.monotonic()
        assert chat(server, max_tokens=1).status == 200
    assert expected <= time.monotonic() - started < expected + 0.3


def test_pace() -> None:
    """The first token waits for its delay, every other one for its own."""
    with Simulator(first_token_delay=0.2, token_delay=0.05) as server:
        started = time.monotonic()
        assert chat(server, max_tokens=3).status == 200
        whole = time.monotonic() - started
        assert chat(server, max_tokens=3, stream=True).status == 200
        streamed = time.monotonic() - started - whole
    assert 0.3 <= whole < 1
    assert 0.3 <= streamed < 1


def test_canned_replies() -> None:
    """Canned replies go out in their order, whatever is asked; then the server is itself again."""
    event_stream = {"content-type": "text/event-stream"}
    with Simulator() as server:
        server.reply_next(
            Reply(503, {"Retry-After": "1"}, b"{}"),
            Reply(headers=event_stream, body=b"data: x\n\n"),
            Drop(),
            Cut(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"),
        )
        refused, streamed = ask(server, "GET", "/version"), ask(server, "GET", "/version")
        with pytest.raises(http.client.RemoteDisconnected):
            ask(server, "GET", "/version")
        with pytest.raises(http.client.IncompleteRead):
            ask(server, "GET", "/version")
        assert ask(server, "GET", "/version").json() == {"version": "0.32.0"}
    assert (refused.status, refused.headers["retry-after"], refused.body) == (503, "1", b"{}")
    assert (streamed.headers["transfer-encoding"], streamed.body) == ("chunked", b"data: x\n\n")


def test_unix_socket(tmp_path: Path) -> None:
    """A path listens on a unix socket, gone with the server."""
    path = tmp_path / "sim.sock"
    with Simulator(uds=str(path)) as server:
        assert server.url == f"unix://{path}"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(GET_VERSION)
            assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert not path.exists()


@dataclass(frozen=True)
class Certificates:
    """A server's and a client's certificate of one authority, as files and as what a client trusts."""

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    def file(self, name: str, *blobs: trustme.Blob) -> str:
        path = self.folder / name
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
        return str(path)

    def served(self) -> dict[str, Any]:
        leaf = self.authority.issue_cert("127.0.0.1")
        return {
            "ssl_certfile": self.file("cert.pem", *leaf.cert_chain_pems),
            "ssl_keyfile": self.file("key.pem", leaf.private_key_pem),
        }

    def client(self, *, with_certificate: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if with_certificate:
            self.authority.issue_cert("client.example").configure_cert(context)
        return context


def get_version(server: Simulator, trusted: ssl.SSLContext) -> int:
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=trusted, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/version")
        return connection.getresponse().status


def test_tls(tmp_path: Path) -> None:
    """A server with a certificate speaks TLS, says so in its address, and hangs up on plain http."""
    certificates = Certificates(tmp_path)
    with Simulator(**certificates.served()) as server:
        assert get_version(server, certificates.client()) == 200
        assert server.url == f"https://127.0.0.1:{server.port}/v1"
        with connected(server) as connection:
            connection.sendall(GET_VERSION)
            with contextlib.suppress(ConnectionResetError):
                assert not connection.recv(65536).startswith(b"HTTP/")


@pytest.mark.parametrize(
    ("fault", "events"),
    [("close-unanswered", 0), ("close-between-events", 3), ("reset; after_events=2", 2), ("no-done", 10)],
)
def test_faults_over_tls(tmp_path: Path, fault: str, events: int) -> None:
    """Faults are the same over TLS; all that was sent before a reset arrives."""
    certificates = Certificates(tmp_path)
    asked = {"messages": MESSAGES, "stream": True, "max_tokens": 9}
    sent = request(CHAT, asked, (f"x-simulator-fault: {fault}",))
    received = b""
    with (
        Simulator(**certificates.served()) as server,
        connected(server) as plain,
        certificates.client().wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(65536):
                received += data
    assert received.count(b"data: {") == events
    assert b"[DONE]" not in received


def test_client_certificates(tmp_path: Path) -> None:
    """A server that requires its clients' certificates answers only those who show one."""
    certificates = Certificates(tmp_path)
    authorities = certificates.file("ca.pem", certificates.authority.cert_pem)
    with Simulator(**certificates.served(), ssl_ca_certs=authorities, ssl_cert_reqs=2) as server:
        assert get_version(server, certificates.client(with_certificate=True)) == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            get_version(server, certificates.client())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"port": 70000}, "port: 70000 is above 65535"),
        ({"kind": "rerank"}, "kind: 'rerank' is none of generate, pooling"),
        ({"token_delay": -1}, "token_delay: -1 is below 0"),
        ({"models": []}, "models: a server serves one at least"),
        ({"ssl_cert_reqs": 2}, "ssl_certfile: TLS needs one"),
        ({"ssl_certfile": "/nowhere.pem"}, "TLS files /nowhere.pem cannot be loaded: "),
    ],
)
def test_wrong_options(options: dict[str, Any], told: str) -> None:
    """A value that cannot be is refused by the option's name."""
    with pytest.raises(ValueError, match=re.escape(told)):
        Simulator(**options).start()


def test_one_list_of_options() -> None:
    """The constructor takes every option under its name; no key shows in what a person may print."""
    named = list(inspect.signature(Simulator).parameters)
    assert named == [option.name for option in OPTIONS]
    assert "canary" not in repr(Options(api_key="canary"))


def test_instruments(generate: Simulator, pooling: Simulator) -> None:
    """A server lists its names, is healthy, counts its tokens and lists the routes of its kind."""
    cards = ask(generate, "GET", "/v1/models").json()["data"]
    assert [(card["id"], card["max_model_len"]) for card in cards] == [
        ("sim-model", 4096),
        ("sim-alias", 4096),
    ]
    for method, path in (("GET", "/health"), ("GET", "/ping"), ("POST", "/ping")):
        answer = ask(generate, method, path)
        assert (answer.status, answer.body) == (200, b"")
    assert (
        b'vllm:num_requests_running{engine="0",model_name="sim-model"} 0.0'
        in ask(generate, "GET", "/metrics").body
    )
    paths = [ask(server, "GET", "/openapi.json").json()["paths"] for server in (generate, pooling)]
    assert [CHAT in mine for mine in paths] == [True, False]
    assert ["/v1/embeddings" in mine for mine in paths] == [False, True]


def test_sleep() -> None:
    """A sleeping server is healthy but holds all work until it is woken up; without dev mode it never sleeps."""
    with Simulator(dev_mode=True) as server:
        assert ask(server, "POST", "/sleep?level=2").json() == {"status": "sleeping", "level": 2}
        assert ask(server, "GET", "/is_sleeping").json() == {"is_sleeping": True}
        assert ask(server, "GET", "/health").status == 200
        answers: list[int] = []
        held = threading.Thread(target=lambda: answers.append(chat(server).status))
        held.start()
        wait_until(5, lambda: server.requests[-1].target == CHAT)
        held.join(0.1)
        assert not answers
        assert ask(server, "POST", "/wake_up").json() == {"status": "awake", "tags": None}
        held.join(5)
        assert answers == [200]
    with Simulator() as server:
        assert ask(server, "POST", "/sleep").status == 404


def test_queue_limit_and_load() -> None:
    """Each of n sequences takes a place; what is under way shows in /load if it is tracked."""
    with Simulator(first_token_delay=30, max_num_queued_reqs=2, enable_server_load_tracking=True) as server:
        assert chat(server, n=3).error == {
            "message": "The engine is currently busy and cannot accept new requests."
            " Please try again later or on a different instance.",
            "type": "Service Unavailable",
            "param": None,
            "code": 503,
        }
        with connected(server) as connection:
            connection.sendall(POST_STREAM)
            wait_until(5, lambda: ask(server, "GET", "/load").json() == {"server_load": 1})
        wait_until(5, lambda: ask(server, "GET", "/load").json() == {"server_load": 0})


def test_adapters() -> None:
    """An adapter is listed behind the models with its base, and answers by its own name."""
    with Simulator(lora_modules={"poet": "/adapters/poet"}) as server:
        base, adapter = ask(server, "GET", "/v1/models").json()["data"]
        assert chat(server, model="poet").json()["model"] == "poet"
    assert (base["parent"], base["root"]) == (None, "sim-model")
    assert (adapter["id"], adapter["parent"], adapter["root"]) == ("poet", "sim-model", "/adapters/poet")


def test_request_id_header() -> None:
    """With the header switched on, every reply carries the caller's request id or a new one."""
    with Simulator(enable_request_id_headers=True) as server:
        assert (
            ask(server, "GET", "/version", headers={"X-Request-Id": "mine"}).headers["x-request-id"] == "mine"
        )
        assert len(ask(server, "GET", "/version").headers["x-request-id"]) == 32


COMMAND = [sys.executable, "-m", "vllm_connect.simulator"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command(number: int) -> None:
    """The module serves, prints its address, and ends well on a signal."""
    command = [*COMMAND, "--kind", "pooling", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(number)
        assert (process.communicate(timeout=10), process.returncode) == (("", ""), 0)


def test_command_options(tmp_path: Path) -> None:
    """Every option has a flag, but the key and what is for Python alone; the key comes from a file or the environment, whose word a flag overrides."""
    helped = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True).stdout
    assert [option.name for option in OPTIONS if option.flag not in re.findall(r"--[\w-]+", helped)] == [
        "api_key",
        "own_process",
    ]
    key = tmp_path / "key"
    key.write_text("from-file\n")
    command = [
        *COMMAND,
        "--port",
        "0",
        "--lora-modules",
        "poet=/p",
        "--api-key-file",
        str(key),
        "--no-dev-mode",
    ]
    environ = {**os.environ, "VLLM_API_KEY": "from-environment", "VLLM_SERVER_DEV_MODE": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2].partition("/")[0])
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", "/v1/models", headers={"authorization": "Bearer from-file"})
            served = [model["id"] for model in json.load(connection.getresponse())["data"]]
            connection.request("GET", "/is_sleeping")
            sleeping = connection.getresponse().status
        process.terminate()
    assert (served, sleeping) == (["sim-model", "poet"], 404)


def test_imports() -> None:
    """It loads neither openai nor any other part of the package."""
    script = (
        "import sys, vllm_connect.simulator; names = sorted(sys.modules);"
        "print([n for n in names if n.split('.')[0] in ('openai', 'pydantic', 'httpx', 'httpx2')"
        " or n.startswith('vllm_connect.') and not n.startswith('vllm_connect.simulator')])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "[]\n"
