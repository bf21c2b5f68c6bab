"""Whether a replica is used: what failures weigh, how long it rests for them, and how it comes back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from vllm_connect.outcome import Blame, Verdict

__all__ = ["GOOD_STANDING", "Health"]

# What one failure weighs; a replica rests when failures in a row weigh this much together.
TOO_MUCH: Final = 6
WEIGHTS: Final[Mapping[Blame, int]] = {
    Blame.UNREACHABLE: 6,
    Blame.CRASH: 6,
    Blame.SILENT: 3,
    Blame.WRONG: 2,
}
# Failures after which a replica cannot be counted on for a while: it may be gone.
GRAVE: Final = frozenset({Blame.UNREACHABLE, Blame.CRASH, Blame.SILENT})
# Seconds without one of them, after which a replica is in good standing.
GOOD_STANDING: Final = 10.0
# Seconds of a first rest, each next one twice as long, and the longest.
FIRST_REST: Final = 1.0
LONGEST_REST: Final = 60.0
# Seconds back at work after which earlier rests are forgotten.
FORGIVEN: Final = 60.0
# Seconds in which a replica that comes back is given more and more of its share, and the least share.
WARMING: Final = 10.0
LEAST_SHARE: Final = 0.1
# Seconds in which a replica that refused work is passed over: at first, and the longest.
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 4.0
# Waits differ by this share either way, so that clients that failed together do not come back together.
JITTER: Final = 0.25


class Health:
    """The health of one replica: at work, or resting until a probe goes well.

    `failures` counts those in a row, `reason` says what the last was; both are gone when an attempt goes well.
    """

    __slots__ = (
        "_back_at",
        "_failing_since",
        "_first_begun",
        "_grave_at",
        "_paused_at",
        "_pauses",
        "_probes",
        "_rested_at",
        "_rests",
        "_rests_until",
        "_warming",
        "_weight",
        "failures",
        "paused_until",
        "reason",
    )

    def __init__(self) -> None:
        self.failures = 0
        self.reason = ""
        self.paused_until = -math.inf
        self._weight = 0
        self._failing_since = -math.inf
        self._first_begun = 0
        self._pauses = 0
        self._paused_at = -math.inf
        self._grave_at = -math.inf
        self._rests = 0
        self._rested_at = -math.inf
        self._rests_until: float | None = None
        self._probes = 0
        self._back_at = -math.inf
        self._warming = False

    @property
    def is_resting(self) -> bool:
        """Whether it is out of work: for a time, and after it until a probe has gone well."""
        return self._rests_until is not None

    def rests_for(self, now: float) -> float | None:
        """Return the seconds it still rests, 0 when a probe may go to it, None when it is at work."""
        return None if self._rests_until is None else max(0.0, self._rests_until - now)

    def awaits_probe(self, now: float) -> bool:
        """Whether its rest is over and nobody is finding out how it is."""
        return self.rests_for(now) == 0.0 and not self._probes and not self.is_paused(now)

    def is_paused(self, now: float) -> bool:
        """Whether it is passed over for a moment while another can take the work."""
        return now < self.paused_until

    def is_in_good_standing(self, now: float) -> bool:
        """Whether it is at work and has lately broken nothing off."""
        return not self.is_resting and now - self._grave_at >= GOOD_STANDING

    def share(self, now: float) -> float:
        """Return how much of its share of the work it is given: less than 1 only when it has just come back."""
        if not self._warming:
            return 1.0
        share = (now - self._back_at) / WARMING
        if share >= 1.0:
            self._warming = False
            return 1.0
        return max(LEAST_SHARE, share)

    def begin_warming(self, now: float) -> None:
        """Have it come to work by and by."""
        self._back_at = now
        self._warming = True

    def begin_probe(self) -> None:
        """Count an attempt that goes to it though it rests."""
        self._probes += 1

    def end_probe(self) -> None:
        """Count the end of an attempt that says nothing of it."""
        self._probes = max(0, self._probes - 1)

    def went_well(self, now: float, began: float) -> None:
        """Count a good answer, or the first token of one, to an attempt that began at this moment."""
        if self._rests_until is not None:
            # A server that shuts down finishes what it has and takes nothing new: that is no reason to come back.
            if began < self._rested_at:
                return
            self._rests_until = None
            self._probes = 0
            self.begin_warming(now)
        # Without a reason there is nothing to forget; nearly all answers come this way.
        if self.reason:
            self._forget(began)

    def _forget(self, began: float) -> None:
        # While a server fails whatever it is newly asked, what it began before may still go well.
        if began >= self._failing_since:
            self.failures = self._weight = 0
        if began >= self._paused_at:
            self.paused_until = -math.inf
            self._pauses = 0
        if not self.failures and not self._pauses:
            self.reason = ""

    def refused(self, verdict: Verdict, now: float, chance: Callable[[], float]) -> None:
        """Count a refusal for too much work: it is alive, and is left alone for a moment."""
        self.end_probe()
        self.reason = _told(verdict)
        # The refusals of one moment are one.
        if not self.is_paused(now):
            self._pause(now, chance)

    def failed(
        self,
        verdict: Verdict,
        now: float,
        began: float,
        chance: Callable[[], float],
        *,
        begun: int,
        may_rest: bool,
    ) -> None:
        """Count a failure of an attempt that began at this moment; `begun` counts all attempts that were begun on it.

        Where it may not rest, as too many others do, it is passed over for a moment.
        """
        self.end_probe()
        if not self.failures:
            self._failing_since = began
            self._first_begun = begun
        self.failures += 1
        self.reason = _told(verdict)
        if verdict.blame in GRAVE:
            self._grave_at = now
        # What breaks a replica ends all it has in flight, at once or later: one fault, one rest. Who goes to it all the
        # same, as no other is left, does not make its rest longer.
        if began < self._rested_at or (self._rests_until is not None and now < self._rests_until):
            return
        self._weight += WEIGHTS[verdict.blame]
        if not self.is_resting and not self._is_too_much(verdict.blame, begun):
            return
        if may_rest or self.is_resting:
            self._rest(now, chance)
        elif not self.is_paused(now):
            self._pause(now, chance)

    def _is_too_much(self, blame: Blame, begun: int) -> bool:
        if self._weight < TOO_MUCH:
            return False
        # Wrong answers come fast, and may be the fault of a few requests, while good ones to the others take their time.
        begun_since = begun - self._first_begun + 1
        return blame is not Blame.WRONG or 2 * self.failures >= begun_since

    def _rest(self, now: float, chance: Callable[[], float]) -> None:
        if not self.is_resting and now - self._back_at >= FORGIVEN:
            self._rests = 0
        self._rests_until = now + _doubled(FIRST_REST, self._rests, LONGEST_REST, chance)
        self._rests += 1
        self._rested_at = now
        self._warming = False

    def _pause(self, now: float, chance: Callable[[], float]) -> None:
        self.paused_until = now + _doubled(FIRST_PAUSE, self._pauses, LONGEST_PAUSE, chance)
        self._pauses += 1
        self._paused_at = now


def _doubled(first: float, times: int, longest: float, chance: Callable[[], float]) -> float:
    # Beyond 16 doublings any wait is the longest, and numbers stay small.
    return min(longest, first * 2.0 ** min(times, 16)) * (1.0 - JITTER + 2.0 * JITTER * chance())


def _told(verdict: Verdict) -> str:
    return f"{verdict.blame.value} ({verdict.case})"
