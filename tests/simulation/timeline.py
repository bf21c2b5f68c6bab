"""Virtual time: what happens when, in the order of its moments; no clock is looked at, and nothing waits."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable


class Timeline:
    """Acts at moments; `now` is the moment of the one that runs, in seconds from 0."""

    def __init__(self) -> None:
        self.now = 0.0
        self._acts: list[tuple[float, int, Callable[[], None]]] = []
        # Acts of one moment run in the order in which they were planned.
        self._numbers = itertools.count()

    def at(self, moment: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._acts, (moment, next(self._numbers), act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self.at(self.now + seconds, act)

    def run(self, until: float = math.inf) -> None:
        """Run all acts up to a moment, and those that they plan."""
        while self._acts and self._acts[0][0] <= until:
            self.now, _, act = heapq.heappop(self._acts)
            act()
        self.now = self.now if math.isinf(until) else until
