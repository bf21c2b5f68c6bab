"""How much work a replica takes at once, found out by going on: more while all is well, less when it says no.

It is fed by first tokens and refusals alone. The time of a whole answer depends on its length and says nothing of load.
A limit makes no caller wait: it only has other replicas chosen first.
"""

from __future__ import annotations

import math

__all__ = ["Concurrency"]

# vLLM runs 256 sequences at once by default, and more on large devices (`max_num_seqs`).
FIRST_LIMIT = 256.0
HIGHEST_LIMIT = 1024.0
LOWEST_LIMIT = 1.0
# A refusal leaves so much of what was in flight; slow first tokens so much.
AFTER_REFUSAL = 0.7
AFTER_SLOWNESS = 0.5
# First tokens are slow when they take so many times as long as those of the other replicas. What is slow everywhere is
# the prompts, or the group has too much to do: no choice mends that.
SLOW = 3.0
# What one full limit of good answers adds.
GROWTH = 4.0
# Seconds in which a limit shrinks once: the refusals of one moment are one piece of news.
MOMENT = 1.0


class Concurrency:
    """The limit of one replica; it is never below 1."""

    __slots__ = ("_is_slow", "_shrunk_at", "limit")

    def __init__(self) -> None:
        self.limit = FIRST_LIMIT
        self._is_slow = False
        self._shrunk_at = -math.inf

    def went_well(self, in_flight: int) -> None:
        """Count a good answer; `in_flight` includes it. A limit that is not used is not known to be too low."""
        if 2 * in_flight >= self.limit and not self._is_slow:
            self.limit = min(HIGHEST_LIMIT, self.limit + GROWTH / self.limit)

    def refused(self, in_flight: int, now: float) -> None:
        """Count a refusal for too much work."""
        self._shrink(in_flight * AFTER_REFUSAL, now)

    def heard(self, lately: float, others: float, in_flight: int, now: float) -> None:
        """Count a first token: how long it took lately, here and elsewhere, in seconds."""
        self._is_slow = lately > SLOW * others
        if self._is_slow:
            # A limit far above what is in flight would have to shrink for long before anything came of it.
            self._shrink(min(self.limit, 2.0 * in_flight) * AFTER_SLOWNESS, now)

    def _shrink(self, to: float, now: float) -> None:
        if now - self._shrunk_at >= MOMENT:
            self._shrunk_at = now
            self.limit = min(self.limit, max(LOWEST_LIMIT, to))
