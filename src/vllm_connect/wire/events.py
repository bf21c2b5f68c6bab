"""Server-sent events without I/O: pieces of a body in, the data of each event out.

Read by the event stream interpretation of the WHATWG standard
(https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation), on bytes: whether the data
is UTF-8 is for its parser to judge. `id` and `retry` serve reconnection, which a generated answer does not have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final, Self

__all__ = ["EventDecoder", "EventTooLarge", "NamedData"]

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_DATA: Final = b"data: "
_NOT_AT_EVENT: Final = -1


class EventTooLarge(ValueError):
    """An event, or a line that does not end, is longer than allowed; the decoder is of no further use.

    `before` holds the data of the events that came whole in the same piece.
    """

    def __init__(self, max_event: float, before: list[bytes]) -> None:
        super().__init__(f"An event of the stream is longer than {max_event} bytes.")
        self.before = before


class NamedData(bytes):
    """The data of an event that has a name of its own, such as `error`; all other data is plain bytes."""

    name: str

    def __new__(cls, data: bytes, name: str) -> Self:
        made = super().__new__(cls, data)
        made.name = name
        return made


class EventDecoder:
    """Cuts one stream into events, whatever the boundaries of its pieces.

    Args:
        max_event: the longest event in bytes, from one empty line to the next: all fields and comments, each line end
            counted as one. No more than this and one piece is ever held.
    """

    __slots__ = ("_after_return", "_held", "_max_event", "_start", "_whole_up_to")

    def __init__(self, max_event: int) -> None:
        self._max_event = max_event
        # The unfinished event, its line ends made line feeds; never begins with one.
        self._held = bytearray()
        # What may become a byte order mark; None once that is settled.
        self._start: bytes | None = b""
        # Whether a carriage return ended the last piece: a line feed that follows belongs to it.
        self._after_return = False
        # How long a piece may be to be read without a look at the above: `max_event` where it begins an event.
        self._whole_up_to = _NOT_AT_EVENT

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of each event that this piece completes: comments and pings complete none.

        Raises:
            EventTooLarge: at the first event that is longer than allowed.
        """
        # Runs for each token of an answer, and vLLM sends each event as a piece of its own. `partition` is the fastest
        # look at a piece that CPython has: half the time of `find` and slices, a quarter of `in`.
        if len(piece) <= self._whole_up_to:
            line, _, rest = piece.partition(b"\n")
            if rest == b"\n" and not line.partition(b"\r")[1]:
                data = line.removeprefix(_DATA)
                if data is not line:
                    return [data]
        return self._feed_any(piece)

    def finish(self) -> bytes | None:
        """Return the data of the event that the end of the stream cut off, which the standard drops; else None."""
        found: list[bytes] = []
        _read(_lines(bytes(self._held) + b"\n"), math.inf, found)
        return found[0] if found else None

    def _feed_any(self, piece: bytes) -> list[bytes]:
        text = self._with_line_feeds(self._without_mark(piece))
        found: list[bytes] = []
        if self._held and (end := _end_of_event(self._held, text)):
            self._hold(text[: end - 1], found)
            _read(_lines(bytes(self._held)), self._max_event, found)
            self._held.clear()
            text = text[end:]
        end = text.rfind(b"\n\n") + 2
        if end >= 2:  # noqa: PLR2004
            lines = text[:end].splitlines()
            plain = _data_of_plain(lines) if end <= self._max_event else []
            if plain:
                found += plain
            else:
                _read(lines, self._max_event, found)
            text = text[end:]
        self._hold(text, found)
        begins = not self._held and not self._after_return and self._start is None
        self._whole_up_to = self._max_event if begins else _NOT_AT_EVENT
        return found

    def _without_mark(self, piece: bytes) -> bytes:
        if self._start is None:
            return piece
        text = self._start + piece
        if text != _BYTE_ORDER_MARK and _BYTE_ORDER_MARK.startswith(text):
            self._start = text
            return b""
        self._start = None
        return text.removeprefix(_BYTE_ORDER_MARK)

    def _with_line_feeds(self, text: bytes) -> bytes:
        if self._after_return and text:
            self._after_return = False
            text = text.removeprefix(b"\n")
        if text.find(b"\r") >= 0:
            self._after_return = text.endswith(b"\r")
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return text

    def _hold(self, text: bytes, found: list[bytes]) -> None:
        if not self._held:
            text = text.lstrip(b"\n")
        if len(self._held) + len(text) > self._max_event:
            raise EventTooLarge(self._max_event, found)
        self._held += text


def _end_of_event(held: bytearray, text: bytes) -> int:
    """How much of the text belongs to the event that is held, its empty line included; 0 where it does not end."""
    if held.endswith(b"\n") and text.startswith(b"\n"):
        return 1
    start = text.find(b"\n\n")
    return start + 2 if start >= 0 else 0


def _lines(event: bytes) -> Iterator[bytes]:
    """The lines of one event and an empty one, one by one: a list of them may take many times the event's size."""
    start = 0
    while (end := event.find(b"\n", start)) >= 0:
        yield event[start:end]
        start = end + 1
    yield b""


def _data_of_plain(lines: list[bytes]) -> list[bytes]:
    """What `_read` finds in lines that are `data: …` and an empty one in turn, in a third of the time; else nothing."""
    if any(lines[1::2]):
        return []
    found = [data for line in lines[::2] if (data := line.removeprefix(_DATA)) is not line]
    return found if 2 * len(found) == len(lines) else []


def _read(lines: Iterable[bytes], max_event: float, found: list[bytes]) -> None:
    """Add the data of each event to what was found; an empty line ends the last one."""
    size = 0
    name = b""
    data: bytes | bytearray | None = None
    for line in lines:
        if not line:
            if size > max_event:
                raise EventTooLarge(max_event, found)
            if data is not None:
                whole = bytes(data)
                found.append(NamedData(whole, name.decode("utf-8", "replace")) if name else whole)
            size, name, data = 0, b"", None
            continue
        size += len(line) + 1
        value = line.removeprefix(_DATA)
        if value is line:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"event":
                name = value
            if field != b"data":
                continue
        if data is None:
            data = value
        else:
            # Grown in place: a list of lines may take many times the size of the event.
            data = data if isinstance(data, bytearray) else bytearray(data)
            data += b"\n"
            data += value
