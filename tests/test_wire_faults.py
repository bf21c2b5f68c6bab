"""What a server can do wrong on the wire: each fault ends in a typed error in time, or changes nothing.

The numbers are rows of the fault catalogue; the faults are the simulator's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import openai
import pytest

from tests.ends import covering
from tests.runs import ALL, LANE, MODEL, PLAIN, SHELLS, STREAM, Run, plain, sdk_plain, stream, text_of
from vllm_connect import DeadlineExceeded, Limits, RedirectRefused, ServerUnreachable, Timeouts
from vllm_connect.errors import AnswerIncomplete, AnswerMalformed, AnswerTooLarge, InvalidAnswer
from vllm_connect.simulator import Simulator

TOTAL = 1
TIGHT = Timeouts(connect=1, first_token=0.5, between_tokens=0.4, total=TOTAL)
# For faults that no timer has to end: a busy machine is none.
AMPLE = Timeouts(total=20)
# From a deadline to the error in the caller's hands, on a machine that does much else.
LATE = 2.0
MIB = 1024 * 1024
LIMITS = Limits(body=MIB, event=MIB)


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    # In a process of its own: in this one it would take the time that the tests measure.
    with Simulator(models=(MODEL,), own_process=True) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def honest(server: Simulator) -> str:
    """What the server answers when nothing is wrong."""
    (outcome,) = Run(server, "blocking")((plain, ""))
    return text_of(outcome.answer)


# -- faults that end in an error


class Row(NamedTuple):
    """A row of the catalogue: its fault, what its caller gets, the tries made (of two), and how it may come."""

    number: int
    fault: str
    error: type[openai.OpenAIError]
    tries: int = 1
    ways: tuple[Callable[..., Any], ...] = ALL
    said: str = ""
    keeps: bool | None = False
    """Whether the connection carries the next call; None where that depends on how much came at once."""
    asks: int = 0
    """How often the server is asked who it is: where another kind than vLLM would be done with it."""


ROWS = (
    Row(7, "close-unanswered", ServerUnreachable, 2, said="closed the connection without an answer"),
    Row(7, "reset-unanswered", ServerUnreachable, 2),
    Row(9, "no-answer", DeadlineExceeded),
    Row(10, "drip-head", DeadlineExceeded),
    Row(11, "drip-body", DeadlineExceeded),
    Row(13, "not-http", AnswerMalformed, said="not HTTP/1.1"),
    Row(13, "tls-alert", AnswerMalformed, said="https://"),
    Row(14, "long-header", AnswerTooLarge, said="header_bytes"),
    Row(14, "many-headers", AnswerTooLarge),
    Row(14, "many-headers; count=300", AnswerTooLarge, said="`headers`"),
    Row(15, "length-too-long", AnswerIncomplete, 2, PLAIN),
    Row(15, "length-too-short", InvalidAnswer, 1, PLAIN),
    Row(15, "two-lengths", AnswerMalformed, 1, PLAIN),
    Row(15, "length-not-a-number", AnswerMalformed, 1, PLAIN),
    Row(15, "length-and-chunks", AnswerMalformed, 1, PLAIN),
    Row(16, "chunks-cut", AnswerIncomplete, 2, PLAIN),
    Row(16, "chunk-without-size", AnswerMalformed, 1, PLAIN),
    Row(18, "http10-cut", InvalidAnswer, 1, PLAIN),
    Row(21, "redirect", RedirectRefused, keeps=True),
    Row(22, "redirect-loop", RedirectRefused, keeps=True),
    Row(37, "html", InvalidAnswer, 1, LANE, keeps=True),
    Row(38, "error-in-200", openai.APIError, 2, LANE, "Something went wrong", keeps=True),
    Row(39, "no-content", InvalidAnswer, 1, (plain,), keeps=True),
    Row(39, "empty-body", InvalidAnswer, 1, (*LANE, sdk_plain), keeps=True),
    Row(39, "json-list", InvalidAnswer, 1, LANE, keeps=True),
    Row(39, "json-string", InvalidAnswer, 1, LANE, keeps=True),
    Row(39, "json-null", InvalidAnswer, 1, LANE, keeps=True),
    Row(40, "nan", InvalidAnswer, 1, (plain,), keeps=True),
    Row(40, "infinity", InvalidAnswer, 1, (plain,), keeps=True),
    Row(41, "deep-json", InvalidAnswer, 1, PLAIN, keeps=True),
    Row(41, "huge-integer", InvalidAnswer, 1, PLAIN, keeps=True),
    Row(42, "bad-utf8", InvalidAnswer, 1, PLAIN, keeps=True),
    Row(43, "choices-empty", InvalidAnswer, 1, (plain,), keeps=True),
    Row(43, "choices-missing", InvalidAnswer, 1, (plain,), keeps=True),
    Row(48, "gzip-corrupt", AnswerMalformed, 1, PLAIN, "compression is broken"),
    Row(48, "gzip-cut", AnswerIncomplete, 2, PLAIN, "compressed body ends too early"),
    Row(48, "gzip-bomb; size=20000000", AnswerTooLarge, 1, PLAIN, "`body`"),
    Row(48, "six-codings", AnswerMalformed, 1, PLAIN),
    Row(49, "huge-error; size=5000000", openai.InternalServerError, 2),
    Row(49, "endless-error", openai.InternalServerError, 2),
    Row(49, "endless-error; pause=5", DeadlineExceeded),
    Row(50, "escapes-in-header", AnswerMalformed),
    Row(50, "escapes-in-error", openai.BadRequestError, said=r"^[^\x00-\x1f\x7f-\x9f\u202e]+$", keeps=True),
    Row(51, "no-done", AnswerIncomplete, 1, (stream,), "without its end mark", True, 1),
    Row(51, "empty-stream", AnswerIncomplete, 1, (stream,), keeps=True),
    Row(52, "close-between-events", AnswerIncomplete, 1, (stream,)),
    Row(53, "close-in-event", AnswerIncomplete, 1, (stream,)),
    Row(54, "cut", AnswerIncomplete, 1, STREAM),
    Row(54, "reset", AnswerIncomplete, 1, STREAM, "reset by the server"),
    Row(55, "stall", DeadlineExceeded, 1, STREAM, "stood still"),
    Row(55, "stall-in-event", DeadlineExceeded, 1, STREAM, "stood still"),
    Row(56, "only-comments", DeadlineExceeded, 1, STREAM, "no first byte"),
    Row(57, "error-first", openai.APIError, 2, (stream,), keeps=None),
    Row(57, "error-within", AnswerIncomplete, 1, (stream,), keeps=None),
    Row(58, "bad-json-event", InvalidAnswer, 1, (stream,), keeps=None),
    Row(58, "bad-utf8-event", InvalidAnswer, 1, (stream,), keeps=None),
    Row(60, "done-misspelt", InvalidAnswer, 1, (stream,), keeps=None),
    Row(64, "json-instead", InvalidAnswer, 1, (stream,), keeps=True),
    Row(65, "huge-line; size=2000000", AnswerTooLarge, 1, STREAM, "`event`"),
    Row(65, "endless-events", DeadlineExceeded, 1, (stream,), r"total of 1 s"),
)
# A fault is judged by the wire and the table of outcomes; openai can change how its end is told, each of them.
CASES = [
    pytest.param(row, way, shell, id=f"{row.number}-{row.fault.replace('; ', '-')}-{way.__name__}-{shell}")
    for row in covering(ROWS, lambda row: (row.error, row.tries, row.ways))
    for way in row.ways
    for shell in SHELLS
]


def sound(client: Any, **options: Any) -> Any:
    return plain(client, timeouts=AMPLE, **options)


@pytest.mark.parametrize(("row", "way", "shell"), CASES)
def test_fault(row: Row, way: Callable[..., Any], shell: str, server: Simulator, honest: str) -> None:
    """A fault is a typed error by the deadline, tried again only where that may help; the next call is sound."""
    timeouts = TIGHT if row.error is DeadlineExceeded else AMPLE
    requests, connections = len(server.requests), server.connections
    met, after = Run(server, shell, timeouts=timeouts, limits=LIMITS, max_retries=1)(
        (way, row.fault), (sound, "")
    )
    assert type(met.error) is row.error, repr(met.error)
    assert re.search(row.said, str(met.error)), str(met.error)
    assert met.seconds <= (TOTAL if timeouts is TIGHT else 5) + LATE
    assert len(server.requests) - requests == row.tries + row.asks + 1
    assert after.error is None
    assert text_of(after.answer) == honest
    if row.keeps is not None:
        assert server.connections - connections == (1 if row.keeps else row.tries + 1)


# The fault of a new connection or of the server -> its error, and the tries it costs (of two).
OF_THE_SERVER: dict[str, tuple[type[ServerUnreachable], int]] = {
    "reset-on-accept": (ServerUnreachable, 2),
    "close-on-accept": (ServerUnreachable, 2),
    "not-http-on-accept": (AnswerMalformed, 1),
    "engine-dead": (ServerUnreachable, 2),
}
FAULTS = covering(OF_THE_SERVER, OF_THE_SERVER.__getitem__)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("way", ALL)
@pytest.mark.parametrize("fault", FAULTS)
def test_server(fault: str, way: Callable[..., Any], shell: str) -> None:
    """What meets every connection is told with the tries it cost (rows 6, 13, 31)."""
    with Simulator(models=(MODEL,)) as server:
        server.faults.turn_on(fault)
        (outcome,) = Run(server, shell, timeouts=AMPLE, max_retries=1)((way, ""))
    assert isinstance(outcome.error, ServerUnreachable)
    assert (type(outcome.error), outcome.error.attempts) == OF_THE_SERVER[fault]
