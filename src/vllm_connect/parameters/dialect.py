"""Which parameters a server knows: by its own `/openapi.json`, else by its version and the table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from vllm_connect.facts import ServerFacts
from vllm_connect.facts.parameters import TABLE, TABLE_VERSION, UNKNOWN_FIELDS, Parameter, RequestKind

__all__ = ["Dialect"]


@dataclass(frozen=True)
class Dialect:
    """What one server understands in one kind of request."""

    facts: ServerFacts
    kind: RequestKind

    @property
    def is_vllm(self) -> bool:
        """Whether it is a vLLM beyond doubt: another engine may have a `/version` too, and names its models its own."""
        owners = {model.owned_by for model in self.facts.models} - {None}
        return "vllm" in owners if owners else self.facts.is_vllm is True

    @property
    def declared(self) -> frozenset[str] | None:
        """The names that its own document declares, None where it has none."""
        return (self.facts.declares or {}).get(self.kind) or None

    @property
    def names(self) -> frozenset[str]:
        """All names that mean something to it, as far as that is known."""
        known = {name for name, row in TABLE[self.kind].items() if self._may_know(row)}
        return frozenset(known | (self.declared or frozenset()))

    def knows(self, name: str) -> bool | None:
        """Whether it reads a parameter; None where neither document nor version tells, nor all versions agree."""
        if self.declared is not None:
            return name in self.declared
        row = TABLE[self.kind].get(name)
        if row is None:
            return False
        if self.facts.version is None:
            return _by_any_version(row)
        return _by_version(row, self.facts.version)

    def _may_know(self, row: Parameter) -> bool:
        knows = self.knows(row.name)
        return not row.last if knows is None else knows

    @property
    def refuses_unknown(self) -> bool:
        """Whether it answers 400 to what it does not know, as old releases did."""
        if self.facts.version is None:
            return False
        asked = _release(self.facts.version)
        policies = [policy for since, policy in UNKNOWN_FIELDS[self.kind].items() if _release(since) <= asked]
        return policies[-1:] == ["forbid"]

    def has(self, version: str) -> bool | None:
        """Whether it is of this release or a later one, None where it does not tell its version."""
        return None if self.facts.version is None else _release(self.facts.version) >= _release(version)


def _by_any_version(row: Parameter) -> bool | None:
    if row.last:
        return None
    if row.effect == "ignores":
        return False
    return None if row.is_late else True


def _by_version(row: Parameter, version: str) -> bool:
    asked = _release(version)
    if row.first and asked < _release(row.first):
        return False
    if row.last:
        return asked <= _release(row.last)
    return row.effect != "ignores"


@lru_cache
def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version; what has none counts as the newest that the table knows."""
    numbers = re.match(r"v?(\d{1,9}(?:\.\d{1,9})*)(?!\d)", version)
    return tuple(map(int, (TABLE_VERSION if numbers is None else numbers[1]).split(".")))
