"""What must hold for a client at every step, whatever its servers do."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.timeline import Timeline
from vllm_connect.dispatch.call import Call
from vllm_connect.outcome import Attempt, Blame, Outcome, Verdict
from vllm_connect.replicas import Group

# The promises, as they are made; not what the code says.
SHARE, FLOOR, BURST = 0.1, 3.0, 10.0
MOST_LOAD = 1.25
MOST_CRASHES = 2
BREAKDOWNS = (Blame.CRASH, Blame.UNREACHABLE)
# Seconds in which a second breakdown of a replica is the same one, and a second refusal the same full queue.
ONE_BREAKDOWN = 10.0
# What may end in the moment of the deadline ends a moment later.
LATE = 0.01


class Broken(Exception):
    """A rule does not hold."""


@dataclass(slots=True)
class Story:
    """What became of one call so far."""

    sent: int = 0
    crashes: int = 0
    was_delivered: bool = False


@dataclass
class Rules:
    """The rules of one client, and what is counted to see them kept; `trace`, if there is one, is told every step."""

    group: Group
    timeline: Timeline
    trace: list[str] | None = None
    calls: int = 0
    sent_again: int = 0
    may_move_free: int = 0
    failed: list[Verdict] = field(default_factory=list)
    open: dict[int, Story] = field(default_factory=dict)
    flying: Counter[str] = field(default_factory=Counter)
    broken_at: dict[str, float] = field(default_factory=dict)
    refused_at: dict[str, float] = field(default_factory=dict)

    def begins(self, call: Call) -> None:
        self.calls += 1
        self.open[id(call)] = Story()

    def is_bounded(self, call: Call) -> bool:
        """Say whether nothing but key and load decide where the next attempt goes."""
        if call.tries or call.subject.key is None or len(self.group.names) == 1:
            return False
        return all(
            state.state == "serving" and not state.reason and state.in_flight < state.limit
            for state in self.group.report(self.timeline.now)
        )

    def picked(self, call: Call, *, is_bounded: bool) -> None:
        """A call goes to each replica once a round, with a key to none that has more than its share of the load."""
        name = call.member.name
        self._note("goes to %s", call, name)
        if call.tries > len(self.group.names) * (call.max_retries + 1):
            raise self._broken(f"a call makes its attempt {call.tries}")
        self.flying[name] += 1
        if is_bounded:
            load = sum(self.flying[other] for other in self.group.names)
            if self.flying[name] > math.ceil(MOST_LOAD * load / len(self.group.names)):
                raise self._broken(f"{name} has {self.flying[name]} of {load} in flight")

    def returns(self, call: Call, attempt: Attempt, verdict: Verdict) -> None:
        """What servers are sent again stays in the budget, but for what broke down or was refused; poison reaches two."""
        name, story = call.member.name, self.open[id(call)]
        self._note("%s: %s", call, name, verdict.case)
        if verdict.blame in BREAKDOWNS:
            if self.timeline.now - self.broken_at.get(name, -math.inf) >= ONE_BREAKDOWN:
                self.may_move_free += self.flying[name]
            self.broken_at[name] = self.timeline.now
        if verdict.blame is Blame.OVERLOAD:
            if self.timeline.now - self.refused_at.get(name, -math.inf) >= ONE_BREAKDOWN:
                self.may_move_free += self.flying[name]
            self.refused_at[name] = self.timeline.now
        self.flying[name] -= 1
        story.was_delivered |= attempt.delivered
        story.crashes += verdict.blame is Blame.CRASH
        if story.crashes > MOST_CRASHES:
            raise self._broken("a call was tried on more servers that it broke down on")
        if verdict.outcome is Outcome.NOT_SENT:
            return
        story.sent += 1
        self.sent_again += story.sent > 1
        most = SHARE * self.calls + FLOOR * self.timeline.now + BURST + self.may_move_free
        if self.sent_again > most:
            raise self._broken(f"{self.sent_again} sent again, {self.may_move_free} of {most:.1f} as moves")

    def told(self) -> None:
        """The group knows what is in flight, and half of it rests at most."""
        report = self.group.report(self.timeline.now)
        # A single replica is not chosen, and what is in flight on it is not counted.
        if len(report) > 1 and any(state.in_flight != self.flying[state.name] for state in report):
            raise self._broken(f"{report} miscounts what is in flight: {self.flying}")
        resting = sum(state.state == "resting" for state in report)
        if resting > len(report) // 2:
            raise self._broken(f"{resting} of {len(report)} rest")

    def ends(self, call: Call, verdict: Verdict | None) -> None:
        """A call ends once, and by its deadline."""
        story = self.open.pop(id(call), None)
        self._note("is over: %s", call, "done" if verdict is None else verdict.case)
        if story is None:
            raise self._broken("a call ended twice")
        if self.timeline.now > call.deadline + LATE:
            raise self._broken(f"a call ended {self.timeline.now - call.deadline} s late")
        if verdict is not None and not story.was_delivered:
            self.failed.append(verdict)

    def all_over(self) -> None:
        """No call is lost, and nothing is in flight at the end."""
        if self.open:
            raise self._broken(f"{len(self.open)} calls have no end")
        if any(self.flying.values()):
            raise self._broken(f"{self.flying} is in flight at the end")

    def _note(self, words: str, call: Call, *values: str) -> None:
        if self.trace is not None:
            number = f"call begun at {call.started:.3f}"
            self.trace.append(f"{self.timeline.now:9.3f}  {number}, try {call.tries} {words % values}")

    def _broken(self, what: str) -> Broken:
        return Broken(f"at {self.timeline.now:.3f} s: {what}")
