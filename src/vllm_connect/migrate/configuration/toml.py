"""TOML: `name = "value"` within tables; texts over several lines are passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vllm_connect.migrate.configuration.entry import Entry

__all__ = ["read_toml"]

TABLE = re.compile(r"[ \t]*\[\[?(?P<name>[^\]\n]*)\]")
KEY = r"""(?P<prefix>(?:[\w-]+[ \t]*\.[ \t]*)*)(?P<quote>["']?)(?P<name>[\w-]+)(?P=quote)"""
LINE = re.compile(
    rf"""[ \t]*{KEY}[ \t]*=[ \t]*(?:"(?P<double>(?:[^"\\\n]|\\.)*)"|'(?P<single>[^'\n]*)')(?!["'])
    [ \t]*(?:\#[^\n]*)?\r?(?:\n|\Z)""",
    re.VERBOSE,
)
# Inline tables: `env = {NAME = "value"}`.
WITHIN = re.compile(rf"""(?<=[{{,])[ \t]*{KEY}[ \t]*=[ \t]*["'](?P<value>[^"'\n]*)["']""")
LONG = re.compile(r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'', re.DOTALL)


def read_toml(text: str) -> Iterator[Entry]:
    """Yield the settings of a file whose values are texts; each table is a scope."""
    table, at = "", 0
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        head, found = TABLE.match(text, at, end), LINE.match(text, at, end)
        is_comment = text[at:end].lstrip().startswith("#")
        long = None if is_comment or found else LONG.search(text, at)
        if long is not None and long.start() < end:
            at = text.find("\n", long.end()) + 1 or len(text)
            continue
        if head is not None:
            table = head["name"]
        elif found is not None:
            yield _entry(found, table)
        elif not is_comment:
            for one in WITHIN.finditer(text, at, end):
                yield Entry(
                    name=one["name"],
                    name_at=one.span("name"),
                    value=one["value"],
                    value_at=one.span("value"),
                    scope=table,
                )
        at = end


def _entry(found: re.Match[str], table: str) -> Entry:
    group = "double" if found["double"] is not None else "single"
    return Entry(
        name=found["name"],
        name_at=found.span("name"),
        value=found[group],
        value_at=found.span(group),
        scope=(table, found["prefix"]),
        whole=found.span(),
    )
