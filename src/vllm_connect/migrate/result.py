"""What comes of one source, or why nothing does."""

from __future__ import annotations

from dataclasses import dataclass

from vllm_connect.migrate.finding import Finding
from vllm_connect.migrate.usage import Usage

__all__ = ["Crashed", "Migrated", "NotParsed"]


@dataclass(frozen=True)
class Migrated:
    """A source after its migration, and what there is to say; `text` equals what was read where nothing changed."""

    text: str
    findings: tuple[Finding, ...]
    usages: tuple[Usage, ...] = ()


class NotParsed(Exception):
    """A source that is no Python of today."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line, self.column = line, column


class Crashed(Exception):
    """A codemod failed."""
