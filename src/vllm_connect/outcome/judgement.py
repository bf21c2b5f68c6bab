"""The table of outcomes: which case an attempt is, what became of the request, what may follow.

A generation has no side effects, so that another try is always correct; the question is what it costs, and whom.
The cases are looked at in their order, and the first that fits is the one: the last fits all that is left, a good
answer. Sources: OpenAI reference, "Streaming" and "finish_reason"; vLLM's entrypoints (the statuses and words of its
refusals); RFC 9110, 15; gRPC proposal A6 (what was never seen by a server is sent again free of charge).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from vllm_connect.outcome.attempt import Attempt

__all__ = [
    "CASES",
    "FINISHED",
    "NOT_FINISHED",
    "Again",
    "Blame",
    "Case",
    "Outcome",
    "Verdict",
    "judge",
    "judged",
]

E = TypeVar("E", bound=BaseException)


class Outcome(enum.StrEnum):
    """What became of a request."""

    NOT_SENT = "NOT_SENT"
    """No server has seen it."""
    REFUSED = "REFUSED"
    """A server has seen it and did not execute it."""
    UNKNOWN = "UNKNOWN"
    """It left, and what became of it is not known."""
    PARTIAL = "PARTIAL"
    """A part of the answer came, or the server itself ended it too early."""
    INVALID = "INVALID"
    """What came is not an answer to it."""
    DONE = "DONE"
    """It was answered."""


class Again(enum.Enum):
    """Whether another attempt may follow, and at whose cost; the caller's `max_retries` caps all but the free ones."""

    NEVER = "no"
    ELSEWHERE = "on another replica, charged"
    CHARGED = "yes, charged to the retry budget"
    FREE_ELSEWHERE = "on each other replica, free"
    FREE = "yes; on another replica free"


class Blame(enum.Enum):
    """What an attempt says of the replica it went to."""

    NOTHING = "nothing"
    """Neither good nor bad: the request was at fault, or the caller's own side."""
    WELL = "it works"
    UNREACHABLE = "no connection comes about"
    CRASH = "it breaks off work"
    OVERLOAD = "it has more work than it takes"
    SILENT = "it says nothing"
    WRONG = "it answers wrongly"
    MISPLACED = "it does not serve the model"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one attempt. `is_flagged` marks an answer that is done in a way that is not known."""

    case: str
    outcome: Outcome
    again: Again
    blame: Blame
    is_flagged: bool = False

    @property
    def is_done(self) -> bool:
        return self.outcome is Outcome.DONE


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table: what is seen, in words and as a test; its verdict; what the caller gets."""

    seen: str
    fits: Callable[[Attempt], bool]
    verdict: Verdict
    told: str


# The finish reasons of the OpenAI reference; any other but those below is new to us, and the answer as good.
FINISHED = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
# What vLLM says of an answer that it broke off: a shutdown or a client it thinks gone, an engine that failed.
NOT_FINISHED = frozenset({None, "abort", "error"})
# vLLM's `repetition` too: it found the model going round in circles, and stopped it.

FIRST_REDIRECT = 300
FIRST_CLIENT_ERROR = 400
FIRST_SERVER_ERROR = 500


def _is_status(*statuses: int) -> Callable[[Attempt], bool]:
    return lambda attempt: attempt.status in statuses


def _is_error(attempt: Attempt) -> bool:
    return attempt.status is not None and attempt.status >= FIRST_CLIENT_ERROR


def _has_timed_out(attempt: Attempt) -> bool:
    return attempt.ending == "timer"


def _is_cut(attempt: Attempt) -> bool:
    return attempt.ending in ("lost", "gone")


def _is_unfinished(attempt: Attempt) -> bool:
    return not attempt.has_end_mark or not NOT_FINISHED.isdisjoint(attempt.finish_reasons)


def _case(
    name: str,
    seen: str,
    fits: Callable[[Attempt], bool],
    *,
    outcome: Outcome,
    again: Again,
    blame: Blame,
    told: str,
    is_flagged: bool = False,
) -> Case:
    return Case(seen, fits, Verdict(name, outcome, again, blame, is_flagged), told)


CASES: tuple[Case, ...] = (
    _case(
        "held back",
        "our own side did not send it: no connection became free, or the key must not go there",
        lambda attempt: attempt.ending == "held back",
        outcome=Outcome.NOT_SENT,
        again=Again.NEVER,
        blame=Blame.NOTHING,
        told="ServerUnreachable or KeyRefused",
    ),
    _case(
        "no time to connect",
        "the total was over before a connection came about",
        lambda attempt: attempt.phase == "connect" and attempt.timer == "total",
        outcome=Outcome.NOT_SENT,
        again=Again.NEVER,
        blame=Blame.UNREACHABLE,
        told="DeadlineExceeded",
    ),
    _case(
        "no connection",
        "the connection was refused, reset or not made in time",
        lambda attempt: attempt.phase == "connect" and attempt.mends_itself,
        outcome=Outcome.NOT_SENT,
        again=Again.FREE,
        blame=Blame.UNREACHABLE,
        told="ServerUnreachable or DeadlineExceeded",
    ),
    _case(
        "no way",
        "the host name is not known, TLS or a proxy failed",
        lambda attempt: attempt.phase == "connect",
        outcome=Outcome.NOT_SENT,
        again=Again.FREE_ELSEWHERE,
        blame=Blame.UNREACHABLE,
        told="ServerUnreachable",
    ),
    _case(
        "too large",
        "the answer passed a limit of sizes",
        lambda attempt: attempt.ending == "too large",
        outcome=Outcome.INVALID,
        again=Again.NEVER,
        blame=Blame.NOTHING,
        told="AnswerTooLarge",
    ),
    _case(
        "cut after tokens",
        "the connection, or the server, was lost after a part had reached the caller",
        lambda attempt: _is_cut(attempt) and attempt.delivered,
        outcome=Outcome.PARTIAL,
        again=Again.NEVER,
        blame=Blame.CRASH,
        told="AnswerIncomplete with what came",
    ),
    _case(
        "stalled after tokens",
        "a timer ran out after a part had reached the caller",
        lambda attempt: _has_timed_out(attempt) and attempt.delivered,
        outcome=Outcome.PARTIAL,
        again=Again.NEVER,
        blame=Blame.SILENT,
        told="DeadlineExceeded with what came",
    ),
    _case(
        "spoilt after tokens",
        "what followed a part that had reached the caller is not HTTP, not JSON or no event of a stream",
        lambda attempt: (
            (attempt.ending == "malformed" or attempt.reading == "no answer") and attempt.delivered
        ),
        outcome=Outcome.PARTIAL,
        again=Again.NEVER,
        blame=Blame.WRONG,
        told="InvalidAnswer or AnswerMalformed with what came",
    ),
    _case(
        "error after tokens",
        "the server put an error behind a part that had reached the caller",
        lambda attempt: attempt.reading == "error" and attempt.delivered,
        outcome=Outcome.PARTIAL,
        again=Again.NEVER,
        blame=Blame.CRASH,
        told="AnswerIncomplete with what came, and the server's error as its body",
    ),
    _case(
        "ended after tokens",
        "a stream ended without `[DONE]`, or a choice with `abort`, `error` or no finish reason, after a part had "
        "reached the caller",
        lambda attempt: attempt.delivered and _is_unfinished(attempt),
        outcome=Outcome.PARTIAL,
        again=Again.NEVER,
        blame=Blame.CRASH,
        told="AnswerIncomplete with what came",
    ),
    _case(
        "timed out",
        "a timer ran out before any part of the answer reached the caller",
        _has_timed_out,
        outcome=Outcome.UNKNOWN,
        again=Again.NEVER,
        blame=Blame.SILENT,
        told="DeadlineExceeded",
    ),
    _case(
        "lost",
        "the connection ended before any part of the answer reached the caller, or the server was found gone",
        _is_cut,
        outcome=Outcome.UNKNOWN,
        again=Again.CHARGED,
        blame=Blame.CRASH,
        told="ServerUnreachable, or AnswerIncomplete where an answer had begun",
    ),
    _case(
        "not HTTP",
        "what came is not HTTP or breaks its rules",
        lambda attempt: attempt.ending == "malformed",
        outcome=Outcome.INVALID,
        again=Again.ELSEWHERE,
        blame=Blame.WRONG,
        told="AnswerMalformed",
    ),
    _case(
        "no answer",
        "a success that is no answer to the request: HTML, broken JSON, no choices, too few of them",
        lambda attempt: attempt.reading == "no answer",
        outcome=Outcome.INVALID,
        again=Again.ELSEWHERE,
        blame=Blame.WRONG,
        told="InvalidAnswer",
    ),
    _case(
        "redirected",
        "a redirect, which is never followed",
        lambda attempt: attempt.status is not None and FIRST_REDIRECT <= attempt.status < FIRST_CLIENT_ERROR,
        outcome=Outcome.REFUSED,
        again=Again.NEVER,
        blame=Blame.WRONG,
        told="RedirectRefused",
    ),
    _case(
        "told to stay away",
        "an error with `x-should-retry: false`",
        lambda attempt: _is_error(attempt) and attempt.should_retry is False,
        outcome=Outcome.REFUSED,
        again=Again.NEVER,
        blame=Blame.NOTHING,
        told="the openai class of its status",
    ),
    _case(
        "busy",
        "429 or 503: the queue is full, the engine sleeps, a gateway has no server",
        _is_status(429, 503),
        outcome=Outcome.REFUSED,
        again=Again.CHARGED,
        blame=Blame.OVERLOAD,
        told="RateLimitError or InternalServerError, with `retry_after`",
    ),
    _case(
        "engine dead",
        "500 with vLLM's word that its engine failed",
        lambda attempt: attempt.engine_is_dead,
        outcome=Outcome.UNKNOWN,
        again=Again.CHARGED,
        blame=Blame.CRASH,
        told="InternalServerError",
    ),
    _case(
        "told to come again",
        "an error with `x-should-retry: true`",
        lambda attempt: _is_error(attempt) and attempt.should_retry is True,
        outcome=Outcome.REFUSED,
        again=Again.CHARGED,
        blame=Blame.NOTHING,
        told="the openai class of its status",
    ),
    _case(
        "gateway gave up",
        "504: the generation may still be running",
        _is_status(504),
        outcome=Outcome.UNKNOWN,
        again=Again.NEVER,
        blame=Blame.SILENT,
        told="InternalServerError",
    ),
    _case(
        "gateway lost it",
        "502: a gateway got no good answer",
        _is_status(502),
        outcome=Outcome.UNKNOWN,
        again=Again.CHARGED,
        blame=Blame.CRASH,
        told="InternalServerError",
    ),
    _case(
        "server failed",
        "500 or another status of the server's failure",
        lambda attempt: attempt.status is not None and attempt.status >= FIRST_SERVER_ERROR,
        outcome=Outcome.UNKNOWN,
        again=Again.CHARGED,
        blame=Blame.WRONG,
        told="InternalServerError",
    ),
    _case(
        "request came late",
        "408: the server did not get the whole request in time",
        _is_status(408),
        outcome=Outcome.REFUSED,
        again=Again.CHARGED,
        blame=Blame.NOTHING,
        told="APIStatusError",
    ),
    _case(
        "model not there",
        "404 for the model: another replica may serve it",
        lambda attempt: attempt.lacks_model,
        outcome=Outcome.REFUSED,
        again=Again.FREE_ELSEWHERE,
        blame=Blame.MISPLACED,
        told="NotFoundError",
    ),
    _case(
        "refused",
        "any other 4xx: the request, the key or the route is wrong, and wrong everywhere",
        _is_error,
        outcome=Outcome.REFUSED,
        again=Again.NEVER,
        blame=Blame.NOTHING,
        told="the openai class of its status, with what to do",
    ),
    _case(
        "error in its place",
        "an error object in a success or as the first event of a stream, which names no status",
        lambda attempt: attempt.reading == "error",
        outcome=Outcome.REFUSED,
        again=Again.NEVER,
        blame=Blame.NOTHING,
        told="APIError with the server's words",
    ),
    _case(
        "broken off",
        "no `[DONE]`, or a choice with `abort`, `error` or no finish reason, and no part has reached the caller",
        _is_unfinished,
        outcome=Outcome.PARTIAL,
        again=Again.ELSEWHERE,
        blame=Blame.CRASH,
        told="AnswerIncomplete with what came",
    ),
    _case(
        "finished otherwise",
        "all of it, with a finish reason that the OpenAI reference does not name, such as vLLM's `repetition`",
        lambda attempt: not FINISHED.issuperset(attempt.finish_reasons),
        outcome=Outcome.DONE,
        again=Again.NEVER,
        blame=Blame.WELL,
        told="the answer",
        is_flagged=True,
    ),
    _case(
        "done",
        "all of it",
        lambda _attempt: True,
        outcome=Outcome.DONE,
        again=Again.NEVER,
        blame=Blame.WELL,
        told="the answer",
    ),
)


def judge(attempt: Attempt) -> Verdict:
    """Return what became of a request, from what is known of an attempt; pure and total."""
    return next(case.verdict for case in CASES if case.fits(attempt))


def judged(error: E, attempt: Attempt) -> E:
    """Return an error that says what is known of its attempt (`attempt`), and what became of the request (`outcome`)."""
    error.attempt = attempt  # type: ignore[attr-defined]  # on the SDK's own classes too
    error.outcome = judge(attempt).outcome.value  # type: ignore[attr-defined]
    return error
