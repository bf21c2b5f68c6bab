"""`.env` files: `NAME=value`, with or without `export`, values quoted or not; quoted ones may span lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vllm_connect.migrate.configuration.entry import Entry

__all__ = ["read_env"]

LINE = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][\w.-]*)[ \t]*=[ \t]*
    (?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'|(?P<bare>[^\r\n]*?))
    [ \t]*(?:(?<=[ \t"'=])\#[^\r\n]*)?\r?(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)


def read_env(text: str) -> Iterator[Entry]:
    """Yield the variables of a file."""
    at = 0
    while at < len(text):
        found = LINE.match(text, at)
        if found is None:
            at = text.find("\n", at) + 1 or len(text)
            continue
        group = next(one for one in ("double", "single", "bare") if found[one] is not None)
        yield Entry(
            name=found["name"],
            name_at=found.span("name"),
            value=found[group],
            value_at=found.span(group),
            whole=found.span(),
        )
        at = found.end()
