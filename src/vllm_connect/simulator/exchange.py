"""What goes in and out of the simulator: requests as recorded, answers as values that a connection sends."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class RecordedRequest:
    """One request as it came over the wire; header names keep their order and case."""

    method: str
    target: str
    headers: Headers
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Look a header up, in any case; the first one counts."""
        return self._by_name.get(name.lower())

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return {
            key.decode("latin-1").lower(): value.decode("latin-1") for key, value in reversed(self.headers)
        }

    @cached_property
    def path(self) -> str:
        """The target without its query, percent-decoded."""
        return unquote(self.target.partition("?")[0])

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The target's query."""
        return parse_qs(self.target.partition("?")[2])


@dataclass(frozen=True)
class Reply:
    """A canned reply. A `content-type: text/event-stream` goes out chunked, all else with a length."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0


@dataclass(frozen=True)
class Cut:
    """Send these bytes as they are, HTTP head and all, and close the connection `after` seconds later."""

    body: bytes = b""
    after: float = 0.0


@dataclass(frozen=True)
class Drop:
    """Close the connection without a byte."""

    delay: float = 0.0


@dataclass(frozen=True)
class Work:
    """What an answer costs the engine while it is on its way."""

    sequences: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    lengths: tuple[int, ...] = ()
    """The tokens of each sequence."""
    reasons: tuple[str, ...] = ()
    """Why each sequence ended."""
    max_tokens: int | None = None
    name: str = ""
    """What it is called by who wants to abort it; unnamed work cannot be."""


@dataclass(frozen=True)
class Response:
    """A complete answer, sent after `delay`."""

    status: int = 200
    headers: Headers = ()
    body: bytes = b""
    delay: float = 0.0
    work: Work = Work()


@dataclass(frozen=True)
class Frame:
    """One piece of a streamed body and how long to wait before it."""

    data: bytes
    delay: float = 0.0


@dataclass(frozen=True)
class Stream:
    """An answer in pieces, each sent as one HTTP chunk."""

    frames: Iterable[Frame]
    headers: Headers = ((b"content-type", b"text/event-stream; charset=utf-8"),)
    work: Work = Work()
    status: int = 200


Canned = Reply | Cut | Drop
Routed = Response | Stream
"""What a route answers."""
Answer = Routed | Cut | Drop


def dump(content: object) -> bytes:
    """JSON as starlette's JSONResponse writes it."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def json_response(
    content: object, *, status: int = 200, headers: Headers = (), delay: float = 0.0, work: Work | None = None
) -> Response:
    """A JSON answer, headers in starlette's order."""
    body = dump(content)
    return text_response(body, b"application/json", status=status, headers=headers, delay=delay, work=work)


def text_response(
    body: bytes,
    content_type: bytes,
    *,
    status: int = 200,
    headers: Headers = (),
    delay: float = 0.0,
    work: Work | None = None,
) -> Response:
    """An answer of any content type."""
    described = ((b"content-length", b"%d" % len(body)), (b"content-type", content_type))
    return Response(status, headers + described, body, delay, work or Work())


def empty_response(status: int = 200, *, headers: Headers = ()) -> Response:
    """An answer without a body."""
    return Response(status, ((b"content-length", b"0"), *headers))


def canned(reply: Reply) -> Response | Stream:
    """A canned reply as an answer."""
    headers = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers.items())
    given = dict(headers)
    if given.get(b"content-type", b"").startswith(b"text/event-stream") and b"content-length" not in given:
        return Stream((Frame(reply.body, reply.delay),), headers, status=reply.status)
    if not given.keys() & {b"content-length", b"transfer-encoding"}:
        headers = (*headers, (b"content-length", b"%d" % len(reply.body)))
    if reply.body and b"content-type" not in given:
        headers = (*headers, (b"content-type", b"application/json"))
    return Response(reply.status, headers, reply.body, reply.delay)


def status_line(status: int) -> bytes:
    """The first line of an answer, as uvicorn writes it."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {int(status)} {phrase}\r\n".encode()
