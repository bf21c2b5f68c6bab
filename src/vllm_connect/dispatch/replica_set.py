"""The replicas that a client and its copies share: who they are, how each is reached, how each does."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vllm_connect.dispatch.credentials import Credentials
from vllm_connect.endpoint import Endpoint
from vllm_connect.outcome import Attempt, Verdict, judge
from vllm_connect.replicas import Group

__all__ = ["WELL", "Member", "ReplicaSet", "Visit"]

WELL = judge(Attempt(phase="complete"))


@dataclass(frozen=True, slots=True)
class Member:
    """One replica: its stable name, its address, and the key bound to it."""

    name: str
    endpoint: Endpoint
    credentials: Credentials


class ReplicaSet:
    """One server, or several that serve the same; every call asks here where its next attempt goes.

    `members` are all, in the order in which they were given; `only` is the one member where there is no choice, and
    none is made.
    """

    def __init__(
        self,
        credentials: Credentials,
        endpoints: Sequence[Endpoint],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._credentials = credentials
        self.members = self._made(endpoints)
        self._by_name = {member.name: member for member in self.members}
        self.only = self.members[0] if len(self.members) == 1 else None
        self.group = Group(tuple(self._by_name), chance)

    def at(self, endpoint: Endpoint) -> Member:
        """Return the member at this address; one of its own where there is none."""
        name = str(endpoint)
        return self._by_name.get(name) or Member(name, endpoint, self._credentials.at(endpoint))

    def change(self, endpoints: Sequence[Endpoint], now: float) -> None:
        """Take other replicas from now on; what is under way at one that left goes on to its end."""
        self.members = self._made(endpoints)
        self._by_name = {member.name: member for member in self.members}
        self.only = self.members[0] if len(self.members) == 1 else None
        self.group.update(tuple(self._by_name), now)

    def pick(
        self, now: float, *, key: bytes | None, model: str | None, avoid: set[str], home: Member
    ) -> Member:
        """Return the replica of the next attempt, which counts as being there; `home` where none is to be had."""
        for avoided, served in ((avoid, model), ((), model), ((), None)):
            name = self.group.pick(now, key=key, model=served, avoid=avoided)
            if name is not None:
                return self._by_name.get(name, home)
        return home

    def _made(self, endpoints: Sequence[Endpoint]) -> tuple[Member, ...]:
        return tuple(
            Member(str(endpoint), endpoint, self._credentials.at(endpoint)) for endpoint in endpoints
        )


class Visit:
    """One attempt's time at a replica: told once, when it ends."""

    __slots__ = ("_clock", "_first_token", "_group", "_is_over", "_name", "_since")

    def __init__(self, group: Group, name: str, clock: Callable[[], float]) -> None:
        self._group = group
        self._name = name
        self._clock = clock
        self._since = clock()
        self._first_token: float | None = None
        self._is_over = False

    def heard(self) -> None:
        """Take note of the first token."""
        if self._first_token is None:
            self._first_token = self._clock() - self._since

    def end(self, verdict: Verdict) -> None:
        """Leave, with what the attempt came to."""
        if not self._is_over:
            self._is_over = True
            self._group.ended(self._name, self._clock(), verdict, first_token=self._first_token)

    def leave(self) -> None:
        """Leave because the caller did, which says nothing of the replica."""
        if not self._is_over:
            self._is_over = True
            self._group.abandoned(self._name, self._clock())
