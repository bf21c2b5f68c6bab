"""How long a replica takes to its first token: lately, and at its peak."""

from __future__ import annotations

import math

__all__ = ["Latency"]

# How much a new time counts in what is so lately, which is about the last ten.
LATELY = 0.1
# Seconds after which a peak counts for a third of itself, and for nothing: a replica that was slow must be tried again.
FADING = 10.0
FORGOTTEN = 30.0


class Latency:
    """The times to the first token of one replica, in seconds; `lately` is None before the first."""

    __slots__ = ("_heard_at", "_peak", "lately")

    def __init__(self) -> None:
        self.lately: float | None = None
        self._peak = 0.0
        self._heard_at = -math.inf

    def heard(self, seconds: float, now: float) -> None:
        """Take in the time of one attempt."""
        self.lately = seconds if self.lately is None else self.lately + LATELY * (seconds - self.lately)
        # Slow is believed at once, fast only by and by (peak EWMA, after Finagle).
        before = seconds if self.is_forgotten(now) else _faded(self._peak, seconds, now - self._heard_at)
        self._peak = max(seconds, before)
        self._heard_at = now

    def expected(self, now: float, usual: float) -> float | None:
        """Return the time that the next attempt has to expect, None where nothing is known of late.

        What was heard some time ago says less and less, and fades into what is `usual` in the group.
        """
        if self.is_forgotten(now):
            return None
        return _faded(self._peak, usual, now - self._heard_at)

    def is_forgotten(self, now: float) -> bool:
        """Whether nothing was heard of late."""
        return now - self._heard_at >= FORGOTTEN


def _faded(value: float, into: float, seconds: float) -> float:
    return into + (value - into) * math.exp(-max(seconds, 0.0) / FADING)
