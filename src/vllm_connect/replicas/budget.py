"""How many retries a group of replicas may cost: a share of its traffic, and a few per second besides."""

from __future__ import annotations

import math
import threading
from typing import Final

__all__ = ["BURST", "FLOOR", "SHARE", "Budget"]

# Retries per call: at most one in ten attempts is a repetition, however much fails (Site Reliability Engineering, 21).
SHARE: Final = 0.1
# Retries per second that any client may make, so that one with little traffic can retry at all.
FLOOR: Final = 3.0
# Retries that can be saved up: a fault that meets a few calls at once is not told to any of them.
BURST: Final = 10.0
# Seconds over which calls and wishes for retries are compared, and how few calls are hardly any.
LATELY: Final = 10.0
HARDLY_ANY: Final = 0.1
# Calls are taken into account so many seconds late at most, or when a retry asks.
BETWEEN_COUNTS: Final = 0.5
# Ten times a tenth is less than one.
ROUNDING: Final = 1e-9


class Budget:
    """A bucket of retries, full at first; for any number of threads.

    Over any time it allows at most `SHARE` of the calls, `FLOOR` per second and `BURST` together. The more of the calls
    of late ask for retries, the less there is of the floor: where all of them do, the servers are down, and a thousand
    clients that each retry a little would meet them with a multiple of their load when they return.
    """

    __slots__ = ("_asked", "_calls", "_left", "_lock", "_new", "_now")

    def __init__(self) -> None:
        self._left = BURST
        self._new = 0
        self._calls = 0.0
        self._asked = 0.0
        self._now = -math.inf
        self._lock = threading.Lock()

    def earn(self, now: float) -> None:
        """Count a call, at its start."""
        # Without the lock, as every call passes here: a count that two threads lose is a tenth of a retry.
        self._new += 1
        if now - self._now >= BETWEEN_COUNTS:
            with self._lock:
                self._pass_to(now)

    def spend(self, now: float) -> bool:
        """Take a retry out, and say whether there was one."""
        with self._lock:
            self._pass_to(now)
            self._asked += 1.0
            if self._left < 1.0 - ROUNDING:
                return False
            self._left -= 1.0
            return True

    def forget(self) -> None:
        """Take a lock of one's own, in a process that was forked from another."""
        self._lock = threading.Lock()

    def _pass_to(self, now: float) -> None:
        new, self._new = self._new, 0
        # Threads look at the clock before they wait for the lock: time may seem to run back.
        passed = max(0.0, now - self._now)
        self._now = max(self._now, now)
        fading = math.exp(-passed / LATELY)
        self._calls *= fading
        self._asked *= fading
        failing = min(1.0, self._asked / (self._calls + HARDLY_ANY))
        self._left = min(BURST, self._left + FLOOR * (1.0 - failing) * passed + SHARE * new)
        self._calls += new
