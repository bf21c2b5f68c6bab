"""What a migration has to say about one place of a file."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Finding", "Severity", "place_in"]


class Severity(enum.IntEnum):
    """How bad it is to leave a place as it is; the worst is the greatest."""

    COSMETIC = 1
    CHANGES_OUTPUT = 2
    SILENTLY_IGNORED = 3
    BREAKS = 4

    @property
    def label(self) -> str:
        """The words that reports use."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One place, and what is to be said of it.

    `message` says what and why in a line, `todo` what is left to do, empty where nothing is. `line` and `column` count
    from 1 in the file as it was read. `versions` is the range of vLLM releases that it holds for, empty for all. Neither
    text ever quotes what may be a key.
    """

    path: str
    line: int
    column: int
    rule: str
    severity: Severity
    message: str
    todo: str = ""
    is_fixed: bool = False
    versions: str = ""

    @property
    def place(self) -> str:
        """The place as editors and terminals follow it."""
        return f"{self.path}:{self.line}:{self.column}"


def place_in(text: str, at: int) -> tuple[int, int]:
    """Return line and column of a place in a text."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
