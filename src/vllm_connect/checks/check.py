"""A check, and what it finds: a status, what was seen in one sentence, and the fix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import openai

from vllm_connect.explain.rule import Told as Explained

__all__ = ["Check", "Finding", "Status", "Told", "explained", "fail", "failed", "ok", "skipped", "warn"]

P = TypeVar("P")

Status = Literal["ok", "warn", "fail", "skipped"]


class Told(NamedTuple):
    """What a check says: `said` is one sentence, `fix` what to do (empty where there is nothing), `facts` for programs."""

    status: Status
    said: str
    fix: str = ""
    facts: Mapping[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found; `server` names which of several was looked at, empty where there is one."""

    check: str
    status: Status
    said: str
    fix: str = ""
    server: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check(Generic[P]):
    """One check by its name; what it `needs` are checks that must not have failed or been skipped before it."""

    name: str
    run: Callable[[P], Told]
    needs: tuple[str, ...] = ()


def ok(said: str, **facts: Any) -> Told:
    """All is well."""
    return Told("ok", said, "", facts)


def warn(said: str, fix: str = "", **facts: Any) -> Told:
    """It works, and something about it should be known."""
    return Told("warn", said, fix, facts)


def fail(said: str, fix: str = "", **facts: Any) -> Told:
    """It does not work."""
    return Told("fail", said, fix, facts)


def skipped(reason: str, **facts: Any) -> Told:
    """It was not looked at."""
    return Told("skipped", reason, "", facts)


def explained(told: Explained, **facts: Any) -> Told:
    """It does not work, as a rule of `explain` tells it."""
    return Told("fail", told.explanation, told.fix, {"rule": told.rule, **facts})


def failed(error: openai.OpenAIError) -> Told:
    """Return what an error of the client says of itself."""
    said = getattr(error, "explanation", "") or str(error)
    facts = {"error": type(error).__name__, "rule": getattr(error, "rule", "")}
    return Told("fail", said, getattr(error, "fix", ""), facts)
