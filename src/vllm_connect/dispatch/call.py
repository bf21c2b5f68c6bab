"""What one call may do, and where it stands: its timers, its attempts, the replica it is at; the clock is passed in."""

from __future__ import annotations

import math
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from vllm_connect.dispatch.credentials import Credentials
from vllm_connect.dispatch.replica_set import Member, ReplicaSet, Visit
from vllm_connect.errors import Timer
from vllm_connect.settings import Timers

__all__ = ["CALL", "Call", "Limit", "Subject", "current_call"]

# Under this name a call rides on the extensions of its httpx request.
CALL = "vllm_connect"


@dataclass(frozen=True)
class Limit:
    """How long the next step may take, and which timer says so; `seconds` is inf when none does."""

    seconds: float
    timer: Timer
    setting: float

    @property
    def timeout(self) -> float | None:
        """The limit as httpx takes it; a limit already passed leaves a moment, as httpx takes 0 for off."""
        return None if math.isinf(self.seconds) else max(self.seconds, 0.001)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a call is about, as far as it says which replica is best: its model, and what its prompts share.

    `key` is of the caller's session, or of the beginning of the prompt, None where neither matters.
    """

    model: str | None = None
    key: bytes | None = None


NO_SUBJECT = Subject()


@dataclass(slots=True)
class Call:
    """One call from its start to its end, over all its attempts.

    `home` is the replica that its request was made for. `is_replayable` says whether its body can be sent again.
    Of the attempts, all are in `tries`; `retries` are those that `max_retries` caps, `crashes` those that a replica
    broke off. `tried` names the replicas of this round, `member` is the one of this attempt. `is_open` says that its
    answer, a stream, is in the caller's hands, `is_judged` that who reads it tells the replica how it ended.
    """

    timers: Timers
    max_retries: int
    streamed: bool
    replicas: ReplicaSet
    home: Member
    started: float
    subject: Subject = NO_SUBJECT
    is_pinned: bool = False
    is_replayable: bool = True
    tries: int = 0
    retries: int = 0
    crashes: int = 0
    is_open: bool = False
    is_judged: bool = False
    member: Member = field(init=False)
    visit: Visit | None = None
    tried: set[str] | None = None

    def __post_init__(self) -> None:
        self.member = self.home

    def alike(self) -> Call:
        """Return a call of its own under the same deadline, for what has to be asked on the way."""
        call = Call(
            self.timers,
            self.max_retries,
            False,
            self.replicas,
            self.home,
            self.started,
            is_pinned=self.is_pinned,
        )
        call.member = self.member
        return call

    def pinned_to(self, member: Member) -> Call:
        """Return this call with one attempt, which goes to one replica."""
        self.is_pinned, self.member, self.max_retries = True, member, 0
        return self

    @property
    def credentials(self) -> Credentials:
        """Key and address of the replica of this attempt."""
        return self.member.credentials

    @property
    def deadline(self) -> float:
        """The moment at which the total is over, inf when it is off."""
        total = self.timers.total
        return math.inf if total is None else self.started + total

    def remaining(self, now: float) -> float:
        """Return the seconds left of the total, inf when it is off."""
        return math.inf if self.timers.total is None else self.started + self.timers.total - now

    def limit(self, now: float, timer: Timer, since: float) -> Limit:
        """Return the tighter of one timer, running since a moment, and what is left of the total."""
        setting: float | None = getattr(self.timers, timer)
        own = math.inf if setting is None else since + setting - now
        total = self.remaining(now)
        if total <= own:
            return Limit(total, "total", self.timers.total or math.inf)
        return Limit(own, timer, setting or math.inf)


# The SDK offers no way to hand a value through `request()` to the httpx request it builds; within one call it
# runs in one context, so the call waits here for `_build_request`.
current_call: ContextVar[Call | None] = ContextVar("vllm_connect_call", default=None)


def call_of(extensions: dict[str, Any]) -> Call | None:
    """Return the call that rides on a request's extensions."""
    call = extensions.get(CALL)
    return call if isinstance(call, Call) else None
