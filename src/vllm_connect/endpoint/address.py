"""The address of one server: any sane spelling in, one value out."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import Literal, cast

from vllm_connect.errors import EndpointError

__all__ = ["Endpoint", "parse_endpoint"]

Scheme = Literal["http", "https"]

DEFAULT_PORTS: dict[Scheme, int] = {"http": 80, "https": 443}
# What `vllm serve` listens on when nothing is said; an address without scheme and port means it.
VLLM_PORT = 8000
LARGEST_PORT = 65535
# Routes that people paste together with the address, most specific first.
PASTED_ROUTES = (
    "/chat/completions/batch",
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/responses",
    "/models",
)
# A route that no one mounts a server under, so it is cut whatever stands before it.
NEVER_A_MOUNT = "/chat/completions"
OPENAI_HOSTS = ("api.openai.com", ".api.openai.com")
# Before an address: each address of its host's name is a replica (the word of Thanos and Prometheus).
EVERY_ADDRESS = "dns+"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One server: scheme, host, port and base path, or a unix socket and base path.

    `host` is lower case and without brackets; `path` begins with a slash and does not end in one;
    `port` is always a number. Compare two endpoints with `==`, and what a key is bound to with `origin`.

    `every_address`: not one server, but one at each IP address of the host's name. `address`: the one of these that is
    connected to; key, Host header and certificate go by the name.
    """

    scheme: Scheme = "http"
    host: str = "localhost"
    port: int = VLLM_PORT
    path: str = "/v1"
    socket: str | None = None
    address: str | None = None
    every_address: bool = False

    @property
    def origin(self) -> str:
        """Scheme, host and port (RFC 6454), or the unix socket: what a key is bound to."""
        if self.socket is not None:
            return f"unix://{self.socket}"
        return f"{self.scheme}://{self._authority}"

    @property
    def place(self) -> str:
        """The origin for people: with the address that is connected to, where it is one of several."""
        return self.origin if self.address is None else f"{self.origin} [{self.address}]"

    @property
    def connects_to(self) -> str:
        """The host that is connected to: an IP address where one was chosen, else the host as it is written."""
        return self.address or self.host

    def at(self, address: str) -> Endpoint:
        """Return the one server at an IP address of the host's name."""
        return replace(self, address=address, every_address=False)

    @property
    def by_name(self) -> Endpoint:
        """The same without a word of its addresses: whichever of them answers first."""
        return replace(self, address=None, every_address=False)

    @property
    def base_url(self) -> str:
        """The URL that API paths are appended to; for a unix socket the one that HTTP sees."""
        return f"{self._http_origin}{self.path}"

    @property
    def root_url(self) -> str:
        """The URL that vLLM's own routes (`/health`, `/version`, `/tokenize`) are appended to."""
        return f"{self._http_origin}{self._root_path}"

    @property
    def _root_path(self) -> str:
        return self.path.removesuffix("/v1")

    def path_at(self, other: Endpoint, path: str) -> str:
        """Return a path of this server, of the API or of vLLM's own routes, as it is at another replica."""
        if path.startswith(f"{self.path}/"):
            return f"{other.path}{path.removeprefix(self.path)}"
        return f"{other._root_path}{path.removeprefix(self._root_path)}"

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        if self.socket is not None or self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.connects_to).is_loopback
        except ValueError:
            return False

    @property
    def is_openai(self) -> bool:
        """Whether this is the OpenAI platform itself, reached only when written down."""
        return self.host == OPENAI_HOSTS[0] or self.host.endswith(OPENAI_HOSTS[1])

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def _http_origin(self) -> str:
        return "http://localhost" if self.socket is not None else f"{self.scheme}://{self._authority}"

    def __str__(self) -> str:
        prefix = EVERY_ADDRESS if self.every_address else ""
        suffix = "" if self.address is None else f" [{self.address}]"
        return f"{prefix}{self.origin}{self.path}{suffix}"


def parse_endpoint(text: str, *, source: str = "base_url") -> Endpoint:
    """Return the endpoint that an address means, in any of its customary spellings.

    A missing scheme means http, a missing port then 8000; a missing path means `/v1`; pasted routes,
    doubled slashes and a doubled `/v1` are mended. A path of one's own is kept as it is written.
    `unix:///run/vllm.sock` names a unix socket; `dns+http://gpus:8000` the servers at all addresses of a name, and
    `http://gpus:8000 [10.0.0.7]` the one at this address. Raises EndpointError, whose message holds the fix, for
    user information, query, fragment, a bad port and an unknown scheme.
    """
    address = text.strip()
    if address[: len(EVERY_ADDRESS)].lower() == EVERY_ADDRESS:
        named = _parse_name(address[len(EVERY_ADDRESS) :], source, f"{EVERY_ADDRESS} before it")
        return replace(named, every_address=True)
    pinned = re.fullmatch(r"(\S+)\s+\[([0-9A-Fa-f:.]+)\]", address)
    if pinned:
        return _parse_name(pinned[1], source, "an address in brackets behind it").at(_ip(pinned[2], source))
    return _parse_server(address, source)


def _parse_name(address: str, source: str, mark: str) -> Endpoint:
    """Return the endpoint of an address that is written with a mark, which makes sense with a host's name only."""
    named = parse_endpoint(address, source=source)
    is_name = named.socket is None and not (_ipv6(named.host) or _is_ipv4(named.host))
    if not is_name or named.every_address or named.address:
        raise EndpointError(
            f"{source} has {mark}, which goes with a host's name only: it says which of the name's addresses are meant. "
            f"Write {named}."
        )
    return named


def _ip(text: str, source: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise EndpointError(f"{source} has no IP address between the brackets at its end.") from None


def _parse_server(address: str, source: str) -> Endpoint:
    _refuse_what_no_address_holds(address, source)
    if re.match(r"unix:", address, re.IGNORECASE):
        return _parse_unix_socket(address, source)
    scheme, rest = _split_scheme(address, source)
    authority, slash, path = rest.partition("/")
    host, port = _split_authority(authority, source)
    if scheme is None:
        scheme = "https" if port == DEFAULT_PORTS["https"] else "http"
        port = VLLM_PORT if port is None else port
    return Endpoint(
        scheme=scheme,
        host=_reachable(host),
        port=DEFAULT_PORTS[scheme] if port is None else port,
        path=_base_path(slash + path),
    )


def _refuse_what_no_address_holds(address: str, source: str) -> None:
    """Refuse what could carry a secret or change the request, without repeating it."""
    if not address:
        raise EndpointError(f"{source} is empty. Write the server's address, such as http://gpu1:8000.")
    if not address.isprintable() or re.search(r"[\s\\]", address):
        raise EndpointError(
            f"{source} has white space, a backslash or a control character inside; remove it."
        )
    for mark, name in (("?", "a query"), ("#", "a fragment")):
        if mark in address:
            kept = _without_user(address.partition(mark)[0])
            raise EndpointError(
                f"{source} has {name} (from {mark!r} on), which would end up inside every path. Write {kept}"
                + (", and give query parameters as default_query." if mark == "?" else ".")
            )
    # User information would silently replace the Bearer key by Basic authentication.
    if "@" in address:
        raise EndpointError(
            f"{source} has user information (before '@'). Write {_without_user(address)}, "
            "and give the key as api_key or in VLLM_API_KEY."
        )


def _without_user(address: str) -> str:
    scheme, separator, rest = address.rpartition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path.rpartition('@')[2]}"


def _split_scheme(address: str, source: str) -> tuple[Scheme | None, str]:
    """Split off the scheme, also where its colon or a slash is missing (`http//gpu1`, `http:/gpu1`)."""
    known = re.match(r"(https?)(?::/+|//+)(?=[^/])", address, re.IGNORECASE)
    if known:
        return cast("Scheme", known[1].lower()), address[known.end() :]
    foreign = re.match(r"([a-z][a-z0-9+.-]*)://", address, re.IGNORECASE)
    if foreign and foreign[1].lower() in DEFAULT_PORTS:
        raise EndpointError(f"{source} has no host name. Write it like http://gpu1:8000.")
    if foreign:
        fix = {"ws": "http", "wss": "https"}.get(foreign[1].lower(), "http")
        rest = address[foreign.end() :]
        example = f"{fix}://{rest}" if rest else "http://gpu1:8000"
        raise EndpointError(
            f"{source} has the scheme {foreign[1]!r}; vLLM speaks http, https and unix. Write {example}."
        )
    return None, address.lstrip("/")


def _split_authority(authority: str, source: str) -> tuple[str, int | None]:
    bare_ipv6 = _ipv6(authority)
    if bare_ipv6:
        return bare_ipv6, None
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", authority)
    if bracketed:
        host = _ipv6(bracketed[1])
        if not host:
            raise EndpointError(
                f"{source} has no IPv6 address between the brackets. Write it like http://[::1]:8000."
            )
        return host, _port(bracketed[2], source)
    host, colon, port = authority.partition(":")
    return _host_name(host, source), _port(port if colon else None, source)


def _ipv6(text: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    # A zone (fe80::1%eth0) names an interface of this machine; URLs have no agreed spelling for it.
    return None if address.scope_id else str(address)


def _host_name(host: str, source: str) -> str:
    """Return the host in lower case; names with an underscore are no host names, but Docker makes them."""
    name = host.lower().rstrip(".")
    if not name:
        raise EndpointError(f"{source} has no host name. Write it like http://gpu1:8000.")
    try:
        ascii_name = name.encode("idna").decode() if not name.isascii() else name
    except UnicodeError:
        raise EndpointError(f"{source} has a host name that no DNS label can hold.") from None
    labels = ascii_name.split(".")
    if not all(re.fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label) for label in labels):
        raise EndpointError(f"{source}: {host!r} is no host name. Write it like http://gpu1:8000.")
    if labels[-1].isdigit() and not _is_ipv4(ascii_name):
        raise EndpointError(f"{source}: {host!r} is no IPv4 address; it has four numbers from 0 to 255.")
    return ascii_name


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _port(text: str | None, source: str) -> int | None:
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= LARGEST_PORT):
        raise EndpointError(f"{source} has the port {text!r}; a port is a number from 1 to {LARGEST_PORT}.")
    return int(text)


def _reachable(host: str) -> str:
    """Return the loopback address for the wildcard ones, which vLLM prints at its start and people paste."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # read, not bound


def _base_path(path: str) -> str:
    """Return the base path: slashes single, pasted routes cut, `/v1` once, and `/v1` where nothing is said.

    A path of one's own without `/v1` is kept: a gateway may map it to the API itself.
    """
    cut = _without_route(re.sub(r"/+", "/", path).rstrip("/"))
    single = re.sub(r"(/v1)+$", "/v1", cut)
    return single or "/v1"


def _without_route(path: str) -> str:
    for route in PASTED_ROUTES:
        mount = path.removesuffix(route)
        if mount != path and (
            mount in ("", "/v1") or mount.endswith("/v1") or route.startswith(NEVER_A_MOUNT)
        ):
            return mount
    return path


def _parse_unix_socket(address: str, source: str) -> Endpoint:
    """Parse `unix:/path` and `unix:///path`; what follows `.sock` is the base path."""
    rest = address[len("unix:") :]
    if not re.match(r"/(?!/)|///", rest):
        raise EndpointError(
            f"{source}: a unix socket is written with its absolute path, unix:///run/vllm.sock."
        )
    path = re.sub(r"/+", "/", rest).rstrip("/")
    socket, mark, base = path.partition(".sock/")
    socket = f"{socket}.sock" if mark else path.removesuffix("/v1")
    if not socket:
        raise EndpointError(f"{source} names no unix socket. Write it like unix:///run/vllm.sock.")
    return Endpoint(port=80, socket=socket, path=_base_path(f"/{base}" if mark else ""))
