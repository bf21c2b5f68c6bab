"""Files before and after their migration, by the rule that each shows.

`pairs/RULE/NAME.before.SUFFIX` becomes `NAME.after.SUFFIX`, or stays as it is where there is none; `NAME.findings.txt` has
a line for each finding: its line, its rule, and whether it was fixed or left. `python -m tests.migrate.paired` writes what
is missing; look at it before you believe it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vllm_connect.migrate.migration import Outcome, migrated_file
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project

__all__ = ["MODELS", "PAIRS", "Pair", "migrate", "pairs", "told"]

PAIRS = Path(__file__).parent / "pairs"
MODELS = {"gpt-4o": "qwen", "gpt-4o-mini": "qwen-small", "text-embedding-3-small": "bge"}


@dataclass(frozen=True)
class Pair:
    """One file before its migration, and after."""

    rule: str
    name: str
    before: Path

    @property
    def after(self) -> Path:
        """What it becomes; it need not exist."""
        return self.before.with_name(self.before.name.replace(".before", ".after", 1))

    @property
    def findings(self) -> Path:
        """What is said of it."""
        return self.before.with_name(f"{self.name}.findings.txt")

    @property
    def expected(self) -> bytes:
        """What the file holds after its migration."""
        return (self.after if self.after.exists() else self.before).read_bytes()


def pairs() -> Iterator[Pair]:
    """Yield all pairs, in order."""
    for before in sorted(PAIRS.glob("*/*.before*")):
        yield Pair(before.parent.name, before.name.partition(".before")[0], before)


def migrate(path: Path) -> Outcome:
    """Migrate one file by itself."""
    return migrated_file(path, Project(), Options(models=MODELS))


def told(outcome: Outcome) -> str:
    """Return the findings as pairs note them."""
    lines = [f"{one.line} {one.rule} {'fixed' if one.is_fixed else 'left'}" for one in outcome.findings]
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    """Write what is missing beside each file; with --all, write it anew."""
    for pair in pairs():
        outcome = migrate(pair.before)
        is_new = "--all" in sys.argv or not pair.findings.exists()
        if is_new:
            pair.findings.write_text(told(outcome), encoding="utf-8")
            if outcome.content is not None:
                pair.after.write_bytes(outcome.content)
            print(pair.before)  # noqa: T201 - a developer's command


if __name__ == "__main__":
    main()
