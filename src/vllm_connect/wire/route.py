"""Where the connections to one server go: its address or socket, the TLS on the way, the proxy between."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vllm_connect.endpoint import Endpoint, Tls
from vllm_connect.errors import SettingsError
from vllm_connect.wire.proxy import Proxy, proxy_for

__all__ = ["Route", "TlsLayer", "route_to"]


class TlsLayer:
    """TLS to one name, with a context that is made when the first connection needs it, and once.

    Reading a trust store costs 50 ms of CPU: a client that never connects, or over plain http, does not pay them.
    """

    __slots__ = ("_context", "_lock", "_make", "server_hostname")

    def __init__(self, server_hostname: str, make: Callable[[], ssl.SSLContext]) -> None:
        self.server_hostname = server_hostname
        self._make = make
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def context(self) -> ssl.SSLContext:
        """Return the context; raises SettingsError for a file of certificates that cannot be used."""
        with self._lock:
            if self._context is None:
                self._context = self._make()
            return self._context


@dataclass(frozen=True, kw_only=True)
class Route:
    """The way to one server.

    `tls` is None where bytes leave in the clear; else it is with the server, or with the proxy of a plain server.
    """

    endpoint: Endpoint
    tls: TlsLayer | None = None
    proxy: Proxy | None = None

    @property
    def first_hop(self) -> tuple[str, int]:
        """Host and port that are connected to: the proxy's, or the server's own."""
        if self.proxy is not None:
            return self.proxy.host, self.proxy.port
        return self.endpoint.connects_to, self.endpoint.port

    @property
    def tunnel(self) -> Proxy | None:
        """The proxy, where it passes on bytes that it cannot read (CONNECT), as for every https server."""
        return self.proxy if self.endpoint.scheme == "https" else None

    @property
    def _reader(self) -> Proxy | None:
        """The proxy, where it reads the requests, as for every http server."""
        return self.proxy if self.endpoint.scheme == "http" else None

    @property
    def needs_sdk_transport(self) -> bool:
        """Whether only the SDK's transport goes this way: over SOCKS, or with TLS inside the TLS of a proxy."""
        proxy = self.proxy
        return proxy is not None and (proxy.is_socks or (proxy.scheme == "https" and proxy is self.tunnel))

    @property
    def proxy_authorization(self) -> str | None:
        """The `Proxy-Authorization` that each request carries: none in a tunnel, where CONNECT has carried it."""
        reader = self._reader
        return None if reader is None or reader.credentials is None else reader.credentials.reveal()

    def request_target(self, path: str) -> str:
        """Return what stands in the request line for a path: a proxy is told the server too (RFC 9112, 3.2.2)."""
        return path if self._reader is None else f"{self.endpoint.origin}{path}"


def route_to(endpoint: Endpoint, tls: Tls | None, environment: Mapping[str, str]) -> Route:
    """Return the way to this server; `environment` is asked for proxies, see `with_system_proxies`.

    `tls` holds for the server. The certificate of an https proxy is checked as the SDK's transport checks it.
    Raises SettingsError for a malformed proxy, and for one between us and the addresses of a name, among which it would
    choose. Nothing is opened, no file is read.
    """
    proxy = proxy_for(endpoint, environment)
    if proxy is not None and (endpoint.every_address or endpoint.address is not None):
        raise SettingsError(
            f"{proxy.variable} names the proxy {proxy}, which would choose among the addresses of {endpoint.host} itself. "
            f"Add {endpoint.host} to NO_PROXY, or write {endpoint.by_name}."
        )
    if endpoint.scheme == "https":
        layer = TlsLayer(endpoint.host, (tls or Tls()).context)
    elif proxy is not None and proxy.scheme == "https":
        layer = TlsLayer(proxy.host, Tls().context)
    else:
        layer = None
    return Route(endpoint=endpoint, tls=layer, proxy=proxy)
