"""Which proxy a server is reached through: the customary variables, read as httpx reads them."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_connect.endpoint import Endpoint, parse_endpoint
from vllm_connect.errors import SettingsError
from vllm_connect.wire.proxy import proxy_for, with_system_proxies
from vllm_connect.wire.route import route_to

PROXY = "http://proxy.test:3128"
OTHER = "http://other.test:3128"
BOTH = {"http_proxy": PROXY, "https_proxy": PROXY}


def chosen(address: str, environment: Mapping[str, str]) -> str | None:
    proxy = proxy_for(parse_endpoint(address), environment)
    return None if proxy is None else str(proxy)


@pytest.mark.parametrize(
    ("address", "environment", "expected"),
    [
        ("http://gpu1", {}, None),
        ("http://gpu1", {"HTTP_PROXY": PROXY}, PROXY),
        ("https://gpu1", {"HTTP_PROXY": PROXY}, None),
        ("https://gpu1", {"HTTPS_PROXY": PROXY, "HTTP_PROXY": OTHER}, PROXY),
        ("https://gpu1", {"ALL_PROXY": PROXY}, PROXY),
        ("https://gpu1", {"ALL_PROXY": OTHER, "https_proxy": PROXY}, PROXY),
        ("https://gpu1", {"https_proxy": PROXY, "HTTPS_PROXY": OTHER}, PROXY),
        ("https://gpu1", {"https_proxy": "", "HTTPS_PROXY": OTHER}, None),
        ("https://gpu1", {"https_proxy": "", "all_proxy": PROXY}, PROXY),
        # A CGI server's variable for a header of whoever asks it.
        ("http://gpu1", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None),
        ("http://gpu1", {"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, PROXY),
        ("https://gpu1", {"HTTPS_PROXY": PROXY, "REQUEST_METHOD": "GET"}, PROXY),
        # This machine is never asked for through another one.
        ("http://localhost:8000", BOTH, None),
        ("http://vllm.localhost", BOTH, None),
        ("http://127.9.9.9", BOTH, None),
        ("http://[::1]:8000", BOTH, None),
        ("http://0.0.0.0:8000", BOTH, None),
        ("unix:///run/vllm.sock", BOTH, None),
    ],
)
def test_variables(address: str, environment: dict[str, str], expected: str | None) -> None:
    """The variable of the server's scheme holds before ALL_PROXY, the lower-case spelling before the other."""
    assert chosen(address, environment) == expected


@pytest.mark.parametrize(
    ("no_proxy", "exempt", "proxied"),
    [
        ("*", ["http://gpu1", "https://10.0.0.1"], []),
        ("a.test, *", ["http://gpu1"], []),
        ("gpu1", ["http://gpu1", "https://gpu1:8443", "http://a.gpu1"], ["http://gpu11", "http://agpu1"]),
        (
            "corp.test",
            ["http://corp.test", "http://a.b.corp.test"],
            ["http://corp.test.org", "http://xcorp.test"],
        ),
        (".corp.test", ["http://a.corp.test"], ["http://corp.test"]),
        ("*.corp.test", ["http://a.corp.test"], ["http://corp.test"]),
        ("CORP.Test.", ["http://corp.test"], []),
        ("gpu1:8000", ["http://gpu1:8000"], ["http://gpu1:8001", "https://gpu1"]),
        ("gpu1:443", ["https://gpu1"], ["http://gpu1"]),
        ("10.1.2.3", ["http://10.1.2.3:8000"], ["http://10.1.2.30", "http://10.1.2.4"]),
        ("10.1.2.3:8000", ["http://10.1.2.3:8000"], ["http://10.1.2.3"]),
        ("fd00::1", ["http://[fd00::1]", "http://[FD00:0::1]:8000"], ["http://[fd00::2]"]),
        ("[fd00::1]", ["http://[fd00::1]"], []),
        ("[fd00::1]:8000", ["http://[fd00::1]:8000"], ["http://[fd00::1]"]),
        ("10.0.0.0/8", ["http://10.200.0.1"], ["http://11.0.0.1", "http://gpu1", "http://[fd00::1]"]),
        ("10.1.2.3/8", ["http://10.200.0.1"], []),
        ("fd00::/8", ["http://[fd12::1]"], ["http://[fe12::1]", "http://10.0.0.1"]),
        ("https://gpu1", ["https://gpu1"], ["http://gpu1", "https://a.gpu1"]),
        ("10.0.0.0/99,:,[,//,gpu/1,://", [], ["http://gpu1", "http://10.0.0.1"]),
        (" gpu1 ,,  gpu2 gpu3", ["http://gpu1", "http://gpu2", "http://gpu3"], ["http://gpu4"]),
    ],
)
def test_no_proxy(no_proxy: str, exempt: list[str], proxied: list[str]) -> None:
    """NO_PROXY takes names, what is below a name, addresses, networks and ports; what it cannot mean is no entry."""
    environment = {**BOTH, "NO_PROXY": no_proxy}
    assert [address for address in exempt if chosen(address, environment)] == []
    assert [address for address in proxied if not chosen(address, environment)] == []


@pytest.mark.parametrize(
    "address", ["http://gpu1", "https://a.corp.test:8443", "https://10.1.2.3", "http://[fd00::1]"]
)
@pytest.mark.parametrize(
    "environment",
    [
        {"HTTP_PROXY": PROXY},
        {"https_proxy": PROXY, "all_proxy": OTHER},
        {"ALL_PROXY": "proxy.test:3128"},
        {**BOTH, "NO_PROXY": "*"},
        {**BOTH, "NO_PROXY": "gpu1,corp.test"},
        {**BOTH, "NO_PROXY": ".corp.test,10.1.2.3"},
        {**BOTH, "NO_PROXY": "corp.test:8443,fd00::1"},
        {**BOTH, "NO_PROXY": "https://a.corp.test:8443"},
        {**BOTH, "NO_PROXY": "corp.test:80,10.1.2.4"},
    ],
)
def test_as_plain_openai(monkeypatch: pytest.MonkeyPatch, address: str, environment: dict[str, str]) -> None:
    """What goes through a proxy with plain openai does so here, and what does not does not."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    endpoint = parse_endpoint(address)
    with openai.DefaultHttpxClient() as client:
        # Asked of the client itself: to see it on the wire, these names would have to be looked up.
        transport = client._transport_for_url(client.build_request("GET", endpoint.base_url).url)
        is_proxied = transport is not client._transport
    assert (proxy_for(endpoint, environment) is not None) == is_proxied


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(host=addresses, other=addresses, length=st.integers(0, 128), near=st.booleans())
def test_networks(
    host: ipaddress.IPv4Address | ipaddress.IPv6Address,
    other: ipaddress.IPv4Address | ipaddress.IPv6Address,
    length: int,
    near: bool,  # noqa: FBT001  # hypothesis gives it by name
) -> None:
    """A network of NO_PROXY exempts exactly the addresses in it."""
    base = host if near else other
    network = ipaddress.ip_network(f"{base}/{length % (base.max_prefixlen + 1)}", strict=False)
    environment = {"ALL_PROXY": PROXY, "NO_PROXY": str(network)}
    expected = host in network or host.is_loopback
    assert (proxy_for(Endpoint(host=str(host)), environment) is None) == expected


@pytest.mark.parametrize(
    ("value", "address", "credentials"),
    [
        ("proxy.test:3128", "http://proxy.test:3128", None),
        ("http://proxy.test", "http://proxy.test:80", None),
        ("HTTPS://Proxy.test/", "https://proxy.test:443", None),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128", None),
        ("http://[fd00::1]", "http://[fd00::1]:80", None),
        ("socks5h://proxy.test", "socks5h://proxy.test:1080", None),
        ("http://me:s%40c%3aret@proxy.test:3128", "http://proxy.test:3128", b"me:s@c:ret"),
        ("me:secret@proxy.test:3128", "http://proxy.test:3128", b"me:secret"),
        ("http://me@proxy.test:3128", "http://proxy.test:3128", b"me:"),
        ("http://me:a/b@c#d?e@proxy.test:3128", "http://proxy.test:3128", b"me:a/b@c#d?e"),
        ("http://me:gr%C3%BC%C3%9Fe@proxy.test:3128", "http://proxy.test:3128", "me:grüße".encode()),
    ],
)
def test_proxy_address(value: str, address: str, credentials: bytes | None) -> None:
    """A proxy is written with or without scheme, port and credentials; nothing that prints it shows these."""
    proxy = proxy_for(parse_endpoint("http://gpu1"), {"HTTP_PROXY": value})
    assert proxy is not None
    assert str(proxy) == address
    assert proxy.variable == "HTTP_PROXY"
    sent = proxy.credentials.reveal().removeprefix("Basic ") if proxy.credentials else None
    assert (None if sent is None else base64.b64decode(sent)) == credentials
    assert repr(proxy).endswith("credentials=None)" if credentials is None else "credentials=Key('***'))")


@pytest.mark.parametrize(
    "value",
    [
        "socks4://me:hidden@proxy.test",
        "ftp://me:hidden@proxy.test",
        "http://me:hidden@",
        "http://",
        "http://me:hidden@proxy.test:port",
        "http://me:hidden@proxy.test:99999",
        "http://me:hidden@proxy test:3128",
        "http://me:hidden@pro\r\nxy.test:3128",
        "http://me:hidden",
        "me:hid://den@proxy.test",
    ],
)
def test_malformed_proxy(value: str) -> None:
    """What is no proxy's address is refused with the variable's name, and not repeated."""
    with pytest.raises(
        SettingsError, match=r"^ALL_PROXY holds no address of a proxy\. Write it like"
    ) as caught:
        proxy_for(parse_endpoint("http://gpu1"), {"ALL_PROXY": value})
    assert "hid" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert proxy_for(parse_endpoint("http://localhost:8000"), {"ALL_PROXY": value}) is None


def test_system_proxies() -> None:
    """The system's settings are asked only where the environment names no proxy, as urllib and the SDK do."""
    system = {"http": PROXY, "no": "gpu2"}
    found = with_system_proxies({"HOME": "/"}, lambda: system)
    assert chosen("http://gpu1", found) == PROXY
    assert chosen("http://gpu2", found) is None
    own = {"HTTPS_PROXY": OTHER}
    assert with_system_proxies(own, lambda: pytest.fail("asked the system")) is own
    assert with_system_proxies({"https_proxy": ""}, lambda: {"https": PROXY})["https_proxy"] == PROXY


@pytest.mark.parametrize(
    ("address", "proxy", "target", "authorization", "needs_sdk"),
    [
        ("http://gpu1:8000", "", "/v1/models", None, False),
        ("http://gpu1:8000", "http://me:pw@p.test", "http://gpu1:8000/v1/models", "Basic bWU6cHc=", False),
        ("http://gpu1:80", "http://p.test", "http://gpu1/v1/models", None, False),
        ("http://[fd00::1]:8000", "http://p.test", "http://[fd00::1]:8000/v1/models", None, False),
        ("http://gpu1:8000", "https://me:pw@p.test", "http://gpu1:8000/v1/models", "Basic bWU6cHc=", False),
        ("https://gpu1", "http://me:pw@p.test", "/v1/models", None, False),
        ("https://gpu1", "https://p.test", "/v1/models", None, True),
        ("http://gpu1", "socks5://p.test", "http://gpu1/v1/models", None, True),
    ],
)
def test_route(address: str, proxy: str, target: str, authorization: str | None, needs_sdk: bool) -> None:  # noqa: FBT001
    """A proxy that reads requests is told the server, and given its credentials, in each; a tunnel's only once."""
    route = route_to(parse_endpoint(address), None, {"ALL_PROXY": proxy})
    assert route.request_target("/v1/models") == target
    assert route.needs_sdk_transport == needs_sdk
    if not needs_sdk:
        assert route.proxy_authorization == authorization
