"""Runs checks in their order, each by what came of those before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import openai

from vllm_connect.checks.check import Check, Finding, Status, Told, failed, skipped

__all__ = ["findings"]

P = TypeVar("P")

# What a check that needs another may be run after.
GOOD: frozenset[Status] = frozenset({"ok", "warn"})


def findings(checks: Sequence[Check[P]], subject: P, *, server: str = "") -> Iterator[Finding]:
    """Yield what each check finds of a subject, as soon as it is known.

    One that needs what failed or was skipped is skipped. An error of the client's is what the check found; any other is
    a fault of the check, and raised.
    """
    came: dict[str, Status] = {}
    for check in checks:
        told = _told(check, subject, came)
        came[check.name] = told.status
        yield Finding(
            check=check.name,
            status=told.status,
            said=told.said,
            fix=told.fix,
            server=server,
            facts=dict(told.facts),
        )


def _told(check: Check[P], subject: P, came: dict[str, Status]) -> Told:
    lacking = next((name for name in check.needs if came[name] not in GOOD), None)
    if lacking is not None:
        return skipped(f"needs {lacking}", needs=lacking)
    try:
        return check.run(subject)
    except openai.OpenAIError as error:
        return failed(error)
