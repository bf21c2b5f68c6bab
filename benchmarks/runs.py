"""Runs a scenario: the sides turn by turn, each in a fresh process, against one responder; medians of all rounds."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.goals import Figures, Side
from benchmarks.measurements import Server
from benchmarks.scenarios import Scenario

ROOT: Final = Path(__file__).parents[1]
_CLOSING_SECONDS: Final = 10.0
# What is measured is the shipped default, not what this shell happens to be set up for.
_ENVIRONMENT: Final = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("VLLM", "OPENAI_")) and "proxy" not in name.lower()
}


class MeasurementFailed(RuntimeError):
    """A figure would not mean anything: a run failed, answers differ, or ours opened too many connections."""


@dataclass(frozen=True, slots=True)
class Result:
    """A scenario's medians by side, and every round they were made of."""

    scenario: Scenario
    medians: Figures
    rounds: dict[Side, list[dict[str, float]]]


class Responder:
    """The responder's process, as its owner sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.server = Server(**json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def count(self) -> dict[str, int]:
        assert self._process.stdin is not None
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        counted: dict[str, int] = json.loads(self._line())
        return counted

    def settle(self) -> None:
        """Wait until the last client's connections are gone, and start counting anew."""
        deadline = time.monotonic() + _CLOSING_SECONDS
        while self.count()["open"]:
            assert time.monotonic() < deadline, "connections of a client that has ended stay open"
            time.sleep(0.01)


@contextmanager
def responder() -> Iterator[Responder]:
    command = [sys.executable, "-m", "benchmarks.responder"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        yield Responder(process)  # leaving closes its input, which ends it


def _command(scenario: Scenario, side: Side, server: Server) -> list[str]:
    return [sys.executable, "-m", "benchmarks.worker", scenario.name, side, json.dumps(asdict(server))]


def profiled(scenario: Scenario, responder: Responder) -> None:
    """Run ours once under the profiler, which prints what it found."""
    command = [*_command(scenario, "ours", responder.server), "--profile"]
    subprocess.run(command, check=True, env=_ENVIRONMENT, cwd=ROOT)


def measured(scenario: Scenario, responder: Responder, *, rounds: int) -> Result:
    """Measure all sides; raises if their output differs, or if one opens too many connections."""
    by_side: dict[Side, list[dict[str, float]]] = defaultdict(list)
    outputs: dict[Side, str] = {}
    for _ in range(rounds):
        for side in scenario.sides:
            responder.settle()
            found = _run(scenario, side, responder.server)
            by_side[side].append(found["figures"] | _connections(scenario, side, responder.count()["most"]))
            outputs[side] = found["output"]
        if outputs["openai"] != outputs["ours"]:
            raise MeasurementFailed(_difference(scenario, outputs["openai"], outputs["ours"]))
    medians = {
        side: {name: statistics.median(each[name] for each in found) for name in found[0]}
        for side, found in by_side.items()
    }
    return Result(scenario, medians, by_side)


def _run(scenario: Scenario, side: Side, server: Server) -> dict[str, Any]:
    command = _command(scenario, side, server)
    done = subprocess.run(command, check=False, env=_ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise MeasurementFailed(f"{scenario.name}: {side} failed, see above.")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _connections(scenario: Scenario, side: Side, most: int) -> dict[str, float]:
    # Of openai they are only told: httpx closes what it keeps beyond 100, and opens anew before the end has arrived.
    if most > scenario.connections and side == "ours":
        raise MeasurementFailed(
            f"{scenario.name}: ours had {most} connections open for {scenario.connections} at once."
        )
    return {"connections": most} if scenario.connections else {}


def _difference(scenario: Scenario, theirs: str, ours: str) -> str:
    pairs = zip(theirs, ours, strict=False)
    place = next((place for place, (one, other) in enumerate(pairs) if one != other), 0)
    start = max(0, place - 80)
    return (
        f"{scenario.name}: the answers differ.\n"
        f"  openai: …{theirs[start : place + 80]}…\n  ours:   …{ours[start : place + 80]}…"
    )
