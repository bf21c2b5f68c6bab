"""Servers as a client sees them: they take work, are slow, full, wrong, silent or gone, and come back."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal, Protocol

from tests.simulation.timeline import Timeline
from vllm_connect.outcome import Attempt

Condition = Literal["up", "down", "hung", "full", "wrong"]

DONE = Attempt(phase="complete", status=200, finish_reasons=("stop",))
NO_CONNECTION = Attempt(phase="connect", ending="failed")
LOST = Attempt(phase="sent", ending="lost")
LOST_AFTER_TOKENS = Attempt(phase="answer", ending="lost", delivered=True)
BROKEN_OFF = Attempt(phase="complete", status=200, finish_reasons=("abort",))
BROKEN_OFF_AFTER_TOKENS = Attempt(phase="complete", status=200, finish_reasons=("abort",), delivered=True)
FULL = Attempt(phase="complete", status=503)
WRONG = Attempt(phase="complete", status=500)
ENGINE_DEAD = Attempt(phase="complete", status=500, engine_is_dead=True)
GONE = Attempt(phase="sent", ending="gone")
GONE_AFTER_TOKENS = Attempt(phase="answer", ending="gone", delivered=True)
TIMED_OUT = Attempt(phase="sent", ending="timer", timer="total")

# Seconds that an answer without work takes, and after which a silent server is found to be gone by the side probe.
ROUND_TRIP = 0.001
PROBED_AFTER = 6.0


class Trip(Protocol):
    """One attempt on its way, as a server knows it; `deadline` is the moment of its total."""

    deadline: float
    is_poison: bool
    has_given: bool

    def hears(self) -> None: ...
    def ends(self, attempt: Attempt) -> None: ...


class Server:
    """One server; `received` has the moment of every request that it took in.

    Of these, `failing` (from 0 to 1) end at once with `failure`; the others as its condition says.
    """

    def __init__(self, name: str, timeline: Timeline, chance: random.Random) -> None:
        self.name = name
        self.condition: Condition = "up"
        self.slowness = 1.0
        self.failing = 0.0
        self.failure = WRONG
        self.first_token = 0.2
        self.rest = 1.0
        self.received: list[float] = []
        self._timeline = timeline
        self._chance = chance
        self._running: dict[int, Trip] = {}

    def receive(self, trip: Trip) -> None:
        """Take an attempt in, or do not."""
        if self.condition == "down":
            self._timeline.after(ROUND_TRIP, lambda: trip.ends(NO_CONNECTION))
            return
        self.received.append(self._timeline.now)
        if self.failing and self._chance.random() < self.failing:
            self._timeline.after(ROUND_TRIP, lambda: trip.ends(self.failure))
            return
        match self.condition:
            case "full":
                self._timeline.after(ROUND_TRIP, lambda: trip.ends(FULL))
            case "wrong":
                self._timeline.after(ROUND_TRIP, lambda: trip.ends(WRONG))
            case "hung":
                self._running[id(trip)] = trip
                self._wait_for(trip)
            case _:
                self._begin(trip)

    def become(self, condition: Condition, *, how: Callable[[Trip], Attempt] | None = None) -> None:
        """Change; all that runs ends as `how` says, if it does."""
        self.condition = condition
        if how is not None:
            ended, self._running = self._running, {}
            for trip in ended.values():
                trip.ends(how(trip))
        elif condition == "hung":
            for trip in self._running.values():
                self._wait_for(trip)

    def crash(self) -> None:
        """Break off all connections, and be gone."""
        self.become("down", how=lambda trip: LOST_AFTER_TOKENS if trip.has_given else LOST)

    def stop(self) -> None:
        """Be stopped as vLLM is by SIGTERM: answers end well-formed and too early."""
        self.become("down", how=lambda trip: BROKEN_OFF_AFTER_TOKENS if trip.has_given else BROKEN_OFF)

    def _begin(self, trip: Trip) -> None:
        if trip.is_poison:
            self._running[id(trip)] = trip
            self._timeline.after(ROUND_TRIP, self.crash)
            return
        self._running[id(trip)] = trip
        first = self.first_token * self.slowness * self._chance.uniform(0.5, 1.5)
        ends = self._timeline.now + first + self.rest * self.slowness * self._chance.random()
        self._timeline.after(first, lambda: self._give(trip))
        if ends < trip.deadline:
            self._timeline.at(ends, lambda: self._finish(trip, DONE))
        else:
            self._timeline.at(trip.deadline, lambda: self._finish(trip, TIMED_OUT))

    def _give(self, trip: Trip) -> None:
        if self.condition != "hung" and id(trip) in self._running:
            trip.hears()

    def _finish(self, trip: Trip, attempt: Attempt) -> None:
        if self.condition == "hung" and attempt is DONE:
            return
        if self._running.pop(id(trip), None) is not None:
            trip.ends(attempt)

    def _wait_for(self, trip: Trip) -> None:
        """Have a silent attempt go on when it is looked after, or be given up."""

        def look() -> None:
            if self.condition == "hung":
                self._finish(trip, GONE_AFTER_TOKENS if trip.has_given else GONE)
            else:
                self._finish(trip, DONE)

        self._timeline.at(min(trip.deadline, self._timeline.now + PROBED_AFTER), look)
