"""One name with its value in a file of settings, and where both stand in its text."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Entry", "Reader", "Span", "lines"]

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A name that a file gives a value; `value` is None where it hands on what its own environment has.

    `name_at` and `value_at` are places in the text, quotes left out. Entries of one `scope` reach the same program.
    `whole` is what may be written a second time with another name: lines with their ends, or, where `joint` is "word",
    what stands between two spaces; None where a copy would not be exact, so that nothing is rewritten.
    """

    name: str
    name_at: Span
    value: str | None = None
    value_at: Span | None = None
    scope: Hashable = ""
    whole: Span | None = None
    joint: Literal["line", "word"] = "line"


Reader = Callable[[str], Iterator[Entry]]


def lines(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """Yield the places of a text's lines, each with its end."""
    end = len(text) if end is None else end
    while start < end:
        stop = text.find("\n", start, end) + 1 or end
        yield start, stop
        start = stop
