"""The attempts of one call: go to a replica, send, judge, maybe wait and go again; the same for both lanes."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio
import openai

from vllm_connect.dispatch.call import Call
from vllm_connect.dispatch.replica_set import AWAY, WELL, Visit
from vllm_connect.dispatch.retry import Standing, next_step
from vllm_connect.outcome import Attempt, Blame, Verdict, judge

__all__ = ["Conduct"]

T = TypeVar("T")

# What ends an attempt that may go on elsewhere free of charge.
LEFT = AWAY | {Blame.OVERLOAD}


@dataclass(frozen=True)
class Conduct:
    """How calls are carried out; clock and chance are passed in."""

    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random

    def run(self, call: Call, attempt: Callable[[], T]) -> T:
        """Return what the first attempt gives that goes well; raises what the last one raised.

        An error that carries an `attempt` is judged by it; any other ends the call.
        """
        while True:
            self._begin(call)
            try:
                answer = attempt()
            except openai.OpenAIError as error:
                wait = self.after(call, error)
                if wait is None:
                    raise
            except BaseException:
                self._leave(call)
                raise
            else:
                self._end(call)
                return answer
            if wait:
                time.sleep(wait)

    async def arun(self, call: Call, attempt: Callable[[], Awaitable[T]]) -> T:
        """Do the same in a coroutine, on asyncio or trio."""
        while True:
            self._begin(call)
            try:
                answer = await attempt()
            except openai.OpenAIError as error:
                wait = self.after(call, error)
                if wait is None:
                    raise
            except BaseException:
                self._leave(call)
                raise
            else:
                self._end(call)
                return answer
            if wait:
                await anyio.sleep(wait)

    def _begin(self, call: Call) -> None:
        """Go to the replica of the next attempt."""
        call.tries += 1
        if call.is_pinned:
            return
        replicas = call.replicas
        if call.tries == 1:
            replicas.group.budget.earn(call.started)
        if replicas.only is not None:
            call.member = replicas.only
            call.visit = None
            return
        if call.tried is None:
            call.tried = set()
        subject = call.subject
        call.member = replicas.pick(
            self.clock(), key=subject.key, model=subject.model, avoid=call.tried, home=call.home
        )
        call.visit = Visit(replicas.group, call.member.name, subject.model, self.clock)

    def after(self, call: Call, error: Exception) -> float | None:
        """Return the seconds until the next attempt, None where none follows; the replica is told how it did."""
        attempt = getattr(error, "attempt", None)
        if not isinstance(attempt, Attempt):
            self._leave(call)
            return None
        return self.after_attempt(call, attempt)

    def after_attempt(self, call: Call, attempt: Attempt) -> float | None:
        """Do the same, where the attempt is judged as this one."""
        verdict = judge(attempt)
        call.crashes += verdict.blame is Blame.CRASH
        now = self.clock()
        if call.visit is not None:
            call.visit.end(verdict)
            if verdict.blame in AWAY:
                call.replicas.was_away(call.member.name)
        standing = self._standing(call, now)
        step = next_step(attempt, verdict, standing, self.chance)
        if step is None or (step.is_charged and not self._is_paid(call, verdict, standing, now)):
            return None
        call.retries += step.is_counted
        return step.wait

    @staticmethod
    def _is_paid(call: Call, verdict: Verdict, standing: Standing, now: float) -> bool:
        """Whether a retry is in the budget, or free: what was broken off or refused may move to one in good standing."""
        group = call.replicas.group
        may_move = verdict.blame in LEFT and standing.has_other and call.tried is not None
        is_free = may_move and group.may_move_free(call.member.name, now, call.tried or ())
        return is_free or group.budget.spend(now)

    def _standing(self, call: Call, now: float) -> Standing:
        replicas, tried = call.replicas, call.tried
        has_other = False
        if tried is not None:
            tried.add(call.member.name)
            has_other = replicas.group.has_other(now, tried, model=call.subject.model)
            if not has_other:
                tried.clear()
        return Standing(
            retries=call.retries,
            max_retries=call.max_retries,
            crashes=call.crashes,
            remaining=call.remaining(now),
            is_replayable=call.is_replayable,
            has_other=has_other,
        )

    @staticmethod
    def _end(call: Call) -> None:
        if call.visit is not None and not call.is_open:
            call.visit.end(WELL)

    @staticmethod
    def _leave(call: Call) -> None:
        if call.visit is not None:
            call.visit.leave()
