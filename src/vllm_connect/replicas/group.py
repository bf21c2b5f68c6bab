"""The replicas of one client: which one is next, and what became of those that were."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

from vllm_connect.outcome import Verdict
from vllm_connect.replicas.budget import Budget
from vllm_connect.replicas.choice import Wish, choose
from vllm_connect.replicas.hedging import Hedging
from vllm_connect.replicas.replica import Replica, ReplicaState

__all__ = ["MOST_CRASHES", "Group"]

# A request that replicas crash on is tried on so many: it may be what they crash on.
MOST_CRASHES: Final = 2
# How much one time to the first token counts in what is usual in the group.
USUAL: Final = 0.05


class Group:
    """The replicas of one client, under names that stay the same, and their budget of retries; for any number of threads.

    Every name that `pick` returns is given back once, to `ended` or to `abandoned`. `now` is a monotonic clock in
    seconds; `chance` draws numbers from 0 up to 1. A single replica is always picked, however it is.
    """

    def __init__(self, names: Sequence[str], chance: Callable[[], float] = random.random) -> None:
        self.budget = Budget()
        self._chance = chance
        self._lock = threading.Lock()
        # Names whose callers have left, told by the garbage collector in the midst of anything: also while we hold the lock.
        self._left: deque[str] = deque()
        self._replicas = {name: Replica(name) for name in names}
        # Those that were removed while they had work in flight: they may come back before it ends.
        self._removed: dict[str, Replica] = {}
        self._usual_time: float | None = None
        self._hedging = Hedging()
        self._only = self._single()

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order they were given in."""
        return tuple(self._replicas)

    def pick(
        self, now: float, *, key: bytes | None = None, model: str | None = None, avoid: Collection[str] = ()
    ) -> str | None:
        """Return the replica for the next attempt, which is in flight from now on; None if all are excluded or avoided.

        Calls of one `key` go to one replica while the load allows it. `avoid`: those that this call has tried.
        """
        with self._lock:
            if self._left:
                self._take_left_out()
            chosen = self._only
            if chosen is None:
                wish = Wish(key, model, avoid)
                replicas = tuple(self._replicas.values())
                chosen = choose(replicas, wish, now, self._usual_time or 1.0, self._chance)
            elif chosen.name in avoid:
                chosen = None
            if chosen is None:
                return None
            chosen.begin()
            return chosen.name

    def heard(self, name: str, now: float, first_token: float) -> None:
        """Take in the seconds to the first token of an attempt that goes on: its replica works.

        `ended` then needs not be told them.
        """
        with self._lock:
            replica = self._known(name)
            if replica is not None:
                replica.health.went_well(now, now - first_token)
                self._hear(replica, first_token, now)

    def ended(
        self,
        name: str,
        now: float,
        verdict: Verdict,
        *,
        began: float | None = None,
        first_token: float | None = None,
        model: str | None = None,
    ) -> None:
        """Take an attempt out of flight, and take in what it says of its replica.

        `began`: when it was picked; what began before its replica went to rest says nothing new. `first_token`: seconds
        from sending to the first token, where it was timed. `model`: what it was asked for, so that a replica which does
        not serve it is passed over by calls for it.
        """
        with self._lock:
            replica = self._known(name)
            if replica is None:
                return
            if first_token is not None:
                self._hear(replica, first_token, now)
            replica.ended(
                verdict,
                now,
                self._chance,
                began=now if began is None else began,
                model=model,
                may_rest=self._may_rest,
            )
            if self._removed:
                self._forget_if_over(replica)

    def abandoned(self, name: str, now: float) -> None:  # noqa: ARG002  (every word about an attempt has its time)
        """Take an attempt out of flight whose caller has left: it says nothing of the replica.

        A stream that is dropped says so when the garbage collector finds it, whatever this thread is doing then: so
        that nothing waits for the lock here. What cannot be taken out at once is before the next pick.
        """
        self._left.append(name)
        if self._lock.acquire(blocking=False):
            try:
                self._take_left_out()
            finally:
                self._lock.release()

    def _take_left_out(self) -> None:
        while self._left:
            replica = self._known(self._left.popleft())
            if replica is not None:
                replica.in_flight = max(0, replica.in_flight - 1)
                replica.health.end_probe()
                self._forget_if_over(replica)

    def may_move_free(self, name_from: str, now: float, avoid: Collection[str]) -> bool:
        """Say whether a call may leave a replica that broke down under it, or refused it, free of charge; count it.

        It may if another, not avoided, is in good standing: at work, without a crash for 10 s, and without a failed
        connection or a silence in that time that nothing newer has made good. A breakdown frees as many as were in flight, and so does a full queue, so that a replica that
        dies or is small costs the budget nothing, and failures all over the group find no way around it. A removed
        replica may always be left.
        """
        with self._lock:
            replica = self._known(name_from)
            if not any(other.health.is_in_good_standing(now) for other in self._others(name_from, avoid)):
                return False
            if replica is None or name_from in self._removed:
                return True
            if not replica.free_moves:
                return False
            replica.free_moves -= 1
            return True

    def hedge_after(self) -> float:
        """Return the seconds after which the first token of a stream that begins now is late; inf: it is waited for."""
        with self._lock:
            self._hedging.earn()
            return self._hedging.after

    def may_hedge(self, name: str, now: float, model: str | None) -> bool:
        """Say whether a stream whose first token is late at one replica may be asked of another, too; count it.

        It may if one that serves the model is in good standing and takes more work gladly, and if no more than 2% of
        all streams were asked twice.
        """
        with self._lock:
            self._hedging.was_late()
            others = self._others(name, ())
            can = any(
                other.health.is_in_good_standing(now)
                and other.is_ready(now)
                and not other.is_excluded(model)
                and not other.is_misplaced(model, now)
                for other in others
            )
            return can and self._hedging.spend()

    def has_alternative(self, name: str, now: float) -> bool:
        """Say whether a replica that says nothing may be given up for another, which is in good standing."""
        with self._lock:
            return any(other.health.is_in_good_standing(now) for other in self._others(name, ()))

    def has_other(self, now: float, avoid: Collection[str], *, model: str | None = None) -> bool:
        """Whether there is a replica for a call for this model that is not avoided; one that rests is one."""
        with self._lock:
            return any(
                replica.name not in avoid
                and not replica.is_excluded(model)
                and not replica.is_misplaced(model, now)
                for replica in self._replicas.values()
            )

    def exclude(self, name: str, reason: str, model: str | None = None) -> None:
        """Send a replica nothing more, or no call for this model, until it is readmitted; `reason` is shown."""
        with self._lock:
            if name in self._replicas:
                self._replicas[name].excluded[model] = reason

    def readmit(self, name: str) -> None:
        """Forget every exclusion of a replica."""
        with self._lock:
            if name in self._replicas:
                self._replicas[name].excluded.clear()
                self._replicas[name].misplaced.clear()

    def update(self, names: Sequence[str], now: float) -> None:
        """Have these replicas from now on, in this order.

        Those that stay keep what is known of them, new ones are given more and more work (but before the first call,
        when all are new), and what is in flight on a removed one ends as it would have.
        """
        with self._lock:
            before = self._replicas
            is_at_work = any(replica.begun for replica in before.values())
            add = partial(self._added, now=now, warms=is_at_work)
            self._replicas = {name: before.get(name) or add(name) for name in names}
            for name, replica in before.items():
                if name not in self._replicas and replica.in_flight:
                    self._removed[name] = replica
            self._only = self._single()

    def forget(self) -> None:
        """Leave what is in flight to the process that this one was forked from, another thread of which may hold the lock."""
        self._lock = threading.Lock()
        self.budget.forget()
        self._removed.clear()
        for replica in self._replicas.values():
            replica.in_flight = 0
            replica.health.forget_probes()

    def report(self, now: float) -> tuple[ReplicaState, ...]:
        """Return how every replica is now, in the order of their names."""
        with self._lock:
            self._take_left_out()
            return tuple(replica.state(now) for replica in self._replicas.values())

    def _single(self) -> Replica | None:
        return next(iter(self._replicas.values())) if len(self._replicas) == 1 else None

    def _known(self, name: str) -> Replica | None:
        return self._replicas.get(name) or self._removed.get(name)

    def _added(self, name: str, *, now: float, warms: bool) -> Replica:
        replica = self._removed.pop(name, None) or Replica(name)
        if warms:
            replica.health.begin_warming(now)
        return replica

    def _forget_if_over(self, replica: Replica) -> None:
        if not replica.in_flight:
            self._removed.pop(replica.name, None)

    def _hear(self, replica: Replica, first_token: float, now: float) -> None:
        self._hedging.heard(first_token)
        usual = first_token if self._usual_time is None else self._usual_time
        self._usual_time = usual + USUAL * (first_token - usual)
        elsewhere = [
            other.latency.lately
            for other in self._replicas.values()
            if other is not replica
            and other.latency.lately is not None
            and not other.latency.is_forgotten(now)
        ]
        replica.heard(first_token, now, sum(elsewhere) / len(elsewhere) if elsewhere else None)

    def _may_rest(self) -> bool:
        """Whether one more may rest: at most half of those that are not excluded."""
        admitted = [replica for replica in self._replicas.values() if None not in replica.excluded]
        resting = sum(replica.health.is_resting for replica in admitted)
        return resting + 1 <= len(admitted) // 2

    def _others(self, name: str, avoid: Collection[str]) -> list[Replica]:
        return [
            replica
            for replica in self._replicas.values()
            if replica.name != name and replica.name not in avoid and None not in replica.excluded
        ]
