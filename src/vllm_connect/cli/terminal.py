"""What is shown: text of servers and files made safe for a terminal, tables, JSON, lines on stderr."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

__all__ = [
    "Cleaner",
    "complain",
    "has_colour",
    "print_json",
    "print_table",
    "shown",
    "single_line",
    "write",
]

# What becomes of a character, by its Unicode category. Escapes could rewrite the screen, and bidirectional and
# other invisible marks change what is read; a control character leaves a space, so that two words stay two.
REPLACEMENTS = {"Cc": " ", "Cf": "", "Cs": "\ufffd", "Zl": "\n", "Zp": "\n"}
# Layout of generated text, and the joiners that Persian, Hindi and emoji are written with.
KEPT = frozenset("\n\t\u200c\u200d")
# Written languages stack fewer marks on a letter; a flood of them covers the lines around.
MOST_MARKS = 8
# rich takes a pipe to be 80 columns wide, and would break lines that programs read.
ANY_WIDTH = 1_000_000


class Cleaner:
    """Makes a text safe that comes in pieces: an escape split over two of them is as harmless as a whole one.

    Every character is judged by itself, except that marks on one letter are counted across pieces.
    """

    def __init__(self) -> None:
        self._marks = 0

    def clean(self, piece: str) -> str:
        """Return a piece as it may be shown."""
        if piece.isascii() and piece.isprintable():
            self._marks = 0
            return piece
        return "".join(map(self._character, piece))

    def _character(self, character: str) -> str:
        category = unicodedata.category(character)
        if category[0] == "M" or character in "\u200c\u200d":
            self._marks += 1
            return character if self._marks <= MOST_MARKS else ""
        if character not in KEPT:
            character = REPLACEMENTS.get(category, character)
        self._marks = 0 if character else self._marks
        return character


def shown(text: str) -> str:
    """Return a text that is safe on a terminal; newlines and tabs stay."""
    return Cleaner().clean(text)


def single_line(text: str) -> str:
    """Return a text that is safe on a terminal, as one line."""
    return " ".join(shown(text).split())


def write(text: str, *, to: TextIO | None = None) -> None:
    """Write a text at once, so that a stream is seen as it comes."""
    stream = to or sys.stdout
    stream.write(text)
    stream.flush()


def complain(text: str) -> None:
    """Say something beside the output: an error, a warning, a note."""
    write(f"vllm-connect: {single_line(text)}\n", to=sys.stderr)


def has_colour(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream shows colours and dim text, as https://no-color.org and terminfo's names say."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their columns, as wide as they need on a pipe, as wide as fits on a terminal.

    Columns without a name have no head.
    """
    from rich.console import Console  # noqa: PLC0415  # 50 ms that `--help` must not pay
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else ANY_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(single_line("-" if cell is None else str(cell))) for cell in row))
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        write(f"{line.rstrip()}\n")


def print_json(value: Any) -> None:
    """Print one JSON document; what is not ASCII is escaped, control characters included."""
    print(json.dumps(value, indent=2, ensure_ascii=True))  # noqa: T201
