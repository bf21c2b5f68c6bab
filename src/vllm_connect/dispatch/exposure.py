"""What callers see of an exchange on our wire: httpx objects, built when somebody looks at them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vllm_connect.dispatch.call import CALL, Call
from vllm_connect.endpoint import Key
from vllm_connect.wire.answer import Answer
from vllm_connect.wire.asynchronous import AsyncExchange
from vllm_connect.wire.blocking import BlockingExchange
from vllm_connect.wire.request import Head

if TYPE_CHECKING:
    import httpx2

__all__ = ["body_stream", "error_response", "masked_request", "response_of"]

# What says how a body travelled, which is over when somebody looks at it.
FRAMING = frozenset({b"content-encoding", b"transfer-encoding", b"content-length"})


def masked_request(http: ModuleType, url: str, head: Head, body: bytes, call: Call) -> httpx2.Request:
    """Return the request as callers may see it: a mask in the place of the key."""
    request: httpx2.Request = http.Request(
        head.method, url, headers=list(head.headers), content=body, extensions={CALL: call}
    )
    return request


def response_of(
    http: ModuleType, answer: Answer, request: httpx2.Request, *, stream: Any = None
) -> httpx2.Response:
    """Return an answer as a response; its body is there, or comes with the stream."""
    headers = answer.headers
    if b"content-encoding" in answer.fields:  # the wire has unfolded it
        headers = [(name, value) for name, value in headers if name.lower() not in FRAMING]
    body = {"stream": stream} if stream is not None else {"content": answer.body}
    response: httpx2.Response = http.Response(
        answer.status, headers=headers, request=request, extensions={"http_version": b"HTTP/1.1"}, **body
    )
    return response


def error_response(
    http: ModuleType, answer: Answer, request: httpx2.Request, key: Key | None
) -> httpx2.Response:
    """Return an error answer as a response, without the key wherever the server echoes it."""
    if key is not None:
        hide = key.scrub
        answer = Answer(
            answer.status,
            [(name, hide(value.decode("latin-1")).encode("latin-1")) for name, value in answer.headers],
            answer.fields,
            hide(answer.body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"),
        )
    return response_of(http, answer, request)


def body_stream(http: ModuleType, exchange: Any) -> Any:
    """Return the body of a stream under way, as a stream of the same httpx package."""
    base = http.AsyncByteStream if isinstance(exchange, AsyncExchange) else http.SyncByteStream
    return _stream_class(base)(exchange)


_classes: dict[type, type] = {}


def _stream_class(base: type) -> type:
    if base not in _classes:
        _classes[base] = type("WireStream", (_WireStream, base), {})
    return _classes[base]


class _WireStream:
    """The pieces of a body while they come. Read as events they are payloads, which are put back in form."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._shown: Callable[[bytes], bytes] = _as_event if exchange.wanted == "events" else bytes

    def __iter__(self) -> Iterator[bytes]:
        exchange: BlockingExchange = self._exchange
        while exchange.unread or exchange.more():
            yield self._shown(exchange.unread.popleft())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        exchange: AsyncExchange = self._exchange
        while exchange.unread or await exchange.more():
            yield self._shown(exchange.unread.popleft())

    def close(self) -> None:
        self._exchange.close()

    async def aclose(self) -> None:
        self._exchange.close()

    def __del__(self) -> None:
        # A response that was dropped unread: what the server still does for it ends.
        self._exchange.drop()


def _as_event(payload: bytes) -> bytes:
    return b"".join(b"data: " + line + b"\n" for line in payload.split(b"\n")) + b"\n"
