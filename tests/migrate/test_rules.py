"""Every rule on files before and after: what is rewritten, what is left, and that doing it again changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.migrate.paired import PAIRS, Pair, migrate, pairs, told
from vllm_connect.migrate.catalogue import RULES
from vllm_connect.migrate.demands import RULES as OF_SERVERS
from vllm_connect.migrate.python import RULES as OF_FILES

DOCS = Path(__file__).parents[2] / "docs"
ALL = [pytest.param(pair, id=f"{pair.rule}/{pair.name}") for pair in pairs()]


@pytest.mark.parametrize("pair", ALL)
def test_pair(pair: Pair) -> None:
    """A file becomes what stands beside it, byte for byte, and each finding is told with its line."""
    outcome = migrate(pair.before)
    now = pair.before.read_bytes() if outcome.content is None else outcome.content
    assert now.decode() == pair.expected.decode()
    assert told(outcome) == pair.findings.read_text(encoding="utf-8")
    assert pair.rule in {one.rule for one in outcome.findings} or not outcome.findings


@pytest.mark.parametrize("pair", ALL)
def test_again(pair: Pair, tmp_path: Path) -> None:
    """What was migrated is not changed by another run, and nothing more is said to be fixed."""
    again = tmp_path / pair.before.name.replace(".before", "")
    again.write_bytes(pair.expected)
    outcome = migrate(again)
    assert outcome.content is None, outcome.after
    assert not [one for one in outcome.findings if one.is_fixed]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_is_shown(rule: str) -> None:
    """Every rule has a file that meets it, a name that lasts, a page, and says what and why in one line each."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule)
    assert (DOCS / "migrate" / f"{rule}.md").exists()
    assert "\n" not in RULES[rule].why + RULES[rule].todo
    if RULES[rule] not in (*OF_FILES, *OF_SERVERS):
        # `test_pair` sees to it that these are true.
        told_of = [pair.findings.read_text(encoding="utf-8") for pair in pairs() if pair.rule == rule]
        assert any(f" {rule} " in line for text in told_of for line in text.splitlines())


def test_pages_and_folders_are_those_of_rules() -> None:
    """No page and no folder is left of a rule that has gone."""
    assert {path.stem for path in (DOCS / "migrate").glob("*.md")} == set(RULES)
    assert {path.name for path in PAIRS.iterdir()} <= set(RULES)
