"""The way through a proxy to an https server: CONNECT and its answer (RFC 9110, 9.3.6), without I/O."""

from __future__ import annotations

import httptools

from vllm_connect.endpoint import Endpoint
from vllm_connect.wire.proxy import Proxy, ProxyRefused

__all__ = ["Tunnel", "proxy_refused"]

# The answer has no body and few headers; what is longer is no answer to CONNECT.
LONGEST_HEAD = 16 * 1024
FINAL_STATUS, REDIRECTS = 200, 300
CREDENTIALS_WANTED = 407
# What a status of a proxy says about the server behind it.
REASONS = {
    403: "it does not allow this server",
    405: "it opens no tunnels",
    502: "it cannot reach the server",
    503: "it cannot reach the server",
    504: "it cannot reach the server in time",
}


class Tunnel:
    """One tunnel that is being asked for: `request` is what the proxy is sent, its answer is fed as it comes."""

    def __init__(self, endpoint: Endpoint, proxy: Proxy) -> None:
        self._endpoint = endpoint
        self._proxy = proxy
        self._parser = httptools.HttpResponseParser(self)
        self._length = 0
        self._status: int | None = None
        self._has_body = False

    @property
    def request(self) -> bytes:
        """The bytes of CONNECT, with the credentials for the proxy; nothing in them is for the server."""
        server = _authority(self._endpoint)
        lines = [f"CONNECT {server} HTTP/1.1", f"Host: {server}"]
        if self._proxy.credentials is not None:
            lines.append(f"Proxy-Authorization: {self._proxy.credentials.reveal()}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def feed(self, data: bytes) -> bool:
        """Take what the proxy sent, nothing at its end; return whether the tunnel stands. Raises ProxyRefused."""
        self._length += len(data)
        is_http = self._parse(data)
        if self._status is None:
            if not data:
                raise self._unfit("closed the connection without an answer")
            if not is_http:
                raise self._unfit("did not answer in HTTP")
            if self._length > LONGEST_HEAD:
                raise self._unfit("sent an endless answer")
            return False
        if self._status >= REDIRECTS:
            raise proxy_refused(self._endpoint, self._proxy, self._status)
        # A server waits for our first bytes of TLS: what follows the head can only be the proxy's own.
        if not is_http or self._has_body:
            raise self._unfit("sent bytes of its own into the tunnel")
        return True

    def _parse(self, data: bytes) -> bool:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        return True

    # The parser calls these two by their names.
    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= FINAL_STATUS:
            self._status = status

    def on_body(self, _: bytes) -> None:
        self._has_body = True

    def _unfit(self, text: str) -> ProxyRefused:
        return _refused(
            self._endpoint, self._proxy, f"{text} when asked for {_authority(self._endpoint)}", self._status
        )


def proxy_refused(endpoint: Endpoint, proxy: Proxy, status: int) -> ProxyRefused:
    """Return the error for a status that a proxy answered with when it was asked for this server.

    A proxy of an http server answers the requests themselves: there only 407 is certain to be its own.
    """
    if status != CREDENTIALS_WANTED:
        reason = REASONS.get(status, "it refused")
        text = f"answered {status} when asked for {_authority(endpoint)}: {reason}"
    elif proxy.credentials is None:
        text = f"wants credentials (407): write them into {proxy.variable}, as {_with_credentials(proxy)}"
    else:
        text = f"did not accept the credentials in {proxy.variable} (407): correct them there"
    return _refused(endpoint, proxy, text, status)


def _refused(endpoint: Endpoint, proxy: Proxy, text: str, status: int | None) -> ProxyRefused:
    return ProxyRefused(
        f"the proxy {proxy} {text}. If the server can be reached without it, add {endpoint.host} to NO_PROXY",
        proxy=str(proxy),
        status=status,
    )


def _authority(endpoint: Endpoint) -> str:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{host}:{endpoint.port}"


def _with_credentials(proxy: Proxy) -> str:
    return str(proxy).replace("://", "://user:password@")
