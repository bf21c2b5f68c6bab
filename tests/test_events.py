"""Streams of events: the same data wherever the pieces are cut, as the standard and as the SDK read them; bounded."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from vllm_connect.wire.events import EventDecoder, EventTooLarge, NamedData

LARGE = 1 << 20
Event = tuple[str, bytes]


def told(data: bytes) -> Event:
    return (data.name if isinstance(data, NamedData) else "", bytes(data))


def decode(pieces: list[bytes], max_event: int = LARGE) -> list[Event]:
    decoder = EventDecoder(max_event)
    return [told(data) for piece in pieces for data in decoder.feed(piece)]


def standard(stream: bytes) -> Iterator[Event]:
    """Read a whole stream one byte after another, in the words of the standard."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    data, name, line = b"", b"", b""
    for position in range(len(stream)):
        byte = stream[position : position + 1]
        if byte == b"\n" and stream[position - 1 : position] == b"\r":
            continue
        if byte not in {b"\r", b"\n"}:
            line += byte
            continue
        if not line:
            if data:
                yield (name.decode("utf-8", "replace"), data[:-1])
            data, name = b"", b""
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if field == b"data":
            data += value + b"\n"
        elif field == b"event":
            name = value
        line = b""


LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.one_of(
    st.sampled_from(
        [
            b"",
            b"",
            b"data",
            b"data:",
            b"data: ",
            b"data:  two spaces",
            b'data: {"a":1}',
            b'data:{"a":1}',
            b"data: [DONE]",
            b" data: no field",
            b"dataset: other",
            b"DATA: other",
            b": keep-alive",
            b":",
            b"event: error",
            b"event:",
            b"event",
            b"id: 7\x00",
            b"retry: 3000",
            b"\xef\xbb\xbfdata: marked",
            "data: next\u2028line\u0085here \x0b\x0c\x1c".encode(),
            b"data: \xff\xfe",
        ]
    ),
    st.binary(max_size=8).map(lambda text: b"data: " + text.replace(b"\r", b"").replace(b"\n", b"")),
)
STREAMS = st.builds(
    lambda mark, lines, rest: mark + b"".join(line + end for line, end in lines) + rest,
    st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xef\xbb"]),
    st.lists(st.tuples(LINES, LINE_ENDS), max_size=20),
    st.one_of(st.just(b""), LINES),
)
# Long runs of the commonest form, which a decoder may read in another way than the rest.
DENSE = st.lists(
    st.sampled_from([b"data: a\n\n", b"data: \n\n", b"data: b\n\n", b"\n", b"data: c\nd\n\n"])
).map(b"".join)


@st.composite
def cut(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    """A stream in pieces of any length, some of them empty."""
    stream = draw(streams)
    ends = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *ends], [*ends, len(stream)], strict=True)]


@given(pieces=cut(STREAMS | DENSE))
def test_any_pieces_are_read_as_the_standard_reads_the_whole(pieces: list[bytes]) -> None:
    """Line ends, marks, comments, fields and boundaries of pieces change nothing of what the standard says."""
    assert decode(pieces) == list(standard(b"".join(pieces)))


@given(stream=STREAMS | DENSE)
def test_single_bytes_are_read_as_the_standard_reads_the_whole(stream: bytes) -> None:
    """A boundary may be at every byte."""
    assert decode([bytes([byte]) for byte in stream]) == list(standard(stream))


@given(pieces=cut(STREAMS | DENSE), max_event=st.integers(0, 40))
def test_an_event_is_too_large_wherever_the_pieces_are_cut(pieces: list[bytes], max_event: int) -> None:
    """The limit depends on the stream alone, and what came before the event is told either way."""

    def outcome(pieces: list[bytes]) -> tuple[list[Event], bool]:
        decoder, found = EventDecoder(max_event), list[bytes]()
        try:
            for piece in pieces:
                found += decoder.feed(piece)
        except EventTooLarge as error:
            return [told(data) for data in (*found, *error.before)], True
        return [told(data) for data in found], False

    assert outcome(pieces) == outcome([b"".join(pieces)])


@given(stream=STREAMS)
def test_the_sdk_reads_the_same(stream: bytes) -> None:
    """Where the SDK follows the standard, both read alike; it also tells events that have a name or an id alone."""
    stream = stream.decode("utf-8", "ignore").lstrip("\ufeff").encode()
    theirs = [(event.event or "", event.data.encode()) for event in SSEDecoder().iter_bytes(iter([stream]))]
    assert [event for event in decode([stream]) if event[1]] == [event for event in theirs if event[1]]


@pytest.mark.parametrize(
    ("stream", "cut_off"),
    [
        (b"", None),
        (b"data: a\n\n", None),
        (b"data: a\n\n: keep-alive\n", None),
        (b"data: a\n\nda", None),
        (b"data: a\n\ndata: [DONE]\n", b"[DONE]"),
        (b"data: a\r\n\r\ndata: [DONE]", b"[DONE]"),
        (b'data: {"choices":[{"del', b'{"choices":[{"del'),
        (b"data: a\ndata: b", b"a\nb"),
    ],
)
def test_what_the_end_cuts_off(stream: bytes, cut_off: bytes | None) -> None:
    """An event without its empty line is none, and what it would have been is told."""
    decoder = EventDecoder(max(len(stream), 1))
    decoder.feed(stream)
    assert decoder.finish() == cut_off


@pytest.mark.parametrize(
    "event",
    [
        b"data: 5678\n",
        b"data: 5678\r\n",
        b"data:\ndata\n",
        b": 23456789\n",
        b"id: 456789\n",
        b"unknown678\n",
    ],
)
def test_the_longest_event(event: bytes) -> None:
    """Whatever fills an event counts, with its line ends; what is no longer than allowed is read."""
    size = len(event.replace(b"\r", b""))
    assert decode([event, b"\n", event, b"\n"], size) == decode([event + b"\n"] * 2)
    with pytest.raises(EventTooLarge, match=f"longer than {size - 1} bytes"):
        decode([event], size - 1)
    with pytest.raises(EventTooLarge):
        decode([event + b"\n"], size - 1)


def test_what_came_before_is_told() -> None:
    """Events that are whole are not lost to the one after them."""
    with pytest.raises(EventTooLarge) as caught:
        EventDecoder(10).feed(b"data: 1\n\nevent: e\ndata\n\ndata: 23456789")
    assert caught.value.before == [b"1"]


@pytest.mark.parametrize(
    ("start", "repeated"),
    [(b"", b"x"), (b"", b"data:ab\n"), (b"data: ", b"x"), (b"", b":\n"), (b"data: a\n\n", b"data\r")],
)
@pytest.mark.parametrize("length", [1, 1 << 10])
def test_what_never_ends_is_refused_in_bounded_memory(start: bytes, repeated: bytes, length: int) -> None:
    """An event, or a line of any kind, that does not end is held once, and no longer than is allowed."""
    piece = repeated * max(length // len(repeated), 1)
    allowed = 1 << 14
    decoder = EventDecoder(allowed)
    tracemalloc.start()
    try:
        decoder.feed(start)
        with pytest.raises(EventTooLarge):
            for _ in range(2 * allowed // len(piece)):
                decoder.feed(piece)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * allowed
    finally:
        tracemalloc.stop()


def test_a_large_event_of_many_lines_takes_little_more_than_itself() -> None:
    """Lines are not kept one by one."""
    size = 1 << 18
    decoder = EventDecoder(size)
    tracemalloc.start()
    try:
        for _ in range(8):
            decoder.feed(b"data:ab\n" * (size // 64))
        (data,) = decoder.feed(b"\n")
        assert tracemalloc.get_traced_memory()[1] < 3.5 * size
    finally:
        tracemalloc.stop()
    assert data == b"\n".join([b"ab"] * (size // 8))


def test_a_long_line_in_pieces_takes_linear_time() -> None:
    """No piece makes the decoder look at the pieces before it again."""
    decoder = EventDecoder(16 * LARGE)
    started = time.monotonic()
    for _ in range(255):
        assert decoder.feed(b"data: " + bytes(1 << 16)) == []
    assert len(decoder.feed(b"\n\n")[0]) == 255 * ((1 << 16) + 6) - 6
    assert time.monotonic() - started < 2
