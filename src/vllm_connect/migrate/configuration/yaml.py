"""YAML, line by line and with its comments: compose files, Kubernetes manifests, workflows, settings.

Read are mappings, lists of `NAME=value`, items of `name:` and `value:`, and scripts in block texts. Documents are never
loaded: what is not plain on its lines (anchors, tags, flow style, texts over several lines) is not rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from vllm_connect.migrate.configuration.entry import Entry, Span, lines
from vllm_connect.migrate.configuration.shell import WITHIN, assignments

__all__ = ["read_yaml"]

LINE = re.compile(r"(?P<indent>[ ]*)(?P<dashes>(?:-[ ]+)*)(?P<content>[^\r\n]*)")
END = r"[ \t]*(?:(?<=[ \t])\#[^\r\n]*)?\r?(?:\n|\Z)"
VALUE = r"""(?:"(?P<double>(?:[^"\\\n]|\\.)*)"|'(?P<single>[^'\n]*)'|(?P<bare>[^\s\#"'&*!|>{\[][^\r\n]*?)?)"""
KEY = re.compile(r"""(?P<quote>["']?)(?P<name>[\w./-]+)(?P=quote)[ ]*:(?=\s|\Z)[ ]*""")
AFTER_KEY = re.compile(VALUE + END)
BLOCK = re.compile(r"(?:[&!]\S+[ ]+)*[|>][-+\d]*" + END)
ITEM = re.compile(
    r"""(?P<quote>["']?)(?P<name>[A-Z][A-Z0-9_]{3,})(?:=(?P<value>[^"'\r\n]*?))?(?P=quote)""" + END
)
# What is written in one line: `{name: NAME, value: text}`, `{NAME: text}`, `["NAME=text"]`.
FLOW = re.compile(
    r"""(?<![$\w{])(?P<name>[A-Z][A-Z0-9_]{3,})["']?(?:[ ]*[:=]|,[ ]*value:)[ ]*["']?(?P<value>[^"',}\]\r\n]*)"""
)


@dataclass
class _Item:
    """One item of a list that is a mapping: where it begins, whose list it is, its keys."""

    start: int
    owner: int
    keys: dict[str, Entry] = field(default_factory=dict)
    end: int = 0


def read_yaml(text: str) -> Iterator[Entry]:
    """Yield the settings of a file; each mapping and each list of variables is a scope."""
    reader = _Reader(text)
    for line in lines(text):
        yield from reader.take(line)
    yield from reader.close()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        # What is open, outermost first: the column that it stands at, and where it begins.
        self._open: list[tuple[float, int]] = []
        self._items: list[tuple[int, _Item]] = []
        # A block text: the column of its key, where its lines begin and end.
        self._block: tuple[int, int, int] | None = None
        # Where the last line that says something ends.
        self._said = 0

    def take(self, line: Span) -> Iterator[Entry]:
        """Yield what a line settles."""
        start, end = line
        found = LINE.match(self._text, start, end)
        assert found is not None
        content, indent = found["content"], len(found["indent"])
        if self._block is not None:
            column, begin, _ = self._block
            if not content.strip() or indent > column:
                self._block = column, begin, end
                self._said = end if content.strip() else self._said
                return
            yield from self._script()
        is_blank = not content.strip() and not found["dashes"]
        if is_blank or content.startswith("#"):
            return
        yield from self._closed(indent, is_item=bool(found["dashes"]))
        self._said = end
        yield from self._content(found, line)

    def close(self) -> Iterator[Entry]:
        """Yield what the end of the file settles."""
        if self._block is not None:
            yield from self._script()
        yield from self._closed(-1, is_item=False)

    def _script(self) -> Iterator[Entry]:
        assert self._block is not None
        _, begin, end = self._block
        self._block = None
        if begin < end:
            yield from assignments(self._text, (begin, end), f"block {begin}")

    def _closed(self, indent: int, *, is_item: bool) -> Iterator[Entry]:
        """Leave what does not hold a line at this column."""
        while self._items and (indent <= self._items[-1][0]):
            _, item = self._items.pop()
            item.end = self._said
            yield from _variable(item)
        while self._open and (self._open[-1][0] > indent or (self._open[-1][0] == indent and not is_item)):
            self._open.pop()

    def _content(self, found: re.Match[str], line: Span) -> Iterator[Entry]:
        start, end = line
        column, owner = len(found["indent"]), self._owner()
        at = found.start("content")
        for _ in range(found["dashes"].count("-")):
            self._items.append((column, _Item(start, owner)))
            self._open.append((column + 0.5, start))
        key = KEY.match(self._text, at, end)
        if key is None:
            yield from self._no_key(found, line, owner)
            return
        self._open = [one for one in self._open if one[0] < at - start]
        scope = self._owner()
        self._open.append((at - start, at))
        if BLOCK.match(self._text, key.end(), end):
            self._block = at - start, end, end
            return
        value = AFTER_KEY.match(self._text, key.end(), end)
        if value is None:
            yield from self._flow(key.end(), line, key["name"], scope)
            return
        entry = self._entry(key, value, line, scope, is_first=bool(found["dashes"]))
        if self._items and self._items[-1][0] < at - start and entry.name in ("name", "value", "valueFrom"):
            self._items[-1][1].keys.setdefault(entry.name, entry)
        yield entry
        # A command in one line: `run: NAME=value program`.
        for one in WITHIN.finditer(self._text, *(entry.value_at or (0, 0))):
            yield Entry(name=one["name"], name_at=one.span("name"), scope=(scope, entry.name))

    def _owner(self) -> int:
        return self._open[-1][1] if self._open else -1

    def _entry(
        self, key: re.Match[str], value: re.Match[str], line: Span, scope: int, *, is_first: bool
    ) -> Entry:
        group = next((name for name in ("double", "single", "bare") if value[name] is not None), None)
        return Entry(
            name=key["name"],
            name_at=key.span("name"),
            value="" if group is None else value[group],
            value_at=None if group is None else value.span(group),
            scope=scope,
            # The first key of an item has its dash on the line.
            whole=None if is_first else line,
        )

    def _no_key(self, found: re.Match[str], line: Span, owner: int) -> Iterator[Entry]:
        item = ITEM.match(self._text, found.start("content"), line[1]) if found["dashes"] else None
        if item is None:
            yield from self._flow(found.start("content"), line, "", owner)
            return
        self._items.pop()
        yield Entry(
            name=item["name"],
            name_at=item.span("name"),
            value=item["value"],
            value_at=None if item["value"] is None else item.span("value"),
            scope=owner,
            whole=line,
        )

    def _flow(self, start: int, line: Span, key: str, owner: int) -> Iterator[Entry]:
        for one in FLOW.finditer(self._text, start, line[1]):
            yield Entry(
                name=one["name"],
                name_at=one.span("name"),
                value=one["value"],
                value_at=one.span("value"),
                scope=(owner, key),
            )


def _variable(item: _Item) -> Iterator[Entry]:
    """Yield the variable that an item of `name` and `value` sets, as Kubernetes has them."""
    name, value = item.keys.get("name"), item.keys.get("value")
    if (
        name is None
        or name.value is None
        or name.value_at is None
        or not re.fullmatch(r"[A-Z][A-Z0-9_]{3,}", name.value)
    ):
        return
    yield Entry(
        name=name.value,
        name_at=name.value_at,
        value=None if value is None else value.value,
        value_at=None if value is None else value.value_at,
        scope=item.owner,
        whole=(item.start, item.end),
    )
