"""The ways to a server, end to end: TLS, client certificates, unix sockets, IPv6, proxies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.runs import MODEL, SHELLS, Run, plain, sdk_plain, stream
from tests.test_opening import Forward, peer, refusing_port, says
from vllm_connect import OpenAI, ServerUnreachable, SettingsError, Tls
from vllm_connect.simulator import Simulator

every_shell = pytest.mark.parametrize("shell", SHELLS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of a private authority: its own, a server's, a client's."""
    made = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made / "ca.pem")
    for name, file in (("gpu1.test", "server.pem"), ("me@client.test", "client.pem")):
        names = (name, "127.0.0.1") if file == "server.pem" else (name,)
        authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(made / file)
    return made


@pytest.fixture(scope="module")
def trusting(folder: Path) -> Tls:
    return Tls(ca=str(folder / "ca.pem"))


def tls_server(folder: Path) -> dict[str, Any]:
    return {"ssl_certfile": str(folder / "server.pem")}


def client_asking(folder: Path) -> dict[str, Any]:
    return {**tls_server(folder), "ssl_ca_certs": str(folder / "ca.pem"), "ssl_cert_reqs": 2}


WAYS: dict[str, tuple[Callable[[Path], dict[str, Any]], Callable[[Path], dict[str, Any]]]] = {
    "tls": (tls_server, lambda folder: {"tls": Tls(ca=str(folder / "ca.pem"))}),
    "client certificate": (
        client_asking,
        lambda folder: {"tls": Tls(ca=str(folder / "ca.pem"), client_cert=str(folder / "client.pem"))},
    ),
    "unix socket": (lambda folder: {"uds": str(folder / "socket")}, lambda _: {}),
    "IPv6": (lambda _: {"host": "::1"}, lambda _: {}),
}


@every_shell
@pytest.mark.parametrize("way", WAYS)
def test_way(way: str, shell: str, folder: Path) -> None:
    """Plain calls, streams and those of the SDK's own path share one connection, whatever the way."""
    serves, asks = WAYS[way]
    with Simulator(models=(MODEL,), **serves(folder)) as server:
        outcomes = Run(server, shell, **asks(folder))((plain, ""), (stream, ""), (sdk_plain, ""))
        assert [outcome.error for outcome in outcomes] == [None] * 3
        assert server.connections == 1


REFUSED: dict[str, tuple[Callable[[Path], dict[str, Any]], dict[str, Any], str]] = {
    "unknown authority": (tls_server, {}, "certificate is not trusted.*tls=Tls"),
    "wrong host": (tls_server, {"base_url": "https://localhost:{port}/v1"}, "certificate is not trusted"),
    "https to http": (lambda _: {}, {"base_url": "https://127.0.0.1:{port}/v1"}, "plain http"),
}


@every_shell
@pytest.mark.parametrize("way", [plain, stream, sdk_plain])
@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, way: Any, shell: str, folder: Path, trusting: Tls) -> None:
    """What another try cannot mend is not tried again, and its reason told (row 23)."""
    serves, asks, told = REFUSED[case]
    with Simulator(models=(MODEL,), **serves(folder)) as server:
        options = {name: value.format(port=server.port) for name, value in asks.items()}
        if case == "wrong host":
            options["tls"] = trusting
        (outcome,) = Run(server, shell, **options)((way, ""))
        assert isinstance(outcome.error, ServerUnreachable)
        assert outcome.error.attempts == 1
        assert re.search(told, str(outcome.error)), str(outcome.error)
        assert server.requests == []


# -- proxies


@every_shell
def test_tunnel(shell: str, folder: Path, trusting: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    """An https server is asked through a tunnel, kept like any connection; the server never sees the proxy's password."""
    with Simulator(models=(MODEL,), **tls_server(folder)) as server:
        forward = Forward(server.port)
        with peer(forward) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://me:pw@127.0.0.1:{proxy.port}")
            asked = Run(server, shell, base_url="https://gpu1.test/v1", tls=trusting)
            outcomes = asked((plain, ""), (stream, ""), (sdk_plain, ""))
        assert [outcome.error for outcome in outcomes] == [None] * 3
        assert len(forward.heads) == 1
        assert all(request.header("proxy-authorization") is None for request in server.requests)


@every_shell
def test_plain_proxy(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An http server is asked through its proxy in absolute form, with the proxy's credentials (RFC 9112, 3.2.2)."""
    with Simulator(models=(MODEL,)) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:pw@127.0.0.1:{server.port}")
        asked = Run(server, shell, base_url="http://gpu1.test/v1")
        asked((plain, ""), (stream, ""), (sdk_plain, ""))
        assert {request.target for request in server.requests} == {"http://gpu1.test/v1/chat/completions"}
        assert {request.header("host") for request in server.requests} == {"gpu1.test"}
        assert {request.header("proxy-authorization") for request in server.requests} == {"Basic bWU6cHc="}
        assert len(server.requests) == 3


PROXIES = {
    b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n\r\n": "did not accept the credentials in HTTPS_PROXY",
    b"HTTP/1.1 200 OK\r\n\r\n<html>login</html>": "bytes of its own into the tunnel",
}


@pytest.fixture(params=["nobody", *PROXIES])
def proxy(request: pytest.FixtureRequest) -> Iterator[tuple[int, str]]:
    """The port of a proxy that fails, and what is told of it."""
    if request.param == "nobody":
        with refusing_port() as port:
            yield port, "no connection to the proxy"
        return
    with peer(says(request.param)) as answering:
        yield answering.port, PROXIES[request.param]


@every_shell
@pytest.mark.parametrize("way", [plain, stream, sdk_plain])
def test_failing_proxy(proxy: tuple[int, str], way: Any, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that fails is told as a proxy, not as the server, and without its credentials (row 24)."""
    port, told = proxy
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:hidden@127.0.0.1:{port}")
    with Simulator(models=(MODEL,)) as server:
        (outcome,) = Run(server, shell, base_url="https://gpu1.test/v1")((way, ""))
    assert isinstance(outcome.error, ServerUnreachable)
    assert told in str(outcome.error)
    assert "Nothing listens there" not in str(outcome.error)
    assert "hidden" not in repr(outcome.error)
    assert outcome.error.attempts == 1


def test_a_socks_proxy_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy goes over the SDK's transport; without its package the error says what to install."""
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret@proxy.test:1080")
    with (
        OpenAI(base_url="http://gpu1.test:8000") as client,
        pytest.raises(SettingsError, match=r"ALL_PROXY.*socks5://proxy\.test:1080.*pip install") as caught,
    ):
        client.models.list()
    assert "secret" not in str(caught.value)
