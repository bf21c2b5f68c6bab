"""How names that a server gave are shown: short, on one line, and few of many."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["listed", "named", "printable"]

LONGEST_NAME = 100
MOST_NAMES = 5


def printable(text: str) -> str:
    """Return a text without control characters: what a server says must not steer the terminal that shows it."""
    return "".join(character if character.isprintable() else " " for character in text)


def named(name: str) -> str:
    """Return a name as it is shown: of a length that can be read, without control characters."""
    return printable(name[:LONGEST_NAME])


def listed(names: Sequence[str]) -> str:
    """Return names as a list for people: the first few, and how many more there are."""
    shown = [named(name) for name in names[:MOST_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
