"""All rules in one table: those of the codemods, and those of the files themselves."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vllm_connect.migrate import configuration, javascript, python
from vllm_connect.migrate.codemods import CODEMODS
from vllm_connect.migrate.rule import Rule

__all__ = ["RULES"]

OF_FILES = (configuration.RULES, javascript.RULES, python.RULES)
RULES: Mapping[str, Rule] = MappingProxyType(
    {rule.id: rule for rules in (*(one.rules for one in CODEMODS), *OF_FILES) for rule in rules}
)
