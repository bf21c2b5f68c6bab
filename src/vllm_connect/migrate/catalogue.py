"""All rules in one table: those of the codemods, of other files, of the files themselves, and of servers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vllm_connect.migrate import configuration, demands, javascript, python
from vllm_connect.migrate.codemods import CODEMODS
from vllm_connect.migrate.rule import Rule

__all__ = ["RULES"]

OTHERS = (configuration.RULES, javascript.RULES, python.RULES, demands.RULES)
RULES: Mapping[str, Rule] = MappingProxyType(
    {rule.id: rule for rules in (*(one.rules for one in CODEMODS), *OTHERS) for rule in rules}
)
