"""All rules in the order in which they are tried, and the one that fits."""

from __future__ import annotations

from dataclasses import replace

from vllm_connect.explain.answering import ANSWERING
from vllm_connect.explain.case import Case
from vllm_connect.explain.reaching import REACHING, TIMERS
from vllm_connect.explain.refusing import REFUSING
from vllm_connect.explain.rule import Rule, Told

__all__ = ["RULES", "told"]

RULES: tuple[Rule, ...] = (*REACHING, *TIMERS, *ANSWERING, *REFUSING)


def told(case: Case) -> Told:
    """Return what the first rule that fits tells of a case; the last one fits every case."""
    found = next(found for rule in RULES if (found := rule.told(case)) is not None)
    if case.kind != "cut" or not case.said:
        return found
    # The server said why it broke its answer off.
    why = told(replace(case, kind="within"))
    return found._replace(fix=f"{why.fix} {found.fix}".strip(), rule=why.rule)
