"""Whether an answer is all that was asked for: its choices counted, their finish reasons read; content is not judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vllm_connect.outcome.judgement import FINISHED, NOT_FINISHED

__all__ = ["asked_items", "in_order", "reason_of", "unknown_finish_reasons", "unknown_reasons"]


def asked_items(body: Mapping[str, Any]) -> int:
    """Return how many choices, or vectors, a request asks for: `n` for each of its prompts or inputs; at least 1.

    What is no list of texts or of token lists counts as one: an iterator cannot be looked at twice.
    """
    n = body.get("n")
    each = n if type(n) is int and n > 0 else 1
    texts = body.get("prompt")
    if texts is None:
        texts = body.get("input")
    if isinstance(texts, list | tuple) and texts and type(texts[0]) is not int:
        return each * len(texts)
    return each


def reason_of(told: object) -> str | None:
    """Return a finish reason as it is judged: older Ollamas send an empty text where there is none yet."""
    return None if not told else str(told)


def in_order(told: Mapping[int, object], asked: int) -> tuple[str | None, ...]:
    """Return the finish reason of every choice, of those asked for first, None for one that did not finish."""
    others = sorted(index for index in told if not 0 <= index < asked)
    return tuple(reason_of(told.get(index)) for index in (*range(asked), *others))


def unknown_reasons(reasons: Iterable[str | None]) -> tuple[str, ...]:
    """Return the reasons that the OpenAI reference does not name, and that do not say that it broke off."""
    return tuple(reason for reason in reasons if reason not in FINISHED and reason not in NOT_FINISHED)  # type: ignore[misc]


def unknown_finish_reasons(answer: Any) -> tuple[str, ...]:
    """Return the finish reasons of a chat or completion that are unknown, such as vLLM's `repetition`; empty as a rule.

    Such an answer is done, in a way that a program may want to look at: vLLM says `repetition` of a model that it
    found going round in circles. Takes answers and chunks of streams.
    """
    told = (reason_of(getattr(choice, "finish_reason", None)) for choice in answer.choices)
    return unknown_reasons(told)
