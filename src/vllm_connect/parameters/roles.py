"""Roles that chat templates refuse: `developer`, and system messages that come late; folded into one at the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["folded"]

SYSTEM = frozenset({"system", "developer"})


def folded(messages: Any) -> list[Any] | None:
    """Return a conversation whose instructions stand in one system message at its start, None where they do already.

    Texts are joined by an empty line; contents in parts are put one after the other. Other fields (`name`) are lost.
    """
    if not isinstance(messages, list):
        return None
    roles = [message.get("role") if isinstance(message, Mapping) else None for message in messages]
    late = [role for role in roles[1:] if role in SYSTEM]
    if not late and roles[:1] != ["developer"]:
        return None
    instructions = [
        message.get("content") for message, role in zip(messages, roles, strict=True) if role in SYSTEM
    ]
    rest = [message for message, role in zip(messages, roles, strict=True) if role not in SYSTEM]
    return [{"role": "system", "content": _joined(instructions)}, *rest]


def _joined(contents: list[Any]) -> Any:
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(contents)
    parts: list[Any] = []
    for content in contents:
        parts += [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
    return parts
