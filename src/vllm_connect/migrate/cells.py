"""Pieces of Python that run one after the other with the same names: cells of a notebook, blocks of a document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from vllm_connect.migrate.finding import Finding, Severity
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.python import UNPARSED, migrated, parsed
from vllm_connect.migrate.result import NotParsed
from vllm_connect.migrate.source import looks_relevant
from vllm_connect.migrate.usage import Usage

__all__ = ["Cell", "migrated_cells"]

MARK = "# vllm-connect: piece {}"
MARKED = re.compile(r"^# vllm-connect: piece (\d+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """One piece: its text, the file's line that it begins at, and what a report calls it (empty for nothing)."""

    text: str
    line: int
    label: str = ""


def migrated_cells(
    cells: Sequence[Cell], file: str, project: Project, options: Options
) -> tuple[list[str], list[Finding], tuple[Usage, ...]]:
    """Return the new text of each piece, what was found, and what is used; raises Crashed.

    A piece that is no Python by itself is left as it is, and reported where it looks as if it mattered.
    """
    texts = [cell.text for cell in cells]
    findings: list[Finding] = []
    readable = []
    for at, cell in enumerate(cells):
        try:
            parsed(cell.text)
        except NotParsed as wrong:
            if looks_relevant(cell.text.encode()):
                findings.append(_unread(cell, file, wrong))
        else:
            readable.append(at)
    whole = "".join(_marked(at, cells[at].text) for at in readable)
    came = migrated(whole, file, project, options)
    for at, text in _pieces(came.text):
        had_end = cells[at].text.endswith("\n")
        texts[at] = text if had_end else text.removesuffix("\n")
    starts = _starts(whole)
    findings += [_in_cell(one, starts, cells) for one in came.findings]
    usages = tuple(replace(one, line=_place(one.line, starts, cells)[0]) for one in came.usages)
    return texts, sorted(findings, key=lambda one: (one.line, one.column)), usages


def _marked(at: int, text: str) -> str:
    return f"{MARK.format(at)}\n{text}" + ("" if text.endswith("\n") else "\n")


def _pieces(whole: str) -> Iterable[tuple[int, str]]:
    """Yield the pieces of a text again, each with its number; what came before the first mark belongs to it."""
    marks = [*MARKED.finditer(whole)]
    ends = [*(mark.start() for mark in marks), len(whole)]
    for mark, (_, end) in zip(marks, pairwise(ends), strict=True):
        before = whole[: mark.start()] if mark is marks[0] else ""
        yield int(mark[1]), before + whole[mark.end() : end]


def _starts(whole: str) -> list[tuple[int, int]]:
    """Return the line that each mark stands on, and the number of its piece."""
    lines = enumerate(whole.splitlines(), 1)
    return [(line, int(found[1])) for line, text in lines if (found := MARKED.match(f"{text}\n"))]


def _in_cell(finding: Finding, starts: Sequence[tuple[int, int]], cells: Sequence[Cell]) -> Finding:
    line, within, cell = _place(finding.line, starts, cells)
    label = f"{cell.label}, line {within}: " if cell.label else ""
    return replace(finding, line=line, message=f"{label}{finding.message}")


def _place(line: int, starts: Sequence[tuple[int, int]], cells: Sequence[Cell]) -> tuple[int, int, Cell]:
    """Return the file's line of a line of the whole, that within its piece, and the piece."""
    start, at = next(((mark, at) for mark, at in reversed(starts) if mark <= line), (0, 0))
    within = max(line - start, 1)
    return cells[at].line + within - 1, within, cells[at]


def _unread(cell: Cell, file: str, wrong: NotParsed) -> Finding:
    label = f"{cell.label}: " if cell.label else ""
    return Finding(
        path=file,
        line=cell.line + wrong.line - 1,
        column=wrong.column,
        rule=UNPARSED.id,
        severity=Severity.COSMETIC,
        message=f"{label}{wrong}; this piece is not looked at",
        todo=UNPARSED.todo,
    )
