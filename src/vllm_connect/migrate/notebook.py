"""Code cells of notebooks: their sources change, and nothing else of the file does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_connect.migrate.cells import Cell, migrated_cells
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.result import Migrated, NotParsed

__all__ = ["migrated_notebook"]

MAGIC = "_vllm_connect_magic_{}_"
MAGICS = re.compile(r"_vllm_connect_magic_(\d+)_")
# What IPython reads and Python does not: a line of its own, or what stands behind an assignment.
LINE = re.compile(r"^(?P<indent>[ \t]*)(?P<magic>[%!?][^\n]*|[^\n#'\"=]*\?{1,2}[ \t]*$)", re.MULTILINE)
ASSIGNED = re.compile(r"^(?P<target>[ \t]*[\w, ]+=[ \t]*)(?P<magic>[%!][^\n]*)", re.MULTILINE)
# Cell magics behind whose line there is Python.
PYTHON_CELLS = re.compile(r"\s*%%(time|timeit|capture|prun|python3?|memit|mprun|debug)\b")
SPACE = re.compile(r"\s*")
TEXT = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
SCALAR = re.compile(r"[^\s,\]}]+")


@dataclass(frozen=True)
class _Source:
    """Where the source of one code cell stands in the file, and what it says."""

    start: int
    end: int
    value: str | list[str]
    number: int

    @property
    def text(self) -> str:
        return self.value if isinstance(self.value, str) else "".join(self.value)


def migrated_notebook(text: str, file: str, project: Project, options: Options) -> Migrated:
    """Return a notebook with its code cells as they are for vLLM; raises NotParsed and Crashed."""
    try:
        notebook = json.loads(text)
        sources = list(_sources(text)) if isinstance(notebook, dict) else []
    except ValueError as wrong:
        raise NotParsed(f"this is no notebook: {wrong}", getattr(wrong, "lineno", 1), 1) from None
    except RecursionError:
        raise NotParsed("it is nested too deeply", 1, 1) from None
    masks = [_Mask() for _ in sources]
    cells = [
        Cell(mask.masked(one.text), _line(text, one), f"cell {one.number}")
        for one, mask in zip(sources, masks, strict=True)
    ]
    news, findings, usages = migrated_cells(cells, file, project, options)
    for source, mask, cell, new in reversed([*zip(sources, masks, cells, news, strict=True)]):
        if new != cell.text:
            text = text[: source.start] + _written(text, source, mask.unmasked(new)) + text[source.end :]
    return Migrated(text, tuple(findings), usages)


def _line(text: str, source: _Source) -> int:
    """Return the file's line of a cell's first one."""
    line = text.count("\n", 0, source.start) + 1
    is_spread = isinstance(source.value, list) and "\n" in text[source.start : source.end]
    return line + 1 if is_spread else line


class _Mask:
    """Hides from Python what only IPython reads, and shows it again."""

    def __init__(self) -> None:
        self._hidden: list[str] = []

    def masked(self, text: str) -> str:
        """Return a cell as Python; empty for one of another language."""
        if text.lstrip().startswith("%%") and not PYTHON_CELLS.match(text):
            return ""
        text = ASSIGNED.sub(lambda found: found["target"] + self._hide(found["magic"]), text)
        return LINE.sub(lambda found: found["indent"] + self._hide(found["magic"]), text)

    def unmasked(self, text: str) -> str:
        """Return a cell as it was, apart from what changed."""
        return MAGICS.sub(lambda found: self._hidden[int(found[1])], text)

    def _hide(self, magic: str) -> str:
        self._hidden.append(magic)
        return MAGIC.format(len(self._hidden) - 1)


def _written(text: str, source: _Source, new: str) -> str:
    """Return a source as JSON in the form that it had: a text, or a list of lines in its own layout."""
    is_ascii = text.isascii()
    if isinstance(source.value, str):
        return json.dumps(new, ensure_ascii=is_ascii)
    lines = [json.dumps(line, ensure_ascii=is_ascii) for line in new.splitlines(keepends=True)]
    old = text[source.start : source.end]
    opening = SPACE.match(old, 1)
    assert opening is not None
    closing = old[len(old[:-1].rstrip()) : -1]
    between = "," + (opening[0] or " ")
    return f"[{opening[0]}{between.join(lines)}{closing}]"


def _sources(text: str) -> Iterator[_Source]:
    """Yield the sources of code cells by their places in the file, which is known to be JSON."""
    whole = _members(text, SPACE.match(text, 0).end())  # type: ignore[union-attr]  # it matches nothing too
    number = 0
    for key, start, _ in whole:
        if key != "cells" or text[start] != "[":
            continue
        for cell_start, _ in _elements(text, start):
            if text[cell_start] != "{":
                continue
            number += 1
            places = {name: (begin, end) for name, begin, end in _members(text, cell_start)}
            value = _value(text, places.get("source"))
            if _value(text, places.get("cell_type")) == "code" and _is_source(value):
                yield _Source(*places["source"], value, number)


def _is_source(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)
    )


def _value(text: str, place: Sequence[int] | None) -> Any:
    return None if place is None else json.loads(text[place[0] : place[1]])


def _members(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    """Yield the members of an object: name, and where its value begins and ends."""
    at = _past_space(text, start + 1)
    while text[at] != "}":
        key = TEXT.match(text, at)
        assert key is not None
        begin = _past_space(text, _past_space(text, key.end()) + 1)
        end = _end(text, begin)
        yield json.loads(key[0]), begin, end
        at = _past_comma(text, end)


def _elements(text: str, start: int) -> Iterator[tuple[int, int]]:
    at = _past_space(text, start + 1)
    while text[at] != "]":
        end = _end(text, at)
        yield at, end
        at = _past_comma(text, end)


def _end(text: str, start: int) -> int:
    """Return where a value ends."""
    if text[start] == '"':
        found = TEXT.match(text, start)
    elif text[start] == "{":
        ends = [end for _, _, end in _members(text, start)]
        return _past_space(text, ends[-1] if ends else start + 1) + 1
    elif text[start] == "[":
        ends = [end for _, end in _elements(text, start)]
        return _past_space(text, ends[-1] if ends else start + 1) + 1
    else:
        found = SCALAR.match(text, start)
    assert found is not None
    return found.end()


def _past_space(text: str, at: int) -> int:
    return SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too


def _past_comma(text: str, at: int) -> int:
    at = _past_space(text, at)
    return _past_space(text, at + 1) if text[at] == "," else at
