"""Whether a replica is used: what failures weigh, how long it rests for them, and how it comes back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from vllm_connect.outcome import Blame, Verdict
from vllm_connect.replicas.spell import Spell

__all__ = ["GOOD_STANDING", "Health"]

# What one failure weighs; a replica rests when failures in a row weigh this much together.
TOO_MUCH: Final = 6
WEIGHTS: Final[Mapping[Blame, int]] = {
    Blame.UNREACHABLE: TOO_MUCH,
    Blame.CRASH: TOO_MUCH,
    Blame.SILENT: 3,
    Blame.WRONG: 2,
}
# Failures after which a replica is not counted on until it has answered anew.
AWAY: Final = frozenset({Blame.UNREACHABLE, Blame.SILENT})
# Seconds without one of them, or without a crash, after which a replica is in good standing.
GOOD_STANDING: Final = 10.0
# Seconds of a first rest, each next one twice as long, and the longest.
FIRST_REST: Final = 1.0
LONGEST_REST: Final = 60.0
# The longest while it costs a caller next to nothing to find that a replica is still away: while its server is started
# again, connections are refused within this time.
LONGEST_AWAY: Final = 10.0
NEXT_TO_NOTHING: Final = 0.25
# Seconds back at work after which earlier rests are forgotten.
FORGIVEN: Final = 60.0
# Seconds in which a replica that comes back is given more and more of its share, and the least share.
WARMING: Final = 10.0
LEAST_SHARE: Final = 0.1
# Seconds in which a replica that refused work is passed over: at first, and the longest.
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 4.0


class Health:
    """The health of one replica: at work, or resting until a probe goes well.

    `failures` counts those in a row, `reason` says what the last was; both are gone when an attempt goes well.
    """

    __slots__ = (
        "_away_at",
        "_back_at",
        "_crashed_at",
        "_failing_since",
        "_first_begun",
        "_is_warming",
        "_pause",
        "_probes",
        "_rest",
        "_weight",
        "failures",
        "is_resting",
        "reason",
    )

    def __init__(self) -> None:
        self.failures = 0
        self.reason = ""
        # Out of work: for a time, and after it until a probe has gone well.
        self.is_resting = False
        self._rest = Spell(FIRST_REST, LONGEST_REST)
        self._pause = Spell(FIRST_PAUSE, LONGEST_PAUSE)
        self._probes = 0
        self._weight = 0
        self._failing_since = -math.inf
        self._first_begun = 0
        self._crashed_at = self._away_at = -math.inf
        self._back_at = -math.inf
        self._is_warming = False

    @property
    def rests_until(self) -> float:
        """The moment at which its last rest is over, -inf if it had none."""
        return self._rest.until

    def rests_for(self, now: float) -> float | None:
        """Return the seconds it still rests, 0 when a probe may go to it, None when it is at work."""
        return max(0.0, self._rest.until - now) if self.is_resting else None

    def awaits_probe(self, now: float) -> bool:
        """Whether its rest is over and nobody is finding out how it is."""
        return (
            self.is_resting and not self._probes and not self._rest.is_on(now) and not self._pause.is_on(now)
        )

    def is_paused(self, now: float) -> bool:
        """Whether it is passed over for a moment while another can take the work."""
        return self._pause.is_on(now)

    def is_in_good_standing(self, now: float) -> bool:
        """Whether it is at work and has lately broken nothing off."""
        last = max(self._crashed_at, self._away_at)
        return not self.is_resting and now - last >= GOOD_STANDING

    def share(self, now: float) -> float:
        """Return how much of its share of the work it is given: less than 1 only when it has just come back."""
        if self._is_warming:
            share = (now - self._back_at) / WARMING
            self._is_warming = share < 1.0
            return min(1.0, max(LEAST_SHARE, share))
        return 1.0

    def begin_warming(self, now: float) -> None:
        """Have it come to work by and by."""
        self._back_at = now
        self._is_warming = True

    def begin_probe(self) -> None:
        """Count an attempt that goes to it though it rests."""
        self._probes += 1

    def end_probe(self) -> None:
        """Count the end of an attempt that says nothing of it."""
        self._probes = max(0, self._probes - 1)

    def forget_probes(self) -> None:
        """Have the next call be the first that finds out how it is."""
        self._probes = 0

    def went_well(self, now: float, began: float) -> None:
        """Count a good answer, or the first token of one, to an attempt that began at this moment."""
        if self.is_resting:
            # A server that shuts down finishes what it has and takes nothing new: that is no reason to come back.
            if began < self._rest.since:
                return
            self.is_resting = False
            self.forget_probes()
            self.begin_warming(now)
        # Without a reason there is nothing to forget; nearly all answers come this way.
        if self.reason:
            self._forget(began)

    def _forget(self, began: float) -> None:
        # While a server fails whatever it is newly asked, what it began before may still go well.
        if began >= self._failing_since:
            self.failures = self._weight = 0
            # A server that was restarted, or stood still, is as good as any once it answers; one that crashed is not.
            self._away_at = -math.inf
        if began >= self._pause.since:
            self._pause.forget()
        if not self.failures and not self._pause.in_a_row:
            self.reason = ""

    def refused(self, verdict: Verdict, now: float, chance: Callable[[], float]) -> None:
        """Count a refusal for too much work: it is alive, and is left alone for a moment."""
        self.end_probe()
        self.reason = _told(verdict)
        self._pause_for_a_moment(now, chance)

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
        if verdict.blame is Blame.CRASH:
            self._crashed_at = now
        elif verdict.blame in AWAY:
            self._away_at = now
        # What breaks a replica ends all it has in flight, at once or later: one fault, one rest. Who goes to it all the
        # same, as no other is left, does not make its rest longer.
        if began < self._rest.since or (self.is_resting and self._rest.is_on(now)):
            return
        self._weight += WEIGHTS[verdict.blame]
        if not self.is_resting and not self._is_too_much(verdict.blame, begun):
            return
        if may_rest or self.is_resting:
            is_refused = verdict.blame is Blame.UNREACHABLE and now - began < NEXT_TO_NOTHING
            self._go_to_rest(now, chance, LONGEST_AWAY if is_refused else LONGEST_REST)
        else:
            self._pause_for_a_moment(now, chance)

    def _is_too_much(self, blame: Blame, begun: int) -> bool:
        if self._weight < TOO_MUCH:
            return False
        # Wrong answers come fast, and may be the fault of a few requests, while good ones to the others take their time.
        begun_since = begun - self._first_begun + 1
        return blame is not Blame.WRONG or 2 * self.failures >= begun_since

    def _go_to_rest(self, now: float, chance: Callable[[], float], longest: float) -> None:
        if not self.is_resting and now - self._back_at >= FORGIVEN:
            self._rest.forget()
        self._rest.begin(now, chance, longest)
        self.is_resting = True

    def _pause_for_a_moment(self, now: float, chance: Callable[[], float]) -> None:
        # The refusals of one moment are one.
        if not self._pause.is_on(now):
            self._pause.begin(now, chance)


def _told(verdict: Verdict) -> str:
    return f"{verdict.blame.value} ({verdict.case})"
