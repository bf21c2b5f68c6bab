"""A rule as data: what reports, SARIF and the documentation tell of it."""

from __future__ import annotations

from dataclasses import dataclass

from vllm_connect.migrate.finding import Severity

__all__ = ["Rule"]


@dataclass(frozen=True)
class Rule:
    """Something that a migration looks for.

    `id` is stable: it is shown in reports, selects, and names the page `docs/migrate/ID.md` and the folder of its pairs
    `tests/migrate/pairs/ID`. `why` says in a line what happens when nothing is done, `todo` what to do.
    """

    id: str
    title: str
    severity: Severity
    why: str
    todo: str
    versions: str = ""

    @property
    def page(self) -> str:
        """Where it is documented, from the root of the repository."""
        return f"docs/migrate/{self.id}.md"
