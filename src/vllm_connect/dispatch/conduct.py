"""The tries of one call: send, judge, maybe wait and send again; the same for every sender."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio
import openai

from vllm_connect.dispatch.call import Call
from vllm_connect.dispatch.retry import Answered, Failed, wait_before_retry

__all__ = ["Conduct"]

T = TypeVar("T")


@dataclass(frozen=True)
class Conduct:
    """How calls are carried out; clock and chance are passed in."""

    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random

    def run(
        self,
        call: Call,
        attempt: Callable[[int], tuple[T, Answered | None]],
        *,
        is_replayable: bool = True,
    ) -> T:
        """Return the answer of the last try; raises its failure.

        `attempt` gets the number of the try, from 1, and returns its answer with what speaks against it.
        `is_replayable` says whether the request's body can be sent again.
        """
        tries = 0
        while True:
            tries += 1
            try:
                answer, refusal = attempt(tries)
                if refusal is None:
                    return answer
                wait = self._wait(refusal, call, tries)
                if wait is None:
                    return answer
            except openai.APIConnectionError as error:
                wait = self._wait(Failed(error, is_replayable), call, tries)
                if wait is None:
                    raise
            time.sleep(wait)

    async def arun(
        self,
        call: Call,
        attempt: Callable[[int], Awaitable[tuple[T, Answered | None]]],
        *,
        is_replayable: bool = True,
    ) -> T:
        """Do the same in a coroutine, on asyncio or trio."""
        tries = 0
        while True:
            tries += 1
            try:
                answer, refusal = await attempt(tries)
                if refusal is None:
                    return answer
                wait = self._wait(refusal, call, tries)
                if wait is None:
                    return answer
            except openai.APIConnectionError as error:
                wait = self._wait(Failed(error, is_replayable), call, tries)
                if wait is None:
                    raise
            await anyio.sleep(wait)

    def _wait(self, outcome: Answered | Failed, call: Call, tries: int) -> float | None:
        return wait_before_retry(
            outcome,
            tries=tries,
            max_retries=call.max_retries,
            remaining=call.remaining(self.clock()),
            wall_clock=self.wall_clock(),
            chance=self.chance,
        )
