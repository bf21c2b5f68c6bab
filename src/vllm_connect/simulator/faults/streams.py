"""Faults of streams: cut, stalled, malformed, oddly written, or without end."""

import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from vllm_connect.simulator.exchange import Frame, Headers, json_response
from vllm_connect.simulator.faults.edits import (
    DONE,
    MARK,
    Content,
    around_mark,
    choices,
    edited_frame,
    event,
    is_event,
    opened,
    parsed,
    parted,
    pieces,
    sent,
    stream,
    streamed,
    with_text,
)
from vllm_connect.simulator.faults.fault import Fault, inapplicable
from vllm_connect.simulator.faults.statuses import ENGINE_DEAD, answered
from vllm_connect.simulator.requests.refusals import error_body
from vllm_connect.simulator.script import (
    LAST_CHUNK,
    Action,
    Admit,
    Close,
    Exchange,
    Outage,
    Pause,
    Reset,
    Script,
    Send,
    chunk,
)

_ERROR: Final = error_body("The engine failed.", "InternalServerError", 500)


def _error_frame(content: Content = _ERROR) -> Frame:
    # This one chunk is written by json.dumps, whose separators are not compact.
    return Frame(b"data: " + json.dumps(content).encode() + b"\n\n")


def _half(frame: Frame) -> bytes:
    return frame.data[: len(frame.data) // 2]


# How it ends.


def _no_done(exchange: Exchange) -> Script:
    return streamed(exchange, _before_done(exchange))


def _before_done(exchange: Exchange) -> list[Frame]:
    frames = list(stream(exchange).frames)
    if not frames or frames[-1].data != DONE:
        raise inapplicable(exchange, "no [DONE]")
    return frames[:-1]


def _close_delimited(exchange: Exchange, after_events: int, *, with_half: bool) -> Iterator[Action]:
    first, rest = parted(exchange, after_events)
    closing: Headers = () if not exchange.keeps else ((b"connection", b"close"),)
    yield Send(exchange.head(stream(exchange).status, stream(exchange).headers, last=closing))
    yield Admit()
    for frame in first:
        yield Send(frame.data, frame.delay)
    if with_half:
        yield Send(_half(rest[0]))
    yield Close()


def _cut_between(exchange: Exchange, *, after_events: int = 3) -> Iterator[Action]:
    return _close_delimited(exchange, after_events, with_half=False)


def _cut_within(exchange: Exchange, *, after_events: int = 3) -> Iterator[Action]:
    return _close_delimited(exchange, after_events, with_half=True)


def _begun(exchange: Exchange, after_events: int) -> tuple[Iterator[Action], list[Frame]]:
    first, rest = parted(exchange, after_events)
    return itertools.chain(opened(exchange), sent(first)), rest


def _cut(exchange: Exchange, *, after_events: int = 3) -> Iterator[Action]:
    begun, rest = _begun(exchange, after_events)
    yield from begun
    yield Send(chunk(rest[0].data)[: len(rest[0].data) // 2])
    yield Close()


def _reset(exchange: Exchange, *, after_events: int = 3) -> Iterator[Action]:
    begun, _ = _begun(exchange, after_events)
    yield from begun
    yield Reset()


def _stall(exchange: Exchange, *, after_events: int = 3, seconds: float = math.inf) -> Iterator[Action]:
    begun, rest = _begun(exchange, after_events)
    yield from begun
    yield Pause(seconds)
    yield from sent(rest)
    yield Send(LAST_CHUNK)


def _stall_within(
    exchange: Exchange, *, after_events: int = 3, seconds: float = math.inf
) -> Iterator[Action]:
    begun, rest = _begun(exchange, after_events)
    yield from begun
    half = _half(rest[0])
    yield Send(chunk(half))
    yield Pause(seconds)
    yield Send(chunk(rest[0].data[len(half) :]))
    yield from sent(rest[1:])
    yield Send(LAST_CHUNK)


def _comments(exchange: Exchange, *, pause: float = 0.1, count: int = 1_000_000) -> Iterator[Action]:
    yield from opened(exchange)
    for _ in range(count):
        yield Send(chunk(b": keep-alive\n\n"))
        yield Pause(pause)
    yield Send(LAST_CHUNK)


def _empty(exchange: Exchange) -> Script:
    return streamed(exchange, [])


def _held_open(exchange: Exchange) -> Iterator[Action]:
    yield from opened(exchange)
    yield from sent(stream(exchange).frames)
    yield Pause()


# What a dying server makes of it.


def _error_within(exchange: Exchange, *, after_events: int = 3) -> Script:
    first, _ = parted(exchange, after_events)
    return streamed(exchange, [*first, _error_frame(), Frame(DONE)])


def _error_first(exchange: Exchange) -> Script:
    return streamed(exchange, [_error_frame(), Frame(DONE)])


def _error_last(exchange: Exchange) -> Script:
    return streamed(exchange, [*_before_done(exchange), _error_frame(), Frame(DONE)])


def _engine_dead(
    exchange: Exchange, *, after_events: int = 3, refused_for: float = math.inf
) -> Iterator[Action]:
    begun, _ = _begun(exchange, after_events)
    yield from begun
    yield from sent([_error_frame(ENGINE_DEAD), Frame(DONE)])
    yield Send(LAST_CHUNK)
    yield Outage("refuse", refused_for, drop=True)
    yield Close()


def _stops_early(exchange: Exchange, *, after_events: int = 1) -> Script:
    first, _ = parted(exchange, after_events)
    return streamed(exchange, [*first, Frame(DONE)])


def _aborted(exchange: Exchange, *, after_events: int = 3) -> Script:
    first, rest = parted(exchange, after_events)

    def abort(made: Content) -> Content:
        for choice in choices(exchange, made):
            choice["finish_reason"] = "abort"
            if choice.get("token_ids"):  # what says that it is broken off brings no token
                choice["token_ids"] = []
        return with_text(made, "")

    return streamed(exchange, [*first, edited_frame(rest[0], abort), Frame(DONE)])


def _one_unfinished(exchange: Exchange) -> Script:
    frames = list(stream(exchange).frames)
    numbers = {
        choice["index"] for frame in frames if is_event(frame) for choice in choices(exchange, parsed(frame))
    }
    if len(numbers) < 2:  # noqa: PLR2004 - of one it would be finish-null
        raise inapplicable(exchange, "one choice only: ask for n=2")

    def edit(made: Content) -> Content:
        for choice in made["choices"]:
            if choice["index"] == max(numbers):
                choice["finish_reason"] = None
        return made

    return streamed(exchange, [edited_frame(frame, edit) for frame in frames])


# What is wrong with an event.


def _with_event(exchange: Exchange, after_events: int, change: Callable[[Frame], bytes]) -> Script:
    """The honest stream with other bytes in the place of one event."""
    first, rest = parted(exchange, after_events)
    return streamed(exchange, [*first, replace(rest[0], data=change(rest[0])), *rest[1:]])


def _bad_json(exchange: Exchange, *, after_events: int = 3) -> Script:
    return _with_event(exchange, after_events, lambda frame: frame.data.rstrip()[:-2] + b"\n\n")


def _bad_utf8(exchange: Exchange, *, after_events: int = 3) -> Script:
    def change(frame: Frame) -> bytes:
        written = edited_frame(frame, lambda made: with_text(made, f"caf{MARK}")).data
        return b"\xe9".join(around_mark(exchange, written))

    return _with_event(exchange, after_events, change)


def _line_separator(exchange: Exchange, *, after_events: int = 3) -> Script:
    def change(frame: Frame) -> bytes:
        return edited_frame(frame, lambda made: with_text(made, "one\u2028two\u2029three\x85four")).data

    return _with_event(exchange, after_events, change)


def _null_content(exchange: Exchange, *, after_events: int = 3) -> Script:
    """A usage event with no choices, and a delta without content, in the middle of the text."""
    first, rest = parted(exchange, after_events)
    made = parsed(first[-1]) if first else parsed(rest[0])
    choices(exchange, made)
    work = stream(exchange).work
    counted = {
        "prompt_tokens": work.prompt_tokens,
        "completion_tokens": work.completion_tokens,
        "total_tokens": work.prompt_tokens + work.completion_tokens,
    }
    choice = {"index": 0, "delta": {"content": None}, "finish_reason": None}
    frames = [{**made, "choices": [choice]}, {**made, "choices": [], "usage": counted}]
    return streamed(exchange, [*first, *(Frame(event(content)) for content in frames), *rest])


def _duplicate(exchange: Exchange, *, after_events: int = 3) -> Script:
    first, rest = parted(exchange, after_events)
    return streamed(exchange, [*first, *first[-1:], *rest])


def _reordered(exchange: Exchange, *, after_events: int = 3) -> Script:
    first, rest = parted(exchange, after_events)
    if not first or not is_event(rest[0]):
        raise inapplicable(exchange, "too few events to change their order")
    return streamed(exchange, [*first[:-1], rest[0], first[-1], *rest[1:]])


def _after_done(exchange: Exchange) -> Script:
    frames = _before_done(exchange)
    last = next(frame for frame in reversed(frames) if is_event(frame))
    return streamed(exchange, [*frames, Frame(DONE), last])


def _done_misspelt(exchange: Exchange) -> Script:
    return streamed(exchange, [*_before_done(exchange), Frame(DONE.replace(b"]", b"]x"))])


# How it is written.


def _rewritten(write: Callable[[bytes, int], bytes], exchange: Exchange) -> Script:
    """Every frame written another way; `write` gets its number, too."""
    frames = (
        replace(frame, data=write(frame.data, number)) for number, frame in enumerate(stream(exchange).frames)
    )
    return streamed(exchange, frames)


# Of an event's lines, and of the blank one behind them; never CR and then LF, which together are one end.
_ENDS: Final = ((b"\r\n", b"\r"), (b"\n", b"\r\n"), (b"\r", b"\r"), (b"\n", b"\n"))


def _mixed_ends(data: bytes, number: int) -> bytes:
    of_lines, of_blank = _ENDS[number % len(_ENDS)]
    return data.removesuffix(b"\n").replace(b"\n", of_lines) + of_blank


def _several_lines(data: bytes, _: int) -> bytes:
    head, mark, content = data.partition(b"data: ")
    if not content.startswith(b"{"):
        return data
    lines = json.dumps(json.loads(content), indent=1, ensure_ascii=False).encode().split(b"\n")
    return head + b"".join(mark + line + b"\n" for line in lines) + b"\n"


def _every_byte(exchange: Exchange, *, pause: float = 0.0) -> Iterator[Action]:
    yield from opened(exchange)
    for frame in stream(exchange).frames:
        yield Pause(frame.delay)
        for byte in chunk(frame.data):
            yield Send(bytes((byte,)))
            yield Pause(pause)
    yield Send(LAST_CHUNK)


def _json_instead(exchange: Exchange) -> Script:
    """The same reply in one piece, as a server answers that knows no streams."""
    contents = [parsed(frame) for frame in stream(exchange).frames if is_event(frame)]
    texts: dict[int, list[str]] = {}
    ends: dict[int, Any] = {}
    for choice in itertools.chain.from_iterable(choices(exchange, content) for content in contents):
        said = choice.get("delta", choice)
        texts.setdefault(choice["index"], []).append(said.get("content") or said.get("text") or "")
        ends[choice["index"]] = choice.get("finish_reason")
    is_chat = contents[0]["object"] == "chat.completion.chunk"

    def choice_of(number: int) -> Content:
        text = "".join(texts[number])
        said = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        return {"index": number, **said, "logprobs": None, "finish_reason": ends[number]}

    kept = {key: contents[0][key] for key in ("id", "created", "model")}
    name = "chat.completion" if is_chat else "text_completion"
    return answered(
        exchange, json_response({**kept, "object": name, "choices": [choice_of(one) for one in texts]})
    )


# Without measure.


def _huge_line(exchange: Exchange, *, after_events: int = 3, size: int = 200_000_000) -> Iterator[Action]:
    begun, rest = _begun(exchange, after_events)
    written = edited_frame(rest[0], lambda made: with_text(made, MARK)).data
    before, behind = around_mark(exchange, written)
    yield from begun
    yield Send(chunk(before))
    for piece in pieces(b"word ", size):
        yield Send(chunk(piece))
    yield Send(chunk(behind))
    yield from sent(rest[1:])
    yield Send(LAST_CHUNK)


def _repeated(exchange: Exchange, count: int) -> Iterator[Action]:
    first, rest = parted(exchange, 3)
    yield from opened(exchange)
    yield from sent(first)
    repeated = chunk(first[-1].data)
    at_once = 64
    for start in range(0, count, at_once):
        yield Send(repeated * min(at_once, count - start))
    yield from sent(rest)
    yield Send(LAST_CHUNK)


def _endless(exchange: Exchange, *, count: int = 10_000_000) -> Iterator[Action]:
    return _repeated(exchange, count)


def _past_limit(exchange: Exchange, *, count: int = 1000) -> Iterator[Action]:
    return _repeated(exchange, count)


_PARTIAL: Final = "partial: an error with what came"
_SAME_TEXT: Final = "the same text as ever"


def _stream(name: str, rows: tuple[int, ...], does: str, client: str, script: Callable[..., Script]) -> Fault:
    return Fault(name, rows, "stream", does, client, script)


ROWS: Final = (
    _stream("no-done", (51,), "it ends well, but without [DONE]", _PARTIAL, _no_done),
    _stream(
        "close-between-events",
        (52,),
        "close-delimited; it ends after `after_events` events",
        _PARTIAL,
        _cut_between,
    ),
    _stream(
        "close-in-event",
        (53,),
        "close-delimited; it ends within an event",
        _PARTIAL + ", without the half event",
        _cut_within,
    ),
    _stream("cut", (54,), "the connection closes within an HTTP chunk", _PARTIAL, _cut),
    _stream("reset", (54,), "the connection is reset after `after_events` events", _PARTIAL, _reset),
    _stream("stall", (55,), "it is silent for `seconds`, then goes on", "its gap timer ends it", _stall),
    _stream("stall-in-event", (55,), "the same within an event", "its gap timer ends it", _stall_within),
    _stream(
        "only-comments",
        (56,),
        "comments every `pause` seconds, `count` of them, and no event",
        "its first-token timer ends it",
        _comments,
    ),
    _stream("empty-stream", (51, 64), "a stream without an event", _PARTIAL, _empty),
    _stream("error-first", (57,), "an error event, and nothing else", "an API error", _error_first),
    _stream("error-within", (57,), "an error event in the middle", _PARTIAL, _error_within),
    _stream("error-last", (57,), "an error event after the finish", "done, with a warning", _error_last),
    _stream(
        "engine-dead-within",
        (31, 57, 71),
        "vLLM's error event of a dead engine; then connections end and new ones are refused",
        _PARTIAL + "; takes the server out at once",
        _engine_dead,
    ),
    _stream(
        "stops-early",
        (44, 69),
        "[DONE] after `after_events` events, without a finish reason",
        _PARTIAL,
        _stops_early,
    ),
    _stream(
        "aborted",
        (44, 69),
        "finish reason `abort` in the middle, as of a server that shuts down",
        _PARTIAL,
        _aborted,
    ),
    _stream(
        "one-never-finishes",
        (63,),
        "with n > 1, the last choice never finishes",
        "that choice is not done",
        _one_unfinished,
    ),
    _stream("bad-json-event", (58,), "an event that is no JSON", "a typed error with what came", _bad_json),
    _stream("bad-utf8-event", (58,), "an event that is not UTF-8", "a typed error with what came", _bad_utf8),
    _stream("every-byte", (59,), "every byte in a packet of its own", _SAME_TEXT, _every_byte),
    _stream(
        "crlf",
        (59,),
        "lines end in CR LF",
        _SAME_TEXT,
        partial(_rewritten, lambda data, _: data.replace(b"\n", b"\r\n")),
    ),
    _stream(
        "cr",
        (59,),
        "lines end in CR",
        _SAME_TEXT,
        partial(_rewritten, lambda data, _: data.replace(b"\n", b"\r")),
    ),
    _stream(
        "mixed-line-ends", (59,), "lines end in all three ways", _SAME_TEXT, partial(_rewritten, _mixed_ends)
    ),
    _stream(
        "line-separators",
        (59,),
        "a text with U+2028, U+2029 and U+0085",
        "the text as it came",
        _line_separator,
    ),
    _stream(
        "bom",
        (59,),
        "a byte order mark before the first event",
        _SAME_TEXT,
        partial(_rewritten, lambda data, number: data if number else b"\xef\xbb\xbf" + data),
    ),
    _stream(
        "several-data-lines",
        (59,),
        "an event's JSON over several lines",
        _SAME_TEXT,
        partial(_rewritten, _several_lines),
    ),
    _stream(
        "data-without-space",
        (59,),
        "`data:` without its space",
        _SAME_TEXT,
        partial(_rewritten, lambda data, _: data.replace(b"data: ", b"data:", 1)),
    ),
    _stream("after-done", (60,), "one more event after [DONE]", "passes over it", _after_done),
    _stream("done-misspelt", (60,), "`[DONE]x` at the end", _PARTIAL, _done_misspelt),
    _stream("duplicate-event", (61,), "an event comes twice", "flags tokens that do not add up", _duplicate),
    _stream(
        "reordered-events", (61,), "two events change places", "flags it where it can be seen", _reordered
    ),
    _stream(
        "usage-within", (62,), "an event without choices and one without content", _SAME_TEXT, _null_content
    ),
    _stream("json-instead", (64,), "the reply in one piece, as JSON", "takes it as one chunk", _json_instead),
    _stream(
        "huge-line", (65,), "one event with a text of `size` bytes", "bounded: a typed error", _huge_line
    ),
    _stream("endless-events", (65,), "`count` events more than are due", "bounded: ends it", _endless),
    _stream(
        "past-max-tokens",
        (65,),
        "`count` events more than were asked for",
        "bounded: ends or flags it",
        _past_limit,
    ),
    _stream(
        "done-then-open", (66,), "[DONE], and then neither an end nor a close", "returns at once", _held_open
    ),
)
