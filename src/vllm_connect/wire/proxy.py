"""Which proxy a server is reached through, if any: read from the customary variables, decided without I/O."""

from __future__ import annotations

import ipaddress
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import unquote_to_bytes

from vllm_connect.endpoint import Endpoint, Key, parse_endpoint
from vllm_connect.errors import EndpointError, SettingsError

__all__ = ["Proxy", "ProxyFailed", "ProxyRefused", "ProxyUnreachable", "proxy_for", "with_system_proxies"]

Scheme = Literal["http", "https", "socks5", "socks5h"]

DEFAULT_PORTS: dict[Scheme, int] = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One proxy and the variable that names it; `str()` is its address without the credentials.

    `credentials` is the whole value of `Proxy-Authorization`, as a Key: nothing that prints a proxy shows it.
    """

    scheme: Scheme
    host: str
    port: int
    variable: str
    credentials: Key | None = None

    @property
    def is_socks(self) -> bool:
        """Whether this proxy speaks SOCKS, which the wire does not."""
        return self.scheme.startswith("socks")

    @property
    def user_and_password(self) -> tuple[str, str] | None:
        """The credentials as they were written, for a transport that encodes them itself."""
        if self.credentials is None:
            return None
        user, _, password = (
            b64decode(self.credentials.reveal().removeprefix("Basic ")).decode().partition(":")
        )
        return user, password

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class ProxyFailed(OSError):
    """Raised when it is the proxy that failed, not the server; `proxy` is its address without credentials."""

    def __init__(self, *args: object, proxy: str = "") -> None:
        super().__init__(*args)
        self.proxy = proxy


class ProxyUnreachable(ProxyFailed):
    """Raised when no connection to the proxy came about, or it broke; the cause is the OSError."""


class ProxyRefused(ProxyFailed):
    """Raised when the proxy did not open a way to the server.

    `status` is the one of its answer, None where that was no HTTP. Nothing else of the answer is repeated.
    """

    def __init__(self, *args: object, proxy: str = "", status: int | None = None) -> None:
        super().__init__(*args, proxy=proxy)
        self.status = status


def proxy_for(endpoint: Endpoint, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that the environment sets for this server, None where it is reached directly.

    Read are HTTPS_PROXY or HTTP_PROXY by the server's scheme, else ALL_PROXY, and NO_PROXY; of two spellings the
    lower-case one holds, even where it is empty. A server on this machine is never reached through a proxy.
    Raises SettingsError, which names the variable and not its value, for an address that is no proxy's.
    """
    if endpoint.is_loopback or _is_exempt(endpoint, environment):
        return None
    for name in (f"{endpoint.scheme}_proxy", "all_proxy"):
        variable, value = _variable(name, environment)
        if value:
            return _parse_proxy(value, variable)
    return None


def with_system_proxies(
    environment: Mapping[str, str], system: Callable[[], Mapping[str, str]]
) -> Mapping[str, str]:
    """Return the environment, with the proxies of the system settings in it where it names none itself.

    `system` is `urllib.request.getproxies`, which the SDK's own transport asks too: on macOS it reads the network
    settings; on Linux the environment is all there is. It is asked only where the environment names no proxy.
    """
    if any(name.lower().endswith("_proxy") and value for name, value in environment.items()):
        return environment
    return {**environment, **{f"{scheme}_proxy": url for scheme, url in system().items()}}


def _variable(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    if name in environment:
        return name, environment[name].strip()
    variable = name.upper()
    # A CGI server puts a request's `Proxy:` header into HTTP_PROXY (https://httpoxy.org).
    if variable == "HTTP_PROXY" and "REQUEST_METHOD" in environment:
        return variable, ""
    return variable, environment.get(variable, "").strip()


def _parse_proxy(address: str, variable: str) -> Proxy:
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "http", address
    if scheme.lower() not in DEFAULT_PORTS:
        raise _no_proxy_address(variable)
    # At the last @, so that no part of a password with a stray / or @ is taken for the host.
    user, _, location = rest.rpartition("@")
    authority = re.split(r"[/?#]", location, maxsplit=1)[0]
    known = cast("Scheme", scheme.lower())
    has_port = re.search(r":\d+$", authority)
    try:
        found = parse_endpoint(f"http://{authority}" + ("" if has_port else f":{DEFAULT_PORTS[known]}"))
    except EndpointError:
        # The reason would quote the address, and with it what may be a piece of a password.
        raise _no_proxy_address(variable) from None
    return Proxy(
        scheme=known,
        host=found.host,
        port=found.port,
        variable=variable,
        credentials=_basic(user, variable) if user else None,
    )


def _no_proxy_address(variable: str) -> SettingsError:
    return SettingsError(
        f"{variable} holds no address of a proxy. Write it like http://proxy.example.com:3128 (or https, socks5, "
        "socks5h), with user:password@ before the host where the proxy wants them, special characters "
        "percent-encoded; or unset it."
    )


def _basic(user: str, variable: str) -> Key:
    """Return the credentials as RFC 7617 writes them; both parts are percent-decoded first."""
    name, _, password = user.partition(":")
    pair = unquote_to_bytes(name) + b":" + unquote_to_bytes(password)
    return Key(f"Basic {b64encode(pair).decode()}", source=variable)


def _is_exempt(endpoint: Endpoint, environment: Mapping[str, str]) -> bool:
    _, entries = _variable("no_proxy", environment)
    return any(_exempts(entry, endpoint) for entry in re.split(r"[\s,]+", entries) if entry)


def _exempts(entry: str, endpoint: Endpoint) -> bool:
    """Whether one entry of NO_PROXY means this server, read as httpx reads it.

    `*` is every server; `corp.example` that name and all below it; `.corp.example` and `*.corp.example` only those
    below; an IP address or a network (10.0.0.0/8, fd00::/8) the addresses in it, never names; `:port` after a name
    or an address only that port; `https://` before it only that scheme, and then only the very name.
    """
    if entry == "*":
        return True
    scheme, _, rest = entry.lower().rpartition("://")
    name, port = _split_port(rest)
    if scheme not in ("", "all", endpoint.scheme) or port not in (None, endpoint.port):
        return False
    network = _network(name)
    if network is not None:
        address = _address(endpoint.connects_to)
        return address is not None and address in network
    name = name.removeprefix("*").rstrip(".")
    if name.startswith("."):
        return endpoint.host.endswith(name)
    return endpoint.host == name or (not scheme and endpoint.host.endswith(f".{name}"))


def _split_port(text: str) -> tuple[str, int | None]:
    with_port = re.fullmatch(r"(\[[^\]]*\]|[^:]*):(\d{1,5})", text)
    return (with_port[1], int(with_port[2])) if with_port else (text, None)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return the network written here, of one address where it has no prefix length; brackets are optional."""
    try:
        return ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
