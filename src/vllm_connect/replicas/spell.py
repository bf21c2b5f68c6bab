"""A time in which a replica is left alone: each next one is twice as long, until it is known to do well."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

__all__ = ["Spell"]

# Spells differ by this share either way, so that clients that failed together do not come back together.
JITTER: Final = 0.25


class Spell:
    """The last spell of one replica; `in_a_row` counts those there were, `since` and `until` are moments."""

    __slots__ = ("_first", "_longest", "in_a_row", "since", "until")

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self.in_a_row = 0
        self.since = -math.inf
        self.until = -math.inf

    def is_on(self, now: float) -> bool:
        return now < self.until

    def begin(self, now: float, chance: Callable[[], float], longest: float = math.inf) -> None:
        """Begin one that is twice as long as the last one in the row; `longest` holds for this one."""
        # A number that doubles for ever is none in the end.
        length = min(self._longest, longest, self._first * 2.0 ** min(self.in_a_row, 16))
        self.in_a_row += 1
        self.since = now
        self.until = now + length * (1.0 - JITTER + 2.0 * JITTER * chance())

    def forget(self) -> None:
        """End it, and have the next one be the first in a row."""
        self.in_a_row = 0
        self.until = -math.inf
