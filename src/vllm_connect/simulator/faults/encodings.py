"""Faults of Content-Encoding: compressed bodies that are damaged, unasked for, or bombs."""

import gzip
import zlib
from collections.abc import Iterator
from typing import Final

from vllm_connect.simulator.exchange import Headers
from vllm_connect.simulator.faults.edits import pieces, whole, without
from vllm_connect.simulator.faults.fault import Fault
from vllm_connect.simulator.script import LAST_CHUNK, Action, Admit, Exchange, Pause, Send, chunk

_GZIP_FORMAT: Final = 31  # zlib's window of 2**15, in gzip's framing
_CODINGS: Final = 6


def _sent(exchange: Exchange, body: bytes, codings: int = 1) -> Iterator[Action]:
    answer = whole(exchange)
    yield Admit()
    yield Pause(answer.delay)
    encoded: Headers = (
        (b"content-length", b"%d" % len(body)),
        (b"content-encoding", b", ".join([b"gzip"] * codings)),
    )
    yield Send(exchange.head(answer.status, (*without(answer.headers, b"content-length"), *encoded)) + body)


def _compressed(exchange: Exchange, times: int = 1) -> bytes:
    body = whole(exchange).body
    for _ in range(times):
        body = gzip.compress(body, mtime=0)
    return body


def _unasked(exchange: Exchange) -> Iterator[Action]:
    return _sent(exchange, _compressed(exchange))


def _corrupt(exchange: Exchange) -> Iterator[Action]:
    body = bytearray(_compressed(exchange))
    middle = slice(len(body) // 2, len(body) // 2 + 8)
    body[middle] = bytes(byte ^ 0xFF for byte in body[middle])
    return _sent(exchange, bytes(body))


def _cut(exchange: Exchange) -> Iterator[Action]:
    body = _compressed(exchange)
    return _sent(exchange, body[: len(body) // 2])


def _six_codings(exchange: Exchange) -> Iterator[Action]:
    return _sent(exchange, _compressed(exchange, _CODINGS), _CODINGS)


def _bomb(exchange: Exchange, *, size: int = 300_000_000) -> Iterator[Action]:
    """The honest JSON, then blanks: valid to the last byte, for whoever has room for it."""
    answer = whole(exchange)
    encoded: Headers = ((b"content-encoding", b"gzip"), (b"transfer-encoding", b"chunked"))
    yield Admit()
    yield Pause(answer.delay)
    yield Send(exchange.head(answer.status, (*without(answer.headers, b"content-length"), *encoded)))
    packer = zlib.compressobj(level=1, wbits=_GZIP_FORMAT)
    yield from _packed(packer.compress(answer.body))
    for piece in pieces(b" ", size):
        yield from _packed(packer.compress(piece))
    yield from _packed(packer.flush())
    yield Send(LAST_CHUNK)


def _packed(data: bytes) -> Iterator[Action]:
    if data:
        yield Send(chunk(data))


ROWS: Final = (
    Fault(
        "gzip", (48,), "whole", "a gzip body that was not asked for", "decodes it, or a typed error", _unasked
    ),
    Fault("gzip-corrupt", (48,), "whole", "a gzip body with damaged bytes", "a typed error", _corrupt),
    Fault("gzip-cut", (48,), "whole", "half a gzip body, with its right length", "a typed error", _cut),
    Fault("six-codings", (48,), "whole", "gzip six times over", "bounded: a typed error", _six_codings),
    Fault(
        "gzip-bomb",
        (48,),
        "whole",
        "valid JSON and `size` blanks, in a thousandth of the bytes",
        "bounded: a typed error",
        _bomb,
    ),
)
