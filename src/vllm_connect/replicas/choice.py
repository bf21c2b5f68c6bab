"""Which replica the next attempt goes to.

The order of reasons: it must be allowed; a replica whose rest is over is tried by one call; those at work come before
those that rest; those that take more work gladly before the others. Among these, a call with a key goes where its key
is at home, unless that has more than its share of the load; any other call to the cheaper one of two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from vllm_connect.replicas.replica import Replica

__all__ = ["MOST_LOAD", "Wish", "choose"]

# A replica has at most so many times the mean load of the group, or its keys go to their next rank (consistent
# hashing with bounded loads; Mirrokni, Thorup, Zadimoghaddam 2017).
MOST_LOAD: Final = 1.25


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call asks for: a home, if it has a key; a model, if it is known; none of those it has tried."""

    key: bytes | None
    model: str | None
    avoid: Collection[str]


def choose(
    replicas: Sequence[Replica], wish: Wish, now: float, usual_time: float, chance: Callable[[], float]
) -> Replica | None:
    """Return the replica for the next attempt, None if all are excluded or avoided; begins a probe of one that rests."""
    allowed = _allowed(replicas, wish, now)
    untried = [replica for replica in allowed if replica.name not in wish.avoid]
    # Only first attempts probe: a call that has failed once is not put at risk again.
    if not wish.avoid and (waiting := _longest_waiting(untried, now)) is not None:
        waiting.health.begin_probe()
        return waiting
    at_work = [replica for replica in allowed if not replica.health.is_resting]
    offered = [replica for replica in at_work if replica.name not in wish.avoid]
    if not offered:
        return _last_resort(untried)
    ready = [replica for replica in offered if replica.is_ready(now)]
    if wish.key is not None:
        return _at_home(wish.key, ready or offered, at_work, now)
    if not ready:
        return min(offered, key=_filled)
    return _cheaper_of_two(ready, now, usual_time, chance)


def _allowed(replicas: Sequence[Replica], wish: Wish, now: float) -> list[Replica]:
    allowed = [replica for replica in replicas if not replica.is_excluded(wish.model)]
    serving = [replica for replica in allowed if not replica.is_misplaced(wish.model, now)]
    # Where none serves the model, one of them says so to the caller; the others need not say it again.
    return serving if serving or wish.avoid else allowed


def _longest_waiting(replicas: Sequence[Replica], now: float) -> Replica | None:
    return next((replica for replica in replicas if replica.health.awaits_probe(now)), None)


def _last_resort(resting: Sequence[Replica]) -> Replica | None:
    if not resting:
        return None
    chosen = min(resting, key=lambda replica: (replica.in_flight, replica.health.rests_until))
    chosen.health.begin_probe()
    return chosen


def _at_home(key: bytes, offered: Sequence[Replica], at_work: Sequence[Replica], now: float) -> Replica:
    """Return the first of a key's ranks that has less than its share of the load; where none has, the least loaded."""
    share = {replica.name: replica.health.share(now) for replica in at_work}
    load = sum(replica.in_flight for replica in at_work) + 1
    most = MOST_LOAD * load / sum(share.values())
    ranks = sorted(offered, key=lambda replica: replica.lot.draw(key, share[replica.name]), reverse=True)
    for replica in ranks:
        if replica.in_flight + 1 <= math.ceil(most * share[replica.name]):
            return replica
    return min(ranks, key=lambda replica: (replica.in_flight + 1) / share[replica.name])


def _filled(replica: Replica) -> float:
    return (replica.in_flight + 1) / replica.concurrency.limit


def _cheaper_of_two(
    ready: Sequence[Replica], now: float, usual_time: float, chance: Callable[[], float]
) -> Replica:
    """Return the cheaper of two at random: nearly as even as the cheapest of all, and no herd runs to one."""
    if len(ready) == 1:
        return ready[0]
    first = _index(len(ready), chance)
    second = _index(len(ready) - 1, chance)
    second += second >= first
    one, other = ready[first], ready[second]
    return one if one.cost(now, usual_time) <= other.cost(now, usual_time) else other


def _index(length: int, chance: Callable[[], float]) -> int:
    return min(int(chance() * length), length - 1)
