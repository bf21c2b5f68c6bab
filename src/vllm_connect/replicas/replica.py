"""One replica: what it has in flight, what it does not serve, and what its attempts have shown of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from vllm_connect.outcome import Blame, Verdict
from vllm_connect.replicas.concurrency import Concurrency
from vllm_connect.replicas.health import GOOD_STANDING, Health
from vllm_connect.replicas.latency import Latency
from vllm_connect.replicas.rendezvous import Lot

__all__ = ["Replica", "ReplicaState", "Standing"]

Standing = Literal["serving", "warming", "resting", "excluded"]

# Seconds for which a replica is believed not to serve a model: adapters are loaded while a server runs.
MISPLACED: Final = 60.0
# Names of models come from callers: so many are kept.
MOST_MODELS: Final = 64
# What ends all that a replica has in flight. A next one within the time of good standing is the same breakdown.
BREAKDOWNS: Final = frozenset({Blame.UNREACHABLE, Blame.CRASH})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaState:
    """One replica at one moment.

    `reason` says why it rests or is excluded, or what it did last if that was no good answer; it may be empty. `limit`
    is how much it is given at once before others are chosen first. `first_token`: seconds, a moving average; None where
    none was timed. `failures`: in a row. `rests_for`: seconds that it still rests, 0 when the next call tries it, None
    when it is at work. `served` and `failed` count attempts that went well, and those that ended by its fault.
    """

    name: str
    state: Standing
    reason: str
    in_flight: int
    limit: int
    first_token: float | None
    failures: int
    rests_for: float | None
    served: int
    failed: int


class Replica:
    """One replica of a group, which holds the lock."""

    __slots__ = (
        "begun",
        "broken_at",
        "concurrency",
        "excluded",
        "failed",
        "free_moves",
        "health",
        "in_flight",
        "latency",
        "lot",
        "misplaced",
        "name",
        "refused_at",
        "served",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.in_flight = 0
        self.begun = 0
        self.served = 0
        self.failed = 0
        self.broken_at = self.refused_at = -math.inf
        self.free_moves = 0
        self.excluded: dict[str | None, str] = {}
        self.misplaced: dict[str, float] = {}
        self.health = Health()
        self.latency = Latency()
        self.concurrency = Concurrency()
        self.lot = Lot(name)

    def is_excluded(self, model: str | None) -> bool:
        """Whether it was ruled out, for all calls or for those of this model."""
        return None in self.excluded or model in self.excluded

    def is_misplaced(self, model: str | None, now: float) -> bool:
        """Whether it has lately said that it does not serve this model."""
        return model is not None and now < self.misplaced.get(model, now)

    def is_ready(self, now: float) -> bool:
        """Whether it takes more work gladly: it refused none in this moment, and is below its limit."""
        return self.in_flight < self.concurrency.limit and not self.health.is_paused(now)

    def begin(self) -> None:
        """Count an attempt that goes to it."""
        self.in_flight += 1
        self.begun += 1

    def cost(self, now: float, usual_time: float) -> float:
        """Return what one more attempt costs: its time to the first token behind those that are in flight.

        A replica of which nothing is known of late is tried by one call at a time.
        """
        expected = self.latency.expected(now, usual_time)
        if expected is None:
            expected = usual_time if self.in_flight else 0.0
        return (self.in_flight + 1) * expected / self.health.share(now)

    def heard(self, seconds: float, now: float, others: float | None) -> None:
        """Take in the time to the first token of one attempt; `others` is how long it takes elsewhere, if known."""
        self.latency.heard(seconds, now)
        if others is not None and self.latency.lately is not None:
            self.concurrency.heard(self.latency.lately, others, self.in_flight, now)

    def ended(
        self,
        verdict: Verdict,
        now: float,
        chance: Callable[[], float],
        *,
        began: float,
        model: str | None,
        may_rest: Callable[[], bool],
    ) -> None:
        """Take an attempt out of flight, and take in what it says."""
        in_flight = self.in_flight
        self.in_flight = max(0, in_flight - 1)
        match verdict.blame:
            case Blame.WELL:
                self.served += 1
                self.concurrency.went_well(in_flight)
                self.health.went_well(now, began)
            case Blame.NOTHING:
                self.health.end_probe()
            case Blame.OVERLOAD:
                self.failed += 1
                self._refuse(in_flight, now)
                self.concurrency.refused(in_flight, now)
                self.health.refused(verdict, now, chance)
            case Blame.MISPLACED:
                self.health.end_probe()
                self._misplace(model, now)
            case Blame.UNREACHABLE | Blame.CRASH | Blame.SILENT | Blame.WRONG:
                self.failed += 1
                if verdict.blame in BREAKDOWNS:
                    self._break_down(in_flight, now)
                self.health.failed(verdict, now, began, chance, begun=self.begun, may_rest=may_rest())

    def state(self, now: float) -> ReplicaState:
        """Return how it is now."""
        return ReplicaState(
            name=self.name,
            state=self._standing(now),
            reason="; ".join(self.excluded.values()) or self.health.reason,
            in_flight=self.in_flight,
            limit=int(self.concurrency.limit),
            first_token=self.latency.lately,
            failures=self.health.failures,
            rests_for=self.health.rests_for(now),
            served=self.served,
            failed=self.failed,
        )

    def _standing(self, now: float) -> Standing:
        if None in self.excluded:
            return "excluded"
        if self.health.is_resting:
            return "resting"
        return "warming" if self.health.share(now) < 1.0 else "serving"

    def _break_down(self, in_flight: int, now: float) -> None:
        if now - self.broken_at >= GOOD_STANDING:
            self.free_moves = in_flight
        self.broken_at = now

    def _refuse(self, in_flight: int, now: float) -> None:
        """What a full queue refuses was not worked on: as many as were in flight may go where there is room."""
        if now - self.refused_at >= GOOD_STANDING:
            self.free_moves = max(self.free_moves, in_flight)
        self.refused_at = now

    def _misplace(self, model: str | None, now: float) -> None:
        if model is None:
            return
        self.misplaced.pop(model, None)
        self.misplaced[model] = now + MISPLACED
        if len(self.misplaced) > MOST_MODELS:
            del self.misplaced[next(iter(self.misplaced))]
