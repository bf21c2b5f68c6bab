"""Answers of every framing, in any pieces: read alike, refused alike, bounded (`./dev proof fuzz_answer` goes on)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proofs.fuzz_answer import LIMITS, TOKENS, WAYS, Reading, alike, read
from vllm_connect.wire.exchange import Wanted

INTERIM = (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")


@dataclass(frozen=True)
class Sent:
    """An answer that keeps to HTTP/1.1: what it says, whether it tells its own end, its bytes on the wire."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    tells_end: bool
    wire: bytes


def cuts(whole: bytes) -> st.SearchStrategy[list[bytes]]:
    """The same bytes in pieces, none of them empty."""

    def cut(ends: list[int]) -> list[bytes]:
        ends = sorted({0, *ends, len(whole)})
        return [whole[start:end] for start, end in itertools.pairwise(ends)]

    return st.lists(st.integers(0, len(whole)), max_size=8).map(cut)


def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """The body in chunks of any sizes, with extensions and trailers (RFC 9112, 7.1)."""
    wire = b""
    for piece in draw(cuts(body)):
        extension = draw(st.sampled_from([b"", b";x", b";x=y"]))
        wire += b"%x%b\r\n%b\r\n" % (len(piece), extension, piece)
    trailers = draw(st.sampled_from([b"", b"x-trailer: a\r\n", b"x-a: 1\r\nx-b: 2\r\n"]))
    return wire + b"0\r\n" + trailers + b"\r\n"


def answers(bodies: st.SearchStrategy[bytes], kind: bytes = b"application/json") -> st.SearchStrategy[Sent]:
    """Answers with one of these bodies, in any framing, behind any number of interim answers."""

    @st.composite
    def build(draw: st.DrawFn) -> Sent:
        body = draw(bodies)
        version, framing = draw(
            st.sampled_from(
                [
                    (b"1.1", (b"Content-Length", b"%d" % len(body))),
                    (b"1.0", (b"content-length", b"%d" % len(body))),
                    (b"1.1", (b"transfer-encoding", b"chunked")),
                    (b"1.1", None),
                    (b"1.0", None),
                ]
            )
        )
        status = draw(st.sampled_from([200, 400, 503]))
        others = draw(
            st.lists(st.sampled_from([(b"x-a", b""), (b"X-B", b"a b"), (b"x-a", b"1")]), max_size=4)
        )
        headers = ((b"content-type", kind), *others, *([framing] if framing else []))
        head = b"HTTP/%b %d Reason\r\n" % (version, status)
        head += b"".join(b"%b: %b\r\n" % header for header in headers) + b"\r\n"
        framed = chunked(draw, body) if framing == (b"transfer-encoding", b"chunked") else body
        interim = draw(st.lists(st.sampled_from(INTERIM), max_size=3))
        return Sent(status, headers, body, framing is not None, b"".join((*interim, head, framed)))

    return build()


BODIES = st.binary(max_size=100)


@given(data=st.data(), sent=answers(BODIES))
def test_an_answer_is_read_in_any_pieces(data: st.DataObject, sent: Sent) -> None:
    """Status, headers and body are those that were sent: in each framing, behind interim answers, however cut."""
    assert read(data.draw(cuts(sent.wire)), "whole") == Reading(sent.status, sent.headers, sent.body, (), "")


@given(data=st.data(), sent=answers(BODIES))
def test_an_answer_that_is_cut_is_never_whole(data: st.DataObject, sent: Sent) -> None:
    """An end that comes too early is a failure, wherever anything tells that it does."""
    end = data.draw(st.integers(0, len(sent.wire) - 1))
    reading = read(data.draw(cuts(sent.wire[:end])), "whole")
    assert reading.failure or (not sent.tells_end and sent.body.startswith(reading.body))


@given(
    data=st.data(),
    payloads=st.lists(st.binary(max_size=10).map(lambda text: text.translate(None, b"\r\n")), max_size=8),
)
def test_events_are_read_in_any_chunks_and_pieces(data: st.DataObject, payloads: list[bytes]) -> None:
    """Neither the chunks of HTTP nor the pieces of a socket have anything to do with the events in them."""
    stream = b"".join(b"data: %b\n\n" % payload for payload in payloads)
    sent = data.draw(answers(st.just(stream), b"text/event-stream"))
    reading = read(data.draw(cuts(sent.wire)), "events")
    if sent.status == 200:
        assert reading == Reading(200, sent.headers, b"", tuple(payloads), "")
    else:
        assert reading == Reading(sent.status, sent.headers, stream, (), "")


@given(
    data=st.data(),
    sent=answers(BODIES, b"text/event-stream"),
    wanted=st.sampled_from(WAYS),
    token=st.sampled_from(TOKENS),
)
def test_damage_is_read_alike_in_any_pieces(
    data: st.DataObject, sent: Sent, wanted: Wanted, token: bytes
) -> None:
    """Whatever stands in an answer, only declared failures are raised, and it does not matter how it is cut."""
    at = data.draw(st.integers(0, len(sent.wire)))
    wire = sent.wire[:at] + token + sent.wire[at + data.draw(st.integers(0, 3)) :]
    assert alike(read([wire], wanted), read(data.draw(cuts(wire)), wanted), wanted)


@pytest.mark.parametrize("interim", [0, 30])
@pytest.mark.parametrize(("more", "is_refused"), [(0, False), (1, True)])
@pytest.mark.parametrize("length", [1, 100, 1 << 20])
def test_a_head_is_measured_to_its_end(*, interim: int, more: int, is_refused: bool, length: int) -> None:
    """Interim answers count, the body does not, and the pieces change nothing."""
    before = INTERIM[0] * interim + b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\nx-fill: "
    head = (before + b"x" * LIMITS.header_bytes)[: LIMITS.header_bytes + more - 4] + b"\r\n\r\n"
    wire = head + bytes(5000)
    reading = read([wire[start : start + length] for start in range(0, len(wire), length)], "whole")
    assert reading.failure == (f"AnswerTooLarge: header_bytes {LIMITS.header_bytes}" if is_refused else "")


def test_what_came_before_a_fault_is_told() -> None:
    """Events ahead of a broken chunk in the same piece reach the reader, who learns of the fault behind them."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    reading = read([head + b"9\r\ndata: 1\n\n\r\nbroken"], "events")
    assert reading.payloads == (b"1",)
    assert reading.failure.startswith("AnswerMalformed")


def test_a_large_event_does_not_change_bytes_that_are_handed_on() -> None:
    """Who asked for bytes gets bytes as they came, and no data cut out of them."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    body = b"data: 1\n\ndata: " + b"x" * LIMITS.event
    reading = read([head + body], "pieces")
    assert reading.payloads == (body,)
    assert reading.failure == f"AnswerTooLarge: event {LIMITS.event}"
