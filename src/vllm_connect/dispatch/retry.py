"""Whether a call is tried again, and after how long; pure, with clock and chance passed in.

The statuses and waits are the SDK's own. What differs: a timed-out generation is not repeated, an error that
another try cannot mend is not tried again, and no wait outlives the call's deadline.
"""

from __future__ import annotations

import email.utils
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import openai

from vllm_connect.errors import AnswerIncomplete, AnswerMalformed, DeadlineExceeded, ServerUnreachable

__all__ = ["Answered", "Failed", "wait_before_retry"]

FIRST_WAIT = 0.5
LONGEST_WAIT = 8.0
# A server's wish beyond this is better told to the caller than obeyed (the SDK's limit).
LONGEST_RETRY_AFTER = 120.0
RETRIED_STATUSES = frozenset({408, 409, 429})
SERVER_ERRORS = 500
MENDS_ITSELF = frozenset(
    {
        "connection refused",
        "connection reset by the server",
        "connection failed",
        "no route to host",
        "network unreachable",
    }
)


@dataclass(frozen=True)
class Answered:
    """A try that ended with an answer: its status and headers, which may echo the key."""

    status: int
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Failed:
    """A try that ended without an answer; `replayable` says whether its body can be sent again."""

    error: openai.APIConnectionError
    replayable: bool


def wait_before_retry(
    outcome: Answered | Failed,
    *,
    tries: int,
    max_retries: int,
    remaining: float,
    wall_clock: float,
    chance: Callable[[], float],
) -> float | None:
    """Return the seconds to wait before the next try, None for no further try.

    `tries` counts those made, `remaining` is what is left of the deadline, `wall_clock` a Unix time for
    dates in Retry-After, `chance` a number from 0 to 1.
    """
    if tries > max_retries or not _may_help(outcome):
        return None
    wished = _retry_after(outcome.headers, wall_clock) if isinstance(outcome, Answered) else None
    if wished is not None and wished > LONGEST_RETRY_AFTER:
        return None
    backoff = min(FIRST_WAIT * 2.0 ** min(tries - 1, 10), LONGEST_WAIT) * (1 - 0.25 * chance())
    wait = wished or backoff
    return wait if wait < remaining else None


def _may_help(outcome: Answered | Failed) -> bool:
    if isinstance(outcome, Answered):
        told = outcome.headers.get("x-should-retry")
        if told in ("true", "false"):
            return told == "true"
        return outcome.status in RETRIED_STATUSES or outcome.status >= SERVER_ERRORS
    error = outcome.error
    if isinstance(error, DeadlineExceeded):
        return error.timer == "connect"
    if isinstance(error, AnswerIncomplete):
        return outcome.replayable
    if not isinstance(error, ServerUnreachable) or isinstance(error, AnswerMalformed):
        return False
    return error.reason in MENDS_ITSELF if error.phase == "connect" else outcome.replayable


def _retry_after(headers: Mapping[str, str], wall_clock: float) -> float | None:
    """Return the wait a server asks for (RFC 9110, 10.2.3: seconds or a date), None for none it makes sense of."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        return seconds if math.isfinite(seconds) and seconds > 0 else None
    date = email.utils.parsedate_tz(headers.get("retry-after", ""))
    if date is None:
        return None
    seconds = email.utils.mktime_tz(date) - wall_clock
    return seconds if seconds > 0 else None
