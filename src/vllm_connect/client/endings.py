"""How answers end that do not end right: what is wrong in words, and the errors made of it; the same for both lanes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import openai

from vllm_connect.client.replies import ErrorInAnswer
from vllm_connect.endpoint import Key
from vllm_connect.errors import (
    AnswerIncomplete,
    AnswerMalformed,
    AnswerTooLarge,
    DeadlineExceeded,
    Partial,
    ServerUnreachable,
)
from vllm_connect.facts import is_engine_dead, is_model_missing
from vllm_connect.facts.names import printable
from vllm_connect.outcome import Attempt, Ending, judged
from vllm_connect.outcome.completeness import unknown_reasons

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "NO_END_MARK",
    "attempt_of_error",
    "broken",
    "error_text",
    "flag",
    "incomplete",
    "masked",
    "note_late_error",
    "told_within",
    "unfinished",
]

log = logging.getLogger("vllm_connect")

# The characters of a server's message within an answer; an event may be far longer.
LONGEST_MESSAGE = 64 * 1024
NO_END_MARK = "it ended without its end mark"
BROKEN_OFF = ("abort", "error")


def unfinished(reasons: tuple[str | None, ...]) -> str:
    """Return what is wrong with the finish reasons of an answer."""
    broken_off = next((reason for reason in reasons if reason in BROKEN_OFF), None)
    if broken_off is not None:
        return f"the server broke it off (finish reason {broken_off!r})"
    if len(reasons) == 1:
        return "it has no finish reason"
    return f"{reasons.count(None)} of its {len(reasons)} choices have no finish reason"


def incomplete(  # noqa: PLR0917 - all of it is what the error says
    reason: str,
    attempt: Attempt,
    partial: Partial,
    request: httpx2.Request,
    server: str,
    tries: int,
    body: object | None = None,
) -> AnswerIncomplete:
    """Return the error for an answer that began and did not end right; `body` is the server's own error."""
    after = f" after {tries} tries" if tries > 1 else ""
    error = AnswerIncomplete(
        f"The answer of {server} is not complete{after}: {reason}.",
        request=request,
        server=server,
        reason=reason,
        partial=partial,
        finish_reasons=attempt.finish_reasons,
        body=body,
        attempts=tries,
    )
    if body is not None and attempt.status is not None:
        error.status_code = attempt.status
    return judged(error, attempt)


# What an error says of how a stream broke; all others were lost.
_ENDINGS: tuple[tuple[type[Exception], Ending], ...] = (
    (DeadlineExceeded, "timer"),
    (AnswerTooLarge, "too large"),
    (AnswerMalformed, "malformed"),
)


def broken(
    error: Exception,
    attempt: Attempt,
    partial: Partial,
    as_incomplete: Callable[[str, Attempt, Partial], AnswerIncomplete],
) -> Exception:
    """Return the error for a stream that broke, with what came of it.

    `error` is what the wire, or the SDK's transport, said of it; a lost connection becomes what `as_incomplete` makes.
    `attempt` says what is known but for how it broke.
    """
    ending: Ending = next((ending for kind, ending in _ENDINGS if isinstance(error, kind)), "lost")
    attempt = replace(attempt, phase="answer", ending=ending, timer=getattr(error, "timer", None))
    if type(error) is ServerUnreachable or isinstance(error, AnswerIncomplete):
        return as_incomplete(error.reason, attempt, partial)
    error.partial = partial  # type: ignore[attr-defined]  # all of them are ours
    return judged(error, attempt)


def attempt_of_error(error: ErrorInAnswer) -> Attempt:
    """Return what is known of an attempt whose answer is an error of the server's."""
    status, said = error.status, error_text(error.error)
    return Attempt(
        phase="answer",
        status=status,
        reading="error",
        engine_is_dead=status is not None and is_engine_dead(status, said),
        lacks_model=status is not None and is_model_missing(status, said),
    )


def told_within(error: ErrorInAnswer, request: httpx2.Request) -> openai.APIError:
    """Return the SDK's error for one that a server put where an answer was due, as the SDK tells those of streams.

    It has the status that the server gives it (`status_code`), which the SDK's own lacks.
    """
    told = openai.APIError(error_text(error.error), request=request, body=error.error)
    if error.status is not None:
        told.status_code = error.status  # type: ignore[attr-defined]
    return judged(told, attempt_of_error(error))


def masked(error: ErrorInAnswer, key: Key | None) -> ErrorInAnswer:
    """Return an error of the server's without the key, wherever it echoes it."""
    if key is None:
        return error
    return ErrorInAnswer(json.loads(key.scrub(json.dumps(error.error, ensure_ascii=False))))


def error_text(said: object) -> str:
    """Return the words of an error that came in the place of an answer, as the SDK tells those of streams."""
    message = said.get("message") if isinstance(said, dict) else said
    if not isinstance(message, str) or not message:
        return "An error occurred during streaming"
    return printable(message[:LONGEST_MESSAGE])


def flag(server: str, reasons: tuple[str | None, ...]) -> None:
    """Log finish reasons that are unknown: the answer is done, in a way that somebody may want to look at."""
    for reason in unknown_reasons(reasons):
        log.info("%s answered with the finish reason %r, which is unknown.", server, printable(reason))


def note_late_error(server: str, said: object) -> None:
    """Log an error behind an answer that was complete: it changes nothing about it."""
    log.warning("%s put an error behind a complete answer: %s", server, error_text(said))
