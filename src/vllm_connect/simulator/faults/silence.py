"""Faults of time: no answer, an answer that drips, a connection that ends between two answers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from vllm_connect.simulator.exchange import Frame, Response
from vllm_connect.simulator.faults.fault import Fault
from vllm_connect.simulator.script import (
    Action,
    Admit,
    AwaitRequest,
    Close,
    Exchange,
    Pause,
    Reset,
    Script,
    Send,
    honest,
)


def _closed(exchange: Exchange) -> Iterator[Action]:  # noqa: ARG001 - a script takes it
    yield Close()


def _reset(exchange: Exchange) -> Iterator[Action]:  # noqa: ARG001
    yield Reset()


def _unanswered(exchange: Exchange) -> Iterator[Action]:  # noqa: ARG001
    yield Admit()
    yield Pause()


def _closed_idle(exchange: Exchange, *, after: float = 0.0) -> Iterator[Action]:
    yield from honest(exchange)
    yield Pause(after)
    yield Close()


def _reset_at_reuse(exchange: Exchange) -> Iterator[Action]:
    yield from honest(exchange)
    yield AwaitRequest()
    yield Reset()


def _dripped_head(exchange: Exchange, *, pause: float = 0.05) -> Iterator[Action]:
    return _dripped(exchange, head=pause, body=0.0)


def _dripped_body(exchange: Exchange, *, pause: float = 0.05) -> Iterator[Action]:
    return _dripped(exchange, head=0.0, body=pause)


def _dripped(exchange: Exchange, *, head: float, body: float) -> Iterator[Action]:
    """The honest bytes, in head and body with a pause before each byte, or at once where it is none."""
    in_head = True
    for action in honest(exchange):
        if not isinstance(action, Send):
            yield action
            continue
        start, end, rest = action.data.partition(b"\r\n\r\n") if in_head else (b"", b"", action.data)
        in_head = False
        yield Pause(action.after or 0.0)
        yield from _drops(start + end, head)
        yield from _drops(rest, body)


def _drops(data: bytes, pause: float) -> Iterator[Action]:
    size = 1 if pause else max(1, len(data))
    for start in range(0, len(data), size):
        yield Send(data[start : start + size], pause)


def _slow(exchange: Exchange, *, factor: float = 10.0, least: float = 0.1) -> Script:
    answer = exchange.answer
    if isinstance(answer, Response):
        return honest(replace(exchange, answer=replace(answer, delay=max(least, answer.delay * factor))))
    frames = (Frame(frame.data, max(least, frame.delay * factor)) for frame in answer.frames)
    return honest(replace(exchange, answer=replace(answer, frames=frames)))


ROWS: Final = (
    Fault(
        "close-unanswered",
        (7,),
        "any",
        "the connection is closed without a byte of an answer",
        "outcome unknown: one budgeted retry at most",
        _closed,
    ),
    Fault(
        "reset-unanswered",
        (7,),
        "any",
        "the connection is reset without a byte of an answer",
        "outcome unknown: one budgeted retry at most",
        _reset,
    ),
    Fault(
        "close-when-idle",
        (8,),
        "any",
        "after a good answer the connection is closed, `after` seconds later, without notice",
        "opens a new one; its caller sees nothing",
        _closed_idle,
    ),
    Fault(
        "reset-at-reuse",
        (8,),
        "any",
        "after a good answer the next request on the connection is met by a reset",
        "one free retry on a new connection; its caller sees nothing",
        _reset_at_reuse,
    ),
    Fault(
        "no-answer",
        (9,),
        "any",
        "the request is taken and never answered",
        "its first-token timer ends it, and a side probe asks whether the server lives",
        _unanswered,
    ),
    Fault(
        "drip-head",
        (10,),
        "any",
        "the head comes byte by byte, `pause` seconds apart",
        "its total deadline ends it",
        _dripped_head,
    ),
    Fault(
        "drip-body",
        (11,),
        "any",
        "the body comes byte by byte, `pause` seconds apart",
        "its total deadline ends it",
        _dripped_body,
    ),
    Fault(
        "slow",
        (72,),
        "any",
        "every wait is `factor` times as long, and `least` seconds at least",
        "sends this replica a smaller share",
        _slow,
    ),
)
