"""How an error travels: pickled to another process, or copied.

openai's exceptions take keyword-only arguments, so that `pickle` cannot call them again; and the httpx objects that
they hold would take prompts and headers along. What travels is a summary: of the request its method, its URL without
a query, its headers without what may be secret, and of its body the model alone; of the response its status, its
headers and the beginning of its body. The other end makes httpx objects of the same package of it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["packed", "unpacked"]

# As much as is read of an error's body by default.
MOST_BODY = 64 * 1024
# Names of headers whose values are a secret, in whatever way a gateway spells them.
SECRET = re.compile(rb"auth|key|token|secret|cookie|password", re.IGNORECASE)
MASK = b"***"
# What is said of how a body travelled, which is over.
FRAMING = frozenset({b"content-length", b"content-encoding", b"transfer-encoding"})


@dataclass(frozen=True, slots=True)
class _Request:
    """What travels of a request; `kind` is its class, of httpx or httpx2."""

    kind: Any
    method: str
    url: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def unpacked(self) -> Any:
        return self.kind(self.method, self.url, headers=list(self.headers), content=self.body)


@dataclass(frozen=True, slots=True)
class _Response:
    """What travels of a response."""

    kind: Any
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def unpacked(self, request: Any) -> Any:
        return self.kind(self.status, headers=list(self.headers), content=self.body, request=request)


def packed(error: BaseException) -> tuple[Any, ...]:
    """Return what `pickle` and `copy` make an error again of."""
    state = dict(error.__dict__)
    request, response = state.pop("request", None), state.pop("response", None)
    return unpacked, (
        type(error),
        error.args,
        state,
        None if request is None else _pack_request(request),
        None if response is None else _pack_response(response),
    )


def unpacked(
    kind: type[BaseException],
    args: tuple[Any, ...],
    state: dict[str, Any],
    request: _Request | None,
    response: _Response | None,
) -> BaseException:
    """Return the error that was packed."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    if request is not None:
        error.__dict__["request"] = request.unpacked()
    if response is not None:
        error.__dict__["response"] = response.unpacked(error.__dict__.get("request"))
    return error


def _pack_request(request: Any) -> _Request:
    headers = (
        (name, MASK if SECRET.search(name) and MASK not in value else value)
        for name, value in request.headers.raw
        if name.lower() not in FRAMING
    )
    url = str(request.url.copy_with(query=None))
    return _Request(type(request), request.method, url, tuple(headers), _model_alone(_content(request)))


def _pack_response(response: Any) -> _Response:
    headers = (
        (name, _shown(name.lower(), value))
        for name, value in response.headers.raw
        if name.lower() not in FRAMING
    )
    return _Response(type(response), response.status_code, tuple(headers), _content(response)[:MOST_BODY])


def _shown(name: bytes, value: bytes) -> bytes:
    """Return the value of a response's header: no cookie, and no query of a redirect, which may be the request's."""
    if name == b"set-cookie":
        return MASK
    return value.partition(b"?")[0] if name == b"location" else value


def _content(message: Any) -> bytes:
    """Return a body that is there; one that was sent or is to be read as a stream is not."""
    try:
        content: bytes = message.content
    except RuntimeError:
        return b""
    return content


def _model_alone(body: bytes) -> bytes:
    """Return a request's body with nothing but its model: a prompt is not for whoever reads an error."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return b""
    return (
        json.dumps({"model": asked["model"]}).encode()
        if isinstance(asked, dict) and "model" in asked
        else b""
    )
