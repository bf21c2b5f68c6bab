"""Shell scripts and makefiles: assignments that are a line of their own, and what is set for one command."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vllm_connect.migrate.configuration.entry import Entry, Span, lines

__all__ = ["assignments", "code_of", "read_shell"]

VALUE = r"""(?:"(?P<double>[^"\n]*)"|'(?P<single>[^'\n]*)'|(?P<bare>[^\s;&|"'#]*))"""
# bash, zsh and make; then fish.
LINE = re.compile(
    rf"""[ \t]*(?:(?:export|declare[ ]-x|typeset[ ]-x|readonly|setx?)[ \t]+)?
    (?P<name>[A-Za-z_]\w*)(?:=|[ \t]*[:?]?=[ \t]*){VALUE}[ \t]*;?[ \t]*(?:(?<=[ \t])\#[^\n]*)?\r?(?:\n|\Z)""",
    re.VERBOSE,
)
FISH = re.compile(
    rf"[ \t]*set[ \t]+-\w*x\w*[ \t]+(?P<name>[A-Za-z_]\w*)[ \t]+{VALUE}[ \t]*\r?(?:\n|\Z)", re.VERBOSE
)
# Within a command: `env NAME=value run`, `docker run -e NAME`, `echo "NAME=value" >> file`.
WITHIN = re.compile(
    rf"""(?:(?<=-e)|(?<=--env)|(?<=--build-arg)|(?<=--set-env-vars)|(?<=^)|(?<=[\s"';&|(,]))[ =]?["']?
    (?<![$\w{{])(?P<name>[A-Z][A-Z0-9_]{{3,}})={VALUE}""",
    re.VERBOSE | re.MULTILINE,
)
HANDED_ON = re.compile(r"(?:-e|--env|--build-arg)[ =]+(?P<name>[A-Z][A-Z0-9_]{3,})(?![\w=])")


def read_shell(text: str) -> Iterator[Entry]:
    """Yield the variables that a script sets."""
    yield from assignments(text, (0, len(text)))


def assignments(text: str, where: Span, scope: str = "") -> Iterator[Entry]:
    """Yield the variables that a part of a text sets, which is a script."""
    for start, end in lines(text, *where):
        found = LINE.match(text, start, end) or FISH.match(text, start, end)
        if found is not None:
            yield _entry(found, scope, whole=found.span() if found.end() == end else None)
            continue
        code = code_of(text, (start, end))
        for pattern in (WITHIN, HANDED_ON):
            for one in pattern.finditer(text, *code):
                yield _entry(one, scope, whole=None)


def code_of(text: str, line: Span) -> Span:
    """Return a line without its comment."""
    found = re.compile(r"(?:^|(?<=\s))#", re.MULTILINE).search(text, *line)
    return (line[0], found.start()) if found else line


def _entry(found: re.Match[str], scope: str, whole: Span | None) -> Entry:
    groups = found.groupdict()
    group = next((one for one in ("double", "single", "bare") if groups.get(one) is not None), None)
    return Entry(
        name=found["name"],
        name_at=found.span("name"),
        value=None if group is None else found[group],
        value_at=None if group is None else found.span(group),
        scope=scope,
        whole=whole,
    )
