"""JSON: members whose value is a text; a copy of one is a line of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vllm_connect.migrate.configuration.entry import Entry

__all__ = ["read_json"]

TEXT = r'"(?:[^"\\\n]|\\.)*"'
# JSON is data as often as it is settings: only what is written as variables are counts.
PART = re.compile(
    rf'"(?P<name>[A-Z][A-Z0-9_]{{3,}})"[ \t]*:[ \t]*"(?P<value>(?:[^"\\\n]|\\.)*)"|{TEXT}|[{{}}]'
)


def read_json(text: str) -> Iterator[Entry]:
    """Yield what looks like a variable; each object is a scope."""
    objects = [0]
    for found in PART.finditer(text):
        if found[0] == "{":
            objects.append(found.start())
        elif found[0] == "}":
            objects = objects[:-1] or [0]
        elif found["name"] is not None:
            start = text.rfind("\n", 0, found.start()) + 1
            end = text.find("\n", found.end()) + 1 or len(text)
            is_alone = text[start:end].strip() == f"{found[0]},"
            yield Entry(
                name=found["name"],
                name_at=found.span("name"),
                value=found["value"],
                value_at=found.span("value"),
                scope=objects[-1],
                whole=(start, end) if is_alone else None,
            )
