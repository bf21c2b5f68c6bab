"""What code asks of a server, and the rules about what a server cannot do; `capability` holds it against a server."""

from __future__ import annotations

import json
from typing import Any

from vllm_connect.migrate.finding import Finding, Severity
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.usage import Usage

__all__ = ["ENDPOINT", "MODEL", "REFUSED", "RULES", "SOME", "TOO_LONG", "UNREAD", "finding", "value_of"]

ENDPOINT = Rule(
    "unserved-endpoint",
    "An endpoint that the server does not have (--url)",
    Severity.BREAKS,
    "the server answers 404",
    "Start a server that has it, or do without.",
)
MODEL = Rule(
    "unserved-model",
    "A model that the server does not serve (--url)",
    Severity.BREAKS,
    "the server answers 404",
    "Name one that it serves (--model-map OLD=NEW), or start it with --served-model-name.",
)
UNREAD = Rule(
    "unread-parameter",
    "A parameter that this server's release does not read (--url)",
    Severity.SILENTLY_IGNORED,
    "the server answers as if it were not there",
    "Use a release of vLLM that has it, or do without.",
)
TOO_LONG = Rule(
    "answer-beyond-context",
    "More tokens than the server's context has (--url)",
    Severity.BREAKS,
    "the server answers 400",
    "Ask for fewer, or leave it out: the answer then may use all that the prompt leaves.",
)
REFUSED = Rule(
    "refused-by-server",
    "A request that the server refuses as it was started (--url)",
    Severity.BREAKS,
    "the server answers 400 to a small request with the same parameter",
    "Start the server with what it needs, or do without.",
)
RULES = (ENDPOINT, MODEL, UNREAD, TOO_LONG, REFUSED)

# Stands for a value that is computed.
SOME = "..."


def finding(usage: Usage, rule: Rule, message: str, todo: str = "") -> Finding:
    """Return a finding at the place of a use."""
    doubt = "" if usage.is_sure else " (if this goes to vLLM: where the client comes from is not to be seen)"
    return Finding(
        path=usage.path,
        line=usage.line,
        column=1,
        rule=rule.id,
        severity=rule.severity,
        message=f"{message}{doubt}",
        todo=todo or rule.todo,
    )


def value_of(usage: Usage) -> Any:
    """Return the value that a parameter is given, `SOME` where it is not to be seen."""
    return json.loads(usage.value) if usage.value else SOME
