"""When an exchange is late: its timers as moments on the loop's or the system's monotonic clock."""

from __future__ import annotations

import math

from vllm_connect.errors import Timer
from vllm_connect.settings import Timers

__all__ = ["Timing"]


class Timing:
    """The timers of one exchange that begins now.

    `deadline` is the moment at which the whole call is over; `first` the one for the first token, and then for
    each next. What resets the token timers is `heard`: a data event of a stream, a byte of any other answer.
    Comments, pings and dripped heads do not. `silent_since` is the moment of the last, or of the beginning.
    """

    __slots__ = ("_between", "_is_first", "deadline", "due", "silent_since")

    def __init__(self, timers: Timers, deadline: float, now: float) -> None:
        self.deadline = deadline
        first = timers.first_token
        self.due = math.inf if first is None else now + first
        between = timers.between_tokens
        self._between = math.inf if between is None else between
        self._is_first = True
        self.silent_since = now

    def heard(self, now: float) -> None:
        """Start the timer of the next token anew."""
        self.silent_since = now
        self.due = now + self._between
        self._is_first = False

    def resume(self, now: float) -> None:
        """Start the timer of a next token anew after a time in which nobody listened."""
        self.silent_since = now
        if not self._is_first:
            self.due = now + self._between

    def end_by(self, moment: float) -> None:
        """Have the whole end by a moment that is sooner than it had to."""
        self.deadline = min(self.deadline, moment)

    @property
    def earliest(self) -> float:
        """The moment at which a timer may run out."""
        return min(self.due, self.deadline)

    def expired(self, now: float) -> Timer | None:
        """Return the timer that has run out."""
        if now >= self.deadline:
            return "total"
        if now >= self.due:
            return "first_token" if self._is_first else "between_tokens"
        return None
