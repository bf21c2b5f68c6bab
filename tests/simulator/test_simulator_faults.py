"""Every fault of the table: what a raw socket sees is what the table says, no more and no less."""

import contextlib
import gzip
import json
import re
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.simulated import CHAT
from tests.simulator.wire import (
    CHUNKED,
    ENDS_WITHIN,
    LAST,
    QUIET_SECONDS,
    Seen,
    chat,
    chunk,
    connected,
    exchange,
    join,
    masked,
    receive,
    request,
    wait_until,
)
from vllm_connect.simulator import Simulator
from vllm_connect.simulator.faults.table import FAULTS

DONE = b"data: [DONE]\n\n"
ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\u202e"
AS_JSON = json.dumps(ESCAPES, ensure_ascii=False)[1:-1].encode()
# Of section 4 of the catalogue: what a server can do on the wire.
WIRE_ROWS = {*range(1, 4), *range(6, 12), *range(13, 20), 21, 22, *range(26, 67), 72, 77}

PLAIN = request(CHAT, chat())
STREAM = request(CHAT, chat(stream=True))
TWO = request(CHAT, chat(n=2))
TWO_STREAMS = request(CHAT, chat(n=2, stream=True))
MODELS = request("/v1/models")


@dataclass(frozen=True)
class Case:
    """A fault asked for by one request, and what is to come, made of the honest answer to the same request."""

    fault: str
    sent: bytes
    expected: Callable[[Seen], bytes]
    end: str = "eof"

    def __str__(self) -> str:
        return self.fault


def headed(
    honest: Seen, *more: bytes, status: bytes = b"HTTP/1.1 200 OK", without: bytes = b"-"
) -> list[bytes]:
    """The honest head with headers added, in uvicorn's place for them, and others left out."""
    kept = [line for line in honest.head[1:] if not line.startswith(without)]
    return [
        status,
        *(line for line in kept if line not in END),
        *more,
        *(line for line in kept if line in END),
    ]


END = (b"connection: close", CHUNKED)


def bodied(body: Callable[[bytes], bytes]) -> Callable[[Seen], bytes]:
    """The honest head with the right length, and another body."""

    def expected(honest: Seen) -> bytes:
        made = body(honest.body)
        head = [
            re.sub(rb"^content-length: \d+", b"content-length: %d" % len(made), line) for line in honest.head
        ]
        return join(head, made)

    return expected


def lengths(*lengths: Callable[[int], object]) -> Callable[[Seen], bytes]:
    """The honest body under other lengths, which then come first."""

    def expected(honest: Seen) -> bytes:
        named = [f"content-length: {length(len(honest.body))}".encode() for length in lengths]
        head = [line for line in honest.head if not line.startswith(b"content-length")]
        return join([*head[:3], *named, *head[3:]], honest.body)

    return expected


def framed(frames: Callable[[list[bytes]], list[bytes]]) -> Callable[[Seen], bytes]:
    """The honest head and other frames, well ended."""
    return lambda honest: join(honest.head, b"".join(map(chunk, frames(honest.frames))) + LAST)


def unended(body: Callable[[list[bytes]], bytes]) -> Callable[[Seen], bytes]:
    """The honest head and a body that is not ended as it should be."""
    return lambda honest: join(honest.head, body(honest.frames))


def undelimited(body: Callable[[list[bytes]], bytes]) -> Callable[[Seen], bytes]:
    """A body that ends with the connection."""
    return lambda honest: join([line for line in honest.head if line != CHUNKED], body(honest.frames))


def replied(
    status: str, content: bytes | object, kind: str = "application/json", *more: str
) -> Callable[[Seen], bytes]:
    """Another answer altogether."""
    body = (
        content
        if isinstance(content, bytes)
        else json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    )
    head = [f"HTTP/1.1 {status}", "date: today", "server: uvicorn", *more]
    head += [f"content-length: {len(body)}", f"content-type: {kind}", "connection: close"]
    return lambda _: join([line.encode() for line in head], body)


def error(message: str, kind: str, code: int, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def page(title: str) -> bytes:
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx/1.27.1</center>\r\n</body>\r\n</html>\r\n"
    ).encode()


def redirect(location: str) -> Callable[[Seen], bytes]:
    head = ["HTTP/1.1 307 Temporary Redirect", "date: today", "server: uvicorn", "content-length: 0"]
    head += [f"location: {location}", "connection: close"]
    return lambda _: join([line.encode() for line in head], b"")


def too_many(*values: str) -> Callable[[Seen], bytes]:
    content = error("Too many requests", "RateLimitError", 429)
    return replied(
        "429 Too Many Requests", content, "application/json", *(f"retry-after: {value}" for value in values)
    )


def changed(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """One place of a body replaced, which must be there."""

    def change(body: bytes) -> bytes:
        assert body.count(old) == 1
        return body.replace(old, new)

    return change


def resaid(text: bytes) -> Callable[[bytes], bytes]:
    """Another text in the first choice, of a reply or of an event."""

    def change(body: bytes) -> bytes:
        assert b'"content":"' in body
        return re.sub(rb'"content":"[^"]+"', lambda _: b'"content":"' + text + b'"', body, count=1)

    return change


def each(change: Callable[[bytes], bytes]) -> Callable[[list[bytes]], list[bytes]]:
    return lambda frames: [change(frame) for frame in frames]


def at(place: int, change: Callable[[bytes], bytes]) -> Callable[[list[bytes]], list[bytes]]:
    return lambda frames: [*frames[:place], change(frames[place]), *frames[place + 1 :]]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def last_choice_unfinished(frames: list[bytes]) -> list[bytes]:
    ended = re.compile(rb'("index":1.*"finish_reason":)"length"')
    assert sum(bool(ended.search(frame)) for frame in frames) == 1
    return [ended.sub(rb"\1null", frame) for frame in frames]


FAILED = b'data: {"error": {"message": "The engine failed.", "type": "InternalServerError", "param": null, "code": 500}}\n\n'
DEAD_TEXT = "EngineCore encountered an issue. See stack trace (above) for the root cause."
LOGIN = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"
LONG = (
    "This model's maximum context length is 4096 tokens. However, your prompt contains 5000 input tokens,"
    " which exceeds this limit even without any output tokens. Please reduce the length of the input prompt."
    " (parameter=input_tokens, value=5000)"
)
NEGATIVE = "temperature must be non-negative, got -1.0. (parameter=temperature, value=-1.0)"
BUSY = "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance."
MISSING = {"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {}}

CASES = [
    # No answer, or a slow one.
    Case("close-unanswered", PLAIN, lambda _: b""),
    Case("reset-unanswered", PLAIN, lambda _: b"", "reset"),
    Case("no-answer", PLAIN, lambda _: b"", "open"),
    Case("close-when-idle", request(CHAT, chat(), keeps=True), lambda honest: honest.data),
    Case("drip-head; pause=0.0001", PLAIN, lambda honest: honest.data),
    Case("drip-body; pause=0.0001", PLAIN, lambda honest: honest.data),
    Case("slow; factor=3; least=0.001", STREAM, lambda honest: honest.data),
    # HTTP itself.
    Case("not-http", PLAIN, lambda _: b"220 mail.example ESMTP\r\n"),
    Case("tls-alert", PLAIN, lambda _: b"\x15\x03\x03\x00\x02\x02\x0a"),
    Case("long-header; size=1000", PLAIN, lambda honest: join([*honest.head, b"x-long: " + b"a" * 1000], honest.body)),
    Case(
        "many-headers; count=3000",
        STREAM,
        lambda honest: join([*honest.head, *(b"x-many-%d: %d" % (one, one) for one in range(3000))], honest.body),
    ),
    Case("length-too-long", PLAIN, lengths(lambda length: length + 10)),
    Case("length-too-short; by=3", PLAIN, lengths(lambda length: length - 3)),
    Case("two-lengths", PLAIN, lengths(lambda length: length, lambda length: length + 1)),
    Case("length-not-a-number", PLAIN, lengths(lambda _: "many")),
    Case("length-and-chunks", PLAIN, lambda honest: join([*honest.head, CHUNKED], chunk(honest.body) + LAST)),
    Case(
        "chunks-cut", PLAIN,
        lambda honest: join([*headed(honest, without=b"content-length"), CHUNKED], half(chunk(honest.body))),
    ),
    Case(
        "chunk-without-size", PLAIN,
        lambda honest: join(
            [*headed(honest, without=b"content-length"), CHUNKED], b"size\r\n" + honest.body + b"\r\n" + LAST
        ),
    ),
    Case(
        "http10", PLAIN,
        lambda honest: join(headed(honest, status=b"HTTP/1.0 200 OK", without=b"content-length"), honest.body),
    ),
    Case(
        "http10-cut", PLAIN,
        lambda honest: join(headed(honest, status=b"HTTP/1.0 200 OK", without=b"content-length"), half(honest.body)),
    ),
    Case(
        "interim", STREAM,
        lambda honest: b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n" + honest.data,
    ),
    Case("interim; status=100; count=2", PLAIN, lambda honest: b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + honest.data),
    # Other answers.
    Case("redirect; to=http://a.example", PLAIN, redirect(f"http://a.example{CHAT}")),
    Case("redirect-loop", PLAIN, redirect(CHAT)),
    Case("too-many-requests", PLAIN, too_many("1")),
    Case("retry-after-huge", PLAIN, too_many("99999")),
    Case("retry-after-wrong", PLAIN, too_many("-1")),
    Case("retry-after-wrong; retry_after=NaN", PLAIN, too_many("NaN")),
    Case("retry-after-twice", PLAIN, too_many("1", "7")),
    Case("busy", STREAM, replied("503 Service Unavailable", error(BUSY, "Service Unavailable", 503))),
    Case(
        "scaling", PLAIN,
        replied("503 Service Unavailable", {"error": "The model is currently scaling. Please try again later."}),
    ),
    Case(
        "internal-error", PLAIN,
        replied("500 Internal Server Error", b"Internal Server Error", "text/plain; charset=utf-8"),
    ),
    Case("bad-gateway", STREAM, replied("502 Bad Gateway", page("502 Bad Gateway"), "text/html")),
    Case("gateway-timeout", PLAIN, replied("504 Gateway Timeout", page("504 Gateway Time-out"), "text/html")),
    Case("too-long", PLAIN, replied("400 Bad Request", error(LONG, "BadRequestError", 400, "input_tokens"))),
    Case("bad-parameter", PLAIN, replied("400 Bad Request", error(NEGATIVE, "BadRequestError", 400, "temperature"))),
    Case("unprocessable", PLAIN, replied("422 Unprocessable Entity", {"detail": [MISSING]})),
    Case("unauthorized", MODELS, replied("401 Unauthorized", {"error": "Unauthorized"})),
    Case(
        "no-such-model", PLAIN,
        replied("404 Not Found", error("The model `gone` does not exist.", "NotFoundError", 404, "model")),
    ),
    Case("status", PLAIN, replied("409 Conflict", error("Conflict", "Conflict", 409))),
    Case("status; code=599", PLAIN, replied("599 ", error("Status 599", "Status599", 599))),
    Case("huge-error; size=100000", PLAIN, replied(
        "500 Internal Server Error", (b"error " * 16667)[:100000], "text/plain; charset=utf-8"
    )),
    Case("escapes-in-error", PLAIN, replied(
        "400 Bad Request", error(f"bad{ESCAPES}request", "BadRequestError", 400)
    )),
    Case(
        "escapes-in-header", STREAM,
        lambda honest: join(headed(honest, b"x-request-id: \x1b[2J\x1b]0;owned\x07\r\x9b31m"), honest.body),
    ),
    # Contents.
    Case("html", STREAM, replied("200 OK", LOGIN, "text/html; charset=utf-8")),
    Case("error-in-200", PLAIN, replied("200 OK", error("Something went wrong", "InternalServerError", 500))),
    Case("no-content", PLAIN, lambda _: join(
        [b"HTTP/1.1 204 No Content", b"date: today", b"server: uvicorn", b"connection: close"], b""
    )),
    Case("empty-body", PLAIN, replied("200 OK", b"")),
    Case("json-list", PLAIN, replied("200 OK", b"[]")),
    Case("json-string", PLAIN, replied("200 OK", b'"ok"')),
    Case("json-null", STREAM, replied("200 OK", b"null")),
    Case("nan", PLAIN, bodied(changed(b'"created":1234567890', b'"created":NaN'))),
    Case("infinity", PLAIN, bodied(changed(b'"created":1234567890', b'"created":Infinity'))),
    Case("deep-json; depth=3", PLAIN, bodied(lambda body: body[:-1] + b',"deep":[[[]]]}')),
    Case("huge-integer; digits=12", PLAIN, bodied(lambda body: body[:-1] + b',"created":' + b"9" * 12 + b"}")),
    Case("duplicate-keys", PLAIN, bodied(lambda body: body[:-1] + b',"object":"another"}')),
    Case("bad-utf8", PLAIN, bodied(resaid(b"caf\xe9"))),
    Case("lone-surrogate", PLAIN, bodied(resaid(b"half \\ud83d"))),
    Case("choices-empty", PLAIN, bodied(lambda body: re.sub(rb'"choices":\[.*\],"service', b'"choices":[],"service', body))),
    Case("choices-missing", PLAIN, bodied(lambda body: re.sub(rb'"choices":\[.*\],"service', b'"service', body))),
    Case("choices-too-few", TWO, bodied(lambda body: re.sub(rb',\{"index":1.*\],"service', b'],"service', body))),
    Case("content-null", PLAIN, bodied(lambda body: re.sub(rb'"content":"[^"]*"', b'"content":null', body))),
    Case("finish-abort", PLAIN, bodied(changed(b'"length"', b'"abort"'))),
    Case("finish-null", STREAM, framed(each(lambda frame: frame.replace(b'"length"', b"null")))),
    Case("finish-unknown; reason=melted", STREAM, framed(each(lambda frame: frame.replace(b'"length"', b'"melted"')))),
    Case("usage-missing", PLAIN, bodied(lambda body: re.sub(rb'"usage":\{.*?\},', b"", body))),
    Case("usage-null", PLAIN, bodied(lambda body: re.sub(rb'"usage":\{.*?\}', b'"usage":null', body))),
    Case("usage-negative", PLAIN, bodied(lambda body: re.sub(rb'_tokens":(\d)', rb'_tokens":-\1', body))),
    Case("wrong-content-type", STREAM, lambda honest: join(
        headed(honest, b"content-type: text/plain", without=b"content-type"), honest.body
    )),
    Case("other-model", STREAM, framed(each(lambda frame: frame.replace(b'"sim-model"', b'"another-model"')))),
    Case("escapes-in-id", PLAIN, bodied(changed(b'"chatcmpl-fixed"', b'"chatcmpl-%b"' % AS_JSON))),
    Case("escapes-in-text", PLAIN, bodied(resaid(b"red%balert" % AS_JSON))),
    # Streams.
    Case("no-done", STREAM, framed(lambda frames: frames[:-1])),
    Case("close-between-events", STREAM, undelimited(lambda frames: b"".join(frames[:3]))),
    Case("close-in-event; after_events=2", STREAM, undelimited(lambda frames: b"".join(frames[:2]) + half(frames[2]))),
    Case("cut", STREAM, unended(lambda frames: b"".join(map(chunk, frames[:3])) + chunk(frames[3])[: len(frames[3]) // 2])),
    Case("reset; after_events=1", STREAM, unended(lambda frames: chunk(frames[0])), "reset"),
    Case("stall", STREAM, unended(lambda frames: b"".join(map(chunk, frames[:3]))), "open"),
    Case("stall; after_events=99; seconds=0.01", STREAM, lambda honest: honest.data),
    Case(
        "stall-in-event; after_events=0", STREAM, unended(lambda frames: chunk(half(frames[0]))), "open"
    ),
    Case("stall-in-event; seconds=0", STREAM, unended(
        lambda frames: b"".join(map(chunk, (*frames[:3], half(frames[3]), frames[3][len(half(frames[3])) :], *frames[4:])))
        + LAST
    )),
    Case("only-comments; pause=0.001; count=5", STREAM, framed(lambda _: [b": keep-alive\n\n"] * 5)),
    Case("empty-stream", STREAM, framed(lambda _: [])),
    Case("error-first", STREAM, framed(lambda _: [FAILED, DONE])),
    Case("error-within", STREAM, framed(lambda frames: [*frames[:3], FAILED, DONE])),
    Case("error-last", STREAM, framed(lambda frames: [*frames[:-1], FAILED, DONE])),
    Case("stops-early", STREAM, framed(lambda frames: [frames[0], DONE])),
    Case("aborted; after_events=2", STREAM, framed(
        lambda frames: [
            *frames[:2],
            resaid(b"")(frames[2]).replace(b'"finish_reason":null', b'"finish_reason":"abort"'),
            DONE,
        ]
    )),
    Case("one-never-finishes", TWO_STREAMS, framed(last_choice_unfinished)),
    Case("bad-json-event", STREAM, framed(at(3, lambda frame: frame[:-4] + b"\n\n"))),
    Case("bad-utf8-event", STREAM, framed(at(3, resaid(b"caf\xe9")))),
    Case("every-byte", STREAM, lambda honest: honest.data),
    Case("crlf", STREAM, framed(each(lambda frame: frame.replace(b"\n", b"\r\n")))),
    Case("cr", STREAM, framed(each(lambda frame: frame.replace(b"\n", b"\r")))),
    Case("mixed-line-ends", STREAM, framed(
        lambda frames: [
            frame[:-2] + (b"\r\n\r", b"\n\r\n", b"\r\r", b"\n\n")[number % 4] for number, frame in enumerate(frames)
        ]
    )),
    Case("line-separators", STREAM, framed(at(3, resaid("one\u2028two\u2029three\x85four".encode())))),
    Case("bom", STREAM, framed(at(0, lambda frame: b"\xef\xbb\xbf" + frame))),
    Case("several-data-lines", STREAM, framed(lambda frames: [over_lines(frame) for frame in frames])),
    Case("data-without-space", STREAM, framed(each(lambda frame: frame.replace(b"data: ", b"data:", 1)))),
    Case("after-done", STREAM, framed(lambda frames: [*frames, frames[-2]])),
    Case("done-misspelt", STREAM, framed(lambda frames: [*frames[:-1], b"data: [DONE]x\n\n"])),
    Case("duplicate-event", STREAM, framed(lambda frames: [*frames[:3], *frames[2:]])),
    Case("reordered-events", STREAM, framed(lambda frames: [*frames[:2], frames[3], frames[2], *frames[4:]])),
    Case("usage-within", STREAM, framed(lambda frames: [*frames[:3], *without_text(frames[2]), *frames[3:]])),
    Case("huge-line; size=200000", STREAM, unended(
        lambda frames: b"".join(map(chunk, frames[:3]))
        + chunk(frames[3][: frames[3].index(b'"content":"') + 11])
        + chunk((b"word " * 13107)[:65535]) * 3
        + chunk((b"word " * 1000)[: 200_000 - 3 * 65535])
        + chunk(frames[3][frames[3].index(b'"},"logprobs"') :])
        + b"".join(map(chunk, frames[4:]))
        + LAST
    )),
    Case("endless-events; count=1000", STREAM, framed(lambda frames: [*frames[:3], *[frames[2]] * 1000, *frames[3:]])),
    Case("past-max-tokens; count=65", STREAM, framed(lambda frames: [*frames[:3], *[frames[2]] * 65, *frames[3:]])),
    Case("done-then-open", STREAM, unended(lambda frames: b"".join(map(chunk, frames))), "open"),
]  # fmt: skip


def over_lines(frame: bytes) -> bytes:
    if frame == DONE:
        return frame
    written = json.dumps(json.loads(frame[6:]), indent=1, ensure_ascii=False)
    return "".join(f"data: {line}\n" for line in written.split("\n")).encode() + b"\n"


def without_text(frame: bytes) -> list[bytes]:
    made = json.loads(frame[6:])
    counted = {"prompt_tokens": 16, "completion_tokens": 8, "total_tokens": 24}
    choice = {"index": 0, "delta": {"content": None}, "finish_reason": None}
    events = [{**made, "choices": [choice]}, {**made, "choices": [], "usage": counted}]
    return [b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n" for event in events]


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


def with_fault(sent: bytes, fault: str) -> bytes:
    return sent.replace(b"\r\n", b"\r\nx-simulator-fault: " + fault.encode("latin-1") + b"\r\n", 1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_on_the_wire(server: Simulator, case: Case) -> None:
    """A fault that one request asks for sends exactly its bytes, and ends as it says."""
    closing = case.sent.replace(b"x-request-id", b"connection: close\r\nx-request-id")
    honest = exchange(server, closing, quiet=ENDS_WITHIN)
    if b"connection: close" not in case.sent:
        honest = Seen(honest.data.replace(b"connection: close\r\n", b""), honest.end)
    quiet = QUIET_SECONDS if case.end == "open" else ENDS_WITHIN
    seen = exchange(server, with_fault(case.sent, case.fault), quiet=quiet)
    assert seen.data == case.expected(honest)
    assert seen.end == case.end


VERSION = request("/version")


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        ("slow; least=0.3", VERSION),
        ("slow; least=0.03", STREAM),
        ("drip-head; pause=0.002", VERSION),
        ("drip-body; pause=0.015", VERSION),
        ("every-byte; pause=0.0001", request(CHAT, chat(stream=True, max_tokens=1))),
        ("stall; seconds=0.3", STREAM),
        ("stall-in-event; seconds=0.3", STREAM),
        ("only-comments; count=4; pause=0.08", STREAM),
        ("close-when-idle; after=0.3", VERSION),
        ("endless-error; size=200000; pause=0.08", VERSION),
    ],
)
def test_waits(server: Simulator, fault: str, sent: bytes) -> None:
    """What is slow takes its time; without the fault the same is at once."""
    started = time.monotonic()
    with connected(server) as connection:
        connection.sendall(with_fault(sent, fault))
        while connection.recv(65536):
            pass
    assert 0.2 < time.monotonic() - started < 5


def decoded(seen: Seen) -> bytes:
    codings = sum(line.count(b"gzip") for line in seen.head if line.startswith(b"content-encoding: "))
    body = b"".join(seen.frames) if CHUNKED in seen.head else seen.body
    for _ in range(codings):
        body = gzip.decompress(body)
    return masked(body)


@pytest.mark.parametrize(
    ("fault", "codings", "blanks"),
    [
        ("gzip", b"gzip", 0),
        ("six-codings", b", ".join([b"gzip"] * 6), 0),
        ("gzip-bomb; size=1000000", b"gzip", 1_000_000),
    ],
)
def test_encodings(server: Simulator, fault: str, codings: bytes, blanks: int) -> None:
    """A body that is encoded more, or to more, than a client bargained for is the honest one when it is decoded."""
    honest, seen = exchange(server, PLAIN), exchange(server, with_fault(PLAIN, fault))
    assert (b"content-encoding: " + codings) in seen.head
    assert decoded(seen) == honest.body + b" " * blanks
    assert len(seen.body) < 10_000


@pytest.mark.parametrize(
    ("fault", "message"), [("gzip-corrupt", "invalid|incorrect"), ("gzip-cut", "incomplete")]
)
def test_damaged_encodings(server: Simulator, fault: str, message: str) -> None:
    """A damaged gzip body comes under its right length, and no decoder takes it."""
    seen = exchange(server, with_fault(PLAIN, fault))
    assert f"content-length: {len(seen.body)}".encode() in seen.head
    decoder = zlib.decompressobj(wbits=31)
    with pytest.raises(zlib.error, match=message):
        decoder.decompress(seen.body)
        if not decoder.eof:
            raise zlib.error("incomplete")


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        ("models-none", []),
        ("models-two", ["first-model", "second-model"]),
        ("models-many; count=2000", [f"model-{number}" for number in range(2000)]),
        (
            "models-odd",
            ["org/name with space", "ünï/模型", "../../etc/passwd", f"red{ESCAPES}", "a" * 10_000],
        ),
    ],
)
def test_models(server: Simulator, fault: str, names: list[str]) -> None:
    """A list of other models is one in all other respects."""
    (honest,) = json.loads(exchange(server, MODELS).body)["data"]
    listed = json.loads(exchange(server, with_fault(MODELS, fault)).body)
    assert [card["id"] for card in listed["data"]] == names
    assert all(card.keys() == honest.keys() for card in listed["data"])


def test_retry_after_date(server: Simulator) -> None:
    """A Retry-After that is a date is so many seconds away."""
    seen = exchange(server, with_fault(PLAIN, "retry-after-date; seconds=3600"))
    (until,) = (line.partition(b": ")[2] for line in seen.head if line.startswith(b"retry-after: "))
    away = parsedate_to_datetime(until.decode()) - datetime.now(UTC)
    assert timedelta(minutes=59) < away < timedelta(minutes=61)


def test_json_instead_of_a_stream(server: Simulator) -> None:
    """The reply in one piece has the text and the ends that the stream had."""
    honest, seen = (
        json.loads(exchange(server, TWO).body),
        exchange(server, with_fault(TWO_STREAMS, "json-instead")),
    )
    assert b"content-type: application/json" in seen.head
    made = json.loads(seen.body)
    assert (made["object"], made["id"]) == ("chat.completion", "chatcmpl-fixed")
    assert [
        (choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in made["choices"]
    ] == [
        (choice["index"], choice["message"]["content"], choice["finish_reason"])
        for choice in honest["choices"]
    ]


def test_reset_at_reuse(server: Simulator) -> None:
    """A connection that answered well is reset by the next request on it."""
    with connected(server) as connection:
        connection.sendall(with_fault(request("/version", keeps=True), "reset-at-reuse"))
        first = receive(connection)
        assert (first.body, first.end) == (b'{"version":"0.32.0"}', "open")
        connection.sendall(request("/version", keeps=True))
        assert receive(connection) == Seen(b"", "reset")


@pytest.mark.parametrize("fault", ["endless-error", "only-comments; pause=0", "endless-events", "huge-line"])
def test_endless_ends_with_its_client(fault: str) -> None:
    """What goes on without end keeps no other request waiting, and stops when its client leaves."""
    with Simulator() as server:
        with connected(server) as connection:
            connection.sendall(with_fault(STREAM, fault))
            size = 0
            while size < 2_000_000 and (data := connection.recv(1 << 20)):
                size += len(data)
                if fault.startswith("only-comments") and size > 20_000:
                    break
            assert exchange(server, PLAIN).head[0] == b"HTTP/1.1 200 OK"
        wait_until(5, lambda: server.aborted == 1)
        with connected(server) as connection:
            connection.sendall(with_fault(STREAM, fault))
            assert connection.recv(100)
            server.stop()


@pytest.mark.parametrize("fault", ["huge-line; size=60000000", "endless-events; count=200000", "gzip-bomb"])
def test_memory_stays_bounded(fault: str) -> None:
    """What is too large for its client is never held by the server."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("only /proc tells the memory of another process")
    with Simulator(own_process=True) as server:
        exchange(server, STREAM)
        before = resident(server)
        with connected(server) as connection:
            connection.sendall(with_fault(PLAIN if "gzip" in fault else STREAM, fault))
            while connection.recv(1 << 20):
                pass
        assert resident(server) - before < 16_000_000


SMALL = {"size": 1000, "count": 5, "depth": 5, "digits": 10, "pause": 0.0, "seconds": 0.0, "least": 0.001}
ANYTHING = [
    request("/health"),
    request("/metrics"),
    request("/nothing"),
    request("/v1/completions", {"prompt": "x", "max_tokens": 1, "stream": True}),
    request(CHAT, chat(stream=True, stream_options={"include_usage": True})),
    request(CHAT, chat(temperature=-1, stream=True)),
    request("/v1/responses", {"input": "x", "max_output_tokens": 3}),
    request("/v1/responses", {"input": "x", "max_output_tokens": 3, "stream": True}),
    request("/v1/messages", {**chat(), "stream": True}),
]


@pytest.mark.parametrize("sent", ANYTHING, ids=lambda sent: sent.partition(b"x-request-id")[0].decode())
def test_fits_or_is_told(server: Simulator, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is asked for, a fault changes what is sent, or is told not to fit; none breaks the server."""
    honest = exchange(server, sent)
    for fault in FAULTS.values():
        if fault.target in ("server", "connection") or fault.name.startswith("engine-dead"):
            continue
        given = [f"{one.name}={SMALL[one.name]}" for one in fault.parameters if one.name in SMALL]
        seen = exchange(server, with_fault(sent, "; ".join((fault.name, *given))))
        assert seen != honest or fault.name in SAME_BYTES, fault.name
    assert not caplog.records


SAME_BYTES = {"close-when-idle", "reset-at-reuse", "drip-head", "drip-body", "slow", "every-byte", "stall"}


def resident(server: Simulator) -> int:
    """The most memory that the server's process has ever held, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(kilobytes) * 1024


@contextlib.contextmanager
def opened(server: Simulator) -> Iterator[socket.socket]:
    """A connection that the server knows of, with nothing on its way."""
    with connected(server) as connection:
        connection.sendall(request("/version", keeps=True))
        assert receive(connection).end == "open"
        yield connection


def refuses(server: Simulator) -> bool:
    try:
        with connected(server):
            return False
    except ConnectionRefusedError:
        return True


def test_refused() -> None:
    """A refusing server keeps its port to itself, its open connections or not, and comes back when told or when due."""
    with Simulator() as server, opened(server) as connection:
        port = server.port
        with server.faults.turn_on("refused"):
            assert refuses(server)
            connection.sendall(PLAIN)
            assert receive(connection).head[0] == b"HTTP/1.1 200 OK"
        assert (refuses(server), server.port) == (False, port)
        with opened(server) as other:
            server.faults.turn_on("refused", seconds=0.1, drop=True)
            assert receive(other).end in ("eof", "reset")
        assert refuses(server)
        wait_until(5, lambda: not refuses(server))


def test_loading() -> None:
    """A server that loads has its address and refuses; then it serves."""
    with Simulator(loading=0.15) as server:
        assert server.port
        assert refuses(server)
        wait_until(5, lambda: not refuses(server))


def test_full_backlog() -> None:
    """Behind a full backlog a connection is neither accepted nor refused."""
    with Simulator() as server:
        with server.faults.turn_on("full-backlog"), pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", server.port), timeout=0.1)
        assert exchange(server, PLAIN).head[0] == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("reset-on-accept", Seen(b"", "reset")),
        ("close-on-accept", Seen(b"", "eof")),
        ("not-http-on-accept", Seen(b"SSH-2.0-OpenSSH_9.6\r\n", "eof")),
    ],
)
def test_on_accept(server: Simulator, fault: str, seen: Seen) -> None:
    """A fault of a new connection comes before any request; the next connection is a good one."""
    with server.faults.turn_on(fault, times=1):
        try:
            with connected(server) as connection:
                assert receive(connection) == seen
        except ConnectionResetError:
            # As quick as that: before the connecting has returned.
            assert seen.end == "reset"
        assert exchange(server, PLAIN).head[0] == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("fault", "sent", "last"),
    [
        ("engine-dead", PLAIN, b'"code":500}}'),
        ("engine-dead-within", STREAM, b"data: [DONE]\n\n\r\n0\r\n\r\n"),
    ],
)
def test_dead_engine(fault: str, sent: bytes, last: bytes) -> None:
    """A server whose engine dies says so to the one, drops the others, and is gone until it is started again."""
    with Simulator() as server, opened(server) as other:
        server.faults.turn_on(fault, refused_for=0.2)
        seen = exchange(server, sent)
        assert seen.data.endswith(last)
        assert DEAD_TEXT.encode() in seen.body
        assert seen.head[0].endswith(b"500 Internal Server Error" if fault == "engine-dead" else b"200 OK")
        assert receive(other).end in ("eof", "reset")
        assert refuses(server)
        server.faults.turn_off()
        assert not refuses(server)


PROVED_APART = {
    "gzip": test_encodings,
    "six-codings": test_encodings,
    "gzip-bomb": test_encodings,
    "gzip-corrupt": test_damaged_encodings,
    "gzip-cut": test_damaged_encodings,
    "models-none": test_models,
    "models-two": test_models,
    "models-many": test_models,
    "models-odd": test_models,
    "retry-after-date": test_retry_after_date,
    "json-instead": test_json_instead_of_a_stream,
    "reset-at-reuse": test_reset_at_reuse,
    "endless-error": test_endless_ends_with_its_client,
    "refused": test_refused,
    "full-backlog": test_full_backlog,
    "reset-on-accept": test_on_accept,
    "close-on-accept": test_on_accept,
    "not-http-on-accept": test_on_accept,
    "engine-dead": test_dead_engine,
    "engine-dead-within": test_dead_engine,
}


def test_every_fault_is_proved() -> None:
    """There is no fault that nothing above looks at, and no row of the catalogue that no fault is for."""
    assert {case.fault.partition(";")[0] for case in CASES} | PROVED_APART.keys() == FAULTS.keys()
    assert {row for fault in FAULTS.values() for row in fault.rows} >= WIRE_ROWS
