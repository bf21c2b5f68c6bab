"""The replicas that a client and its copies share: who they are, how each is reached, how each does."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from vllm_connect.dispatch.credentials import Credentials
from vllm_connect.dispatch.lookup import Lookup
from vllm_connect.endpoint import Endpoint
from vllm_connect.facts import ServedModel
from vllm_connect.outcome import Attempt, Blame, Verdict, judge
from vllm_connect.replicas import Group, ReplicaState
from vllm_connect.wire.forks import forget_in_children

__all__ = ["WELL", "Member", "ReplicaSet", "Survey", "Visit"]

WELL = judge(Attempt(phase="complete"))
# A replica that is away is asked this many seconds later what it serves, and no sooner.
BETWEEN_SURVEYS = 5.0
AWAY = frozenset({Blame.CRASH, Blame.UNREACHABLE})


@dataclass(frozen=True, slots=True)
class Member:
    """One replica: its stable name, its address, and the key bound to it."""

    name: str
    endpoint: Endpoint
    credentials: Credentials


class ReplicaSet:
    """One server, or several that serve the same; every call asks here where its next attempt goes.

    `members` are all, in the order in which they were given; `only` is the one member where there is no choice, and
    none is made. A name whose addresses are replicas is a member by itself until it was looked up.
    """

    def __init__(
        self,
        credentials: Credentials,
        endpoints: Sequence[Endpoint],
        chance: Callable[[], float] = random.random,
        lookup: Lookup | None = None,
    ) -> None:
        self._credentials = credentials
        self._lock = threading.Lock()
        self.lookup = lookup or Lookup(endpoints)
        self._by_name: dict[str, Member] = {}
        self.members: tuple[Member, ...] = ()
        self._take_members()
        self.group = Group(self._names, chance)
        self.survey = Survey(self._names)
        forget_in_children(self)

    def forget(self) -> None:
        """Leave what is under way to the process that this one was forked from."""
        self._lock = threading.Lock()
        self.group.forget()
        self.survey.lock = threading.Lock()
        self.lookup.forget()

    def at(self, endpoint: Endpoint) -> Member:
        """Return the member at this address; one of its own where there is none."""
        return self._by_name.get(str(endpoint)) or self._member(endpoint)

    def change(self, endpoints: Sequence[Endpoint], now: float) -> None:
        """Take other replicas from now on; what is under way at one that left goes on to its end."""
        with self._lock:
            self.lookup.have(endpoints)
            self._change(now)

    def look_up(self, now: float) -> bool:
        """Look up the names whose addresses are replicas, and take those; return whether they are others. Blocks.

        To be called by whom `lookup.begin` has chosen.
        """
        try:
            self.lookup.look_up(now)
            with self._lock:
                if self.lookup.endpoints == tuple(member.endpoint for member in self.members):
                    return False
                self._change(now)
                return True
        finally:
            self.lookup.answered.set()

    def was_away(self, name: str) -> None:
        """Take note of a replica that broke off or could not be reached."""
        self.survey.was_away(name)
        self.lookup.was_away()

    def report(self, now: float) -> tuple[ReplicaState, ...]:
        """Return how each replica does."""
        return self.group.report(now)

    def pick(
        self, now: float, *, key: bytes | None, model: str | None, avoid: set[str], home: Member
    ) -> Member:
        """Return the replica of the next attempt, which counts as being there; `home` where none is to be had."""
        for avoided, served in ((avoid, model), ((), model), ((), None)):
            name = self.group.pick(now, key=key, model=served, avoid=avoided)
            if name is not None:
                return self._by_name.get(name, home)
        return home

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(member.name for member in self.members)

    def _change(self, now: float) -> None:
        self._take_members()
        self.group.update(self._names, now)
        self.survey.have(self._names)

    def _take_members(self) -> None:
        before = {member.name: member for member in self.members}
        endpoints = self.lookup.endpoints
        members = tuple(before.get(str(endpoint)) or self._member(endpoint) for endpoint in endpoints)
        # With those that left: an attempt may just have been given one of them.
        self._by_name = before | {member.name: member for member in members}
        self.members = members
        # A name is looked up again, so that there may be a choice by then.
        self.only = members[0] if len(members) == 1 and not self.lookup.has_names else None

    def _member(self, endpoint: Endpoint) -> Member:
        return Member(str(endpoint), endpoint, self._credentials.at(endpoint))


class Survey:
    """What each replica was found to serve, and who is still to be asked: at first all, later who was away.

    Whoever takes the names of `due` asks them, and gives the answers to `note`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        # Held while what was found is compared: several may answer at one moment.
        self.lock = threading.Lock()
        self._known = set(names)
        self._waiting = set(self._known)
        self._from = -math.inf
        self._served: dict[str, tuple[ServedModel, ...]] = {}

    def is_due(self, now: float) -> bool:
        return bool(self._waiting) and now >= self._from

    def due(self, now: float) -> set[str]:
        """Return who is to be asked now, and have everybody else wait with it."""
        self._from = now + BETWEEN_SURVEYS
        names, self._waiting = self._waiting, set()
        return names

    def have(self, names: Collection[str]) -> None:
        """Have other replicas: what is known of those that stay is kept, new ones are asked at the next call."""
        with self.lock:
            new = set(names) - self._served.keys()
            self._served = {name: models for name, models in self._served.items() if name in names}
            if new - self._known:
                self._from = -math.inf
            self._waiting = (self._waiting & set(names)) | (new - self._known)
            self._known = set(names)

    def note(self, name: str, models: tuple[ServedModel, ...] | None) -> None:
        """Take note of what a replica serves, None where it did not answer."""
        if name not in self._known:  # it left meanwhile
            return
        if models is None:
            self._waiting.add(name)
        else:
            self._served[name] = models

    def was_away(self, name: str) -> None:
        """Take note of a replica that broke off or could not be reached: it may come back as another."""
        if name in self._known:
            self._waiting.add(name)

    @property
    def served(self) -> Mapping[str, tuple[ServedModel, ...]]:
        return self._served


class Visit:
    """One attempt's time at a replica: told once, when it ends."""

    __slots__ = ("_clock", "_group", "_is_heard", "_is_over", "_model", "_name", "_since")

    def __init__(self, group: Group, name: str, model: str | None, clock: Callable[[], float]) -> None:
        self._group = group
        self._name = name
        self._model = model
        self._clock = clock
        self._since = clock()
        self._is_heard = False
        self._is_over = False

    def heard(self) -> None:
        """Take note of the first token."""
        if not self._is_heard:
            self._is_heard = True
            now = self._clock()
            self._group.heard(self._name, now, now - self._since)

    def end(self, verdict: Verdict) -> None:
        """Leave, with what the attempt came to."""
        if not self._is_over:
            self._is_over = True
            self._group.ended(self._name, self._clock(), verdict, model=self._model, began=self._since)

    def leave(self) -> None:
        """Leave because the caller did, which says nothing of the replica."""
        if not self._is_over:
            self._is_over = True
            self._group.abandoned(self._name, self._clock())

    def __del__(self) -> None:
        # Of an answer that was dropped unread, nobody else tells.
        self.leave()
