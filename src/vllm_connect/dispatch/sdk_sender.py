"""The SDK's transport as a sender: an httpx client whose `send` is one attempt of a call of ours.

The SDK builds a request with `build_request` and hands it to `send`; both belong to the client it is given.
Ours builds the same request and sends it to the replica of the attempt, under the call's deadline, with the key put
on at the last moment, redirects refused, and failures typed. An answer shows the request it belongs to, with the key masked.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import anyio
import openai

from vllm_connect.dispatch.call import Call, Limit, call_of
from vllm_connect.dispatch.conduct import Conduct
from vllm_connect.dispatch.credentials import Credentials, put_key, wants_key
from vllm_connect.dispatch.failure import failure, is_transport_failure
from vllm_connect.dispatch.guard import Watch, guarded
from vllm_connect.dispatch.peer import PeerCheck
from vllm_connect.dispatch.wire_transport import async_transport, sync_transport, to_address
from vllm_connect.dispatch.wires import Wires
from vllm_connect.endpoint import Endpoint, Key, may_travel_in_clear
from vllm_connect.errors import KeyRefused, RedirectRefused, SettingsError, SettingsWarning
from vllm_connect.outcome import Attempt, judged
from vllm_connect.settings import Settings
from vllm_connect.wire.asynchronous import AsyncWire
from vllm_connect.wire.blocking import BlockingWire
from vllm_connect.wire.keeping import KEEP_ALIVE
from vllm_connect.wire.proxy import Proxy
from vllm_connect.wire.route import Route

if TYPE_CHECKING:
    import httpx2

__all__ = ["REDIRECTS", "async_sender", "redirect_refused", "sync_sender"]

# As many as the SDK's own pool keeps.
MAX_KEEP_ALIVE = 100
# A few bytes of a compressed answer unfold to gigabytes, and what a model writes is small.
NO_COMPRESSION = "identity"
REDIRECTS = range(300, 400)
# Under this name a request that was moved to another replica carries the one that was made, which may move again.
AS_MADE = "vllm_connect_as_made"
RETRY_COUNT_HEADER = "x-stainless-retry-count"


@dataclass
class _Try:
    """One attempt of a call: the request with its key, and the limit of its first byte."""

    request: httpx2.Request
    key: Key | None
    watch: Watch
    limit: Limit
    connect: Limit
    peer: PeerCheck


class _Dispatching:
    """What a sender does around one call, without I/O; `http` is the httpx package it belongs to."""

    http: ModuleType
    conduct: Conduct = Conduct()
    wires: Wires[Any] | None = None

    def _begin_try(self, request: httpx2.Request, call: Call, key: Key | None) -> _Try:
        now = self.conduct.clock()
        limit = call.limit(now, "first_token", now)
        request = self._at_replica(request.extensions.get(AS_MADE, request), call)
        call.is_replayable = self._replayable(request)
        headers = self.http.Headers(request.headers)
        if wants_key(headers):
            self._refuse_foreign_origin(request, call)
            self._refuse_public_literal(request, call, key)
            put_key(headers, key)
        else:
            key = None
        if RETRY_COUNT_HEADER in headers:
            headers[RETRY_COUNT_HEADER] = str(call.tries - 1)
        peer = PeerCheck(request, call.credentials)
        extensions = {**request.extensions, "timeout": _httpx_timeout(call, now, limit), "trace": peer.trace}
        sent = self.http.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=extensions
        )
        if self.wires is None:
            sent = to_address(sent, call.member.endpoint, self.http)
        watch = Watch(call, request, str(call.credentials.endpoint), now, self.conduct.clock)
        return _Try(sent, key, watch, limit, call.limit(now, "connect", now), peer)

    def _at_replica(self, request: httpx2.Request, call: Call) -> httpx2.Request:
        """Return the request as it is for the replica of this attempt; what goes elsewhere stays as it is."""
        home, member = call.home.endpoint, call.member.endpoint
        if member == home or not self._is_at(home, request):
            return request
        url = self.http.URL(member.base_url)
        url = url.copy_with(raw_path=home.path_at(member, request.url.raw_path.decode("ascii")).encode())
        headers = self.http.Headers(request.headers)
        headers["Host"] = url.netloc.decode("ascii")
        extensions = {**request.extensions, AS_MADE: request}
        moved: httpx2.Request = self.http.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=extensions
        )
        if self._replayable(moved):
            moved.read()  # so that an error shows its body, as one of the client's own address does
        return moved

    def _is_at(self, endpoint: Endpoint, request: httpx2.Request) -> bool:
        home, here = self.http.URL(endpoint.base_url), request.url
        return (here.scheme, here.host, here.port) == (home.scheme, home.host, home.port)

    def _refuse_foreign_origin(self, request: httpx2.Request, call: Call) -> None:
        endpoint = call.credentials.endpoint
        if self._is_at(endpoint, request):
            return
        here = request.url
        raise KeyRefused(
            f"The API key belongs to {endpoint.origin} and is not sent to {here.scheme}://{here.netloc.decode()}.",
            request=request,
            server=endpoint.origin,
        )

    def _refuse_public_literal(self, request: httpx2.Request, call: Call, key: Key | None) -> None:
        """Judge an address that is written as a number before anything happens: a proxy would hide it later."""
        guarded_key = key is not None and call.credentials.must_not_travel_in_clear
        address = call.credentials.endpoint.address or request.url.host
        if guarded_key and request.url.scheme == "http" and not may_travel_in_clear(address):
            raise PeerCheck(request, call.credentials).refused(address)

    def _failed(self, error: Exception, one: _Try, before: BaseException | None) -> Exception:
        return failure(
            error,
            request=one.watch.request,
            call=one.watch.call,
            limit=one.limit,
            connect=one.connect,
            before=before,
        )

    def _watched(self, response: httpx2.Response, one: _Try, *, is_async: bool) -> httpx2.Response:
        """Put the body under its timers and the masked request in the place of the one that was sent."""
        one.request.extensions["timeout"]["read"] = _read_timeout(one.watch)
        response.stream = guarded(response.stream, one.watch, self.http, is_async=is_async)
        response.request = one.watch.request
        # Built by httpx from the request that was sent, key included.
        response.next_request = None
        response.extensions["vllm_connect_tries"] = one.watch.call.tries
        return response

    def _replayable(self, request: httpx2.Request) -> bool:
        return isinstance(request.stream, self.http.ByteStream)

    @staticmethod
    def _judged(response: httpx2.Response, call: Call) -> httpx2.Response:
        """Return the answer; raises RedirectRefused where it is a redirect."""
        if response.status_code in REDIRECTS:
            raise redirect_refused(response, str(call.credentials.endpoint))
        return response

    def _masked(self, response: httpx2.Response, key: Key | None) -> httpx2.Response:
        """Return an error answer without the key, wherever the server echoes it."""
        if key is None:
            return response
        headers = [(name, key.scrub(value)) for name, value in response.headers.multi_items()]
        text = key.scrub(response.text)
        if text == response.text and headers == response.headers.multi_items():
            return response
        masked: httpx2.Response = self.http.Response(
            response.status_code,
            headers=[(name, value) for name, value in headers if name.lower() != "content-encoding"],
            content=text.encode(),
            request=response.request,
        )
        with contextlib.suppress(RuntimeError):  # not measured where the answer was never closed
            masked.elapsed = response.elapsed
        masked.extensions.update(response.extensions)
        return masked


def _read(response: httpx2.Response) -> None:
    """Read a whole body; on a failure close the connection at once, as vLLM goes on until it is closed."""
    try:
        response.read()
    except BaseException:
        response.close()
        raise


async def _aread(response: httpx2.Response) -> None:
    """Read a whole body; on a failure close the connection at once, as vLLM goes on until it is closed."""
    try:
        await response.aread()
    except BaseException:
        with anyio.CancelScope(shield=True):
            await response.aclose()
        raise


def _httpx_timeout(call: Call, now: float, limit: Limit) -> dict[str, float | None]:
    connect = call.limit(now, "connect", now).timeout
    return {"connect": connect, "read": limit.timeout, "write": limit.timeout, "pool": limit.timeout}


def _read_timeout(watch: Watch) -> float | None:
    """Return the read timeout of a body: httpcore takes one for all reads, so the longer token timer counts."""
    limits = (
        watch.call.limit(watch.clock(), timer, watch.clock()) for timer in ("first_token", "between_tokens")
    )
    timeouts = [limit.timeout for limit in limits]
    return None if None in timeouts else max(timeout for timeout in timeouts if timeout is not None)


def redirect_refused(response: httpx2.Response, server: str) -> RedirectRefused:
    """Return the error for an answer that is a redirect."""
    location = response.headers.get("location", "")
    target = location.partition("?")[0].partition("#")[0].rpartition("@")[2] if location else "nowhere"
    explanation = (
        f"{server} answered with a redirect ({response.status_code}) to {target}, which is not followed: key and "
        "prompt go only to the server you named."
    )
    refused = RedirectRefused(explanation, response=response, server=server, target=target)
    return judged(refused, Attempt(phase="complete", status=response.status_code))


class _SyncSender(_Dispatching):
    """One attempt after another over a blocking httpx client."""

    def _transmit(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        raise NotImplementedError

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send one request as one attempt: key, replica, deadline; httpx's `send` for everybody else."""
        call = call_of(request.extensions)
        if call is None:
            return self._transmit(request, stream=stream, **options)
        options.pop("follow_redirects", None)
        key = call.credentials.key() if wants_key(request.headers) else None
        one = self._begin_try(request, call, key)
        response = self._attempt(one, options)
        is_error = response.status_code >= REDIRECTS.start
        call.is_open = stream and not is_error
        if not call.is_open:
            _read(response)
        return self._judged(self._masked(response, key), call) if is_error else response

    def _attempt(self, one: _Try, options: dict[str, Any]) -> httpx2.Response:
        before = sys.exc_info()[1]
        try:
            response = self._transmit(one.request, stream=True, follow_redirects=False, **options)
        except Exception as error:
            if not is_transport_failure(error):
                raise
            raise self._failed(error, one, before) from error
        return self._watched(response, one, is_async=False)


class _AsyncSender(_Dispatching):
    """Many attempts at once over an async httpx client, on asyncio or trio."""

    async def _transmit(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        raise NotImplementedError

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send one request as one attempt: key, replica, deadline; httpx's `send` for everybody else."""
        call = call_of(request.extensions)
        if call is None:
            return await self._transmit(request, stream=stream, **options)
        options.pop("follow_redirects", None)
        key = await call.credentials.akey() if wants_key(request.headers) else None
        one = self._begin_try(request, call, key)
        response = await self._attempt(one, options)
        is_error = response.status_code >= REDIRECTS.start
        call.is_open = stream and not is_error
        if not call.is_open:
            await _aread(response)
        return self._judged(self._masked(response, key), call) if is_error else response

    async def _attempt(self, one: _Try, options: dict[str, Any]) -> httpx2.Response:
        before = sys.exc_info()[1]
        one.request.extensions["trace"] = one.peer.atrace
        try:
            with anyio.move_on_after(one.limit.timeout) as scope:
                response = await self._transmit(one.request, stream=True, follow_redirects=False, **options)
                return self._watched(response, one, is_async=True)
        except Exception as error:
            if not is_transport_failure(error):
                raise
            raise self._failed(error, one, before) from error
        assert scope.cancelled_caught
        raise one.watch.expired(one.limit)


class _OwnSync(_SyncSender, openai.DefaultHttpxClient):
    """A blocking client over the SDK's own transport, made by us."""

    is_borrowed = False

    def _transmit(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        return openai.DefaultHttpxClient.send(self, request, **options)

    def __del__(self) -> None:
        # As the SDK's own: a client that is dropped leaves no open socket behind.
        if not self.is_closed:
            with contextlib.suppress(Exception):
                self.close()


class _OwnAsync(_AsyncSender, openai.DefaultAsyncHttpxClient):
    """An async client over the SDK's own transport, made by us."""

    is_borrowed = False

    async def _transmit(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        return await openai.DefaultAsyncHttpxClient.send(self, request, **options)

    def __del__(self) -> None:
        # As the SDK's own: closing needs a running loop, which may be gone by now.
        if not self.is_closed:
            with contextlib.suppress(Exception):
                asyncio.get_running_loop().create_task(self.aclose())  # nobody is left to hold it


class _Borrowed:
    """A view on a client that the caller brought: its requests, transport and settings; only `send` is ours.

    The base class is not initialised: what it would hold is looked up in the caller's client.
    """

    is_borrowed = True

    def __init__(self, client: Any, http: ModuleType) -> None:
        self._borrowed = client
        self.http = http

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_borrowed"], name)

    def build_request(self, *arguments: Any, **options: Any) -> Any:
        return self._borrowed.build_request(*arguments, **options)


class _BorrowedSync(_Borrowed, _SyncSender):
    def _transmit(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        response: httpx2.Response = self._borrowed.send(request, **options)
        return response

    def close(self) -> None:
        self._borrowed.close()


class _BorrowedAsync(_Borrowed, _AsyncSender):
    async def _transmit(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        response: httpx2.Response = await self._borrowed.send(request, **options)
        return response

    async def aclose(self) -> None:
        await self._borrowed.aclose()


def sync_sender(settings: Settings, credentials: Credentials, borrowed: Any = None) -> Any:
    """Return the httpx client for a blocking SDK client; `borrowed` is one that the caller brought."""
    if isinstance(borrowed, _SyncSender):
        return borrowed
    if borrowed is not None:
        _refuse_several(settings)
        return _view(_BorrowedSync, borrowed, "Client")
    http = _package(openai.DefaultHttpxClient, "Client")
    wires = _wires(BlockingWire, settings, credentials)
    sender = _OwnSync(**_options(settings, http, wires, "HTTPTransport", sync_transport))
    sender.http, sender.wires = http, wires
    sender.headers["Accept-Encoding"] = NO_COMPRESSION  # in its place: the order of headers stays
    return sender


def async_sender(settings: Settings, credentials: Credentials, borrowed: Any = None) -> Any:
    """Return the httpx client for an async SDK client; `borrowed` is one that the caller brought."""
    if isinstance(borrowed, _AsyncSender):
        return borrowed
    if borrowed is not None:
        _refuse_several(settings)
        return _view(_BorrowedAsync, borrowed, "AsyncClient")
    http = _package(openai.DefaultAsyncHttpxClient, "AsyncClient")
    wires = _wires(AsyncWire, settings, credentials)
    sender = _OwnAsync(**_options(settings, http, wires, "AsyncHTTPTransport", async_transport))
    sender.http, sender.wires = http, wires
    sender.headers["Accept-Encoding"] = NO_COMPRESSION  # in its place: the order of headers stays
    return sender


def _refuse_several(settings: Settings) -> None:
    if settings.has_replicas:
        raise SettingsError(
            f"base_url names {_number(settings)} replicas, and an http_client of yours may route or pool in ways "
            "of its own. Leave out http_client, or name one server."
        )


def _number(settings: Settings) -> str:
    is_open = any(endpoint.every_address for endpoint in settings.endpoints)
    return "any number of" if is_open else str(len(settings.endpoints))


def _wires(kind: Any, settings: Settings, credentials: Credentials) -> Wires[Any] | None:
    if settings.wire == "sdk":
        if settings.further and any(endpoint.socket for endpoint in settings.endpoints):
            raise SettingsError(
                'wire="sdk" goes to one unix socket only, and base_url names several servers.'
            )
        return None
    wires = Wires(kind, settings.tls, settings.limits, guards_key=credentials.must_not_travel_in_clear)
    tls = wires.route(settings.endpoint).tls if settings.tls is not None else None
    if tls is not None:
        tls.context()  # refuses a file that is none now, and not at the first call
    return wires


def _view(kind: type[_Borrowed], client: Any, base: str) -> Any:
    http = _package(type(client), base)
    return type(kind.__name__, (kind, getattr(http, base)), {})(client, http)


def _package(kind: type, base: str) -> ModuleType:
    """Return the package, httpx or httpx2, whose client class this class inherits."""
    for one in kind.__mro__:
        package = one.__module__.partition(".")[0]
        if one.__name__ == base and package in ("httpx", "httpx2"):
            return sys.modules[package]
    raise TypeError(
        f"Invalid `http_client` argument; expected an httpx or httpx2 {base}, not {kind.__module__}.{kind.__name__}."
    )


def _options(
    settings: Settings, http: ModuleType, wires: Wires[Any] | None, kind: str, transport: Callable[..., Any]
) -> dict[str, Any]:
    """Return what an httpx client is made with: on our wire, or on a transport of the SDK's own."""
    always = {"follow_redirects": False}
    if wires is not None:

        def fallback(route: Route) -> Any:
            # A trust store takes its time to read, and to a server without TLS it is not needed.
            verify = route.tls is not None
            _tell_of_socks(route.proxy, http)
            server = route.endpoint
            return getattr(http, kind)(**_sdk_transport(settings, server, http, route.proxy, verify=verify))

        return {
            **always,
            "transport": transport(wires, settings.endpoint, http, fallback),
            "trust_env": False,
        }
    own = _sdk_transport(settings, settings.endpoint, http, None)
    if settings.endpoint.socket is not None:
        return {**always, "transport": getattr(http, kind)(**own)}
    # A proxy from the environment is for the way out: to this machine it is a detour that shows it the key, and among the
    # addresses of a name it would choose itself.
    trusts_environment = not any(
        one.is_loopback or one.every_address or one.address for one in settings.endpoints
    )
    if not trusts_environment and own["verify"] is True and settings.endpoint.scheme == "https":
        # Whom to trust is said there too, by SSL_CERT_FILE, and holds for any server.
        own["verify"] = http.create_ssl_context(trust_env=True)
    return {**always, **own, "trust_env": trusts_environment}


def _tell_of_socks(proxy: Proxy | None, http: ModuleType) -> None:
    """Say once per client what a SOCKS proxy costs; raises SettingsError where it cannot be spoken to."""
    if proxy is None or not proxy.is_socks:
        return
    if importlib.util.find_spec("socksio") is None:
        raise SettingsError(
            f"{proxy.variable} names the SOCKS proxy {proxy}, which needs one more package. "
            f"Run pip install '{http.__name__}[socks]'; servers named in NO_PROXY are reached without it."
        )
    warnings.warn(
        f"Calls go through the SOCKS proxy {proxy} ({proxy.variable}) over the SDK's own transport: there pings reset the "
        "timers of tokens, and limits of sizes are not kept (docs/wire.md).",
        SettingsWarning,
        stacklevel=2,
    )


def _sdk_transport(
    settings: Settings, server: Endpoint, http: ModuleType, proxy: Proxy | None, *, verify: bool = True
) -> dict[str, Any]:
    """Return what a transport of the SDK's own to one server is made with."""
    own: dict[str, Any] = {
        "limits": http.Limits(
            max_connections=settings.limits.connections,
            max_keepalive_connections=MAX_KEEP_ALIVE,
            keepalive_expiry=KEEP_ALIVE,
        ),
    }
    own["verify"] = settings.tls.context() if verify and settings.tls is not None else verify
    if proxy is not None:
        own["proxy"] = http.Proxy(str(proxy), auth=proxy.user_and_password)
    if server.socket is not None:
        own["uds"] = server.socket
    return own
