"""Faults of HTTP itself: lengths that lie, heads without measure, bytes that are no HTTP at all."""

from collections.abc import Iterator
from typing import Final

from vllm_connect.simulator.exchange import Headers, Response, status_line
from vllm_connect.simulator.faults.edits import PIECE, pieces, whole, without
from vllm_connect.simulator.faults.fault import Fault, inapplicable
from vllm_connect.simulator.script import (
    LAST_CHUNK,
    Action,
    Admit,
    Close,
    Exchange,
    Pause,
    Send,
    chunk,
    honest,
)

_CHUNKED: Final[Headers] = ((b"transfer-encoding", b"chunked"),)


def _begun(exchange: Exchange) -> Iterator[Action]:
    yield Admit()
    yield Pause(whole(exchange).delay)


def _with_lengths(exchange: Exchange, *lengths: bytes) -> bytes:
    answer = whole(exchange)
    named: Headers = tuple((b"content-length", length) for length in lengths)
    return exchange.head(answer.status, (*named, *without(answer.headers, b"content-length"))) + answer.body


def _length_too_long(exchange: Exchange, *, by: int = 10) -> Iterator[Action]:
    yield from _begun(exchange)
    yield Send(_with_lengths(exchange, b"%d" % (len(whole(exchange).body) + by)))
    yield Close()


def _length_too_short(exchange: Exchange, *, by: int = 10) -> Iterator[Action]:
    length = len(whole(exchange).body) - by
    if length < 0 or not by:
        raise inapplicable(exchange, f"a body of {length + by} bytes")
    yield from _begun(exchange)
    yield Send(_with_lengths(exchange, b"%d" % length))


def _two_lengths(exchange: Exchange) -> Iterator[Action]:
    yield from _begun(exchange)
    length = len(whole(exchange).body)
    yield Send(_with_lengths(exchange, b"%d" % length, b"%d" % (length + 1)))
    yield Close()


def _no_number(exchange: Exchange) -> Iterator[Action]:
    yield from _begun(exchange)
    yield Send(_with_lengths(exchange, b"many"))
    yield Close()


def _length_and_chunks(exchange: Exchange) -> Iterator[Action]:
    yield from _begun(exchange)
    answer = whole(exchange)
    yield Send(exchange.head(answer.status, answer.headers, last=_CHUNKED))
    yield Send(chunk(answer.body) + LAST_CHUNK)


def _chunked_head(exchange: Exchange) -> bytes:
    answer = whole(exchange)
    return exchange.head(answer.status, without(answer.headers, b"content-length"), last=_CHUNKED)


def _chunks_cut(exchange: Exchange) -> Iterator[Action]:
    yield from _begun(exchange)
    yield Send(_chunked_head(exchange))
    written = chunk(whole(exchange).body)
    yield Send(written[: len(written) // 2])
    yield Close()


def _chunk_without_size(exchange: Exchange) -> Iterator[Action]:
    yield from _begun(exchange)
    yield Send(_chunked_head(exchange) + b"size\r\n" + whole(exchange).body + b"\r\n" + LAST_CHUNK)
    yield Close()


def _http10(exchange: Exchange, body: bytes) -> Iterator[Action]:
    answer: Response = whole(exchange)
    yield from _begun(exchange)
    head = exchange.head(answer.status, without(answer.headers, b"content-length"))
    yield Send(head.replace(b"HTTP/1.1", b"HTTP/1.0", 1) + body)
    yield Close()


def _http10_whole(exchange: Exchange) -> Iterator[Action]:
    return _http10(exchange, whole(exchange).body)


def _http10_cut(exchange: Exchange) -> Iterator[Action]:
    body = whole(exchange).body
    return _http10(exchange, body[: len(body) // 2])


def _interim(exchange: Exchange, *, status: int = 103, count: int = 1) -> Iterator[Action]:
    hint = b"link: </style.css>; rel=preload\r\n" if status == 103 else b""  # noqa: PLR2004
    for _ in range(count):
        yield Send(status_line(status) + hint + b"\r\n")
    yield from honest(exchange)


def _with_more_in_head(exchange: Exchange, more: Iterator[bytes]) -> Iterator[Action]:
    """The honest answer with bytes put in before the blank line that ends its head."""
    begun = False
    for action in honest(exchange):
        if begun or not isinstance(action, Send):
            yield action
            continue
        begun = True
        head, _, body = action.data.partition(b"\r\n\r\n")
        yield Send(head + b"\r\n", action.after)
        for piece in more:
            yield Send(piece)
        yield Send(b"\r\n" + body)


def _long_header(exchange: Exchange, *, size: int = 200_000) -> Iterator[Action]:
    def written() -> Iterator[bytes]:
        yield b"x-long: "
        yield from pieces(b"a", size)
        yield b"\r\n"

    return _with_more_in_head(exchange, written())


def _many_headers(exchange: Exchange, *, count: int = 10_000) -> Iterator[Action]:
    def written() -> Iterator[bytes]:
        at_once = PIECE // 32
        for start in range(0, count, at_once):
            numbers = range(start, min(count, start + at_once))
            yield b"".join(b"x-many-%d: %d\r\n" % (number, number) for number in numbers)

    return _with_more_in_head(exchange, written())


def _garbage(exchange: Exchange) -> Iterator[Action]:  # noqa: ARG001 - a script takes it
    yield Send(b"220 mail.example ESMTP\r\n")
    yield Close()


def _tls_alert(exchange: Exchange) -> Iterator[Action]:  # noqa: ARG001
    # Alert, TLS 1.2, two bytes: fatal, unexpected message.
    yield Send(b"\x15\x03\x03\x00\x02\x02\x0a")
    yield Close()


ROWS: Final = (
    Fault(
        "not-http",
        (13,),
        "any",
        "the answer is another protocol's",
        "a protocol error with a hint, not retried",
        _garbage,
        refuses=True,
    ),
    Fault(
        "tls-alert",
        (13,),
        "any",
        "the answer is a TLS alert, as of a TLS port that is asked in plain http",
        "a protocol error with the hint to try https, not retried",
        _tls_alert,
        refuses=True,
    ),
    Fault(
        "long-header",
        (14,),
        "any",
        "the answer has one header of `size` bytes",
        "bounded: refuses it, and does not retry",
        _long_header,
    ),
    Fault(
        "many-headers",
        (14,),
        "any",
        "the answer has `count` headers more",
        "bounded: refuses it, and does not retry",
        _many_headers,
    ),
    Fault(
        "length-too-long",
        (15,),
        "whole",
        "Content-Length promises `by` bytes more than come before the end",
        "invalid; the connection is dropped",
        _length_too_long,
    ),
    Fault(
        "length-too-short",
        (15,),
        "whole",
        "Content-Length promises `by` bytes fewer than come",
        "invalid; the connection is dropped",
        _length_too_short,
    ),
    Fault(
        "two-lengths",
        (15,),
        "whole",
        "two Content-Length headers that differ",
        "invalid; the connection is dropped",
        _two_lengths,
    ),
    Fault(
        "length-not-a-number",
        (15,),
        "whole",
        "a Content-Length that is no number",
        "invalid; the connection is dropped",
        _no_number,
    ),
    Fault(
        "length-and-chunks",
        (15,),
        "whole",
        "both Content-Length and Transfer-Encoding: chunked",
        "invalid; the connection is dropped",
        _length_and_chunks,
    ),
    Fault(
        "chunks-cut",
        (16,),
        "whole",
        "a chunked body ends half-way",
        "invalid; one budgeted retry at most",
        _chunks_cut,
    ),
    Fault(
        "chunk-without-size",
        (15, 16),
        "whole",
        "a chunk whose size is no number",
        "invalid; the connection is dropped",
        _chunk_without_size,
    ),
    Fault(
        "http10",
        (17,),
        "whole",
        "HTTP/1.0 without a length: the body ends with the connection",
        "accepts the whole JSON",
        _http10_whole,
    ),
    Fault(
        "http10-cut",
        (18,),
        "whole",
        "the same, and the JSON ends half-way",
        "a typed error that may be retried",
        _http10_cut,
    ),
    Fault(
        "interim",
        (19,),
        "any",
        "`count` interim responses with `status`, 100 or 103, come first",
        "passes over them",
        _interim,
    ),
)
