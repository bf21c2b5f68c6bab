"""What is shown on a terminal: text of servers and files without control characters, tables, JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["print_json", "print_table", "shown"]

# Escapes could rewrite the screen, and bidirectional marks the order of what is read.
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def shown(text: str) -> str:
    """Return a text that is safe on a terminal: every control character but the newline becomes a space."""
    return "".join(
        " " if character != "\n" and unicodedata.category(character) in HIDDEN_CATEGORIES else character
        for character in text
    )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their columns, as wide as they need on a pipe, as wide as fits on a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown("-" if cell is None else str(cell))) for cell in row))
    console.print(table)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=True))  # noqa: T201
