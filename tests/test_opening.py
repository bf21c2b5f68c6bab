"""Connections along a route, by the blocking and the asyncio shell, against peers on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import gc
import os
import re
import resource
import select
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import trustme

from vllm_connect.endpoint import Tls, parse_endpoint
from vllm_connect.errors import SettingsError
from vllm_connect.wire.opening import open_socket, open_transport
from vllm_connect.wire.proxy import ProxyRefused, ProxyUnreachable
from vllm_connect.wire.route import Route, route_to
from vllm_connect.wire.tunnel import Tunnel, proxy_refused

Script = Callable[[socket.socket], None]
# What a resolver answers: host and port, by the family of the host.
Found = Sequence[tuple[str, int]]

SOON = 0.3


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """A socket or transport that nobody closed warns when it is collected, and a warning is a failure."""
    yield
    gc.collect()


class Peer:
    """A server whose every connection runs one script in a thread."""

    def __init__(self, script: Script, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.connections = 0
        self.port = listener.getsockname()[1]
        self._script = script
        self._listener = listener
        self._tls = tls
        self._is_over = False
        self._threads: list[threading.Thread] = []

    def serve(self) -> None:
        while not self._is_over:
            with contextlib.suppress(TimeoutError):
                accepted, _ = self._listener.accept()
                self.connections += 1
                self._threads.append(threading.Thread(target=self._answer, args=(accepted,)))
                self._threads[-1].start()
        for thread in self._threads:
            thread.join()

    def _answer(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            accepted.settimeout(10)
            stack.callback(accepted.close)
            if self._tls is not None:
                accepted = self._tls.wrap_socket(accepted, server_side=True)
                stack.callback(accepted.close)
            self._script(accepted)

    def stop(self) -> None:
        self._is_over = True


@contextlib.contextmanager
def peer(
    script: Script | None = None,
    *,
    host: str = "127.0.0.1",
    path: str = "",
    tls: ssl.SSLContext | None = None,
) -> Iterator[Peer]:
    """Run a server at a free port of this host, or at this path; without a script it answers `ping` by `pong`."""
    if path:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
    else:
        listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    # No system agrees with another on what wakes a thread that waits in accept().
    listener.settimeout(0.02)
    server = Peer(script or pong, listener, tls)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
        listener.close()


def pong(connected: socket.socket) -> None:
    if connected.recv(100) == b"ping":
        connected.sendall(b"pong")


def reset(connected: socket.socket) -> None:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def silence(connected: socket.socket) -> None:
    """Say nothing until the other end goes away."""
    while connected.recv(1000):
        pass


def says(answer: bytes) -> Script:
    def script(connected: socket.socket) -> None:
        connected.recv(1000)
        connected.sendall(answer)
        silence(connected)

    return script


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port whose queue of connections is full: the kernel answers no further one."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        is_full = False
        while not is_full:
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            is_full = not select.select([], [filler], [], 0.1)[1]
        yield port


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """Yield a port that is taken by this test and refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def resolver(*found: tuple[str, int]) -> Callable[..., list[Any]]:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, at or port))
            for ip, at in found
        ]

    return resolve


class Shell:
    """One of the two shells: opens along a route, says `ping`, returns what comes until the end, closes."""

    def __init__(self, kind: Literal["blocking", "asyncio"]) -> None:
        self.kind = kind

    def talk(self, route: Route, *, seconds: float = 10, **options: Any) -> bytes:
        options = {"judge": lambda _address: None, **options}
        if self.kind == "blocking":
            with open_socket(route, deadline=time.monotonic() + seconds, **options) as connected:
                assert connected.gettimeout() is None
                connected.sendall(b"ping")
                return b"".join(iter(lambda: connected.recv(100), b""))
        return asyncio.run(self._atalk(route, seconds, options))

    @staticmethod
    async def _atalk(route: Route, seconds: float, options: dict[str, Any]) -> bytes:
        reader = asyncio.StreamReader()
        async with asyncio.timeout(seconds):
            transport, _ = await open_transport(
                route, lambda: asyncio.StreamReaderProtocol(reader), **options
            )
        transport.write(b"ping")
        try:
            return await reader.read()
        finally:
            transport.abort()
            await asyncio.sleep(0)


@pytest.fixture(params=["blocking", "asyncio"])
def shell(request: pytest.FixtureRequest) -> Shell:
    """Each rule holds in both shells."""
    return Shell(request.param)


def way(address: str, *, tls: Tls | None = None, proxy: str = "") -> Route:
    return route_to(parse_endpoint(address), tls, {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy})


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A private authority."""
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA, tmp_path: Path) -> Tls:
    """Trust in that authority."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return Tls(ca=str(tmp_path / "ca.pem"))


def certified(authority: trustme.CA, *names: str, **options: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(*names, **options).configure_cert(context)
    return context


def test_addresses(shell: Shell) -> None:
    """An address written as a number is connected to without a resolver."""
    nobody = pytest.fail
    with peer() as server:
        assert shell.talk(way(f"http://127.0.0.1:{server.port}"), resolve=nobody) == b"pong"
    with peer(host="::1") as server:
        assert shell.talk(way(f"http://[::1]:{server.port}"), resolve=nobody) == b"pong"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_one_family_listens(shell: Shell, host: str) -> None:
    """A name of two families is reached at the one where the server listens, whichever comes first."""
    with peer(host=host) as server:
        for found in (("::1", 0), ("127.0.0.1", 0)), (("127.0.0.1", 0), ("::1", 0)):
            assert shell.talk(way(f"http://localhost:{server.port}"), resolve=resolver(*found)) == b"pong"


def test_localhost(shell: Shell) -> None:
    """A name is looked up by the system's resolver."""
    with peer() as server:
        assert shell.talk(way(f"http://localhost:{server.port}")) == b"pong"


def test_unix_socket(shell: Shell, tmp_path: Path) -> None:
    """A unix socket is connected to by its path; the judge sees the path."""
    path = f"{tmp_path}/v.sock"
    judged: list[str] = []
    with peer(path=path):
        assert shell.talk(way(f"unix://{path}"), judge=judged.append) == b"pong"
    assert judged == [path]


@pytest.mark.parametrize(
    ("path", "kind", "reason"),
    [
        ("/nowhere/v.sock", FileNotFoundError, "No such file"),
        (f"/{'x' * 200}.sock", OSError, "path too long"),
    ],
)
def test_unix_socket_missing(shell: Shell, path: str, kind: type[OSError], reason: str) -> None:
    """A unix socket that is not there is told with its path."""
    with pytest.raises(kind, match=re.escape(path) + f".*{reason}"):
        shell.talk(way(f"unix://{path}"))


def test_options_of_sockets() -> None:
    """Small writes leave at once, and silent connections are probed before a firewall forgets them."""
    with (
        peer() as server,
        open_socket(
            way(f"http://127.0.0.1:{server.port}"), deadline=time.monotonic() + 5, judge=lambda _: None
        ) as connected,
    ):
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_refused(shell: Shell) -> None:
    """When all addresses refuse, the error is a refusal, and it has the reason of each."""
    with refusing_port() as port, refusing_port() as other, pytest.raises(ConnectionRefusedError) as caught:
        shell.talk(way("http://gpu1.test"), resolve=resolver(("127.0.0.1", port), ("127.0.0.1", other)))
    assert caught.value.errno == errno.ECONNREFUSED
    refusals = [f"127.0.0.1:{one}: Connection refused" for one in (port, other)]
    assert all(refusal in str(caught.value) for refusal in refusals)


def test_refusal_says_most(shell: Shell) -> None:
    """A refusal is told before what is wrong with other addresses: here one that TCP never connects to."""
    with refusing_port() as port, pytest.raises(ConnectionRefusedError, match=r"255\.255\.255\.255:9: "):
        found = resolver(("255.255.255.255", 9), ("127.0.0.1", port))
        shell.talk(way("http://gpu1.test"), resolve=found)


def test_unknown_name(shell: Shell) -> None:
    """A name that no resolver knows stays the resolver's error."""

    def resolve(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(socket.gaierror):
        shell.talk(way("http://gpu1.test"), resolve=resolve)


def test_no_free_descriptor(shell: Shell) -> None:
    """That this process may open nothing more is told as that, and not as a server that refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def resolve(*_: Any, **__: Any) -> list[Any]:
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))]

    try:
        with pytest.raises(OSError, match="Too many open files") as caught:
            shell.talk(way("http://gpu1.test"), resolve=resolve)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE


def test_race_past_a_black_hole(shell: Shell) -> None:
    """An address that does not answer costs a quarter of a second, not the deadline."""
    with black_hole() as dead, peer() as server:
        began = time.monotonic()
        found = resolver(("127.0.0.1", dead), ("127.0.0.1", server.port))
        assert shell.talk(way("http://gpu1.test"), resolve=found) == b"pong"
        assert 0.2 < time.monotonic() - began < 5


def test_families_take_turns(shell: Shell) -> None:
    """After the first address of one family comes the first of the other: a dead family costs one turn."""
    with black_hole() as dead, peer(host="::1") as server:
        began = time.monotonic()
        found = resolver(*[("127.0.0.1", dead)] * 8, ("::1", server.port))
        assert shell.talk(way("http://gpu1.test"), resolve=found) == b"pong"
        assert time.monotonic() - began < 1.5


def test_losers_are_closed(shell: Shell) -> None:
    """Where one address is connected, no connection is left at another."""
    with black_hole() as dead, peer() as server:
        found = resolver(("127.0.0.1", dead), ("127.0.0.1", dead), ("127.0.0.1", server.port))
        assert shell.talk(way("http://gpu1.test"), resolve=found) == b"pong"
        assert server.connections == 1


def test_deadline_of_connecting(shell: Shell) -> None:
    """Addresses that do not answer end at the deadline."""
    with black_hole() as dead:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            shell.talk(way("http://gpu1.test"), resolve=resolver(*[("127.0.0.1", dead)] * 3), seconds=SOON)
        assert SOON <= time.monotonic() - began < SOON + 2


def test_reset_on_accept(shell: Shell) -> None:
    """A server that resets what it accepts gives an OSError, or an answer without a byte."""
    with peer(reset) as server, contextlib.suppress(ConnectionError):
        assert shell.talk(way(f"http://127.0.0.1:{server.port}")) == b""


@pytest.mark.parametrize("tls", [False, True])
def test_judge(shell: Shell, *, tls: bool, trusting: Tls) -> None:
    """The judge sees the connected address before a byte leaves, and what it raises ends the connection."""
    received: list[bytes] = []

    class Refused(Exception):
        pass

    def judge(address: str) -> None:
        assert address == "127.0.0.1"
        raise Refused

    with peer(lambda connected: received.append(connected.recv(100))) as server:
        scheme = "https" if tls else "http"
        with pytest.raises(Refused):
            shell.talk(
                way(f"{scheme}://localhost:{server.port}", tls=trusting),
                judge=judge,
                resolve=resolver(("127.0.0.1", 0)),
            )
    assert received == [b""]


# TLS


def test_tls(shell: Shell, authority: trustme.CA, trusting: Tls) -> None:
    """The certificate is checked against the name or the address of the server; HTTP/1.1 is agreed on."""
    agreed: list[str | None] = []

    def script(connected: socket.socket) -> None:
        assert isinstance(connected, ssl.SSLSocket)
        agreed.append(connected.selected_alpn_protocol())
        pong(connected)

    with peer(script, tls=certified(authority, "localhost", "127.0.0.1")) as server:
        route = way(f"https://localhost:{server.port}", tls=trusting)
        assert shell.talk(route) == b"pong"
        assert shell.talk(route) == b"pong"
        assert shell.talk(way(f"https://127.0.0.1:{server.port}", tls=trusting)) == b"pong"
        assert shell.talk(way(f"https://127.0.0.1:{server.port}", tls=Tls(verify=False))) == b"pong"
    assert agreed == ["http/1.1"] * 4


YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (lambda own: certified(own, "other.test"), "(?i)hostname mismatch"),
        (lambda own: certified(own, "localhost", not_before=YESTERDAY - dt.timedelta(1), not_after=YESTERDAY),
         "certificate has expired"),
        (lambda _: certified(trustme.CA(), "localhost"), "unable to get local issuer|self-signed"),
    ],
)  # fmt: skip
def test_untrusted(
    shell: Shell,
    authority: trustme.CA,
    trusting: Tls,
    certificate: Callable[[trustme.CA], ssl.SSLContext],
    reason: str,
) -> None:
    """A certificate for another name, an expired one, one of a foreign authority: each is told as what it is."""
    with peer(tls=certificate(authority)) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            shell.talk(way(f"https://localhost:{server.port}", tls=trusting))
        if reason.startswith("unable"):
            with pytest.raises(ssl.SSLCertVerificationError, match=reason):
                shell.talk(way(f"https://localhost:{server.port}"))


def test_old_tls(shell: Shell, authority: trustme.CA, trusting: Tls) -> None:
    """A server that speaks nothing newer than TLS 1.1 is refused."""
    old = certified(authority, "localhost")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with peer(tls=old) as server, pytest.raises(ssl.SSLError, match=r"(?i)version|protocol"):
        shell.talk(way(f"https://localhost:{server.port}", tls=trusting))


def test_tls_to_a_plain_server(shell: Shell) -> None:
    """A server without TLS is told from one with a bad certificate."""
    with peer(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server, pytest.raises(ssl.SSLError) as caught:
        shell.talk(way(f"https://localhost:{server.port}"))
    assert not isinstance(caught.value, ssl.SSLCertVerificationError)


@pytest.mark.parametrize("script", [lambda connected: connected.recv(1000), reset])
def test_tls_broken_off(shell: Shell, script: Script) -> None:
    """A server that hangs up in the handshake gives an OSError."""
    with peer(script) as server, pytest.raises(OSError):  # noqa: PT011  # reset, end of file: as it comes
        shell.talk(way(f"https://localhost:{server.port}"))


def test_reset_before_tls() -> None:
    """A connection that is reset before its TLS begins leaves no socket to the garbage collector."""
    with peer(reset) as server, pytest.raises(ConnectionResetError):
        open_socket(
            way(f"https://localhost:{server.port}"),
            deadline=time.monotonic() + 10,
            clock=time.monotonic,
            judge=lambda _: time.sleep(0.2),
        )
    gc.collect()


def test_deadline_of_tls(shell: Shell) -> None:
    """A handshake that stands still ends at the deadline."""
    with peer(silence) as server:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            shell.talk(way(f"https://localhost:{server.port}", tls=Tls(verify=False)), seconds=SOON)
        assert SOON <= time.monotonic() - began < SOON + 2


def test_client_certificate(shell: Shell, authority: trustme.CA, trusting: Tls, tmp_path: Path) -> None:
    """A client certificate is shown to a server that asks for one."""
    mine = authority.issue_cert("client.test")
    mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    asking = certified(authority, "localhost")
    authority.configure_trust(asking)
    asking.verify_mode = ssl.CERT_REQUIRED
    with peer(tls=asking) as server:
        address = f"https://localhost:{server.port}"
        own = Tls(ca=trusting.ca, client_cert=str(tmp_path / "client.pem"))
        assert shell.talk(way(address, tls=own)) == b"pong"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shell.talk(way(address, tls=trusting))


def test_trust_of_the_environment(
    shell: Shell, authority: trustme.CA, trusting: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without settings of TLS the trust is the SDK's own, which SSL_CERT_FILE replaces."""
    with peer(tls=certified(authority, "localhost")) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(trusting.ca))
        assert shell.talk(way(f"https://localhost:{server.port}")) == b"pong"
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
        with pytest.raises(SettingsError, match="SSL_CERT_FILE"):
            shell.talk(way(f"https://localhost:{server.port}"))


def test_one_context_for_a_route(trusting: Tls) -> None:
    """However many threads connect first, the trust store is read once."""
    layer = way("https://gpu1", tls=trusting).tls
    assert layer is not None
    contexts: list[ssl.SSLContext] = []
    threads = [threading.Thread(target=lambda: contexts.append(layer.context())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(contexts) == 8
    assert len(set(map(id, contexts))) == 1


# Proxies


class Forward:
    """The script of a proxy that connects everything to one port; `heads` are the requests it was sent."""

    def __init__(self, port: int, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.heads: list[bytes] = []
        self._port = port
        self._answer = answer

    def __call__(self, connected: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connected.recv(1)
            if not byte:
                return
            head += byte
        self.heads.append(head)
        connected.sendall(self._answer)
        with socket.create_connection(("127.0.0.1", self._port)) as server:
            ends = {connected: server, server: connected}
            while True:
                for end in select.select(list(ends), [], [], 10)[0]:
                    data = end.recv(10_000)
                    if not data:
                        return
                    ends[end].sendall(data)


def test_tunnel(shell: Shell, authority: trustme.CA, trusting: Tls) -> None:
    """An https server is reached by CONNECT, which alone has the proxy's credentials; TLS is with the server."""
    judged: list[str] = []
    with peer(tls=certified(authority, "gpu1.test")) as server:
        forward = Forward(server.port, b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.0 200 OK\r\nVia: 1.1 p\r\n\r\n")
        with peer(forward) as proxy:
            route = way("https://gpu1.test", tls=trusting, proxy=f"http://me:pw@127.0.0.1:{proxy.port}")
            assert shell.talk(route, judge=judged.append) == b"pong"
    assert forward.heads == [
        b"CONNECT gpu1.test:443 HTTP/1.1\r\nHost: gpu1.test:443\r\nProxy-Authorization: Basic bWU6cHc=\r\n\r\n"
    ]
    assert judged == ["127.0.0.1"]


def test_answer_of_a_proxy_in_pieces() -> None:
    """The tunnel stands with the last byte of the final head, however the answer is cut."""
    route = way("https://gpu1.test", proxy="http://proxy.test")
    assert route.tunnel is not None
    tunnel = Tunnel(route.endpoint, route.tunnel)
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 Connected\r\nVia: p\r\n\r\n"
    assert [tunnel.feed(bytes([byte])) for byte in answer] == [False] * (len(answer) - 1) + [True]


def test_tunnel_to_a_foreign_server(shell: Shell, authority: trustme.CA, trusting: Tls) -> None:
    """A proxy that connects to another server than it was asked for is found out by the certificate."""
    with (
        peer(tls=certified(authority, "other.test")) as server,
        peer(Forward(server.port)) as proxy,
        pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)mismatch"),
    ):
        shell.talk(way("https://gpu1.test", tls=trusting, proxy=f"http://127.0.0.1:{proxy.port}"))


def test_plain_server_through_a_proxy(shell: Shell) -> None:
    """A proxy of an http server is spoken to at once: the requests themselves tell it the server."""
    with peer() as proxy:
        assert shell.talk(way("http://gpu1.test", proxy=f"http://127.0.0.1:{proxy.port}")) == b"pong"


def test_tls_to_the_proxy(
    shell: Shell, authority: trustme.CA, trusting: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS with an https proxy checks the proxy's certificate, and what is wrong with it is told as the proxy's."""
    with peer(tls=certified(authority, "localhost")) as proxy:
        route = way("http://gpu1.test", proxy=f"https://me:pw@localhost:{proxy.port}")
        with pytest.raises(ProxyUnreachable, match=r"https://localhost:\d+ \(from HTTP_PROXY\)") as caught:
            shell.talk(route)
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusting.ca))
        assert shell.talk(way("http://gpu1.test", proxy=f"https://localhost:{proxy.port}")) == b"pong"


HTML = b"<html>\x1b[31m<body>Log in to the network</body></html>"


@pytest.mark.parametrize(
    ("user", "answer", "status", "told"),
    [
        ("", b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n\r\n", 407,
         r"wants credentials \(407\): write them into HTTPS_PROXY, as http://user:password@127"),
        ("me:pw@", b"HTTP/1.1 407 Auth\r\n\r\n", 407, r"did not accept the credentials in HTTPS_PROXY"),
        ("", b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n%s" % (len(HTML), HTML), 403, "does not allow this server"),
        ("", b"HTTP/1.1 502 Bad\r\n\r\n" + HTML, 502, "answered 502 .*gpu1.test:443: it cannot reach the server"),
        ("", b"HTTP/1.1 302 Found\r\nLocation: http://login.test\r\n\r\n", 302, "answered 302 .*: it refused"),
        ("", HTML, None, "did not answer in HTTP"),
        ("", b"\x15\x03\x01\x00\x02\x02\x0a", None, "did not answer in HTTP"),
        ("", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", None, "did not answer in HTTP"),
        ("", b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 12345678901234567890\r\n" * 2000, None, "endless"),
        ("", b"HTTP/1.1 200 OK\r\n\r\n" + HTML, 200, "bytes of its own into the tunnel"),
    ],
)  # fmt: skip
def test_refusing_proxy(shell: Shell, user: str, answer: bytes, status: int | None, told: str) -> None:
    """What a proxy says instead of opening the tunnel is told without its text and without the credentials."""
    with peer(says(answer)) as proxy, pytest.raises(ProxyRefused, match=told) as caught:
        shell.talk(
            way("https://gpu1.test", tls=Tls(verify=False), proxy=f"http://{user}127.0.0.1:{proxy.port}")
        )
    assert caught.value.status == status
    assert caught.value.proxy == f"http://127.0.0.1:{proxy.port}"
    assert "add gpu1.test to NO_PROXY" in str(caught.value)
    assert not re.search(r"html|pw@|bWU6|login", str(caught.value))


@pytest.mark.parametrize(
    ("script", "kind", "told"),
    [
        (lambda connected: connected.recv(1000), ProxyRefused, "closed the connection without an answer"),
        (reset, (ProxyUnreachable, ProxyRefused), "reset|without an answer"),
        (silence, TimeoutError, None),
    ],
)
def test_proxy_gives_up(shell: Shell, script: Script, kind: type[OSError], told: str | None) -> None:
    """A proxy that hangs up is told as the proxy's failure; one that says nothing ends at the deadline."""
    with peer(script) as proxy, pytest.raises(kind, match=told):
        route = way("https://gpu1.test", tls=Tls(verify=False), proxy=f"http://127.0.0.1:{proxy.port}")
        shell.talk(route, seconds=SOON)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_dead_proxy(shell: Shell, scheme: str) -> None:
    """A proxy that nobody runs is told by name and variable, with the refusal as the cause."""
    with refusing_port() as port, pytest.raises(ProxyUnreachable, match="Connection refused") as caught:
        shell.talk(way(f"{scheme}://gpu1.test", tls=Tls(verify=False), proxy=f"me:pw@127.0.0.1:{port}"))
    assert f"http://127.0.0.1:{port} (from {scheme.upper()}_PROXY)" in str(caught.value)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_credentials_wanted_for_a_plain_server() -> None:
    """A 407 for a request itself gets the words that a 407 for a tunnel gets."""
    route = way("http://gpu1.test", proxy="http://proxy.test:3128")
    assert route.proxy is not None
    error = proxy_refused(route.endpoint, route.proxy, 407)
    assert "write them into HTTP_PROXY, as http://user:password@proxy.test:3128" in str(error)


def test_cancelled_while_opening(authority: trustme.CA) -> None:
    """A task that is cancelled at any moment of opening leaves no socket, and the event loop clean."""

    async def cancelled_after(route: Route, seconds: float) -> None:
        opening = asyncio.create_task(open_transport(route, Kept, judge=lambda _: None))
        await asyncio.sleep(seconds)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await opening)[0].abort()

    async def all_moments(route: Route) -> None:
        for milliseconds in range(20):
            await cancelled_after(route, milliseconds / 2000)

    with peer(silence, tls=certified(authority, "gpu1.test")) as server, peer(Forward(server.port)) as proxy:
        route = way("https://gpu1.test", tls=Tls(verify=False), proxy=f"http://127.0.0.1:{proxy.port}")
        asyncio.run(all_moments(route))


class Kept(asyncio.Protocol):
    """A protocol that keeps its transport, and tells when it gets it."""

    def __init__(self, made: Callable[[], object] = lambda: None) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_over = False
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._made()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True


def test_cancelled_in_the_moment_of_success(authority: trustme.CA) -> None:
    """A connection under TLS that nobody takes any more is gone at once: its peer may never answer a farewell."""

    async def cancelled(route: Route) -> Kept:
        def leave() -> None:
            opening.cancel()

        made = Kept(leave)
        opening = asyncio.create_task(open_transport(route, lambda: made, judge=lambda _: None))
        with pytest.raises(asyncio.CancelledError):
            await opening
        await asyncio.sleep(0.1)
        return made

    over = threading.Event()

    def deafness(_connected: socket.socket) -> None:
        over.wait(10)

    with peer(deafness, tls=certified(authority, "gpu1.test")) as server:
        kept = asyncio.run(cancelled(way(f"https://127.0.0.1:{server.port}", tls=Tls(verify=False))))
        over.set()
    assert kept.is_over
