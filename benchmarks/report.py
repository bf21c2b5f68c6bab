"""What was found, as lines for people and as one JSON document."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any, Final

from benchmarks.runs import Result

_FIGURES: Final = {
    "cpu_us": "us CPU each",
    "lag_seconds": "seconds of lag",
    "chunks_per_second": "chunks a second",
    "memory_mb": "MB more",
    "import_ms": "ms CPU to import",
    "client_ms": "ms CPU to import and make a client",
    "growth_mb": "MB more after warm-up",
    "connections": "connections at most",
    "garbage": "objects a call that only the collector frees",
    "more_descriptors": "descriptors more after warm-up",
}


def machine() -> dict[str, Any]:
    """Return what figures depend on, and nothing that names the machine or its owner."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openai": version("openai"),
        "vllm-connect": version("vllm-connect"),
    }


def machine_line(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def lines(result: Result) -> Iterator[str]:
    """Tell one scenario: its figures by side, and which of its goals are reached."""
    yield result.scenario.title
    for figure in result.medians["ours"]:
        sides = "".join(
            f"{side:>9} {figures[figure]:>8,.{_places(figures[figure])}f}"
            for side, figures in result.medians.items()
        )
        yield f"  {sides}  {_FIGURES[figure]}"
    if "floor" in result.medians:
        times = result.medians["ours"]["cpu_us"] / result.medians["floor"]["cpu_us"]
        yield f"    ours is {times:.1f} times the floor"
    for goal in result.scenario.goals:
        verdict = "reached" if goal.reached(result.medians) else "MISSED"
        yield f"    {verdict:8} {goal.told(result.medians)}"


def _places(value: float) -> int:
    """Show three digits that count."""
    return 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2


def missed(results: Iterable[Result]) -> list[str]:
    return [
        f"{result.scenario.name}: {goal.told(result.medians)}"
        for result in results
        for goal in result.scenario.goals
        if not goal.reached(result.medians)
    ]


def summary(missed: list[str], failed: list[str]) -> Iterator[str]:
    """Tell what was missed; what was not measured is never counted as reached."""
    if failed:
        yield f"not measured: {', '.join(failed)}"
    if missed:
        yield f"goals missed: {len(missed)}"
        yield from (f"    {goal}" for goal in missed)
    elif not failed:
        yield "all goals reached"


def document(results: Iterable[Result], facts: dict[str, Any]) -> dict[str, Any]:
    """Return all of it for a machine to read: every round, the medians, the goals."""
    return {
        "machine": facts,
        "scenarios": [
            {
                "name": result.scenario.name,
                "title": result.scenario.title,
                "medians": result.medians,
                "rounds": result.rounds,
                "goals": [
                    {
                        "goal": goal.told(result.medians),
                        "value": goal.value(result.medians),
                        "reached": goal.reached(result.medians),
                    }
                    for goal in result.scenario.goals
                ],
            }
            for result in results
        ],
    }
