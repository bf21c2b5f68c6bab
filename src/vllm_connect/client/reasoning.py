"""Reasoning under one name: vLLM called it `reasoning_content` before 0.11.2, and by both names before 0.16."""

from __future__ import annotations

from typing import Any

__all__ = ["OLD_NAME", "name_all_reasoning", "name_reasoning"]

NAME, OLD_NAME = "reasoning", "reasoning_content"


def name_reasoning(holder: Any) -> None:
    """Have a message or a delta with the old name have today's too, for who reads it: no dump has it, and no history."""
    extra = holder.__pydantic_extra__
    if extra and OLD_NAME in extra and NAME not in extra:
        holder.__dict__[NAME] = extra[OLD_NAME]


def name_all_reasoning(answer: Any) -> None:
    """Do the same for every message of an answer, of whatever shape it is."""
    for choice in getattr(answer, "choices", None) or ():
        message = getattr(choice, "message", None)
        if getattr(message, "__pydantic_extra__", None):
            name_reasoning(message)
