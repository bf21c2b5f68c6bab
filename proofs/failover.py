"""Proves that calls survive one of two real vLLM servers: `./dev proof failover [--trials N] [--seed N]`.

Two replicas, 64 calls in flight, plain and streamed, chats and completions, from an event loop and from threads; one of
the two is killed, terminated, stopped for a while, loses its engine, is restarted, or has a queue too short. A call
may fail only where a part of its stream had been delivered, and then carries that part; what is done says, to the
letter, what an undisturbed server says. After each trial, calls that are cancelled must leave the engine idle in 0.5 s.
A third server takes the place of the one that failed, which is started anew meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.live.failover import (
    FAULTS,
    LIMITED,
    Load,
    Report,
    Texts,
    cancelled_within,
    engine_apart,
    references,
)
from tests.live.servers import Options, Server

MODELS = Path(__file__).parent.parent / "tests" / "live" / "models.py"
IN_FLIGHT = 64
# Calls before the fault, so that connections are kept and replicas known; and behind it.
BEFORE, BEHIND = 4.0, 6.0
IDLE_WITHIN = 0.5
TIMES = 3
# The faults after which a server is as it was.
HARMLESS = ("SIGSTOP", "restart")
FULL = "queue limit"


@dataclass
class Place:
    """One of the three servers, and whether it is being started."""

    server: Server
    options: Options
    starting: Future[None]
    is_damaged: bool = False

    def start_again(self, pool: ThreadPoolExecutor, options: Options) -> None:
        """Stop it and start it with these options, meanwhile."""
        self.options, self.is_damaged = options, False
        before = self.starting
        self.starting = pool.submit(start_again, self.server, options, before)


@dataclass
class Trial:
    """What one trial came to."""

    fault: str
    report: Report
    idle: float
    seconds: float

    @property
    def is_good(self) -> bool:
        return not self.report.wrong and self.idle <= IDLE_WITHIN

    def __str__(self) -> str:
        report = self.report
        kinds = ", ".join(f"{times} {name}" for name, times in report.kinds.items())
        return (
            f"{self.fault:13} {report.done:5} done {report.partial:3} partial {len(report.wrong):3} wrong {report.otherwise:3} otherwise   "
            f"longest {report.longest:5.1f} s   idle after {self.idle:4.2f} s   {self.seconds:3.0f} s   {kinds}"
        )


def start_again(server: Server, options: Options, before: Future[None] | None = None) -> None:
    """Stop a server, however it is, start it at the same address, and wait until it is ready."""
    if before is not None:
        before.result()
    server.stop()
    server.options = options
    server.start()
    server.wait_ready()


@dataclass
class Proof:
    """Three servers, the trials on two of them at a time, and what they came to."""

    places: Sequence[Place]
    pool: ThreadPoolExecutor
    plain: Options
    limited: Options
    chance: random.Random
    texts: Texts = field(default_factory=dict)

    def run(self, faults: Sequence[str]) -> Iterator[Trial]:
        """Yield trials as they end."""
        first, second, spare = self.places
        if faults[0] == FULL:
            first.start_again(self.pool, self.limited)
        for fault, following in itertools.zip_longest(faults, faults[1:]):
            wanted = self.limited if following == FULL else self.plain
            if spare.is_damaged or spare.options != wanted:
                spare.start_again(self.pool, wanted)
            # Two that start beside the load of a third take minutes on two cores.
            for place in (first, second, spare) if fault == "restart" else (first, second):
                place.starting.result()
            victim, other = self._parts(first, second)
            yield self._trial(fault, victim, other)
            victim.is_damaged = fault not in HARMLESS
            # Who failed rests next, or whoever is not needed as it is.
            first, second, spare = (
                (other, spare, victim) if self._rests(victim, following) else (victim, other, spare)
            )

    def _parts(self, first: Place, second: Place) -> tuple[Place, Place]:
        if self.limited in (first.options, second.options):
            return (first, second) if first.options == self.limited else (second, first)
        parts = [first, second]
        self.chance.shuffle(parts)
        return parts[0], parts[1]

    def _rests(self, victim: Place, following: str | None) -> bool:
        return victim.is_damaged or following == FULL

    def _trial(self, fault: str, victim: Place, other: Place) -> Trial:
        began = time.monotonic()
        with Load([victim.server.url, other.server.url], IN_FLIGHT, self.chance, self.texts) as load:
            time.sleep(BEFORE)
            FAULTS[fault](victim.server, self.chance, load)
            time.sleep(BEHIND)
        # On a machine that does much else, `/metrics` itself may be late to tell; work that went on would be so again.
        idle = min(itertools.islice(self._idles(other.server), TIMES))
        return Trial(fault, Report(load.calls, self.texts, other.server), idle, time.monotonic() - began)

    def _idles(self, server: Server) -> Iterator[float]:
        idle = math.inf
        while idle > IDLE_WITHIN:
            idle = cancelled_within(server)
            yield idle


def chosen_faults(trials: int, chance: random.Random) -> list[str]:
    """Every fault as often as any other, in an order by chance."""
    faults = list(itertools.islice(itertools.cycle(FAULTS), trials))
    chance.shuffle(faults)
    return faults


@contextlib.contextmanager
def proof(python: Path, chance: random.Random) -> Iterator[Proof]:
    """Start three servers, and stop them at the end."""
    with (
        tempfile.TemporaryDirectory() as name,
        contextlib.ExitStack() as stack,
        ThreadPoolExecutor(3) as pool,
    ):
        folder = Path(name)
        model = folder / "model"
        subprocess.run([python, MODELS, model], check=True, capture_output=True)  # noqa: S603 - our own two
        plain = engine_apart(model)
        servers = [Server(plain, python=python, log=folder / f"{number}.log") for number in range(3)]
        for server in servers:
            stack.callback(server.stop)
        # The third is started beside the first trial.
        waits: Future[None] = Future()
        waits.set_result(None)
        places = [Place(server, plain, waits, is_damaged=True) for server in servers]
        for place in places[:2]:
            place.start_again(pool, plain)
        for place in places[:2]:
            place.starting.result()
        texts = references(*(place.server for place in places[:2]))
        yield Proof(places, pool, plain, engine_apart(model, extra=LIMITED), chance, texts)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--fault", choices=tuple(FAULTS), help="this one only")
    chosen = parser.parse_args()
    print(f"--seed {chosen.seed}", flush=True)
    chance = random.Random(chosen.seed)
    faults = [chosen.fault] * chosen.trials if chosen.fault else chosen_faults(chosen.trials, chance)
    trials = []
    began = time.monotonic()
    with proof(Path(os.environ["LIVE_VLLM_PYTHON"]), chance) as running:
        for number, trial in enumerate(running.run(faults), 1):
            trials.append(trial)
            print(f"{number:2} {trial}", flush=True)
            for wrong in trial.report.wrong[:5]:
                print(f"   {wrong[:1000]}", file=sys.stderr, flush=True)
    summarize(trials, time.monotonic() - began)
    return 0 if all(trial.is_good for trial in trials) else 1


def summarize(trials: Sequence[Trial], seconds: float) -> None:
    """Print what the trials of each fault came to."""
    print(f"\n{'fault':13} trials   done  partial  wrong  longest  idle after")
    for fault in dict.fromkeys(trial.fault for trial in trials):
        own = [trial for trial in trials if trial.fault == fault]
        print(
            f"{fault:13} {len(own):6} {sum(one.report.done for one in own):6} "
            f"{sum(one.report.partial for one in own):8} {sum(len(one.report.wrong) for one in own):6} "
            f"{max(one.report.longest for one in own):6.1f} s {max(one.idle for one in own):8.2f} s"
        )
    good = sum(trial.is_good for trial in trials)
    print(f"{good} of {len(trials)} trials are good, in {seconds / 60:.1f} min")


if __name__ == "__main__":
    sys.exit(main())
