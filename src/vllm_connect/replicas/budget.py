"""How many retries a group of replicas may cost: a share of its traffic, and a few per second besides."""

from __future__ import annotations

import threading

__all__ = ["BURST", "FLOOR", "SHARE", "Budget"]

# Retries per call: at most one in ten attempts is a repetition, however much fails (Site Reliability Engineering, 21).
SHARE = 0.1
# Retries per second that any client may make, so that one with little traffic can retry at all.
FLOOR = 3.0
# Retries that can be saved up: a fault that meets a few calls at once is not told to any of them.
BURST = 10.0
# Ten times a tenth is less than one.
ROUNDING = 1e-9


class Budget:
    """A bucket of retries, full at first; for any number of threads.

    Over any time it allows at most `SHARE` of the calls, `FLOOR` per second and `BURST` together.
    """

    __slots__ = ("_left", "_lock", "_now")

    def __init__(self) -> None:
        self._left = BURST
        self._now: float | None = None
        self._lock = threading.Lock()

    def earn(self, now: float) -> None:
        """Count a call, at its start."""
        with self._lock:
            self._pass_to(now)
            self._left = min(BURST, self._left + SHARE)

    def spend(self, now: float) -> bool:
        """Take a retry out, and say whether there was one."""
        with self._lock:
            self._pass_to(now)
            if self._left < 1.0 - ROUNDING:
                return False
            self._left -= 1.0
            return True

    def _pass_to(self, now: float) -> None:
        # Threads look at the clock before they wait for the lock: time may seem to run back.
        if self._now is None:
            self._now = now
        elif now > self._now:
            self._left = min(BURST, self._left + FLOOR * (now - self._now))
            self._now = now
