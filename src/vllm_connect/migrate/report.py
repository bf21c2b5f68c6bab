"""What a migration found, put together: for people in what order to go on, for programs as JSON and SARIF."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from vllm_connect.migrate.catalogue import RULES
from vllm_connect.migrate.finding import Finding, Severity
from vllm_connect.migrate.migration import Outcome

__all__ = ["JSON_VERSION", "Count", "Report", "Step", "as_json", "as_sarif", "reported"]

# Raised when a field of the JSON report changes its meaning or goes.
JSON_VERSION = 1
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {
    Severity.BREAKS: "error",
    Severity.SILENTLY_IGNORED: "warning",
    Severity.CHANGES_OUTPUT: "warning",
    Severity.COSMETIC: "note",
}


@dataclass(frozen=True)
class Count:
    """How often a rule was met."""

    rule: str
    severity: Severity
    fixed: int
    left: int


@dataclass(frozen=True)
class Step:
    """One thing to do, and where."""

    todo: str
    severity: Severity
    places: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All of a run; `written` are the files that were, `unwritten` those that could not be, with the reason."""

    outcomes: tuple[Outcome, ...]
    files: int
    seconds: float
    written: tuple[str, ...] = ()
    unwritten: tuple[tuple[str, str], ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings by file and line."""
        return tuple(finding for one in self.outcomes for finding in one.findings)

    @property
    def changed(self) -> tuple[Outcome, ...]:
        """The files that change."""
        return tuple(one for one in self.outcomes if one.content is not None)

    @property
    def has_crashed(self) -> bool:
        """Whether a part of ours failed at a file."""
        return any(one.is_crash for one in self.outcomes)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left: no file changes that was not written, no finding but cosmetic ones."""
        waiting = {str(one.path) for one in self.changed} - set(self.written)
        return not waiting and not any(
            not one.is_fixed and one.severity > Severity.COSMETIC for one in self.findings
        )

    def counts(self) -> list[Count]:
        """Return how often each rule was met, the worst first."""
        fixed = Counter(one.rule for one in self.findings if one.is_fixed)
        left = Counter(one.rule for one in self.findings if not one.is_fixed)
        worst = {one.rule: one.severity for one in sorted(self.findings, key=lambda one: one.severity)}
        counts = [Count(rule, worst[rule], fixed[rule], left[rule]) for rule in worst]
        return sorted(counts, key=lambda one: (-one.severity, one.rule))

    def steps(self) -> list[Step]:
        """Return what is to be done, the worst first, each once with all its places."""
        places: dict[str, list[Finding]] = {}
        for one in self.findings:
            if one.todo:
                places.setdefault(one.todo, []).append(one)
        steps = [
            Step(todo, max(one.severity for one in found), tuple(one.place for one in found))
            for todo, found in places.items()
        ]
        return sorted(steps, key=lambda one: (-one.severity, -len(one.places)))


def reported(outcomes: Iterable[Outcome], files: int, seconds: float, **more: Any) -> Report:
    """Return the report of a run."""
    return Report(tuple(outcomes), files, seconds, **more)


def as_json(report: Report) -> dict[str, Any]:
    """Return a report for programs."""
    return {
        "version": JSON_VERSION,
        "files": report.files,
        "seconds": round(report.seconds, 3),
        "done": report.is_done,
        "crashed": report.has_crashed,
        "changed": [str(one.path) for one in report.changed],
        "written": list(report.written),
        "unwritten": [{"path": path, "reason": reason} for path, reason in report.unwritten],
        "findings": [_finding(one) for one in report.findings],
        "summary": [{**dataclasses.asdict(one), "severity": one.severity.label} for one in report.counts()],
        "next_steps": [
            {"todo": one.todo, "severity": one.severity.label, "places": list(one.places)}
            for one in report.steps()
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    told = {**dataclasses.asdict(finding), "severity": finding.severity.label}
    told["fixed"] = told.pop("is_fixed")
    return told


def as_sarif(report: Report, version: str) -> dict[str, Any]:
    """Return a report in SARIF 2.1.0, which code hosts show beside the code."""
    ids = sorted(RULES)
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "vllm-connect migrate",
                        "version": version,
                        "rules": [_sarif_rule(one) for one in ids],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(one, ids) for one in report.findings],
            }
        ],
    }


def _sarif_rule(rule_id: str) -> dict[str, Any]:
    rule = RULES[rule_id]
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": f"{_sentence(rule.why)} {rule.todo}"},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {"severity": rule.severity.label, "versions": rule.versions},
    }


def _sarif_result(finding: Finding, ids: Sequence[str]) -> dict[str, Any]:
    return {
        "ruleId": finding.rule,
        "ruleIndex": ids.index(finding.rule),
        "level": LEVELS[finding.severity],
        "message": {"text": f"{_sentence(finding.message)} {finding.todo}".strip()},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(finding.path)},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
        "properties": {"fixed": finding.is_fixed, "versions": finding.versions},
    }


def _uri(path: str) -> str:
    """Return a path as SARIF names files: relative to the folder of the run where it lies within."""
    inside = os.path.relpath(path)
    return quote(PurePath(path if inside.startswith("..") else inside).as_posix())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
