"""Dockerfiles: `ENV` and `ARG`, and what `RUN`, `CMD` and the like set for their commands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vllm_connect.migrate.configuration.entry import Entry, Span, lines
from vllm_connect.migrate.configuration.shell import assignments

__all__ = ["read_dockerfile"]

INSTRUCTION = re.compile(r"[ \t]*(?P<word>[A-Za-z]+)[ \t]+")
PAIR = re.compile(
    r"""(?P<name>[A-Za-z_]\w*)(?:=(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'\\]*)))?(?=\s|\\|\Z)"""
)
# The old form: `ENV NAME all that follows`.
OLD = re.compile(r"(?P<name>[A-Za-z_]\w*)[ \t]+(?P<bare>[^=\r\n]\S*)[ \t]*\r?\n?\Z")
CONTINUED = re.compile(r"(?:\\[ \t]*\r?\n|^[ \t]*#[^\n]*\n)\Z")


def read_dockerfile(text: str) -> Iterator[Entry]:
    """Yield the variables of images and builds; each stage is a scope of its own."""
    stage = 0
    for start, end in _instructions(text):
        found = INSTRUCTION.match(text, start, end)
        word = found["word"].upper() if found else ""
        stage += word == "FROM"
        if word in ("ENV", "ARG") and found is not None:
            yield from _pairs(text, (start, end), found.end(), f"stage {stage}")
        elif found is not None:
            yield from assignments(text, (found.end(), end), f"stage {stage}")


def _instructions(text: str) -> Iterator[Span]:
    begin: int | None = None
    for start, end in lines(text):
        is_comment = text[start:end].lstrip().startswith("#")
        if begin is None and is_comment:
            continue
        begin = start if begin is None else begin
        if is_comment or (CONTINUED.search(text, start, end) and end < len(text)):
            continue
        yield begin, end
        begin = None


def _pairs(text: str, line: Span, start: int, scope: str) -> Iterator[Entry]:
    old = OLD.match(text, start, line[1])
    found = [old] if old else [*PAIR.finditer(text, start, line[1])]
    is_alone = len(found) == 1 and text.count("\n", *line) <= 1
    for one in found:
        groups = one.groupdict()
        group = next((name for name in ("double", "single", "bare") if groups.get(name) is not None), None)
        yield Entry(
            name=one["name"],
            name_at=one.span("name"),
            value=None if group is None else one[group],
            value_at=None if group is None else one.span(group),
            scope=scope,
            whole=line if is_alone else one.span(),
            joint="line" if is_alone else "word",
        )
