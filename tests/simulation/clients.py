"""Clients that make calls by the loop of attempts that ships (`dispatch.conduct`), to servers of the simulation."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import openai

from tests.simulation.rules import Rules
from tests.simulation.servers import Server
from tests.simulation.timeline import Timeline
from vllm_connect.dispatch.call import Call, Subject
from vllm_connect.dispatch.conduct import Conduct
from vllm_connect.dispatch.credentials import Credentials
from vllm_connect.dispatch.replica_set import ReplicaSet
from vllm_connect.endpoint import parse_endpoint
from vllm_connect.outcome import Attempt, judge
from vllm_connect.settings import Timers

MOST_SERVERS = 8
ENDPOINTS = tuple(parse_endpoint(f"http://gpu{number}:8000/v1") for number in range(MOST_SERVERS))
NAMES = tuple(str(endpoint) for endpoint in ENDPOINTS)
CREDENTIALS = Credentials(None, ENDPOINTS[0])


class Ended(openai.OpenAIError):
    """An attempt that did not go well."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__()
        self.attempt = attempt


@dataclass(slots=True)
class Trip:
    """One attempt of a call, on its way."""

    client: Client
    call: Call
    deadline: float
    is_poison: bool
    has_given: bool = False
    is_over: bool = False

    def hears(self) -> None:
        """Get the first token; the caller of a stream has it then."""
        self.has_given = self.call.streamed
        if self.call.visit is not None:
            self.call.visit.heard()

    def ends(self, attempt: Attempt) -> None:
        if not self.is_over:
            self.is_over = True
            self.client.come_back(self, attempt)


class Client:
    """One client with its group of replicas, and the rules that are to hold for it."""

    def __init__(
        self, timeline: Timeline, servers: Mapping[str, Server], names: Sequence[str], chance: random.Random
    ) -> None:
        self.replicas = ReplicaSet(
            CREDENTIALS, [ENDPOINTS[NAMES.index(name)] for name in names], chance.random
        )
        self.rules = Rules(self.replicas.group, timeline)
        self._timeline = timeline
        self._servers = servers
        self._conduct = Conduct(clock=lambda: timeline.now, chance=chance.random)

    def call(
        self,
        *,
        key: bytes | None = None,
        total: float = 60.0,
        streamed: bool = False,
        is_poison: bool = False,
        max_retries: int = 2,
    ) -> None:
        """Begin a call."""
        call = Call(
            Timers(connect=5.0, first_token=None, between_tokens=None, total=total),
            max_retries,
            streamed,
            self.replicas,
            self.replicas.members[0],
            self._timeline.now,
            subject=Subject(None, key),
        )
        self.rules.begins(call)
        self._go(call, is_poison=is_poison)

    def _go(self, call: Call, *, is_poison: bool) -> None:
        is_bounded = self.rules.is_bounded(call)
        self._conduct._begin(call)
        self.rules.picked(call, is_bounded=is_bounded)
        trip = Trip(self, call, call.deadline, is_poison)
        self._servers[call.member.name].receive(trip)

    def come_back(self, trip: Trip, attempt: Attempt) -> None:
        """Have an attempt end, and the next one follow, if one does."""
        call, verdict = trip.call, judge(attempt)
        self.rules.returns(call, attempt, verdict)
        if verdict.is_done:
            self._conduct._end(call)
            self.rules.ends(call, None)
            return
        wait = self._conduct.after(call, Ended(attempt))
        self.rules.told()
        if wait is None:
            self.rules.ends(call, verdict)
        else:
            self._timeline.after(wait, lambda: self._go(call, is_poison=trip.is_poison))
