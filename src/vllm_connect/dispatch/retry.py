"""Whether another attempt follows, when, and at whose cost; pure, with chance passed in.

What decides is what became of the attempt (`outcome`), not which exception told it. The waits are the SDK's, with
more jitter: clients that were turned away together must not come back together. No wait outlives the deadline.
"""

from __future__ import annotations

import email.utils
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vllm_connect.outcome import Again, Attempt, Blame, Verdict
from vllm_connect.replicas import MOST_CRASHES

__all__ = [
    "LONGEST_RETRY_AFTER",
    "MOST_CRASHES",
    "Standing",
    "Step",
    "next_step",
    "retry_after",
    "should_retry",
]

FIRST_WAIT = 0.5
LONGEST_WAIT = 8.0
# A server's wish beyond this is better told to the caller than obeyed (the SDK's limit).
LONGEST_RETRY_AFTER = 120.0
# How far a wait may stray: to the half of a backoff, and this much beyond what a server asks for.
JITTER = 0.5
EXTRA_AFTER = 0.25


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a call stands when an attempt of it has ended.

    `retries` counts the attempts so far that were retries and not free, `crashes` those that a replica broke off,
    this one included. `remaining` is what is left of the deadline, in seconds. `is_replayable` says whether the body
    can be sent again, `has_other` whether there is a replica that this call has not tried.
    """

    retries: int
    max_retries: int
    crashes: int
    remaining: float
    is_replayable: bool = True
    has_other: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """The next attempt: after how many seconds, and whether it counts as a retry and is charged to the budget."""

    wait: float
    is_counted: bool
    is_charged: bool


AT_ONCE_FOR_FREE = Step(0.0, is_counted=False, is_charged=False)


def next_step(
    attempt: Attempt, verdict: Verdict, standing: Standing, chance: Callable[[], float]
) -> Step | None:
    """Return the next attempt, None where none follows; `chance` gives numbers from 0 to 1."""
    again = verdict.again
    if again is Again.NEVER or (attempt.phase != "connect" and not standing.is_replayable):
        return None
    if standing.has_other and again in (Again.FREE, Again.FREE_ELSEWHERE):
        return AT_ONCE_FOR_FREE if standing.remaining > 0 else None
    if again is Again.FREE_ELSEWHERE or standing.retries >= standing.max_retries:
        return None
    if verdict.blame is Blame.CRASH and standing.crashes >= MOST_CRASHES:
        return None
    if again is Again.ELSEWHERE:
        # A wrong answer once: others are likely to give the same.
        may_go = standing.has_other and standing.remaining > 0
        may_go = may_go and (standing.retries == 0 or verdict.blame is not Blame.WRONG)
        return Step(0.0, is_counted=True, is_charged=True) if may_go else None
    if standing.has_other:
        wait: float | None = 0.0
    else:
        wait = _wait(attempt.retry_after, standing.retries, chance)
    if wait is None or wait >= standing.remaining:
        return None
    # What was not sent is free elsewhere only: all clients of servers that are down would meet them when they return.
    return Step(wait, is_counted=True, is_charged=True)


def _wait(wished: float | None, retries: int, chance: Callable[[], float]) -> float | None:
    """Return the seconds to wait before the same replica is asked again, None where it asks for too many."""
    if wished is not None:
        return None if wished > LONGEST_RETRY_AFTER else wished * (1 + EXTRA_AFTER * chance())
    backoff = min(FIRST_WAIT * 2.0 ** min(retries, 10), LONGEST_WAIT)
    return backoff * (1 - JITTER * chance())


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Return the server's own word on whether to come again, as the SDK reads it."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", ""))


def retry_after(headers: Mapping[str, str], wall_clock: float) -> float | None:
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
