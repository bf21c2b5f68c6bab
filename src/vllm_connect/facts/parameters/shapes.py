"""The objects that vLLM's own parameters take, as type checkers see them."""

from __future__ import annotations

from typing import Any, TypedDict

__all__ = ["RepetitionDetection", "StructuredOutputs"]


class StructuredOutputs(TypedDict, total=False):
    """What the output must be: exactly one of the first six, the others refine it."""

    json: str | dict[str, Any]
    regex: str
    choice: list[str]
    grammar: str
    json_object: bool
    structural_tag: str
    disable_any_whitespace: bool
    disable_additional_properties: bool
    whitespace_pattern: str


class RepetitionDetection(TypedDict, total=False):
    """When a model that goes round in circles is stopped: N-grams of these sizes, that many times (at least 2)."""

    max_pattern_size: int
    min_pattern_size: int
    min_count: int
