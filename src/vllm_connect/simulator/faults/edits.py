"""Pure changes of an honest answer: of its JSON, of its bytes, of the events of its stream."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from vllm_connect.simulator.exchange import Frame, Headers, Response, Stream, dump
from vllm_connect.simulator.faults.fault import inapplicable
from vllm_connect.simulator.script import (
    Action,
    Admit,
    Exchange,
    Script,
    Send,
    chunk,
    honest,
    stream_head,
)

Content = dict[str, Any]
Edit = Callable[[Content], Content]
ESCAPES: Final = "\x1b[2J\x1b]0;owned\x07\r\u202e"
"""What a terminal would obey: clear, retitle, return, and write from right to left."""
_DATA: Final = b"data: "
DONE: Final = _DATA + b"[DONE]\n\n"
# Where bytes are wanted that no JSON writer would write; no text of the simulator's has it.
MARK: Final = "\x00mark\x00"
_WRITTEN_MARK: Final = json.dumps(MARK)[1:-1].encode()
_NO_CHANGE: Final = "nothing that it changes"
# What leaves in one piece of what is too large to be held.
PIECE: Final = 1 << 16


def whole(exchange: Exchange) -> Response:
    """The answer in one piece; `TARGETS` has seen to it that it is one."""
    assert isinstance(exchange.answer, Response)
    return exchange.answer


def stream(exchange: Exchange) -> Stream:
    """The streamed answer; `TARGETS` has seen to it that it is one."""
    assert isinstance(exchange.answer, Stream)
    return exchange.answer


def without(headers: Headers, *names: bytes) -> Headers:
    """The headers but for some."""
    return tuple(header for header in headers if header[0] not in names)


def with_body(exchange: Exchange, body: bytes) -> Exchange:
    """Another body, and the length that belongs to it."""
    length = b"%d" % len(body)
    headers = tuple(
        (name, length if name == b"content-length" else value) for name, value in exchange.answer.headers
    )
    return replace(exchange, answer=replace(whole(exchange), headers=headers, body=body))


def content(exchange: Exchange) -> Content:
    """The JSON of an answer in one piece."""
    parsed: Content = json.loads(whole(exchange).body)
    return parsed


def edited(exchange: Exchange, edit: Edit) -> Script:
    """The JSON changed: of the answer, or of every event of a stream; a change that changes nothing does not fit."""
    if isinstance(exchange.answer, Stream):
        return streamed(exchange, (edited_frame(frame, edit) for frame in exchange.answer.frames))
    made = edit(content(exchange))
    if made == content(exchange):
        raise inapplicable(exchange, _NO_CHANGE)
    return honest(with_body(exchange, dump(made)))


def edited_frame(frame: Frame, edit: Edit) -> Frame:
    """One event changed; what carries no JSON stays."""
    if not is_event(frame):
        return frame
    name, data, _ = frame.data.partition(_DATA)
    return replace(frame, data=name + data + dump(edit(parsed(frame))) + b"\n\n")


def event(chunk_content: Content) -> bytes:
    """JSON as an event."""
    return _DATA + dump(chunk_content) + b"\n\n"


def is_event(frame: Frame) -> bool:
    """Whether a frame carries a JSON event: comments and the end do not."""
    return _DATA + b"{" in frame.data


def parsed(frame: Frame) -> Content:
    """The JSON of an event."""
    made: Content = json.loads(frame.data.partition(_DATA)[2])
    return made


def parted(exchange: Exchange, after_events: int) -> tuple[list[Frame], list[Frame]]:
    """The frames up to so many events, and the rest, which has the last frame at least."""
    frames = list(stream(exchange).frames)
    places = [place for place, frame in enumerate(frames) if is_event(frame)]
    if not places:
        raise inapplicable(exchange, "no events")
    until = places[min(after_events, len(places)) - 1] + 1 if after_events else 0
    until = min(until, len(frames) - 1)
    return frames[:until], frames[until:]


def opened(exchange: Exchange) -> Iterator[Action]:
    """The beginning of a streamed answer."""
    yield Send(stream_head(exchange, stream(exchange)))
    yield Admit()


def sent(frames: Iterable[Frame]) -> Iterator[Action]:
    """Frames as HTTP chunks, each in its time."""
    for frame in frames:
        yield Send(chunk(frame.data), frame.delay)


def streamed(exchange: Exchange, frames: Iterable[Frame]) -> Script:
    """A whole stream, ended as it should be, of other frames; the same ones again are no fault."""
    # All at once, so that a fault that does not fit is told instead of the answer, not within it.
    made, answer = list(frames), stream(exchange)
    if made == list(answer.frames):
        raise inapplicable(exchange, _NO_CHANGE)
    return honest(replace(exchange, answer=replace(answer, frames=made)))


def choices(exchange: Exchange, chunk_content: Content) -> list[Content]:
    """The choices of a reply; an answer that never has any is one that the fault does not fit."""
    found = chunk_content.get("choices")
    if not isinstance(found, list):
        raise inapplicable(exchange, "no choices")
    return found


def with_text(chunk_content: Content, text: str) -> Content:
    """The reply saying something else: in its first choice's text, or in its id where it has none."""
    for choice in chunk_content.get("choices") or ():
        said = choice.get("message") or choice.get("delta") or choice
        for key in ("content", "text"):
            if said.get(key):
                said[key] = text
                return chunk_content
    if "choices" in chunk_content:
        return chunk_content
    return {**chunk_content, "id": text}


def around_mark(exchange: Exchange, data: bytes) -> tuple[bytes, bytes]:
    """What stands before and behind the mark; an answer without one has no text to put it in."""
    before, mark, behind = data.partition(_WRITTEN_MARK)
    if not mark:
        raise inapplicable(exchange, "no text in that place")
    return before, behind


def pieces(unit: bytes, size: int) -> Iterator[bytes]:
    """`size` bytes made of a repeated unit, never held at once."""
    block = unit * max(1, PIECE // len(unit))
    for start in range(0, size, len(block)):
        yield block[: min(len(block), size - start)]
