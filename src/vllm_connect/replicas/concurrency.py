"""How much work a replica takes at once, found out by going on: more while all is well, less when it says no.

It is fed by first tokens and refusals alone. The time of a whole answer depends on its length and says nothing of load.
A limit makes no caller wait: it only has other replicas chosen first.
"""

from __future__ import annotations

__all__ = ["Concurrency"]

# vLLM runs 256 sequences at once by default, and more on large devices (`max_num_seqs`).
FIRST_LIMIT = 256.0
HIGHEST_LIMIT = 1024.0
LOWEST_LIMIT = 1.0
# First tokens are slow for long prompts too: they alone take no limit below this.
LOWEST_BY_TIMES = 8.0
# A refusal leaves so much of what was in flight; slow first tokens so much.
AFTER_REFUSAL = 0.7
AFTER_SLOWNESS = 0.9
# First tokens are slow when they take so many times as long as usual.
SLOW = 2.0
# What one full limit of good answers adds.
GROWTH = 4.0
# Seconds in which a limit shrinks once: the refusals of one moment are one piece of news.
MOMENT = 1.0


class Concurrency:
    """The limit of one replica, a whole number in effect; it never goes below 1."""

    __slots__ = ("_shrunk_at", "limit")

    def __init__(self) -> None:
        self.limit = FIRST_LIMIT
        self._shrunk_at = float("-inf")

    def went_well(self, in_flight: int) -> None:
        """Count a good answer; `in_flight` includes it. A limit that is not used is not known to be too low."""
        if 2 * in_flight >= self.limit:
            self.limit = min(HIGHEST_LIMIT, self.limit + GROWTH / self.limit)

    def refused(self, in_flight: int, now: float) -> None:
        """Count a refusal for too much work."""
        self._shrink(min(self.limit, in_flight) * AFTER_REFUSAL, LOWEST_LIMIT, now)

    def heard(self, lately: float, usually: float, in_flight: int, now: float) -> None:
        """Count a first token, given the times as they are lately and usually."""
        if lately > SLOW * usually:
            self._shrink(min(self.limit, 2.0 * in_flight) * AFTER_SLOWNESS, LOWEST_BY_TIMES, now)

    def _shrink(self, to: float, lowest: float, now: float) -> None:
        if now - self._shrunk_at >= MOMENT:
            self._shrunk_at = now
            self.limit = min(self.limit, max(lowest, to))
