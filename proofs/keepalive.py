"""Proves that keep-alive races cost nothing: `./dev proof keepalive [--requests N] [--seed N]`.

Servers close idle connections, and a request may leave at that very moment. Many clients, each on a connection of its
own, ask again at once or after the server's idle limit, 30 ms more or less: once with vLLM's limit of 5.0 s, once with
a server whose limit is our own, where the two ends race. No call may fail, none may be generated twice; nothing is
retried but what the wire sends again for free.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from vllm_connect import AsyncOpenAI, OpenAI
from vllm_connect.simulator import Simulator
from vllm_connect.wire.keeping import KEEP_ALIVE

VLLM_KEEP_ALIVE = 5.0
AROUND = 0.03
MODEL = "sim-model"
# Connections side by side: each waits most of its time.
WORKERS = 500


@dataclass
class Course:
    """What came of one run: calls made, those that failed, and how the server saw it."""

    shell: str
    limit: float
    calls: int = 0
    errors: list[str] = field(default_factory=list)
    arrived: int = 0
    twice: int = 0
    connections: int = 0
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return not self.errors and self.twice == 0 and self.arrived == self.calls

    def __str__(self) -> str:
        return (
            f"{self.shell:9} server's limit {self.limit:.1f} s: {self.calls:6} calls, {len(self.errors)} errors, "
            f"{self.arrived} arrived, {self.twice} twice, {self.connections} connections, {self.seconds:.0f} s"
        )


def gaps(limit: float, calls: int, chance: random.Random) -> list[float]:
    """Half of the calls follow at once, half around the limit, in any order."""
    chosen = [0.0] * (calls // 2) + [
        limit + chance.uniform(-AROUND, AROUND) for _ in range(calls - calls // 2)
    ]
    chance.shuffle(chosen)
    return chosen


def options(url: str) -> dict[str, Any]:
    """Options of a client that tries once."""
    return {"base_url": url, "model": MODEL, "max_retries": 0, "wire": "own"}


def call(number: str) -> dict[str, Any]:
    """Arguments of one call, by whose number the server's record is counted."""
    return {"prompt": "Once", "max_tokens": 1, "extra_headers": {"x-proof": number}}


def run_blocking(course: Course, url: str, plans: list[list[float]]) -> None:
    """Make the calls of each plan, a list of gaps, by a client and a thread of its own."""

    def work(worker: int) -> None:
        with OpenAI(**options(url)) as client:
            for number, gap in enumerate(plans[worker]):
                time.sleep(gap)
                try:
                    client.completions.create(**call(f"{worker}-{number}"))
                except Exception as error:  # noqa: BLE001 - any is a failure of the proof
                    course.errors.append(repr(error))

    with ThreadPoolExecutor(len(plans)) as pool:
        list(pool.map(work, range(len(plans))))


def run_asyncio(course: Course, url: str, plans: list[list[float]]) -> None:
    """Do the same on one event loop."""

    async def work(worker: int) -> None:
        async with AsyncOpenAI(**options(url)) as client:
            for number, gap in enumerate(plans[worker]):
                await asyncio.sleep(gap)
                try:
                    await client.completions.create(**call(f"{worker}-{number}"))
                except Exception as error:  # noqa: BLE001 - as above
                    course.errors.append(repr(error))

    async def run() -> None:
        await asyncio.gather(*(work(worker) for worker in range(len(plans))))

    asyncio.run(run())


RUNS = {"blocking": run_blocking, "asyncio": run_asyncio}


def course_of(shell: str, limit: float, calls: int, chance: random.Random) -> Course:
    """Run one course against a server of its own."""
    course = Course(shell, limit, calls)
    workers = min(WORKERS, calls)
    all_gaps = gaps(limit, calls, chance)
    plans = [all_gaps[worker::workers] for worker in range(workers)]
    with Simulator(models=(MODEL,), keep_alive=limit, own_process=True) as server:
        began = time.monotonic()
        RUNS[shell](course, server.url, plans)
        course.seconds = time.monotonic() - began
        seen = Counter(request.header("x-proof") for request in server.requests)
        course.connections = server.connections
    course.arrived = len(seen)
    course.twice = sum(1 for times in seen.values() if times > 1)
    return course


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=20_000, help="for each limit, half of them blocking")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args()
    print(f"--seed {chosen.seed}", flush=True)
    chance = random.Random(chosen.seed)
    courses = []
    for limit in (VLLM_KEEP_ALIVE, KEEP_ALIVE):
        for shell in RUNS:
            course = course_of(shell, limit, chosen.requests // 2, chance)
            courses.append(course)
            print(course, flush=True)
            for error in course.errors[:3]:
                print(f"  {error}", file=sys.stderr)
    if all(course.is_good for course in courses):
        print("no call failed, none was generated twice")
        return 0
    print("the proof failed", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
