"""What happens on the wire for one answer, step by step: every answer, honest or faulty, is a script of actions."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Final, Literal, NamedTuple

from vllm_connect.simulator.exchange import (
    Canned,
    Cut,
    Drop,
    Frame,
    Headers,
    RecordedRequest,
    Response,
    Routed,
    Stream,
    Work,
    canned,
    status_line,
)

_UNSIZED: Final = (204, 304)
LAST_CHUNK: Final = b"0\r\n\r\n"
_KEEP_ALIVE_COMMENT: Final = b": keep-alive\n\n"


class Send(NamedTuple):
    """Write exactly these bytes after so many seconds: after 0 others get their turn, after None they wait for it."""

    # A tuple, as there is one for each event of each stream: it is made in half the time.
    data: bytes
    after: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so many seconds; for ever means until the client leaves or the server stops."""

    seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class Admit:
    """Wait until the engine takes the work up."""


@dataclass(frozen=True, slots=True)
class AwaitRequest:
    """Wait until the client has sent one more request."""


@dataclass(frozen=True, slots=True)
class Close:
    """Send what is written, then close."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection off with a TCP reset."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Let the whole server refuse new connections, or leave them unaccepted behind a full backlog."""

    how: Literal["refuse", "clog"]
    seconds: float = math.inf
    drop: bool = False
    """Whether the connections that are open end with it."""


Action = Send | Pause | Admit | AwaitRequest | Close | Reset | Outage
Script = Iterable[Action]


@dataclass(frozen=True)
class Exchange:
    """A request, the honest answer to it, whether the connection is to stay open, and the time of day."""

    request: RecordedRequest
    answer: Routed
    keeps: bool
    now: float

    def head(self, status: int, headers: Headers, *, last: Headers = ()) -> bytes:
        """The bytes before a body."""
        return head(status, headers, keeps=self.keeps, now=self.now, last=last)


@dataclass(frozen=True)
class Plan:
    """What a connection is to do for one request, and what it costs the engine meanwhile."""

    script: Script
    work: Work


def honest(exchange: Exchange) -> Iterator[Action]:
    """Send the answer as vLLM's server sends it."""
    answer = exchange.answer
    if isinstance(answer, Stream):
        yield Send(stream_head(exchange, answer), None)
        yield Admit()
        for frame in answer.frames:
            yield Send(chunk(frame.data), frame.delay)
        yield Send(LAST_CHUNK, None)
    else:
        yield Admit()
        yield Send(
            exchange.head(answer.status, answer.headers) + body(exchange, answer), answer.delay or None
        )


class _Kept:
    """Frames that can be gone through again, each made when it is first wanted: an abort still ends them."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._source = iter(frames)
        self._made: list[Frame] = []

    def __iter__(self) -> Iterator[Frame]:
        for place in itertools.count():
            if place == len(self._made):
                made = next(self._source, None)
                if made is None:
                    return
                self._made.append(made)
            yield self._made[place]


def rereadable(exchange: Exchange) -> Exchange:
    """The exchange with frames that a fault may look over: where it does not fit, they are still due."""
    answer = exchange.answer
    if isinstance(answer, Response):
        return exchange
    return replace(exchange, answer=replace(answer, frames=_Kept(answer.frames)))


def head(status: int, headers: Headers, *, keeps: bool, now: float, last: Headers = ()) -> bytes:
    """The bytes before a body, in uvicorn's order."""
    closing: Headers = () if keeps else ((b"connection", b"close"),)
    sent = (
        (b"date", formatdate(now, usegmt=True).encode()),
        (b"server", b"uvicorn"),
        *headers,
        *closing,
        *last,
    )
    return status_line(status) + b"".join(b"%b: %b\r\n" % header for header in sent) + b"\r\n"


def stream_head(exchange: Exchange, answer: Stream) -> bytes:
    """The head of a streamed answer: in HTTP chunks, where a body is allowed."""
    chunked = () if answer.status in _UNSIZED else ((b"transfer-encoding", b"chunked"),)
    return exchange.head(answer.status, answer.headers, last=chunked)


def body(exchange: Exchange, answer: Response) -> bytes:
    """The body, which a HEAD request gets none of."""
    return b"" if exchange.request.method == "HEAD" else answer.body


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def canned_script(reply: Canned, request: RecordedRequest, *, keeps: bool, now: float) -> Script:
    """What a caller laid ready for the next request."""
    match reply:
        case Drop(delay):
            return (Pause(delay), Close())
        case Cut(data, after):
            return (Send(data), Pause(after), Close())
        case _:
            return honest(Exchange(request, canned(reply), keeps, now))


def paced(answer: Routed, jittered: Callable[[float], float] | None, comment_interval: float) -> Routed:
    """The answer in the server's own time: delays that vary, and comments while a stream is silent."""
    if isinstance(answer, Response):
        return replace(answer, delay=jittered(answer.delay)) if jittered and answer.delay else answer
    frames = answer.frames
    if jittered:
        frames = (Frame(frame.data, jittered(frame.delay)) for frame in frames)
    if comment_interval:
        frames = _commented(frames, comment_interval)
    return answer if frames is answer.frames else replace(answer, frames=frames)


def _commented(frames: Iterable[Frame], interval: float) -> Iterator[Frame]:
    for frame in frames:
        delay = frame.delay
        while delay > interval:
            yield Frame(_KEEP_ALIVE_COMMENT, interval)
            delay -= interval
        yield Frame(frame.data, delay)
