"""INI files and Java properties: sections of `name = value` or `name: value`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vllm_connect.migrate.configuration.entry import Entry, lines
from vllm_connect.migrate.configuration.shell import WITHIN

__all__ = ["read_ini"]

SECTION = re.compile(r"[ \t]*\[(?P<name>[^\]\n]*)\]")
LINE = re.compile(
    r"""[ \t]*(?P<name>[A-Za-z_][\w.-]*)[ \t]*[=:][ \t]*
    (?:"(?P<double>[^"\n]*)"|'(?P<single>[^'\n]*)'|(?P<bare>[^\r\n]*?))
    [ \t]*(?:(?<=[ \t"'=])[;\#][^\r\n]*)?\r?(?:\n|\Z)""",
    re.VERBOSE,
)


def read_ini(text: str) -> Iterator[Entry]:
    """Yield the settings of a file; each section is a scope."""
    section = ""
    for start, end in lines(text):
        if text[start:end].lstrip().startswith((";", "#", "!")):
            continue
        head = SECTION.match(text, start, end)
        section = head["name"] if head else section
        found = None if head else LINE.match(text, start, end)
        if found is None:
            continue
        group = next(one for one in ("double", "single", "bare") if found[one] is not None)
        inner = [*WITHIN.finditer(text, *found.span(group))] if "=" in found[group] else []
        for one in inner:  # supervisor's `environment = NAME="value",...`
            yield Entry(name=one["name"], name_at=one.span("name"), scope=section)
        if not inner:
            yield Entry(
                name=found["name"],
                name_at=found.span("name"),
                value=found[group],
                value_at=found.span(group),
                scope=section,
                whole=found.span(),
            )
