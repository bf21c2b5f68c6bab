"""One rule of the tables: what it fits, and the two texts that it tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vllm_connect.explain.case import Case, Kind
from vllm_connect.facts.names import printable

__all__ = ["Condition", "Rule", "Told", "being", "either", "lacks", "reason", "said", "status", "when"]

# What a condition found: whether it fits, and what its pattern caught, by name.
Found = Mapping[str, str] | bool
Condition = Callable[[Case], Found]


class Told(NamedTuple):
    """What happened, to which server, and what to do, which is empty where nothing is known; and by which rule."""

    explanation: str
    fix: str
    rule: str

    def __str__(self) -> str:
        return f"{self.explanation} {self.fix}".strip()


class Rule(NamedTuple):
    """A case that is known: `seen` is what is seen of it, for people; it fits where all of its conditions do.

    `explanation` and `fix` name in braces what they take of the case, or of what a condition's pattern caught.
    """

    id: str
    seen: str
    conditions: tuple[Condition, ...]
    explanation: str
    fix: str = ""

    def told(self, case: Case) -> Told | None:
        """Return what this rule tells of a case, None where it does not fit."""
        caught: dict[str, str] = {}
        for condition in self.conditions:
            found = condition(case)
            if not found:
                return None
            if isinstance(found, Mapping):
                caught |= found
        words = _Words(case, caught)
        explanation, fix = self.explanation.format_map(words), self.fix.format_map(words)
        if explanation[-1:] not in ".!?":  # it ends in the server's own words
            explanation = f"{explanation}."
        return Told(explanation, fix.strip(), self.id)


class _Words(dict[str, Any]):
    """What a text may name: what was caught, else what the case knows."""

    def __init__(self, case: Case, caught: Mapping[str, str]) -> None:
        super().__init__(caught)
        self._case = case

    def __missing__(self, name: str) -> Any:
        return getattr(self._case, name)


# -- conditions


def being(*kinds: Kind) -> Condition:
    """Fit failures of these kinds."""
    return lambda case: case.kind in kinds


def status(*statuses: int) -> Condition:
    """Fit answers with one of these statuses."""
    return lambda case: case.kind == "status" and case.status in statuses


def reason(pattern: str) -> Condition:
    """Fit what broke for a reason in which this is found."""
    searched = re.compile(pattern)
    return lambda case: _caught(searched.search(case.reason))


def said(pattern: str) -> Condition:
    """Fit errors of the server's own, as an answer or within one, in whose words this is found."""
    searched = re.compile(pattern, re.DOTALL)
    return lambda case: case.kind in ("status", "within") and _caught(searched.search(case.said))


def when(fits: Callable[[Case], object]) -> Condition:
    """Fit where this is true."""
    return lambda case: bool(fits(case))


def either(*conditions: Condition) -> Condition:
    """Fit where one of these conditions does."""

    def fits(case: Case) -> Found:
        return next((found for condition in conditions if (found := condition(case))), False)

    return fits


def lacks(fits: Callable[[Case], object]) -> Condition:
    """Fit where this is not true."""
    return lambda case: not fits(case)


def _caught(match: re.Match[str] | None) -> Found:
    if match is None:
        return False
    return {name: printable(text) for name, text in match.groupdict().items() if text is not None} or True
