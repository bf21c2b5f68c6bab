"""One request and its answer under way: what has arrived, what is still due; no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from vllm_connect.settings import Limits
from vllm_connect.wire.answer import Answer, AnswerReader
from vllm_connect.wire.coding import Decompression
from vllm_connect.wire.events import EventDecoder, EventTooLarge
from vllm_connect.wire.failures import (
    AnswerCut,
    AnswerTooLarge,
    ConnectionLost,
    ServerGone,
    TimerExpired,
    WireFailure,
)
from vllm_connect.wire.pulse import Pulse
from vllm_connect.wire.timing import Timing

__all__ = ["END_MARK", "Exchange", "Wanted"]

# How a good answer is wanted: whole; as the payloads of its events, while they come or all at its end; as bytes
# while they come.
Wanted = Literal["whole", "events", "all events", "pieces"]

# The end mark of a stream (OpenAI reference, "Streaming"); with anything behind it, it is none.
END_MARK = b"[DONE]"

COMPRESSION_CUT = "its compressed body ends too early"
FIRST_ERROR_STATUS = 300
# What a whole answer leaves unread: a deque of its own would be the largest part of an exchange.
NOTHING: deque[bytes] = deque(maxlen=0)
# What is no stream by its name; under any other, events are taken for what they are.
NO_STREAM = (b"application/json", b"text/html")
# More than this is not taken from the socket while nobody reads it.
MOST_UNREAD = 256 * 1024


class Exchange:
    """What arrives for one request; both shells feed it and wait by it.

    `take_in` is called with every piece of the connection, `end` when that ends. `unread` holds payloads or
    pieces for the reader of a stream, oldest first. Done means: nothing more will come.
    """

    __slots__ = (
        "_coding",
        "_events",
        "_handed_on",
        "_is_at_end",
        "_limits",
        "_reader",
        "_sort",
        "_unread_bytes",
        "answer",
        "failure",
        "has_news",
        "is_done",
        "is_paused",
        "is_stream",
        "is_truncated",
        "timing",
        "unread",
        "wanted",
    )

    def __init__(self, reader: AnswerReader, limits: Limits, wanted: Wanted, timing: Timing) -> None:
        reader.begin()
        self._reader = reader
        self._limits = limits
        self.wanted: Wanted = wanted
        self.timing = timing
        # A function, no bound method: that would hold this exchange in a ring, body and all.
        self._sort: Callable[[Exchange], None] | None = None
        self._events: EventDecoder | None = None
        self._coding: Decompression | None = None
        self._unread_bytes = 0
        self._is_at_end = False
        self.answer: Answer | None = None
        self.unread: deque[bytes] = NOTHING
        self.failure: BaseException | None = None
        self.is_done = False
        self.is_paused = False
        self.is_stream = False
        self.is_truncated = False
        # Set by every arrival that resets a token timer; the timers are looked at now and then only.
        self.has_news = False

    # -- what the connection tells

    def take_in(self, data: bytes) -> None:
        """Take bytes from the connection; what is wrong with them becomes this exchange's failure."""
        reader = self._reader
        try:
            try:
                reader.feed(data)
            finally:
                # What came before a fault is read, whether or not it came in a piece of its own.
                if reader.has_head:
                    sort = self._sort
                    if sort is None:
                        sort = self._begin_body()
                    sort(self)
        except WireFailure as failure:
            self.fail(failure)
        except EventTooLarge as error:
            if self.wanted == "events":
                self.unread.extend(error.before)
            self.fail(AnswerTooLarge("event", self._limits.event))

    def end(self) -> None:
        """Take note that the connection ended, or was found dead."""
        if self.is_done:
            return
        reader = self._reader
        if not reader.has_begun:
            self.fail(ConnectionLost("the server closed the connection without an answer"))
            return
        try:
            reader.end()
            assert self._sort is not None
            self._sort(self)
        except WireFailure as failure:
            self.fail(failure)

    def fail(self, failure: BaseException) -> None:
        """End this exchange; what arrived before stays readable.

        A failure within an answer carries `came`: its events, where nobody reads them before all have come.
        """
        if not self.is_done:
            if self._reader.has_head:
                came = tuple(self.unread) if self.wanted == "all events" else ()
                failure.came = came  # type: ignore[attr-defined]  # an OSError takes it too
            self.failure = failure
            self.is_done = True

    def check_timers(self, now: float) -> bool:
        """Fail where a timer has run out; return whether one has. While we do not read, no token timer runs."""
        timing = self.timing
        if self.has_news or self.is_paused:
            self.has_news = False
            timing.heard(now)
        if self._is_at_end:
            self._end_without_end()
            return True
        expired = timing.expired(now)
        if expired is not None:
            self.fail(TimerExpired(expired))
        return expired is not None

    def check_pulse(self, pulse: Pulse) -> bool:
        """Fail where the server was found gone since it was last heard here; return whether it was."""
        if self.timing.silent_since > pulse.gone_before:
            return False
        self.fail(ServerGone(pulse.gone))
        return True

    @property
    def has_begun(self) -> bool:
        """Whether any byte of the answer has come."""
        return self._reader.has_begun

    @property
    def wants_pause(self) -> bool:
        """Whether more is unread than should be; asked again once all of it is read."""
        return self._unread_bytes > MOST_UNREAD and self.wanted != "all events"

    def resume(self) -> None:
        """Count what is unread from nothing."""
        self._unread_bytes = 0
        self.is_paused = False

    @property
    def is_reusable(self) -> bool:
        """Whether the connection may carry another request."""
        if self.failure is not None:  # what was not read of a bad answer would begin the next one
            return False
        reader = self._reader
        return reader.is_complete and reader.is_reusable and not reader.has_excess and not self.is_truncated

    # -- what is done with a body

    def _begin_body(self) -> Callable[[Exchange], None]:
        reader = self._reader
        coding = reader.fields.get(b"content-encoding", b"")
        if coding and coding != b"identity":
            self._coding = Decompression(coding)
        is_good = reader.status < FIRST_ERROR_STATUS
        if is_good and self.wanted == "pieces":
            self._handed_on = 0
            if _is_event_stream(reader.fields):
                self._events = EventDecoder(self._limits.event)
            return self._begin_stream(Exchange._hand_on)
        if is_good and self.wanted == "events" and not _is_no_stream(reader.fields):
            self._events = EventDecoder(self._limits.event)
            return self._begin_stream(Exchange._cut_events)
        if is_good and self.wanted == "all events" and _is_event_stream(reader.fields):
            self._events = EventDecoder(self._limits.event)
            self.unread = deque()
            self._sort = Exchange._collect_events
            return Exchange._collect_events
        # Wanted whole, an error, or not the stream that was asked for: whoever asked decides what it is.
        self._sort = Exchange._gather
        return Exchange._gather

    def _begin_stream(self, sort: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
        self._sort = sort
        self.is_stream = True
        self.unread = deque()
        self.answer = self._answer(b"")
        return sort

    def _gather(self) -> None:
        """Keep a body until it is whole."""
        self.has_news = True
        reader = self._reader
        if reader.is_complete:
            body = reader.take()
            if self._coding is not None or len(body) > self._limits.body:
                body = self._bounded(body)
            self.answer = self._answer(body)
            self.is_done = True
        elif reader.received > self._most and reader.body_bytes > self._most:
            self._refuse_more()

    @property
    def _most(self) -> int:
        return self._limits.error_body if self._reader.status >= FIRST_ERROR_STATUS else self._limits.body

    def _bounded(self, body: bytes) -> bytes:
        if self._coding is not None:
            unfolded = self._coding.decode(body, self._most, "body")
            if not self._coding.is_complete:
                raise AnswerCut(COMPRESSION_CUT)
            return unfolded
        raise AnswerTooLarge("body", self._limits.body)

    def _refuse_more(self) -> None:
        """Stop at the limit: of an error its beginning says enough, half an answer says nothing."""
        if self._reader.status < FIRST_ERROR_STATUS:
            raise AnswerTooLarge("body", self._limits.body)
        self.is_truncated = True
        body = b"" if self._coding is not None else self._reader.take()[: self._limits.error_body]
        self.answer = self._answer(body)
        self.is_done = True

    def _cut_events(self) -> None:
        """Queue the payloads of the events that are complete."""
        piece = self._piece()
        if piece:
            assert self._events is not None
            payloads = self._events.feed(piece)
            if payloads:
                self.has_news = True
                self.unread.extend(payloads)
                self._unread_bytes += len(piece)
        if self._reader.is_complete:
            self._take_last_mark()
            self._end_stream()

    def _take_last_mark(self) -> None:
        """Take an end mark that no empty line follows: some servers end with it, and with the answer."""
        assert self._events is not None
        if self._events.finish() == END_MARK:
            self.unread.append(END_MARK)
            self._is_at_end = True

    def _collect_events(self) -> None:
        """Keep the payloads of all events until their end mark, and the end of the answer that follows it."""
        piece = self._piece()
        if piece:
            assert self._events is not None
            payloads = self._events.feed(piece)
            self._unread_bytes += len(piece)
            if payloads:
                self.has_news = True
                self.unread.extend(payloads)
                self._is_at_end = self._is_at_end or END_MARK in payloads
            if self._unread_bytes > self._limits.body:
                raise AnswerTooLarge("body", self._limits.body)
        if not self._reader.is_complete:
            return
        self._take_last_mark()
        if not self._is_at_end:
            raise AnswerCut("it ended without its end mark")
        self._end_without_end()

    def _end_without_end(self) -> None:
        """Be done at the end mark: what follows may be missing, and with it the connection."""
        self.answer = self._answer(b"")
        self.is_done = True

    @property
    def has_all_events(self) -> bool:
        """Whether all events were wanted, and came: another server may give the answer itself."""
        return self._is_at_end

    def _hand_on(self) -> None:
        """Queue bytes as they came; what resets a token timer is the same as for events."""
        piece = self._piece()
        if piece:
            self.unread.append(piece)
            self._unread_bytes += len(piece)
            if self._events is None or self._events.feed(piece):
                self.has_news = True
            self._handed_on += len(piece)
            if self._events is None and self._handed_on > self._limits.body:
                raise AnswerTooLarge("body", self._limits.body)
        if self._reader.is_complete:
            self._end_stream()

    def _end_stream(self) -> None:
        if self._coding is not None and not self._coding.is_complete:
            raise AnswerCut(COMPRESSION_CUT)
        self.is_done = True

    def _piece(self) -> bytes:
        piece = self._reader.take()
        if self._coding is None or not piece:
            return piece
        if self._events is None:
            return self._coding.decode(piece, self._limits.body, "body")
        return self._coding.decode(piece, self._limits.event, "event")

    def _answer(self, body: bytes) -> Answer:
        reader = self._reader
        return Answer(reader.status, reader.headers, reader.fields, body)


def _is_no_stream(fields: dict[bytes, bytes]) -> bool:
    return fields.get(b"content-type", b"").lower().startswith(NO_STREAM)


def _is_event_stream(fields: dict[bytes, bytes]) -> bool:
    return fields.get(b"content-type", b"text/event-stream").lower().startswith(b"text/event-stream")
